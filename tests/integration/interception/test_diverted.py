"""finhold and the rules that it makes, together: programs that know of neither, as a sidecar and through a
gateway, with the least privileges that the README names, and while finhold stops."""

import re
import subprocess
import sys

import pytest
from diverting import run, script
from ends import Server, Session, connect, expect_refusal_of, text_of
from finhold import config_text, wait_until
from private_network import private_network
from privileges import UID, GID, expect_only, mask, unprivileged

SIDECAR = {"name": "main", "listen": "[::]:15001", "intercept": "redirect", "crosses": "none",
           "catch": ["127.0.0.2:9000", "[fd77::2]:9000"]}
GATEWAY = {"name": "main", "listen": "[::]:15001", "intercept": "tproxy", "source": "client", "crosses": "none",
           "catch": [":9000"]}


@pytest.fixture
def apply(start, public_path):
    def start_one(*routes: dict, user: str = "", arguments: tuple[str, ...] = ("--apply-rules",), **options: object):
        path = public_path / "diverted.toml"
        path.write_text(config_text(list(routes), {}, user))
        return start(arguments=("--config", str(path), *arguments), **options)

    return start_one


@pytest.fixture(params=["v4", "v6"])
def family(request) -> str:
    return request.param


def session_with(server: Server) -> Session:
    session = Session(connect(server.address), server.accept())
    session.client.send(1000)
    session.server.receive(1000)
    return session


def finish(session: Session) -> None:
    session.client.finish()
    session.server.expect_end()
    session.server.send(1000)
    session.server.finish()
    session.client.expect_end(1000)
    session.close()


def is_relayed(session: Session) -> bool:
    """The server sees another port than the client's."""
    return session.server.sock.getpeername()[1] != session.client.sock.getsockname()[1]


@pytest.mark.parametrize("prefix", [(), unprivileged("NET_ADMIN", "NET_RAW")])
def test_a_sidecar_diverts_and_lets_go_when_it_stops(start, apply, prefix):
    with private_network():
        server = Server("127.0.0.2", port=9000)
        finhold = apply(SIDECAR, prefix=prefix)
        session = session_with(server)
        assert is_relayed(session)
        expect_only(finhold.pid, mask("NET_RAW"), *((UID, GID) if prefix else (0, 0)))
        finhold.signal()
        finhold.await_event("stopping")
        # First the rules go, then the listener: nobody is refused in between.
        for _ in range(2000):
            other = session_with(server)
            diverted = is_relayed(other)
            finish(other)
            if not diverted:
                break
        assert not diverted
        finish(session)
        finhold.await_exit()
        server.close()


def test_a_sidecar_refuses_denied_clients_and_counts_the_others(start, apply):
    with private_network():
        server = Server("127.0.0.2", port=9000)
        finhold = apply({**SIDECAR, "deny": ["127.0.0.3"], "sessions_per_client": 1})
        session = session_with(server)
        for source, ending in (("127.0.0.3", "client-denied"), ("127.0.0.1", "client-limit")):
            expect_refusal_of(server.address, source)
            assert finhold.ending(ending=ending)["client"].startswith(f"{source}:")
        finish(session)
        finhold.stop()
        server.close()


def test_a_sidecar_without_the_right_to_mark_says_so(start, apply):
    with private_network():
        finhold = apply(SIDECAR, prefix=unprivileged("NET_ADMIN"), arguments=())
        finhold.stop()
        finhold = apply(SIDECAR, prefix=unprivileged(), arguments=(), wait=False)
        finhold.await_exit(1)
        assert "CAP_NET_RAW" in finhold.await_event("cannot dial servers").line


def test_a_sidecar_whose_user_is_spared_needs_no_capability(start, apply, tmp_path):
    """The rules are loaded beforehand, by root."""
    with private_network():
        server = Server("127.0.0.2", port=9000)
        route = {**SIDECAR, "mark": 0, "spare": [f"user:{UID}"]}
        run(script(tmp_path, [route]))
        refused = apply(route, arguments=(), wait=False)
        refused.await_exit(1)
        assert refused.found("finhold would catch the connections that it opens itself")
        finhold = apply(route, arguments=(), prefix=unprivileged())
        session = session_with(server)
        assert is_relayed(session)
        expect_only(finhold.pid, 0, UID, GID)
        finish(session)
        finhold.stop()
        server.close()


