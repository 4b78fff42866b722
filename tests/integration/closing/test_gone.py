"""A side on this machine that has closed is told from one that has only half-closed (R3b): on the wire both
are the same FIN. What the server, or the client, then sees is what it would see on a direct connection."""

import ctypes
import errno
import os
import select
import socket
import struct

import pytest
from diverting import MARK, OWN, PORT, SERVER, divert_to_tproxy
from clients import Clients
from ends import Server, Session, text_of
from finhold import Finhold, route_to, wait_until
from private_network import private_network
from test_half_close import source_of
from test_holding import crossing, seconds, sink_ended


def closed(finhold, flow, **fields):
    """The ending of a session whose source was found to have closed; nothing was held."""
    ending = finhold.ending(released="source-gone", gone="local-closed", first_fin=source_of(flow), **fields)
    assert seconds(ending, "held") < 0.5
    return ending


def stream_at_a_closed_side(session, flow):
    """What the sink sees: `source` closes, having read all, and the sink goes on sending."""
    source, sink = session.flow(flow)
    sink.send(1000)
    source.send(1000)
    source.receive(1000)
    sink.receive(1000)
    source.close()
    seen = []
    poll = select.poll()
    poll.register(sink.sock, select.POLLIN | select.POLLRDHUP)
    assert poll.poll(5000)
    seen.append(sink.sock.recv(10))
    while not seen[1:]:
        try:
            sink.sock.send(b"x")
        except OSError as error:
            seen.append(errno.errorcode[error.errno])
        select.select([], [], [], 0.01)
    return seen


def test_who_sends_on_to_a_closed_side_sees_what_it_would_see_without_finhold(relay, server, flow):
    direct = server.session(server.address)
    finhold, session = relay(crossing(flow))
    assert stream_at_a_closed_side(session, flow) == stream_at_a_closed_side(direct, flow) == [b"", "EPIPE"]
    closed(finhold, flow, ending=f"{source_of(flow)}-reset")
    direct.close()


def test_a_closed_side_needs_no_byte_to_be_found(relay, flow):
    finhold, session = relay("both")
    source, sink = session.flow(flow)
    source.close()
    sink.expect_end(0)
    sink.close()
    closed(finhold, flow, ending="finished")


def test_bytes_before_a_close_come_before_its_end(relay, flow):
    """A slow reader: the end is read long before its flow has drained, and stays behind every byte."""
    finhold, session = relay(crossing(flow))
    source, sink = session.flow(flow)
    source.send_while_it_goes()
    source.close()
    sink.expect_end(source.sent)
    sink.close()
    closed(finhold, flow, ending="finished", **{flow: str(source.sent)})


def test_a_half_closed_side_is_held_as_configured(relay, flow):
    """Longer than finhold takes to ask again."""
    finhold, session = relay(crossing(flow))
    source, sink = session.flow(flow)
    source.finish()
    sink.expect_nothing(2.5)
    sink.send(10)
    sink.finish()
    source.receive(10)
    source.expect_end()
    session.close()
    finhold.ending(ending="finished", released=sink_ended(flow), gone="none")


def test_a_half_closed_side_that_closes_later_is_found(relay, flow):
    """Nothing on the wire tells that."""
    finhold, session = relay(crossing(flow))
    source, sink = session.flow(flow)
    source.finish()
    sink.expect_nothing(1.5)
    source.close()
    sink.expect_end(0)
    sink.close()
    ending = finhold.ending(ending="finished", released="source-gone", gone="local-closed")
    assert 1.4 <= seconds(ending, "held") < 10


def test_a_session_that_is_no_longer_held_is_not_asked_about(relay, flow):
    """Once the FIN is out it makes no difference who has closed."""
    finhold, session = relay(crossing(flow), release="200ms")
    source, sink = session.flow(flow)
    source.finish()
    sink.expect_end(0)
    source.close()
    sink.close()
    finhold.ending(ending="finished", released="quiet", gone="none")


