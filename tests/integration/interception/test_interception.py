"""Interception: rules of the kernel divert connections to finhold, which asks where they were going; and
what it refuses. In a network of its own, with rules written by hand."""

import socket
import tempfile
from pathlib import Path

import pytest
from diverting import MARK, OWN, PORT, SERVER, divert_to_tproxy
from ends import Server, Session, connect, expect_refusal, text_of
from finhold import wait_until
from keepalive import await_timer, leg
from private_network import private_network
from proxy_headers import take_header

LISTENER = {"v4": ("127.0.0.1", PORT), "v6": ("::1", PORT)}

REDIRECT = f"""
table inet finhold {{
  chain output {{
    type nat hook output priority -100
    meta mark {MARK} return
    ip daddr {SERVER["v4"]} tcp dport 9000 redirect to :{PORT}
    ip6 daddr {SERVER["v6"]} tcp dport 9000 redirect to :{PORT}
  }}
}}
"""


@pytest.fixture
def tmp_path():
    """Readable for a finhold that does not run as root."""
    with tempfile.TemporaryDirectory() as made:
        Path(made).chmod(0o755)
        yield Path(made)


@pytest.fixture
def network():
    with private_network() as made:
        for address in (SERVER["v6"], OWN["v6"]):
            made.ip("address", "add", f"{address}/128", "dev", "lo", "nodad")
        yield made


@pytest.fixture(params=["v4", "v6"])
def family(request):
    return request.param


def route(intercept, listen=f"[::]:{PORT}", **keys):
    return {"name": "main", "listen": listen, "intercept": intercept, **keys}


def check_session(finhold, server):
    """A client that connects to the server, and knows of nothing else."""
    client = connect(server.address)
    accepted = server.accept()
    session = Session(client, accepted)
    ours, from_where = client.getsockname()[:2], accepted.getpeername()[:2]
    assert client.getpeername()[:2] == server.address
    for source, sink in ((session.client, session.server), (session.server, session.client)):
        source.send(100_000)
        sink.receive(100_000)
    session.client.finish()
    session.server.expect_end()
    session.server.finish()
    session.client.expect_end()
    ending = finhold.ending()
    assert ending["ending"] == "finished", ending
    assert ending["client"] == text_of(ours), ending
    assert ending["server"] == text_of(server.address), ending
    session.close()
    return from_where


def test_a_redirected_client_gets_the_server_that_it_wanted(network, start, family):
    network.load(REDIRECT)
    server = Server(SERVER[family], port=9000)
    finhold = start(route("redirect", crosses="none"))
    check_session(finhold, server)
    server.close()


def test_a_redirected_client_of_a_listener_of_its_own_family(network, start, family):
    network.load(REDIRECT)
    server = Server(SERVER[family], port=9000)
    finhold = start(route("redirect", text_of(LISTENER[family]), crosses="none"))
    check_session(finhold, server)
    server.close()


def test_a_tproxied_client_gets_the_server_from_the_source_that_was_chosen(network, start, family):
    divert_to_tproxy(network)
    server = Server(SERVER[family], port=9000)
    finhold = start(route("tproxy", crosses="none", source=OWN[family]))
    source = check_session(finhold, server)
    assert source[0] == OWN[family]
    server.close()


@pytest.mark.parametrize("intercept", ["redirect", "tproxy"])
def test_a_proxy_header_tells_where_a_diverted_client_was_going(network, start, family, intercept):
    if intercept == "redirect":
        network.load(REDIRECT)
    else:
        divert_to_tproxy(network)
    server = Server(SERVER[family], port=9000)
    source = {"source": OWN[family]} if intercept == "tproxy" else {}
    finhold = start(route(intercept, crosses="none", send_proxy="v2", **source))
    client = connect(server.address)
    accepted = server.accept()
    assert take_header(accepted) == ("v2", client.getsockname()[:2], server.address)
    client.close()
    accepted.close()
    server.close()
    finhold.ending(ending="finished", to_server="0")


