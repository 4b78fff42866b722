"""Loss is not an end (R4): whatever becomes of a tunnel, its open sessions are reset at both ends, soon, and never
ended. And what a pair does afterwards: it redials, and sessions that came meanwhile wait for that."""

import os
import signal
import socket
import ssl
import time
from contextlib import contextmanager, suppress

import pytest
from ends import End, Server, background, connect_client, expect_refusal, pattern, seconds_of, text_of
from finhold import wait_until
from pair import LIFE_SIGNS, LOST, await_tunnels, far_table, start_pair, through_tunnel, tunnel_table
from private_network import private_network
from scripted import ScriptedFar, ScriptedNear
from test_pair import exchange

MEGABYTE = 1_000_000
PORT = 8443  # in a network of the test's own
KILLED = pytest.mark.parametrize("killed", ["near", "far"])
every_way = pytest.mark.parametrize("over", ["tls", "plain"])


# The sessions that a loss may find: each is prepared, and says what both ends must see.


def busy(session):
    """Bytes wait everywhere."""
    session.client.send_while_it_goes()
    session.server.receive(MEGABYTE)


def answering(session):
    """The client has ended, and waits for the rest of the answer."""
    session.client.finish()
    session.server.expect_end(0)
    session.server.send(100_000)
    session.client.receive(100_000)


def uploading(session):
    """The server has ended; the client sends on."""
    session.server.finish()
    session.client.expect_end(0)
    session.client.send(100_000)
    session.server.receive(100_000)


def silent(session):
    session.client.send(10)
    session.server.receive(10)


SITUATIONS = (busy, answering, uploading, silent)


def prepare(server, address):
    sessions = []
    for situation in SITUATIONS:
        sessions.append(server.session(address))
        situation(sessions[-1])
    return sessions


def expect_resets(sessions, limit):
    """Within that time, at both ends of all of them, whether they read or not."""
    stop = time.monotonic() + limit
    for situation, session in zip(SITUATIONS, sessions):
        for end in (session.client, session.server):
            try:
                if situation is busy and end is session.server:
                    assert end.expect_reset_not_end() < session.client.sent
                else:
                    end.expect_reset(max(stop - time.monotonic(), 0.01))
            except AssertionError as problem:
                raise AssertionError(f"{situation.__name__}: {problem}") from problem


@every_way
@KILLED
def test_the_death_of_one_end_resets_every_session_at_the_other(pair, server, over, killed):
    """SIGKILL. The kernel ends the tunnel's connection by a reset, or so that TLS takes it for cut off."""
    ends = pair(over)
    sessions = prepare(server, ends.address())
    victim, survivor = (ends.near, ends.far) if killed == "near" else (ends.far, ends.near)
    victim.kill()
    expect_resets(sessions, LOST)
    survivor.endings(len(SITUATIONS), ending="tunnel-lost")
    if killed == "far":
        assert survivor.await_event("tunnel has lost a connection")["sessions"] == str(len(SITUATIONS))


def test_a_path_that_drops_everything_is_found_by_both_ends(start):
    """Nothing is answered any more, and nobody says so: PING finds it, at the near end and at the far one."""
    with private_network() as network:
        server = Server()
        ends = start_pair(start, server.address, None, far=LIFE_SIGNS, tunnel=LIFE_SIGNS)
        sessions = prepare(server, ends.address())
        network.drop(ends.far.address("far")[1])
        assert seconds_of(lambda: expect_resets(sessions, LOST)) > 0.5
        for finhold in (ends.near, ends.far):
            finhold.endings(len(SITUATIONS), ending="tunnel-lost")
        assert "PING" in ends.near.await_event("tunnel has lost a connection")["error"]
        server.close()


def test_a_connection_that_nobody_answers_is_found_without_any_session(start):
    """So that the next session does not meet it."""
    with private_network() as network:
        server = Server()
        ends = start_pair(start, server.address, None, far=LIFE_SIGNS, tunnel={**LIFE_SIGNS, "connect_timeout": "500ms"})
        network.drop(ends.far.address("far")[1])
        ends.near.await_event("tunnel has lost a connection")
        network.load("flush ruleset")
        ends.near.await_events("tunnel is open", 2)
        exchange(server.session(ends.address()))
        ends.near.ending(ending="finished")
        server.close()