def test_the_user_of_the_file_is_spared(start, apply):
    with private_network():
        server = Server("127.0.0.2", port=9000)
        finhold = apply({**SIDECAR, "mark": 0}, user="nobody")
        session = session_with(server)
        assert is_relayed(session)
        expect_only(finhold.pid, 0, UID, GID)
        finish(session)
        finhold.stop()
        server.close()


# Through a gateway: the test is on it, client and server are in networks of their own.

PROGRAM = """
import socket, sys, threading
def answer(sock, peer):
    length = 0
    while chunk := sock.recv(65536):
        length += len(chunk)
    sock.sendall(f"{peer[0]} {peer[1]} {length}".encode())
    sock.close()
role, host, port, own = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
kind = socket.AF_INET6 if ":" in host else socket.AF_INET
if role == "listen":
    listener = socket.create_server((host, port), family=kind, backlog=100)
    print("listening", flush=True)
    while True:
        threading.Thread(target=answer, args=listener.accept(), daemon=True).start()
sock = socket.socket(kind)
sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
sock.settimeout(15)
sock.bind(("::" if kind == socket.AF_INET6 else "0.0.0.0", own))
sock.connect((host, port))
print("connected", sock.getsockname()[1], flush=True)
sys.stdin.readline()
sock.sendall(b"x" * 100_000)
sock.shutdown(socket.SHUT_WR)
answer = b""
while chunk := sock.recv(65536):
    answer += chunk
print(answer.decode(), flush=True)
"""
CLIENT = {"v4": "10.77.1.2", "v6": "fd77:1::2"}
FAR = {"v4": "10.77.2.2", "v6": "fd77:2::2"}