def test_a_connection_to_the_listener_itself_is_refused(network, start, family):
    network.load(REDIRECT)
    finhold = start(route("redirect"))
    expect_refusal(LISTENER[family])
    assert finhold.ending()["ending"] == "not-intercepted"
    refused = finhold.await_event("refused a connection to the listener itself")
    assert refused["listen"] == f"[::]:{PORT}"
    assert finhold.ending()["server"] == "none"


def test_a_connection_to_the_listener_itself_is_refused_without_any_rules(network, start, family):
    finhold = start(route("redirect"))
    expect_refusal(LISTENER[family])
    finhold.await_event("refused a connection")
    assert finhold.ending()["ending"] == "not-intercepted"


def test_a_connection_to_the_tproxy_listener_itself_is_refused(network, start, family):
    # Also where foreign addresses can be bound, as on many gateways.
    network.set("net.ipv4.ip_nonlocal_bind", 1)
    network.set("net.ipv6.ip_nonlocal_bind", 1)
    divert_to_tproxy(network)
    finhold = start(route("tproxy"))
    expect_refusal(LISTENER[family])
    finhold.await_event("refused a connection to the listener itself")
    assert finhold.ending()["ending"] == "not-intercepted"


def test_every_loopback_address_is_the_listener_itself(network, start):
    divert_to_tproxy(network)
    finhold = start(route("tproxy"))
    for address in ("127.0.0.2", "127.255.255.254"):
        expect_refusal((address, PORT))
    for ending in finhold.endings(2):
        assert ending["ending"] == "not-intercepted"
    assert len(finhold.found("refused a connection to the listener itself")) == 2


def test_a_server_of_another_machine_may_have_the_port_of_the_listener(network, start, family):
    there = {"v4": "192.0.2.1", "v6": "2001:db8::1"}[family]
    divert_to_tproxy(network)
    network.load(f"add rule inet finhold output tcp dport {PORT} ip daddr 192.0.2.1 meta mark set 1\n"
                 f"add rule inet finhold output tcp dport {PORT} ip6 daddr 2001:db8::1 meta mark set 1\n")
    # A wire with nobody at its end: where the client was going is what matters.
    network.ip("link", "add", "away", "type", "veth", "peer", "name", "end")
    network.ip("address", "add", "192.0.2.9/24", "dev", "away")
    network.ip("address", "add", "2001:db8::9/64", "dev", "away", "nodad")
    for interface in ("away", "end"):
        network.ip("link", "set", interface, "up")
    finhold = start(route("tproxy", source=OWN[family], connect_timeout="300ms"))
    expect_refusal((there, PORT))
    ending = finhold.ending()
    assert ending["ending"] in ("server-timeout", "server-unreachable"), ending
    assert ending["server"] == text_of((there, PORT)), ending


def test_own_connections_that_come_back_end_the_circle(network, start, family):
    """Rules that do not spare finhold: without its care each session makes another, thousands a second."""
    network.load(REDIRECT.replace(f"meta mark {MARK} return", ""))
    finhold = start(route("redirect"), limits={"workers": 1})
    expect_refusal((SERVER[family], 9000))
    finhold.await_event("refused finhold's own connection")
    endings = [ending["ending"] for ending in finhold.endings(2)]
    assert sorted(endings) == ["not-intercepted", "server-reset"], endings


def test_own_connections_that_come_back_to_another_worker_end_the_circle_too(network, start, family):
    network.load(REDIRECT.replace(f"meta mark {MARK} return", ""))
    finhold = start(route("redirect"), limits={"workers": 4})
    for _ in range(20):
        expect_refusal((SERVER[family], 9000))
    assert not finhold.found("accepting is paused")


