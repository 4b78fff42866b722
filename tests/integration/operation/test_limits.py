"""What finhold does at its bounds: it waits, says so once, and recovers by itself (R7)."""

import resource
import time

import pytest
from ends import End, background, connect_client
from finhold import route_to

PAUSED = "accepting is paused"
RECOVERED = "accepting goes on"


def work_of(session):
    session.client.send(100)
    session.server.receive(100)
    session.server.send(200)
    session.client.receive(200)


def test_the_session_limit_lets_the_next_client_wait(start, server):
    finhold = start(route_to(server.address), limits={"sessions": 4, "workers": 1})
    sessions = [server.session(finhold.address()) for _ in range(4)]
    waiting = connect_client(finhold.address())
    waiting.send(100)
    assert finhold.await_event(PAUSED)["reason"] == "limits.sessions is reached"
    for session in sessions:
        work_of(session)
    waiting.expect_nothing(0.3)
    sessions[0].close()
    End(server.accept(), "server").receive(100)
    waiting.close()
    for session in sessions:
        session.close()
    finhold.endings(5, ending="finished")


def test_the_session_limit_is_told_once_and_its_end_too(start, server):
    """The recovery counts after 5 s of calm: at the limit it pauses and goes on all the time."""
    finhold = start(route_to(server.address), limits={"sessions": 2, "workers": 1})
    first = server.session(finhold.address())
    for _ in range(5):
        second, waiting = server.session(finhold.address()), connect_client(finhold.address())
        time.sleep(0.15)
        second.close()
        End(server.accept(), "server").close()
        waiting.expect_end(0)
        waiting.close()
    assert len(finhold.found(PAUSED)) == 1
    paused = time.monotonic()
    finhold.await_event(RECOVERED)
    assert time.monotonic() - paused > 3
    assert len(finhold.found(PAUSED)) == 1
    first.close()
    finhold.endings(11, ending="finished")


@pytest.mark.parametrize("workers", [1, 3])
def test_everybody_is_served_at_the_session_limit(start, server, workers):
    finhold = start(route_to(server.address), limits={"sessions": 5, "workers": workers})

    def serve():
        for _ in range(40):
            end = End(server.accept(), "server")
            end.receive(100)
            end.finish()
            end.expect_end()
            end.close()

    serving = background(serve)
    clients = [connect_client(finhold.address()) for _ in range(40)]
    for client in clients:
        client.send(100)
        client.finish()
    for client in clients:
        client.expect_end(0)
        client.close()
    serving.result()
    finhold.endings(40, ending="finished")


@pytest.fixture
def with_few_descriptors(start, server):
    """The limit falls after the start: then finhold does not know of it beforehand."""
    finhold = start(route_to(server.address, connect_timeout="15s"), limits={"workers": 1})
    few = finhold.open_descriptors() + 39
    resource.prlimit(finhold.pid, resource.RLIMIT_NOFILE, (few, few))
    return finhold


def test_sessions_are_limited_to_what_the_descriptors_allow(start, server):
    """Known from the start, so that no accepted client is left without a descriptor for its server."""
    finhold = start(route_to(server.address), limits={"workers": 1, "sessions": 1000},
                    popen={"preexec_fn": lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (60, 60))})
    [line] = finhold.found("the limit of file descriptors allows fewer sessions")
    assert (line["sessions"], line["wanted"], line["descriptors"]) == ("15", "1000", "60")
    sessions = [server.session(finhold.address()) for _ in range(15)]
    waiting = connect_client(finhold.address())
    assert finhold.await_event(PAUSED)["sessions"] == "15"
    for session in sessions:
        work_of(session)
        session.close()
    waiting.send(10)
    waiting.finish()
    end = End(server.accept(), "server")
    end.expect_end(10)
    end.close()
    waiting.expect_end(0)
    waiting.close()
    finhold.endings(16, ending="finished")


def test_without_descriptors_clients_wait_and_nobody_is_lost(with_few_descriptors, server):
    finhold = with_few_descriptors
    clients = [connect_client(finhold.address()) for _ in range(60)]
    for client in clients:
        client.send(100)
    finhold.await_event(PAUSED)

    def serve():
        for _ in clients:
            end = End(server.accept(), "server")
            end.receive(100)
            end.send(200)
            end.close()

    serving = background(serve)
    for client in clients:
        client.receive(200)
        client.expect_end()
        client.close()
    serving.result()
    finhold.endings(60, ending="finished")
    assert len(finhold.found(PAUSED)) == 1
    assert "Too many open files" in finhold.found(PAUSED)[0]["reason"]


def test_without_descriptors_a_dial_waits_for_one(with_few_descriptors, server):
    """Accepted with the last descriptor: the session needs a second one, and gets it when one is
    free."""
    finhold = with_few_descriptors
    sessions = []
    while not finhold.found(PAUSED):
        sessions.append(connect_client(finhold.address()))
        time.sleep(0.01)
    finhold.await_event(PAUSED)
    time.sleep(0.3)  # several tries
    assert not finhold.found("session ended")
    for client in sessions:
        client.send(100)
        client.finish()
    for _ in sessions:
        end = End(server.accept(), "server")
        end.expect_end(100)
        end.close()
    for client in sessions:
        client.expect_end(0)
        client.close()
    finhold.endings(len(sessions), ending="finished")


def test_it_stops_in_order_while_accepting_is_paused(start, server):
    finhold = start(route_to(server.address), limits={"sessions": 1, "workers": 1})
    session = server.session(finhold.address())
    waiting = connect_client(finhold.address())
    finhold.await_event(PAUSED)
    finhold.signal()
    finhold.await_event("stopping")
    waiting.expect_reset()  # never a clean end of nothing
    work_of(session)
    session.close()
    finhold.await_exit()