@pytest.mark.parametrize("crosses, fin", [("none", {}), ("both", {"release_when_quiet": "0s"})])
def test_where_nothing_is_held_a_close_is_an_end_like_any_other(relay, flow, crosses, fin):
    finhold, session = relay(crosses, fin=fin)
    source, sink = session.flow(flow)
    source.close()
    sink.expect_end(0)
    sink.close()
    finhold.ending(ending="finished", gone="none")


def test_an_ipv4_client_of_an_ipv6_listener_is_found(start, server, flow):
    """finhold sees it by its IPv4-mapped address."""
    finhold = start(route_to(server.address, "both", listen="[::]:0", fin={"release_when_quiet": "never"}))
    session = server.session(("127.0.0.1", finhold.address()[1]))
    source, sink = session.flow(flow)
    source.close()
    sink.expect_end(0)
    sink.close()
    closed(finhold, flow, ending="finished")


def test_a_reset_after_an_end_says_so(relay, flow):
    finhold, session = relay("both")
    source, sink = session.flow(flow)
    source.finish()
    sink.expect_nothing(0.1)
    source.reset()
    sink.expect_reset()
    finhold.ending(ending=f"{source_of(flow)}-reset", released="source-gone", gone="reset")


# Without netlink.

NO_NETLINK = "cannot tell whether a local program has closed"
SECCOMP_FILTER, NO_NEW_PRIVS, SET_SECCOMP = 2, 38, 22
ALLOW, REFUSE = 0x7FFF0000, 0x00050000 | errno.EAFNOSUPPORT
SOCKET, AF_NETLINK = 41, 16


def forbid_netlink():
    """As RestrictAddressFamilies= of systemd does it: socket(AF_NETLINK) fails with EAFNOSUPPORT."""
    load, equal, give = 0x20, 0x15, 0x06
    program = [(load, 0, 0, 0),  # the number of the system call
               (equal, 0, 3, SOCKET),
               (load, 0, 0, 16),  # its first argument
               (equal, 0, 1, AF_NETLINK),
               (give, 0, 0, REFUSE),
               (give, 0, 0, ALLOW)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in program))
    header = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", len(program), ctypes.addressof(code)))
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.prctl(NO_NEW_PRIVS, 1, 0, 0, 0) == 0
    assert libc.prctl(SET_SECCOMP, SECCOMP_FILTER, header, 0, 0) == 0


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the number of socket(2) is that of x86_64")
def test_without_netlink_finhold_goes_on(start, server, flow):
    """It says why it cannot tell, once, and holds for a closed side as for a half-closed one."""
    finhold = start(route_to(server.address, "both", fin={"release_when_quiet": "500ms"}),
                    popen={"preexec_fn": forbid_netlink})
    said = finhold.await_event(NO_NETLINK)
    assert "Address family not supported" in said["error"] and "RestrictAddressFamilies" in said.message
    session = server.session(finhold.address())
    source, sink = session.flow(flow)
    source.close()
    sink.expect_end(0)
    sink.close()
    assert seconds(finhold.ending(released="quiet", gone="none"), "held") >= 0.4
    assert len(finhold.found(NO_NETLINK)) == 1


def test_where_netlink_works_nothing_is_said(start, server):
    for listen in ("127.0.0.1:0", "0.0.0.0:0", "[::1]:0", "[::]:0"):
        assert not start(route_to(server.address, listen=listen, crosses="both")).found(NO_NETLINK)


def test_keepalive_finds_a_closed_side_whose_kernel_has_forgotten_it(start):
    """As with a remote side, which finhold cannot ask about: until the kernel forgets the orphan
    (net.ipv4.tcp_fin_timeout) it answers keepalives as a living one does."""
    keepalive = {"idle": "1s", "interval": "1s", "probes": 5}
    fin = {"release_when_quiet": "never", "nurse_every": "1s"}
    with private_network() as network:
        network.set("net.ipv4.tcp_fin_timeout", 2)
        server = Server()
        finhold = start(*(route_to(server.address, crosses, name=crosses, keepalive=keepalive, fin=fin)
                          for crosses in ("both", "none")), popen={"preexec_fn": forbid_netlink})
        for flow in ("to_server", "to_client"):
            for crosses, released in ("both", "source-gone"), ("none", "not-held"):
                session = server.session(finhold.address(crosses))
                source, sink = session.flow(flow)
                source.close()
                sink.expect_reset()
                finhold.ending(ending=f"{source_of(flow)}-reset", released=released, gone="keepalive",
                               route=crosses, first_fin=source_of(flow))
                session.close()
        finhold.stop()
        server.close()