def test_a_slow_link_under_load_is_not_taken_for_a_loss(pair, server):
    """Its bytes are a sign of life, however late the answer to a PING: the reader takes little at a time."""
    signs = {"ping_every": "100ms", "ping_timeout": "1s"}
    ends = pair(far=signs, tunnel=signs)
    session = server.session(ends.address())
    sending = background(lambda: (session.client.send(8 * MEGABYTE), session.client.finish()))
    for _ in range(25):
        session.server.receive(MEGABYTE // 10)
        time.sleep(0.1)
    session.server.expect_end(8 * MEGABYTE)
    sending.result()
    session.server.finish()
    session.client.expect_end(0)
    session.close()
    ends.ending(ending="finished")


# The orderly end of one of them.


def test_sigterm_of_far_lets_its_sessions_finish(pair, server):
    """GOAWAY: what is open goes on, however long; a new session finds no tunnel. Nothing is lost, so nobody warns."""
    ends = pair(connect_timeout="500ms")
    session = server.session(ends.address())
    session.client.send(1000)
    session.client.finish()
    session.server.expect_end(1000)
    ends.far.signal()
    ends.far.await_event("stopping")
    time.sleep(0.3)
    expect_refusal(ends.address())
    ends.near.ending(ending="no-tunnel")
    session.server.send(5 * MEGABYTE)
    session.server.finish()
    session.client.expect_end(5 * MEGABYTE)
    session.close()
    ends.far.await_exit()
    ends.far.ending(ending="finished")
    ends.near.ending(ending="finished")
    assert not ends.near.found("tunnel has lost a connection")


def test_sigterm_of_near_lets_its_sessions_finish(pair, server):
    ends = pair()
    session = server.session(ends.address())
    session.client.send(1000)
    session.client.finish()
    session.server.expect_end(1000)
    ends.near.signal()
    ends.near.await_event("stopping")
    session.server.send(MEGABYTE)
    session.server.finish()
    session.client.expect_end(MEGABYTE)
    session.close()
    ends.near.await_exit()
    ends.far.await_event("near end gone")
    ends.far.ending(ending="finished")
    assert not [event for event in ends.far.events if event.level == "warning" and "gone" in event.message]


@KILLED
def test_the_drain_limit_is_a_reset_for_all(pair, server, killed):
    ends = pair(tables={"limits": {"drain": "300ms"}})
    sessions = prepare(server, ends.address())
    stopped, other = (ends.near, ends.far) if killed == "near" else (ends.far, ends.near)
    stopped.signal()
    expect_resets(sessions, LOST)
    stopped.await_exit()
    stopped.endings(len(SITUATIONS), ending="drain-limit")
    side = "client" if killed == "near" else "server"
    other.endings(len(SITUATIONS), ending=f"{side}-reset")


@KILLED
def test_a_second_sigterm_ends_at_once(pair, server, killed):
    ends = pair()
    sessions = prepare(server, ends.address())
    stopped = ends.near if killed == "near" else ends.far
    stopped.signal()
    stopped.await_event("stopping")
    stopped.signal()
    assert seconds_of(stopped.await_exit) < 3
    expect_resets(sessions, LOST)


# After it.


@contextmanager
def pair_of_its_own(start, server, **options):
    """In a network where nobody else takes the far end's port while it is away."""
    ends = start_pair(start, server.address, None, **options)
    port = ends.far.address("far")[1]

    def far_again():
        return start(far=[far_table([server.address], listen=f"127.0.0.1:{port}")], limits={"workers": 1})

    yield ends, far_again
    ends.near.stop()  # before its far ends, which count its connections


@pytest.fixture
def network():
    with private_network() as made:
        yield made


def test_the_tunnel_comes_back_and_who_came_meanwhile_goes_on(network, start):
    server = Server()
    with pair_of_its_own(start, server) as (ends, far_again):
        ends.far.kill()
        ends.near.await_event("tunnel has lost a connection")
        client = connect_client(ends.address())
        client.send(1000)
        client.finish()
        client.expect_nothing(0.5)
        far = far_again()
        accepted = End(server.accept(), "server")
        accepted.expect_end(1000)
        accepted.send(2000)
        accepted.finish()
        client.expect_end(2000)
        client.close()
        accepted.close()
        for finhold in (ends.near, far):
            finhold.ending(ending="finished")
        assert len(ends.near.found("tunnel is open")) == 2
    server.close()


def test_who_comes_while_there_is_no_tunnel_is_reset_at_connect_timeout(network, start):
    server = Server()
    with pair_of_its_own(start, server, connect_timeout="700ms") as (ends, _):
        ends.far.kill()
        ends.near.await_event("tunnel has lost a connection")
        client = connect_client(ends.address())
        client.send(1000)
        assert 0.5 < seconds_of(client.expect_reset) < 5
        ends.near.ending(ending="no-tunnel")
    server.close()


def test_a_near_end_that_starts_first_finds_its_far_end(network, start):
    server = Server()
    far = f"127.0.0.2:{PORT}"
    near = start(through_tunnel(server.address), tunnel=[tunnel_table(("127.0.0.2", PORT))], limits={"workers": 1})
    assert near.await_event("tunnel cannot be opened")["far"] == far
    client = connect_client(near.address())
    client.send(10)
    start(far=[far_table([server.address], listen=far)], limits={"workers": 1})
    accepted = End(server.accept(), "server")
    accepted.receive(10)
    client.close()
    accepted.close()
    near.ending(ending="finished")
    await_tunnels(near)
    near.stop()
    server.close()


def test_redials_are_spaced_out(network, start):
    """From 100 ms on, doubled each time, with jitter: about five in the first two seconds, and not hundreds."""
    server = Server()
    with pair_of_its_own(start, server) as (ends, _):
        host, _, port = ends.near.await_event("tunnel is open")["address"].rpartition(":")
        ends.far.kill()
        dials = 0
        with socket.create_server((host, int(port))) as nobody:  # takes its place, and hangs up
            until = time.monotonic() + 2.5
            while (left := until - time.monotonic()) > 0:
                nobody.settimeout(left)
                with suppress(TimeoutError):
                    nobody.accept()[0].close()
                    dials += 1
        assert 2 <= dials <= 10
    server.close()


def test_only_the_sessions_of_a_lost_connection_are_reset(network, start):
    """streams_per_connection = 1: no shared fate."""
    server = Server()
    options = {"tunnel": {**LIFE_SIGNS, "streams_per_connection": 1}, "far": LIFE_SIGNS}
    with pair_of_its_own(start, server, **options) as (ends, _):
        sessions = [server.session(ends.address()) for _ in range(4)]
        connected = []
        for session in sessions:
            session.client.send(10)
            session.server.receive(10)
        for session, event in zip(sessions, ends.far.await_events("near end connected", 4)):
            connected.append(int(event["near"].rpartition(":")[2]))
        network.lose((connected[1], ends.far.address("far")[1]))
        ends.near.ending(ending="tunnel-lost")
        ends.far.ending(ending="tunnel-lost")
        lost = [session for session in sessions if reset_already(session)]
        assert len(lost) == 1
        for session in sessions:
            if session not in lost:
                session.client.send(1000)
                session.server.receive(1000)
                session.close()
        ends.near.endings(3, ending="finished")
        ends.keep_connections()
    server.close()


def reset_already(session):
    return session.client.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0


# Of one stream and the others.


@every_way
def test_a_stalled_session_stalls_no_other(pair, server, over):
    """Several readers that do not read, with more unread between them than a connection's window (16 MiB), in the same
    tunnel as one that does."""
    ends = pair(over)
    stalled = [server.session(ends.address()) for _ in range(20)]
    filling = [background(session.server.send_while_it_goes) for session in stalled]
    filling += [background(session.client.send_while_it_goes) for session in stalled]
    for each in filling:
        assert each.result() > MEGABYTE
    other = server.session(ends.address())
    for _ in range(50):
        other.client.send(100)
        other.server.receive(100)
        other.server.send(100)
        other.client.receive(100)
    sending = background(lambda: (other.server.send(20 * MEGABYTE), other.server.finish()))
    other.client.receive(20 * MEGABYTE)
    sending.result()
    other.close()
    ends.ending(ending="finished")
    for session in stalled:
        session.client.reset()
        session.server.reset()
    for finhold in (ends.near, ends.far):
        words = [ending["ending"] for ending in finhold.endings(21)]
        assert words[0] == "finished" and set(words[1:]) <= {"client-reset", "server-reset"}, words


# Ways to lose a connection that a finhold has not: the other end is a script.


def tls_server(authority):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.far.certificate, authority.far.key)
    context.set_alpn_protocols(["h2"])
    return context


