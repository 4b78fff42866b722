"""Time that passes without finhold: a machine that slept, a stopped process, a worker that does not run. What came meanwhile counts
before any limit does; nobody is asked to have answered while finhold did not listen; and afterwards all goes on."""

import contextlib
import ctypes
import os
import select
import subprocess
import time
from pathlib import Path

import pytest
from admin import ON, Admin
from clocks import HOUR
from ends import End, Server, background, connect_client
from finhold import route_to, wait_until
from frames import ACK, PING, Peer, frame
from pair import await_tunnels, start_pair, through_tunnel, tunnel_table

MANY = 400  # sessions of one worker: more than one look at the kernel tells of


@contextlib.contextmanager
def stopped(clocks, *finholds):
    """All of them, for two hours."""
    with contextlib.ExitStack() as stack:
        for finhold in finholds:
            stack.enter_context(finhold.suspended())
        yield
        clocks.time_passes(2 * HOUR)


def expect_rest(clocks):
    """It asks for the time now and then, as who waits does, and not all the time."""
    before = clocks.asked()
    time.sleep(0.5)
    assert clocks.asked() - before < 2000


def use(session, count=100):
    for source, sink in (session.flow("to_server"), session.flow("to_client")):
        source.send(count)
        sink.receive(count)


def close_all(finhold, sessions):
    for session in sessions:
        session.close()
    assert {line["ending"] for line in finhold.endings(len(sessions))} == {"finished"}


def test_what_came_during_a_stop_counts_before_idle(start, server, clocks, flow):
    finhold = start(route_to(server.address, idle="1h"), limits={"workers": 1}, popen=clocks.popen())
    sessions = [server.session(finhold.address()) for _ in range(MANY)]
    with stopped(clocks, finhold):
        for session in sessions:
            session.flow(flow)[0].send(10)
    for session in sessions:
        session.flow(flow)[1].receive(10)
    close_all(finhold, sessions)


def waiting_in_sockets(port):
    """Bytes that have come from that port and that nobody has read yet."""
    text = subprocess.run(["ss", "-Htn", f"dport = :{port}"], capture_output=True, text=True, check=True).stdout
    return sum(int(line.split()[1]) for line in text.splitlines())


@pytest.mark.parametrize("streams", [1, 1000])
def test_what_came_through_a_tunnel_during_a_stop_counts_before_idle(start, server, clocks, streams):
    """Many connections are read by turns, and so is one with much."""
    def start_end(*routes, **tables):
        return start(*routes, popen=clocks.popen() if "tunnel" in tables else None, **tables)

    patient = {"ping_every": "1h", "ping_timeout": "1h"}
    pair = start_pair(start_end, server.address, None, tunnel={"streams_per_connection": streams, **patient}, far=patient, idle="1h")
    sessions = [server.session(pair.address()) for _ in range(MANY)]
    for session in sessions:
        use(session, 10)
    with stopped(clocks, pair.near):
        for session in sessions:
            session.server.send(10)
        port = pair.far.address("far")[1]
        wait_until(lambda: waiting_in_sockets(port) >= 19 * MANY, lambda: f"{waiting_in_sockets(port)} bytes")
    for session in sessions:
        session.client.receive(10)
    pair.near.descriptors += MANY  # unused connections stay for a minute
    close_all(pair, sessions)


def test_sessions_outlive_a_pause(start, server, clocks):
    """Open ones, half-closed ones, one whose reader waits: with default settings nothing ends them."""
    finhold = start(route_to(server.address), route_to(server.address, "server", name="held", fin={"release_when_quiet": "never"}),
                    limits={"workers": 1}, popen=clocks.popen())
    sleeping, held, full = server.session(finhold.address()), server.session(finhold.address("held")), server.session(finhold.address())
    held.client.finish()
    full.server.send_while_it_goes()
    with stopped(clocks, finhold):
        pass
    use(server.session(finhold.address()))
    expect_rest(clocks)
    assert not finhold.found("session ended", ending="idle")
    use(sleeping)
    held.server.send(10)
    held.client.receive(10)
    full.client.receive(full.server.sent)
    held.server.finish()
    held.client.expect_end()
    held.server.expect_end(0)
    close_all(finhold, [sleeping, full, held])
    assert not [event for event in finhold.events if event.level != "info"]


def test_an_hour_passes_while_it_runs(start, server, clocks):
    """As by a clock that goes on while a machine sleeps: nothing spins, and a limit that has passed has passed."""
    finhold = start(route_to(server.address), route_to(server.address, name="limited", idle="30m"), limits={"workers": 2},
                    popen=clocks.popen())
    session, limited = server.session(finhold.address()), server.session(finhold.address("limited"))
    clocks.time_passes(HOUR)
    use(session)
    expect_rest(clocks)
    another = server.session(finhold.address("limited"))
    for gone in (limited.client, limited.server):
        gone.expect_reset()
    use(another)
    for each in (session, another, limited):
        each.close()
    assert sorted(line["ending"] for line in finhold.endings(3)) == ["finished", "finished", "idle"]


# The tunnel of a pair.

PINGING = {"ping_every": "200ms", "ping_timeout": "8s"}