# Intercepted clients: they believe to be connected to the server.

HOSTS = ["127.0.0.1", "::1"]


def intercepting(how, **keys):
    return {"name": "main", "listen": f"[::]:{PORT}", "intercept": how, "crosses": "server",
            "fin": {"release_when_quiet": "never"}, **keys}


REDIRECT = f"""
table inet finhold {{
  chain output {{
    type nat hook output priority -100
    meta mark {MARK} return
    tcp dport 9000 redirect to :{PORT}
  }}
}}
"""


def expect_gone_and_held(finhold, server):
    """Of two clients one closes, and the other only half-closes."""
    for gone in (True, False):
        session = server.session(server.address)
        session.client.send(10)
        session.server.receive(10)
        if gone:
            session.client.close()
            session.server.expect_end()
            session.server.close()
            finhold.ending(ending="finished", released="source-gone", gone="local-closed")
        else:
            session.client.finish()
            session.server.expect_nothing(1.5)
            session.server.finish()
            session.client.expect_end(0)
            session.close()
            finhold.ending(ending="finished", released="server-ended", gone="none")


@pytest.mark.parametrize("family", SERVER)
def test_a_redirected_client_is_asked_about_by_where_it_was_going(start, family):
    with private_network() as network:
        network.ip("address", "add", f"{SERVER['v6']}/128", "dev", "lo", "nodad")
        network.load(REDIRECT)
        server = Server(SERVER[family], port=9000)
        finhold = start(intercepting("redirect"))
        expect_gone_and_held(finhold, server)
        finhold.stop()
        server.close()


@pytest.mark.parametrize("family", SERVER)
def test_a_tproxied_client_of_this_machine_is_asked_about_by_where_it_was_going(start, family):
    with private_network() as network:
        for address in (SERVER["v6"], OWN["v6"]):
            network.ip("address", "add", f"{address}/128", "dev", "lo", "nodad")
        divert_to_tproxy(network)
        server = Server(SERVER[family], port=9000)
        finhold = start(intercepting("tproxy", source=OWN[family]))
        expect_gone_and_held(finhold, server)
        finhold.stop()
        server.close()


def test_a_redirected_client_whose_port_was_rewritten_is_held(start):
    """Two clients have the same port, for servers of their own; towards the listener the kernel has to give
    one of them another, and then nobody knows whose it is. It is not taken for gone, nor for anybody else."""
    with private_network() as network:
        network.load(REDIRECT)
        servers = [Server(host, port=9000) for host in ("127.0.0.2", "127.0.0.3")]
        finhold = start(intercepting("redirect"))
        sessions, port = [], 0
        for server in servers:
            client = socket.socket()
            client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            client.bind(("127.0.0.1", port))
            port = client.getsockname()[1]
            client.connect(server.address)
            sessions.append(Session(client, server.accept()))
        first, rewritten = sessions
        rewritten.client.close()
        rewritten.server.expect_nothing(1.5)
        first.client.close()
        first.server.expect_end(0)
        rewritten.server.expect_nothing(0.3)
        for session in sessions:
            session.server.close()
        finhold.ending(client=f"127.0.0.1:{port}", released="source-gone", gone="local-closed")
        assert finhold.ending(released="server-ended", gone="none")["client"] != f"127.0.0.1:{port}"
        finhold.stop()
        for server in servers:
            server.close()


# A thousand of each at once.

COUNT = 1000
HELD, CLOSED = "held", "closed"
KINDS = {
    # name: what is done, how it is to be judged
    "closes": ("close", CLOSED),
    "lingers and closes": ("linger close", CLOSED),
    "shuts both directions": ("shut-down", CLOSED),
    "half-closes and closes at once": ("half-close close", CLOSED),
    "is killed": ("", CLOSED),
    "half-closes and reads": ("half-close", HELD),
    "half-closes and is killed later": ("half-close", HELD),
    "half-closes and leaves a child": ("half-close leave-child", HELD),
}