def tls_client(authority):
    context = ssl.create_default_context(cafile=authority.certificate)
    context.load_cert_chain(authority.near.certificate, authority.near.key)
    context.set_alpn_protocols(["h2"])
    return context


def cut_off(sock):
    """A FIN below TLS, which says nothing of it."""
    socket.socket(fileno=os.dup(sock.fileno())).shutdown(socket.SHUT_WR)


def close_notify(sock):
    """TLS says that it ends; HTTP/2 says nothing."""
    sock.setblocking(False)
    try:
        sock.unwrap()
    except (ssl.SSLError, OSError):
        pass


WAYS = {"tls": [cut_off, close_notify], "plain": [cut_off]}
lost_ways = pytest.mark.parametrize("over, way", [(over, way) for over in WAYS for way in WAYS[over]],
                                    ids=[f"{over}-{way.__name__}" for over in WAYS for way in WAYS[over]])


def scripted_pair(start, authority, over, server):
    """A near end, and the far end of the script."""
    listening = ScriptedFar(tls_server(authority) if over == "tls" else None)
    accepting = background(listening.accept)
    near = start(through_tunnel(server.address, connect_timeout="2s"), limits={"workers": 1},
                 tunnel=[tunnel_table(listening.address, authority if over == "tls" else None)])
    far = accepting.result()
    far.wait(lambda: far.ready, "SETTINGS")
    await_tunnels(near)
    return near, far, listening


