"""Ends of a pair that are not finhold, with finhold as the other end. They are programs of a few dozen lines (others/), so
what they cannot do is the doing of the library:

Node's http2 (18 and 20), near or far, over TLS and in clear: ends in both directions, in any order, long after one
    another; a tunnel for many sessions; mutual TLS. A reset that comes while the direction is open is passed on, both
    ways. Not passed on: a reset of a socket that has ended before (Node no longer watches it until it is written to),
    and, of a connection in clear, now and then one amid a transfer: its other side gets a clean end. Whoever writes
    such a program: abort with stream.destroy(error), as stream.close(code) sends END_STREAM first, a clean end; and
    request() needs endStream: false.
Go's net/http (1.19), near: as Node. Far: the answer ends, on the wire, when its handler returns, and the request is
    cut off by RST_STREAM(NO_ERROR) then; so the server's end reaches the client only after the client's own. What ends
    its input first (sort, nc -N, rsh) works; a server that ends first and reads on does not. Only over TLS.
HAProxy (2.6) between near and far, as an HTTP/2 proxy: ends pass in both directions, but it makes a clean end of
    every reset. So it is no far end and should not be between; as a TCP proxy, below TLS, it does no harm."""

import shutil
import subprocess

import pytest
from ends import End, Server, background, connect_client, expect_refusal, listens, text_of, unused_address
from finhold import PATIENCE, wait_until
from other_ends import other_far, other_near
from pair import await_tunnels, far_table, through_tunnel, tunnel_table
from private_network import private_network

MEGABYTE = 1_000_000

# What a session may do; each is an exchange between a source and a sink, in either direction.


def half_close_then_answer(source, sink):
    source.send(100_000)
    source.finish()
    sink.expect_end(100_000)
    sink.send(200_000)
    sink.finish()
    source.expect_end(200_000)


def long_transfer_after_an_end(source, sink):
    source.finish()
    sink.expect_end(0)
    sending = background(lambda: (sink.send(20 * MEGABYTE), sink.finish()))
    source.expect_end(20 * MEGABYTE)
    sending.result()


def both_end_at_once(source, sink):
    for end in (source, sink):
        end.send(5000)
        end.finish()
    for end in (source, sink):
        end.expect_end(5000)


def reset_of_a_silent_session(source, sink):
    sink.send(1)
    source.receive(1)
    source.reset()
    sink.expect_reset(5)


def reset_amid_a_transfer(source, sink):
    source.send_while_it_goes()
    sink.receive(MEGABYTE)
    source.reset()
    sink.expect_reset_not_end()


def reset_by_the_reader(source, sink):
    sending = background(lambda: source.send(50 * MEGABYTE))
    sink.receive(MEGABYTE)
    sink.reset()
    with pytest.raises((ConnectionResetError, BrokenPipeError)):
        sending.result()


def reset_instead_of_the_answer(source, sink):
    source.send(100)
    source.finish()
    sink.expect_end(100)
    sink.send(1000)
    source.receive(1000)
    sink.reset()
    source.expect_reset_not_end()


def reset_after_the_own_end(source, sink):
    source.send(100)
    source.finish()
    sink.expect_end(100)
    source.reset()
    sink.expect_reset(5)


ALL = (half_close_then_answer, long_transfer_after_an_end, both_end_at_once, reset_of_a_silent_session,
       reset_amid_a_transfer, reset_by_the_reader, reset_instead_of_the_answer, reset_after_the_own_end)
FLOWS = ("to_server", "to_client")

# What does not hold, and is not tried: behaviour, direction. What a side beside finhold does is passed on by finhold.
LIMITS = {
    ("node", "near"): {(reset_after_the_own_end, "to_server"), (reset_amid_a_transfer, "to_server")},
    ("node", "far"): {(reset_after_the_own_end, "to_client"), (reset_amid_a_transfer, "to_client")},
    ("go", "near"): {(reset_after_the_own_end, "to_server")},
    ("go", "far"): {(reset_after_the_own_end, "to_client"), (half_close_then_answer, "to_client"),
                    (long_transfer_after_an_end, "to_client"), (reset_instead_of_the_answer, "to_client")},
    ("haproxy", "below"): set(),
    ("haproxy", "between"): {(behaviour, flow) for behaviour in ALL for flow in FLOWS if "reset" in behaviour.__name__},
}
KINDS = [("node", "plain"), ("node", "tls"), ("go", "tls")]
every_kind = pytest.mark.parametrize("kind, over", KINDS, ids=["-".join(each) for each in KINDS])


def check(kind, role, server, address):
    for behaviour in ALL:
        for flow in FLOWS:
            if (behaviour, flow) in LIMITS[kind, role]:
                continue
            session = server.session(address)
            try:
                behaviour(*session.flow(flow))
            except (AssertionError, OSError) as problem:
                raise AssertionError(f"{behaviour.__name__}, {flow}: {type(problem).__name__} {problem}") from problem
            finally:
                session.close()