class Crowd:
    """The sessions of one kind."""

    def __init__(self, name: str, through: tuple, server: Server):
        self.name = name
        self.orders, self.judged = KINDS[name]
        self.clients = Clients(through, COUNT)
        self.servers = [server.accept() for _ in range(COUNT)]
        self.ports = self.clients.answer()
        for sock in self.servers:
            sock.setblocking(False)

    def act(self) -> None:
        if self.name == "is killed":
            self.clients.kill()
        else:
            self.clients.order(self.orders)

    def ended(self) -> int:
        """How many of the servers have read an end."""
        count = 0
        for sock in self.servers:
            try:
                count += sock.recv(1) == b""
            except BlockingIOError:
                pass
        return count

    def expect(self, count: int) -> None:
        wait_until(lambda: self.ended() == count, lambda: f"{self.name}: {self.ended()} ends, not {count}")

    def close(self) -> None:
        self.clients.close()
        for sock in self.servers:
            sock.close()


def crowds_of(finhold: Finhold, through: tuple, server: Server) -> None:
    crowds = {name: Crowd(name, through, server) for name in KINDS}
    for crowd in crowds.values():
        crowd.act()
    for crowd in crowds.values():
        if crowd.name != "is killed":
            crowd.clients.answer()
    # The process whose child keeps the descriptors ends.
    crowds["half-closes and leaves a child"].clients.kill()
    for crowd in crowds.values():
        if crowd.judged == CLOSED:
            crowd.expect(COUNT)
    for crowd in crowds.values():
        crowd.expect(COUNT if crowd.judged == CLOSED else 0)

    # Those that are held close without a word, but for one kind.
    crowds["half-closes and is killed later"].clients.kill()
    crowds["half-closes and leaves a child"].clients.close()
    crowds["half-closes and is killed later"].expect(COUNT)
    crowds["half-closes and leaves a child"].expect(COUNT)
    reading = crowds["half-closes and reads"]
    reading.expect(0)

    # And that kind gets its answers.
    for sock in reading.servers:
        sock.send(b"answer")
        sock.close()
    reading.clients.order("answers")
    assert reading.clients.answer() == ["answer"] * COUNT
    reading.servers.clear()
    for crowd in crowds.values():
        crowd.close()

    total = COUNT * len(KINDS)
    wait_until(lambda: len(finhold.events) >= total and len(finhold.found("session ended")) == total)
    endings = {}
    for event in finhold.found("session ended"):
        verdict = event["ending"], event["released"], event["gone"]
        endings[int(event["client"].rpartition(":")[2])] = verdict
    for crowd in crowds.values():
        expected = (("finished", "server-ended", "none") if crowd is reading
                    else ("finished", "source-gone", "local-closed"))
        verdicts = [endings[port] for port in crowd.ports]
        assert verdicts == [expected] * COUNT, f"{crowd.name}: {set(verdicts)}"


@pytest.mark.parametrize("host", HOSTS)
def test_of_a_thousand_of_each_none_is_misjudged(start, host):
    with private_network():
        server = Server(host)
        listen = text_of((host, 0))
        finhold = start(route_to(server.address, "server", listen=listen, fin={"release_when_quiet": "never"}))
        crowds_of(finhold, finhold.address(), server)
        finhold.stop()
        server.close()


@pytest.mark.parametrize("host", HOSTS)
def test_of_a_thousand_of_each_none_is_misjudged_that_is_redirected(start, host):
    with private_network() as network:
        network.load(REDIRECT)
        # Clients and finhold connect to the same address: with half of the ports in use, which connect(2) tries first, each
        # later one would search through all of these.
        network.set("net.ipv4.ip_local_port_range", "20000 65535")
        server = Server(host, port=9000)
        finhold = start(intercepting("redirect"))
        crowds_of(finhold, server.address, server)
        finhold.stop()
        server.close()