@lost_ways
@pytest.mark.parametrize("ended", [False, True])
def test_a_connection_that_ends_without_goaway_resets_the_client(start, server, authority, over, way, ended):
    near, far, listening = scripted_pair(start, authority, over, server)
    client = connect_client(near.address())
    client.send(100)
    if ended:
        client.finish()
    stream = far.accept()
    far.respond(stream)
    far.read(stream, 100)
    if ended:
        far.await_end(stream)
    way(far.sock)
    client.expect_reset(LOST)
    near.ending(ending="tunnel-lost")
    near.await_event("tunnel has lost a connection")
    far.close()
    listening.close()


@lost_ways
def test_a_connection_that_ends_without_goaway_resets_the_server(start, server, authority, over, way):
    far = start(far=[far_table([server.address], authority if over == "tls" else None)], limits={"workers": 1})
    sock = socket.create_connection(far.address("far"))
    if over == "tls":
        sock = tls_client(authority).wrap_socket(sock, server_hostname="127.0.0.1")
    near = ScriptedNear(sock)
    stream = near.open(text_of(server.address))
    accepted = End(server.accept(), "server")
    near.end(stream)
    accepted.expect_end(0)
    way(near.sock)
    accepted.expect_reset(LOST)
    far.ending(ending="tunnel-lost")
    near.close()


def test_a_goaway_lets_what_was_processed_go_on_and_the_rest_begin_again(start, server, authority):
    """The stream above the last one was not processed: its session, and the next one, use another connection."""
    near, far, listening = scripted_pair(start, authority, "plain", server)
    accepting = background(listening.accept)
    kept = connect_client(near.address())
    first = far.accept()
    left = connect_client(near.address())
    left.send(100)
    second = far.accept()
    far.read(second, 100)
    far.respond(first)
    assert second > first
    far.go_away(first)
    kept.send(1000)
    kept.finish()
    assert len(far.read(first, 1000)) == 1000
    far.await_end(first)
    far.end(first)
    kept.expect_end(0)
    near.ending(ending="finished")
    again = accepting.result()
    moved = again.accept()
    again.respond(moved)
    assert again.read(moved, 100) == pattern("client", 0, 100)
    client = connect_client(near.address())
    again.respond(again.accept())
    for each in (again, far, listening):
        each.close()
    for each in (client, left):
        each.expect_reset(LOST)


def test_a_goaway_with_an_error_is_a_loss(start, server, authority):
    near, far, listening = scripted_pair(start, authority, "plain", server)
    client = connect_client(near.address())
    stream = far.accept()
    far.respond(stream)
    client.expect_nothing(0.1)
    far.go_away(0, code=2)
    client.expect_reset(LOST)
    near.ending(ending="tunnel-lost")
    far.close()
    listening.close()


def test_bytes_that_are_no_http2_are_a_loss(start, server, authority):
    near, far, listening = scripted_pair(start, authority, "plain", server)
    client = connect_client(near.address())
    far.respond(far.accept())
    far.sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n" * 10)
    client.expect_reset(LOST)
    near.ending(ending="tunnel-lost")
    assert near.await_event("tunnel has lost a connection")["error"]
    far.close()
    listening.close()


def test_a_stop_in_the_middle_of_a_loss_is_orderly(pair, server):
    """SIGTERM at both ends while the sessions are being reset. Servers that read nothing have the time of drain for what
    came before."""
    ends = pair(tables={"limits": {"drain": "2s"}})
    sessions = prepare(server, ends.address())
    ends.near.signal()
    ends.far.signal(signal.SIGTERM)
    for session in sessions:
        session.client.reset()
    wait_until(lambda: ends.near.process.poll() is not None and ends.far.process.poll() is not None)
    ends.near.await_exit()
    ends.far.await_exit()