class Place:
    """A network of one machine behind the gateway."""

    def __init__(self, number: int):
        self.holder = subprocess.Popen(["unshare", "-n", "sh", "-c", "echo; exec sleep 1000"], stdout=subprocess.PIPE)
        self.holder.stdout.readline()
        self.programs: list[subprocess.Popen] = []
        run(f"PATH=$PATH:/usr/sbin; ip link add g{number} type veth peer name e netns {self.holder.pid};"
            f"ip address add 10.77.{number}.1/24 dev g{number}; ip address add fd77:{number}::1/64 dev g{number} nodad;"
            f"ip link set g{number} up; exec nsenter -t {self.holder.pid} -n sh -c 'ip link set lo up; ip link set e up;"
            f"ip address add 10.77.{number}.2/24 dev e; ip address add fd77:{number}::2/64 dev e nodad;"
            f"ip route add default via 10.77.{number}.1; ip -6 route add default via fd77:{number}::1'")

    def program(self, role: str, host: str, port: int, own: int = 0) -> subprocess.Popen:
        command = ["nsenter", "-t", str(self.holder.pid), "-n", sys.executable, "-c", PROGRAM, role, host]
        started = subprocess.Popen([*command, str(port), str(own)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.programs.append(started)
        return started

    def close(self) -> None:
        for process in [*self.programs, self.holder]:
            process.kill()
            process.wait()


@pytest.fixture
def gateway(family):
    with private_network() as network:
        client, server = Place(1), Place(2)
        network.set("net.ipv4.ip_forward", 1)
        network.set("net.ipv6.conf.all.forwarding", 1)
        listener = server.program("listen", FAR[family], 9000)
        assert listener.stdout.readline() == "listening\n"
        yield client
        client.close()
        server.close()


def opened(client: Place, family: str, own: int = 0) -> tuple[subprocess.Popen, str]:
    """A connection to the server, and its own port."""
    program = client.program("connect", FAR[family], 9000, own)
    line = program.stdout.readline()
    assert line.startswith("connected "), line
    return program, line.split()[1]


def expect_answer(program: subprocess.Popen, family: str, port: str) -> None:
    """The server has seen the client's own address and port, and all its bytes to their end."""
    out, _ = program.communicate("go\n", timeout=20)
    assert out.split() == [CLIENT[family], port, "100000"]


# Stateful rules on the gateway: what it forwards, and what it takes and sends itself.
STRICT = """
table inet firewall {
  chain input { type filter hook input priority 0; policy drop; jump common; }
  chain forward { type filter hook forward priority 0; policy drop; jump common; }
  chain output { type filter hook output priority 0; policy drop; jump common; }
  chain common {
    ip6 nexthdr icmpv6 accept
    ct state invalid counter drop
    ct state established,related accept
    ct state new tcp dport 9000 accept
    ct state untracked accept
  }
}
"""
MASQUERADE = """
table inet hides { chain postrouting { type nat hook postrouting priority srcnat; oifname "g2" masquerade; }; }
"""
GATEWAYS_OWN = {"v4": "10.77.2.1", "v6": "fd77:2::1"}


@pytest.mark.parametrize("source", ["client", "self"])
@pytest.mark.parametrize("hides", [False, True])
def test_a_gateway_with_conntrack_keeps_the_two_legs_apart(gateway, start, apply, family, source, hides):
    run(f"PATH=$PATH:/usr/sbin; nft -f - <<'END'\n{STRICT}{MASQUERADE if hides else ''}END\n")
    before, before_port = opened(gateway, family)
    finhold = apply({**GATEWAY, "source": source})
    seen = GATEWAYS_OWN if hides or source == "self" else CLIENT
    # All at once: without care, it is with some of many only that conntrack takes packets for invalid.
    programs = [gateway.program("connect", FAR[family], 9000) for _ in range(12)]
    for program in programs:
        program.stdin.write("go\n")
        program.stdin.flush()
    for program in programs:
        out, _ = program.communicate(timeout=20)
        _, port, out = out.split(maxsplit=2)
        assert (out.split()[0], out.split()[2]) == (seen[family], "100000")
        finhold.ending(ending="finished", client=text_of((CLIENT[family], int(port))))
    out, _ = before.communicate("go\n", timeout=20)
    assert out.split()[2] == "100000", before_port
    invalid = subprocess.run(["nft", "list", "chain", "inet", "firewall", "common"], capture_output=True, text=True, check=True)
    assert "counter packets 0 bytes 0 drop" in invalid.stdout, invalid.stdout
    finhold.stop()


@pytest.mark.parametrize("family", ["v4"], indirect=True)
def test_a_gateway_whose_ipv6_is_disabled_diverts_ipv4(gateway, start, apply, family):
    run("PATH=$PATH:/usr/sbin; sysctl -qw net.ipv6.conf.all.disable_ipv6=1")
    finhold = apply(GATEWAY)
    program, port = opened(gateway, family)
    expect_answer(program, family, port)
    finhold.stop()
    assert len(finhold.found("session ended")) == 1


def test_a_gateway_refuses_denied_clients_by_their_own_address(gateway, start, apply, family):
    network = {"v4": "10.77.1.0/24", "v6": "fd77:1::/64"}[family]
    finhold = apply({**GATEWAY, "deny": [network]})
    program = gateway.program("connect", FAR[family], 9000)
    ending = finhold.ending(ending="client-denied", server=text_of((FAR[family], 9000)))
    assert ending["client"].startswith(text_of((CLIENT[family], 0)).removesuffix("0"))
    program.communicate("go\n", timeout=20)
    assert program.returncode != 0
    finhold.stop()


LEAST = ("NET_ADMIN", "NET_RAW", "NET_BIND_SERVICE")


@pytest.mark.parametrize("prefix", [(), unprivileged(*LEAST)])
def test_a_gateway_diverts_and_keeps_the_clients_address(gateway, start, apply, family, prefix):
    before, before_port = opened(gateway, family)
    finhold = apply(GATEWAY, prefix=prefix)
    expect_only(finhold.pid, mask("NET_RAW", "NET_BIND_SERVICE"), *((UID, GID) if prefix else (0, 0)))
    for own in (0, 1023):
        program, port = opened(gateway, family, own)
        expect_answer(program, family, port)
        ending = finhold.ending(ending="finished", client=text_of((CLIENT[family], int(port))))
        assert ending["server"] == text_of((FAR[family], 9000))
    # What was open before the rules came is left alone.
    expect_answer(before, family, before_port)
    finhold.stop()
    assert len(finhold.found("session ended")) == 2


def test_a_gateway_keeps_sessions_while_it_stops_and_diverts_no_other(gateway, start, apply, family):
    finhold = apply(GATEWAY)
    program, port = opened(gateway, family)
    finhold.signal()
    finhold.await_event("stopping")
    for _ in range(3):
        direct, direct_port = opened(gateway, family)
        expect_answer(direct, family, direct_port)
    expect_answer(program, family, port)
    finhold.await_exit()
    assert finhold.ending(ending="finished")["client"].endswith(f":{port}")


class Lossy:
    """What the server's side says last does not reach the client: packets with bytes that end a write, or with
    a FIN. `verdict`: what becomes of them."""

    def __init__(self, client: Place, verdict: str = "drop"):
        self.client = client
        self.nft(f"table inet lossy {{ chain input {{ type filter hook input priority 0;"
                 f"tcp sport 9000 tcp flags & (fin | psh) != 0 counter {verdict}; }}; }}")

    def nft(self, command: str) -> str:
        entered = ["nsenter", "-t", str(self.client.holder.pid), "-n", "nft", "-f", "-"]
        return subprocess.run(entered, input=command, text=True, check=True, capture_output=True).stdout

    def await_lost(self, count: int) -> None:
        wait_until(lambda: int(re.search(r"packets (\d+)", self.nft("list table inet lossy"))[1]) >= count)

    def end(self) -> None:
        self.nft("delete table inet lossy")


@pytest.mark.parametrize("source", ["client", "self"])
@pytest.mark.parametrize("stopped", ["before the end", "after the end"])
def test_a_gateway_that_stops_delivers_the_last_bytes(gateway, start, apply, family, source, stopped):
    """Its rules stay until every byte and the FIN are acknowledged, however often the kernel must repeat them."""
    finhold = apply({**GATEWAY, "source": source})
    program, _ = opened(gateway, family)
    lossy = Lossy(gateway)
    if stopped == "before the end":
        finhold.signal()
        finhold.await_event("stopping")
    program.stdin.write("go\n")
    program.stdin.flush()
    lossy.await_lost(2)  # the answer and the FIN
    if stopped == "after the end":
        finhold.signal()
        finhold.await_event("stopping")
    # When the kernel repeats itself, which takes 200 ms at least, the rules would long be gone.
    lossy.await_lost(4)
    assert not finhold.found("session ended")
    lossy.end()
    out, _ = program.communicate(timeout=20)
    assert out.endswith(" 100000\n")
    finhold.ending(ending="finished")
    finhold.await_exit()


def test_a_gateway_does_not_call_finished_what_it_could_not_deliver(gateway, start, apply, family):
    finhold = apply(GATEWAY)
    program, _ = opened(gateway, family)
    lossy = Lossy(gateway)
    program.stdin.write("go\n")
    program.stdin.flush()
    lossy.await_lost(2)
    finhold.signal()
    finhold.await_event("stopping")
    finhold.signal()
    finhold.ending(ending="drain-limit")
    finhold.await_exit()


def test_a_client_that_forgot_the_connection_resets_nothing(gateway, start, apply, family):
    """All bytes were acknowledged; the FIN is answered with a RST."""
    finhold = apply(GATEWAY)
    program, _ = opened(gateway, family)
    lossy = Lossy(gateway, "jump judge; }; chain judge { tcp flags fin / fin,psh reject with tcp reset")
    program.stdin.write("go\n")
    program.stdin.flush()
    ending = finhold.ending(to_server="100000")
    assert ending["ending"] == "finished"
    lossy.end()
    finhold.stop()


def test_a_gateway_without_the_right_to_listen_for_others_says_so(gateway, start, apply):
    finhold = apply(GATEWAY, prefix=unprivileged(), arguments=(), wait=False)
    finhold.await_exit(1)
    assert "CAP_NET_RAW" in finhold.await_event("cannot listen").line
    finhold = apply(GATEWAY, prefix=unprivileged("NET_RAW"), arguments=())
    assert "CAP_NET_BIND_SERVICE" in finhold.await_event("clients that come from a port below 1024").line
    finhold.stop()