@pytest.fixture
def scripted_far(start, server, clocks):
    """(a near end, its far end which is a script)."""
    listening = Server()
    accepting = background(listening.accept)
    near = start(through_tunnel(server.address), limits={"workers": 1}, tunnel=[tunnel_table(listening.address, **PINGING)],
                 popen=clocks.popen())
    peer = Peer.far(accepting.result())
    await_tunnels(near)
    yield near, peer
    peer.close()
    listening.close()


def is_question(heard):
    return not heard.flags & ACK


def test_who_was_asked_before_a_pause_has_time_to_answer_after_it(scripted_far, clocks):
    """Its answer may be lost, or its machine has slept too."""
    near, peer = scripted_far
    for _ in range(3):  # its kernel has acknowledged the first, which counts too
        peer.await_frame(PING, is_question)
    with stopped(clocks, near):
        pass
    for _ in range(3):
        ping = peer.await_frame(PING, is_question)
    for _ in range(3):
        peer.send(frame(PING, payload=ping.payload, flags=ACK))
        ping = peer.await_frame(PING, is_question)
    assert not near.found("tunnel has lost a connection")


def test_who_answered_before_a_pause_is_not_lost(scripted_far, clocks):
    """The answer has come while nobody ran."""
    near, peer = scripted_far
    ping = peer.await_frame(PING, is_question)
    with stopped(clocks, near):
        peer.send(frame(PING, payload=ping.payload, flags=ACK))
    ping = peer.await_frame(PING, is_question)
    peer.send(frame(PING, payload=ping.payload, flags=ACK))
    peer.await_frame(PING, is_question)
    assert not near.found("tunnel has lost a connection")


@pytest.mark.parametrize("over", ["tls", "plain"])
def test_a_pair_that_slept_goes_on(start, server, clocks, authority, over):
    """Both ends on machines that slept two hours, amid a question: who wakes first does not give the other one up."""
    pair = start_pair(lambda *routes, **tables: start(*routes, popen=clocks.popen(), **tables), server.address,
                      authority if over == "tls" else None, tunnel={**PINGING, "ping_every": "100ms"}, far={**PINGING, "ping_every": "100ms"})
    sessions = [server.session(pair.address()) for _ in range(4)]
    for session in sessions:
        use(session)
    sessions[1].client.finish()
    sessions[1].server.expect_end()
    for _ in range(5):
        with stopped(clocks, pair.near, pair.far):
            pass
        use(sessions[0])
    sessions[1].server.send(100)
    sessions[1].client.receive(100)
    sessions.append(server.session(pair.address()))
    use(sessions[-1])
    close_all(pair, sessions)
    assert not pair.found("tunnel has lost a connection")


# The status page.


def test_a_stop_is_no_reason_to_call_the_workers_dead(start, server, clocks):
    """Nobody has hung longer than who looks."""
    finhold = start(route_to(server.address), limits={"workers": 2}, admin=ON, popen=clocks.popen())
    admin = Admin(finhold)
    for _ in range(5):
        with finhold.suspended():
            asking = background(lambda: admin.ask("/healthz")[0])
            clocks.time_passes(HOUR)
        assert asking.result() == 200


# One worker, by ptrace(2).

PTRACE_DETACH, PTRACE_SEIZE, PTRACE_INTERRUPT = 17, 0x4206, 0x4207
WALL = 0x40000000
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
libc.ptrace.restype = ctypes.c_long


def ptrace(request, thread):
    assert libc.ptrace(request, thread, None, None) == 0, os.strerror(ctypes.get_errno())


def workers_of(finhold):
    threads = Path(f"/proc/{finhold.pid}/task").iterdir()
    return [int(thread.name) for thread in threads if (thread / "comm").read_text() == "worker\n"]


@contextlib.contextmanager
def frozen(thread):
    """That thread does not run, all others do."""
    ptrace(PTRACE_SEIZE, thread)
    try:
        ptrace(PTRACE_INTERRUPT, thread)
        os.waitpid(thread, WALL)
        yield
    finally:
        ptrace(PTRACE_DETACH, thread)


def test_a_frozen_worker_delays_its_own_sessions_only(start, server):
    finhold = start(route_to(server.address), limits={"workers": 2}, admin=ON)
    admin = Admin(finhold)
    sessions = [server.session(finhold.address()) for _ in range(40)]
    for session in sessions:
        use(session)
    first, _ = workers_of(finhold)
    with frozen(first):
        for session in sessions:
            session.client.send(100)
        wait_until(lambda: admin.ask("/healthz")[0] == 503)  # it has waited for it a second
        served = [session for session in sessions if select.select([session.server.sock], [], [], 0)[0]]
        assert 0 < len(served) < len(sessions)
        for session in served:
            session.server.receive(100)
            use(session)
            session.close()
        assert {line["ending"] for line in finhold.endings(len(served))} == {"finished"}
        waiting = [connect_client(finhold.address()) for _ in range(20)]
        for client in waiting:
            client.send(100)
            client.finish()
    others = [session for session in sessions if session not in served]
    for session in others:
        session.server.receive(100)
        use(session)
        session.close()
    for _ in waiting:
        end = End(server.accept(), "server")
        end.expect_end(100)
        end.close()
    for client in waiting:
        client.expect_end(0)
        client.close()
    assert {line["ending"] for line in finhold.endings(len(sessions) + len(waiting))} == {"finished"}
    wait_until(lambda: admin.ask("/healthz")[0] == 200)