@pytest.fixture
def other():
    """Starts another end; see other_ends."""
    started = []

    def start_one(make, *arguments):
        started.append(make(*arguments))
        return started[-1]

    yield start_one
    for each in reversed(started):
        each.stop()


@every_kind
def test_a_near_end_that_is_not_finhold(start, server, authority, other, kind, over):
    authority = authority if over == "tls" else None
    far = start(far=[far_table([server.address], authority)], limits={"workers": 1})
    near = other(other_near, kind, far.address("far"), text_of(server.address), authority)
    check(kind, "near", server, near.address)
    assert len(far.found("near end connected")) == 1
    near.stop()
    far.await_event("near end gone")


@every_kind
def test_a_far_end_that_is_not_finhold(start, server, authority, other, kind, over):
    authority = authority if over == "tls" else None
    far = other(other_far, kind, authority)
    near = start(through_tunnel(server.address), limits={"workers": 1}, tunnel=[tunnel_table(far.address, authority)])
    await_tunnels(near)
    check(kind, "far", server, near.address())


@every_kind
def test_a_refused_server_through_another_far_end(start, authority, other, kind, over):
    authority = authority if over == "tls" else None
    far = other(other_far, kind, authority)
    near = start(through_tunnel(unused_address()), limits={"workers": 1}, tunnel=[tunnel_table(far.address, authority)])
    await_tunnels(near)
    expect_refusal(near.address())
    near.ending(ending="server-refused")


@every_kind
@pytest.mark.parametrize("killed", ["near", "far"])
def test_the_death_of_another_end_is_a_reset(start, server, authority, other, kind, over, killed):
    authority = authority if over == "tls" else None
    if killed == "far":
        victim = other(other_far, kind, authority)
        finhold = start(through_tunnel(server.address), limits={"workers": 1}, tunnel=[tunnel_table(victim.address, authority)])
        await_tunnels(finhold)
        session = server.session(finhold.address())
        survivor = session.client
    else:
        finhold = start(far=[far_table([server.address], authority)], limits={"workers": 1})
        victim = other(other_near, kind, finhold.address("far"), text_of(server.address), authority)
        session = server.session(victim.address)
        survivor = session.server
    session.client.send(1000)
    session.client.finish()
    session.server.expect_end(1000)
    victim.stop()
    survivor.expect_reset()
    finhold.ending(ending="tunnel-lost")
    session.close()


# HAProxy between the two.

PORT = 7100


@pytest.fixture
def haproxy(tmp_path):
    """In a network of its own: start(mode, server) listens on PORT."""
    with private_network():
        started = []

        def start_one(mode: str, server: str) -> None:
            http2 = " proto h2" if mode == "http" else ""
            config = tmp_path / "haproxy.cfg"
            config.write_text(f"""
defaults
  mode {mode}
  timeout client {PATIENCE}s
  timeout server {PATIENCE}s
  timeout tunnel {PATIENCE}s
  timeout connect {PATIENCE}s
frontend near
  bind 127.0.0.1:{PORT}{http2}
  default_backend far
backend far
  server one {server}{http2}
""")
            assert shutil.which("haproxy", path="/usr/sbin:/usr/bin")
            process = subprocess.Popen(["haproxy", "-db", "-f", str(config)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            started.append(process)
            wait_until(lambda: process.poll() is not None or listens(PORT))
            assert process.poll() is None, process.stdout.read().decode()

        yield start_one
        for process in started:
            process.kill()
            process.communicate(timeout=PATIENCE)


def through_haproxy(start, haproxy, mode, authority=None):
    server = Server()
    far = start(far=[far_table([server.address], authority)], limits={"workers": 1})
    haproxy(mode, text_of(far.address("far")))
    # haproxy resets a stream whose end it finds together with the answer: so the end waits for that.
    waits = {"optimistic_data": False} if mode == "http" else {}
    near = start(through_tunnel(server.address), limits={"workers": 1},
                 tunnel=[{**tunnel_table(("127.0.0.1", PORT), authority), **waits}])
    await_tunnels(near)
    return near, far, server


def test_haproxy_between_as_an_http_proxy(start, haproxy):
    near, far, server = through_haproxy(start, haproxy, "http")
    check("haproxy", "between", server, near.address())
    client = connect_client(near.address())
    own = text_of(client.sock.getsockname())
    End(server.accept(), "server").close()
    client.close()
    far.ending(client=own)  # `forwarded` comes through
    server.close()


def test_haproxy_between_as_a_tcp_proxy(start, haproxy, authority):
    """TLS goes through it, so everything holds."""
    near, far, server = through_haproxy(start, haproxy, "tcp", authority)
    check("haproxy", "below", server, near.address())
    server.close()
