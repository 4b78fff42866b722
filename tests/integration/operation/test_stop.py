"""The end of finhold itself: it drains, it cuts what does not finish, and a cut is a reset (R4)."""

import signal

import pytest
from ends import End, Server, connect, connect_client, seconds_of
from finhold import route_to, wait_until

MEGABYTE = 1_000_000


@pytest.mark.parametrize("crosses", ["none", "server"])
def test_sigterm_lets_half_closed_sessions_finish(relay, server, crosses):
    finhold, first = relay(crosses)
    sessions = [first, *(server.session(finhold.address()) for _ in range(9))]
    for session in sessions:
        session.client.send(1000)
        session.client.finish()
    finhold.signal()
    finhold.await_event("stopping")
    for session in sessions:
        session.server.receive(1000)
        session.server.send(2000)
        session.server.finish()
        session.client.receive(2000)
        session.client.expect_end()
        session.close()
    finhold.endings(10, ending="finished")
    finhold.await_exit()


def test_sigterm_with_no_session_ends_at_once(start, server):
    finhold = start(route_to(server.address))
    finhold.signal()
    assert seconds_of(finhold.await_exit) < 3
    finhold.await_event("stopped")


def test_sigint_is_like_sigterm(relay):
    finhold, session = relay()
    finhold.signal(signal.SIGINT)
    finhold.await_event("stopping")
    session.client.send(10)
    session.server.receive(10)
    session.close()
    finhold.await_exit()
    finhold.ending(ending="finished")


def test_the_drain_limit_resets_busy_sessions_on_both_sides(relay, server):
    finhold, full = relay(tables={"limits": {"drain": "1s"}})
    full.client.send_while_it_goes()
    silent = server.session(finhold.address())
    half = server.session(finhold.address())
    half.server.finish()
    half.client.expect_end(0)
    finhold.signal()
    assert 0.8 < seconds_of(finhold.await_exit) < 10
    full.server.expect_reset_not_end()
    for end in (full.client, silent.client, silent.server, half.client, half.server):
        end.expect_reset()
    finhold.endings(3, ending="drain-limit")


def test_the_drain_limit_resets_a_session_whose_fin_is_held(relay, flow):
    """A released FIN would say that it is complete and answered: a cut session is neither."""
    finhold, session = relay("both", tables={"limits": {"drain": "300ms"}})
    source, sink = session.flow(flow)
    source.send(100)
    source.finish()
    sink.receive(100)
    finhold.signal()
    finhold.await_exit()
    assert sink.expect_reset_not_end() == 100
    source.expect_reset()
    finhold.ending(ending="drain-limit", released="never")


def test_the_drain_limit_resets_a_client_that_waits_for_its_server(start):
    busy = Server(backlog=0)
    finhold = start(route_to(busy.address), limits={"drain": "200ms"})
    waiting = busy.fill()
    client = connect_client(finhold.address())
    client.send(10)
    finhold.signal()
    finhold.await_exit()
    client.expect_reset()
    finhold.ending(ending="drain-limit")
    waiting.clear()


def test_a_second_sigterm_ends_at_once(relay):
    finhold, session = relay()
    finhold.signal()
    finhold.await_event("stopping: no new")
    finhold.signal()
    assert seconds_of(finhold.await_exit) < 3
    session.client.expect_reset()
    session.server.expect_reset()
    finhold.ending(ending="drain-limit")


def test_new_connections_are_refused_while_draining(relay, server):
    finhold, session = relay()
    address = finhold.address()
    finhold.signal()
    finhold.await_event("stopping")

    def refused():
        try:
            connect(address).close()
        except (ConnectionRefusedError, ConnectionResetError):
            return True
        return False

    wait_until(refused)
    server.close()  # and with it those that came just in time
    session.client.send(10)  # those that are open go on
    session.server.receive(10)
    session.close()
    finhold.await_exit()


def test_whoever_is_connected_when_it_stops_is_served(start, server):
    """Also if finhold had not accepted them yet: it is stopped while they come."""
    finhold = start(route_to(server.address))
    with finhold.suspended():
        clients = [connect_client(finhold.address()) for _ in range(50)]
        for client in clients:
            client.send(10)
        finhold.signal()
    for _ in clients:
        accepted = End(server.accept(), "server")
        accepted.receive(10)
        accepted.send(20)
        accepted.finish()
    for client in clients:
        client.receive(20)
        client.expect_end()
        client.close()
    finhold.await_exit()
    finhold.endings(50, ending="finished")


def test_sigkill_amid_a_transfer_is_a_reset_on_both_sides(relay, flow):
    finhold, session = relay()
    source, sink = session.flow(flow)
    source.send_while_it_goes()
    sink.receive(MEGABYTE)
    finhold.kill()
    source.expect_reset()
    assert sink.expect_reset_not_end() < source.sent


@pytest.mark.parametrize("crosses", ["none", "both"])
def test_sigkill_while_half_closed_is_a_reset_on_both_sides(relay, flow, crosses):
    """Held, or sent on: who waits for the answer must not take the death for its end."""
    finhold, session = relay(crosses)
    source, sink = session.flow(flow)
    source.send(100)
    source.finish()
    sink.receive(100)
    sink.expect_end() if crosses == "none" else sink.expect_nothing(0.1)
    finhold.kill()
    source.expect_reset()
    sink.expect_reset()
