"""haproxy and nginx (Debian's) as senders and as receivers of PROXY protocol headers, each beside finhold
in a network of the test's own. nginx's stream module sends version 1 only, and takes both."""

import subprocess

import pytest
from ends import Server, connect, listens, text_of
from finhold import PATIENCE, route_to, wait_until
from private_network import private_network
from proxy_headers import receive, take_header

PORT = 7100  # of the other program
LOOPBACK = {"IPv4": "127.0.0.1", "IPv6": "::1"}
every_family = pytest.mark.parametrize("family", LOOPBACK)
every_version = pytest.mark.parametrize("version", ["v1", "v2"])


@pytest.fixture
def network():
    with private_network() as made:
        yield made


@pytest.fixture
def run(network):
    """Starts a program that listens on PORT."""
    started = []

    def run_one(*command: str) -> None:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        started.append(process)
        wait_until(lambda: process.poll() is not None or listens(PORT))
        assert process.poll() is None, process.stdout.read().decode()

    yield run_one
    for process in started:
        process.kill()
        process.communicate(timeout=PATIENCE)


@pytest.fixture
def haproxy(run, tmp_path):
    def start_haproxy(bind: str, server: str, more: str = "") -> None:
        config = tmp_path / "haproxy.cfg"
        config.write_text(f"""
defaults
  mode tcp
  timeout client {PATIENCE}s
  timeout server {PATIENCE}s
  timeout connect {PATIENCE}s
listen all
  {bind}
  {more}
  server one {server}
""")
        run("haproxy", "-db", "-f", str(config))

    return start_haproxy


@pytest.fixture
def nginx(run, tmp_path):
    def start_nginx(server: str) -> None:
        config = tmp_path / "nginx.conf"
        config.write_text(f"""
load_module /usr/lib/nginx/modules/ngx_stream_module.so;
daemon off;
master_process off;
pid {tmp_path}/nginx.pid;
error_log stderr warn;
events {{ }}
stream {{ server {{
{server}
}} }}
""")
        run("nginx", "-p", str(tmp_path), "-e", "stderr", "-c", str(config))

    return start_nginx


def accepting(start, server, family):
    return start(route_to(server.address, listen=text_of((LOOPBACK[family], 0)), accept_proxy=True,
                          trusted=[LOOPBACK[family]]))


def check_session(finhold, server, family):
    """Through the other program, then finhold: the client is known, and the bytes are whole."""
    client = connect((LOOPBACK[family], PORT))
    client.sendall(b"question")
    accepted = server.accept()
    assert receive(accepted, 8) == b"question"
    accepted.sendall(b"answer")
    assert receive(client, 6) == b"answer"
    own = text_of(client.getsockname())
    client.close()
    accepted.close()
    ending = finhold.ending(client=own)
    assert (ending["to_server"], ending["to_client"]) == ("8", "6")
    assert not finhold.found("refused")


# Version 2 with every TLV that haproxy has without TLS, among them a checksum.
@every_family
@pytest.mark.parametrize("sending", [
    "send-proxy", "send-proxy-v2", "send-proxy-v2 proxy-v2-options crc32c,unique-id,authority"])
def test_haproxy_sends(network, start, haproxy, family, sending):
    server = Server()
    finhold = accepting(start, server, family)
    haproxy(f"bind {LOOPBACK[family]}:{PORT}", f"{text_of(finhold.address())} {sending}",
            "unique-id-format %{+X}o-%ci-%cp-%rt" if "unique" in sending else "")
    check_session(finhold, server, family)
    server.close()


@every_family
def test_haproxy_checks_the_health_of_what_is_behind_finhold(network, start, haproxy, family):
    """By a LOCAL header, which tells of no client."""
    server = Server()
    finhold = accepting(start, server, family)
    haproxy(f"bind {LOOPBACK[family]}:{PORT}",
            f"{text_of(finhold.address())} send-proxy-v2 check check-send-proxy inter 60s",
            "option tcp-check\n  tcp-check expect string healthy")
    accepted = server.accept()
    accepted.sendall(b"healthy")
    client = finhold.ending(to_client="7")["client"]
    assert client.startswith(text_of((LOOPBACK[family], 0))[:-1])
    accepted.close()
    assert not finhold.found("refused")
    server.close()


@every_version
@every_family
def test_haproxy_receives(network, start, haproxy, family, version):
    """And passes on what it has understood."""
    server = Server()
    haproxy(f"bind {LOOPBACK[family]}:{PORT} accept-proxy", f"{text_of(server.address)} send-proxy")
    finhold = start(route_to((LOOPBACK[family], PORT), listen=text_of((LOOPBACK[family], 0)), send_proxy=version))
    client = connect(finhold.address())
    accepted = server.accept()
    assert take_header(accepted) == ("v1", client.getsockname()[:2], client.getpeername()[:2])
    accepted.sendall(b"220 ready")
    assert receive(client, 9) == b"220 ready"
    client.close()
    accepted.close()
    server.close()
    finhold.ending(to_client="9")


@every_family
def test_nginx_sends(network, start, nginx, family):
    server = Server()
    finhold = accepting(start, server, family)
    nginx(f"listen {text_of((LOOPBACK[family], PORT))}; proxy_protocol on; proxy_pass {text_of(finhold.address())};")
    check_session(finhold, server, family)
    server.close()


@every_version
@every_family
def test_nginx_receives(network, start, nginx, family, version):
    """And tells what it has understood."""
    nginx(f"listen {text_of((LOOPBACK[family], PORT))} proxy_protocol;"
          'return "$proxy_protocol_addr $proxy_protocol_port $proxy_protocol_server_addr $proxy_protocol_server_port";')
    finhold = start(route_to((LOOPBACK[family], PORT), listen=text_of((LOOPBACK[family], 0)), send_proxy=version))
    client = connect(finhold.address())
    told = b""
    while got := client.recv(1000):
        told += got
    (source, source_port), (destination, port) = client.getsockname()[:2], client.getpeername()[:2]
    assert told.decode() == f"{source} {source_port} {destination} {port}"
    client.close()
    finhold.ending(to_client=str(len(told)))