def test_a_client_with_the_freed_port_of_an_own_connection_is_a_client(network, start, family):
    """A slow reader holds its session long after the server has gone; the server leg's port is anybody's by then."""
    network.load(REDIRECT)
    network.set("net.ipv4.tcp_wmem", "4096 1048576 4194304")  # what the reader has not read fits into the kernel
    server = Server(SERVER[family], port=9000)
    finhold = start(route("redirect"))
    reader = socket.socket(socket.AF_INET6 if family == "v6" else socket.AF_INET)
    reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    reader.settimeout(15)
    reader.connect(server.address)
    slow = Session(reader, server.accept())
    own = slow.server.sock.getpeername()[:2]
    slow.server.send(300_000)
    slow.server.close()  # the first to end, so that nothing of the connection is left behind
    slow.client.sock.recv(1, socket.MSG_PEEK)
    slow.client.finish()

    stranger = socket.socket(reader.family)
    stranger.settimeout(15)

    def is_free():
        try:
            stranger.bind(own)
        except OSError:
            return False
        return True

    wait_until(is_free)
    assert not finhold.found("session ended"), "the reader's session is over, so this test shows nothing"
    stranger.connect(server.address)
    session = Session(stranger, server.accept())
    session.client.send(1000)
    session.server.receive(1000)
    assert not finhold.found("session ended", ending="not-intercepted")
    session.server.finish()
    session.client.expect_end()
    session.client.finish()
    session.server.expect_end()
    session.close()
    slow.client.expect_end(300_000)
    slow.close()
    server.close()


def test_the_redirected_leg_has_a_keepalive_that_outlasts_conntrack(network, start, family):
    network.load(REDIRECT)
    server = Server(SERVER[family], port=9000)
    start(route("redirect", keepalive={"idle": "2h", "interval": "75s", "probes": 9}))
    client = connect(server.address)
    accepted = server.accept()
    ours = client.getsockname()[1]
    await_timer(lambda: leg(PORT, ours), 0, 15)
    dialed = accepted.getpeername()[1]
    await_timer(lambda: leg(dialed, 9000), 100, 7200)
    client.close()
    accepted.close()
    server.close()


# What a user without privileges may do, and what it is told about the rest.

def as_nobody(*capabilities):
    """A command that starts another as nobody, with these ambient capabilities."""
    names = ",".join(f"+{capability}" for capability in capabilities) or "-all"
    return ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", f"--inh-caps={names}",
            f"--ambient-caps={names}")


def start_refused(start, *args, prefix):
    finhold = start(*args, prefix=prefix, wait=False)
    finhold.await_exit(1)
    return finhold.events[-1]


def test_a_mark_without_its_capability_is_refused_at_start(network, start):
    refusal = start_refused(start, route("redirect"), prefix=as_nobody())
    assert refusal.message.startswith("cannot dial servers: mark needs CAP_NET_RAW or CAP_NET_ADMIN")


def test_a_tproxy_listener_without_its_capability_is_refused_at_start(network, start):
    refusal = start_refused(start, route("tproxy"), prefix=as_nobody())
    assert 'intercept = "tproxy" needs CAP_NET_RAW or CAP_NET_ADMIN' in refusal.message


def test_a_source_that_is_not_here_is_refused_at_start(network, start):
    refusal = start_refused(start, route("redirect", source="192.0.2.7"), prefix=())
    assert "this machine does not have the address" in refusal.message


def test_redirection_without_a_mark_needs_no_privilege(network, start, family):
    network.load(REDIRECT.replace(f"meta mark {MARK} return", "meta skuid 65534 return"))
    server = Server(SERVER[family], port=9000)
    finhold = start(route("redirect", mark=0, crosses="none"), prefix=as_nobody())
    check_session(finhold, server)
    server.close()


@pytest.mark.parametrize("capability", ["net_raw", "net_admin"])
def test_one_capability_is_enough_for_the_mark(network, start, capability):
    network.load(REDIRECT)
    server = Server(SERVER["v4"], port=9000)
    finhold = start(route("redirect", crosses="none"), prefix=as_nobody(capability))
    check_session(finhold, server)
    server.close()


def test_clients_from_low_ports_are_told_of_at_start(network, start):
    divert_to_tproxy(network)
    keys = {"source": "client", "crosses": "none"}
    finhold = start(route("tproxy", **keys), prefix=as_nobody("net_raw"))
    warning = finhold.await_event("clients that come from a port below 1024")
    assert "CAP_NET_BIND_SERVICE" in warning.message
    finhold.stop()
    able = start(route("tproxy", **keys), prefix=as_nobody("net_raw", "net_bind_service"))
    assert not able.found("clients that come from a port below 1024")
