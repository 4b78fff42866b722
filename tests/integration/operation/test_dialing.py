"""The time before there is a server: what the client sends and does is not lost, and it never sees a
clean end of nothing (R5)."""

import time

import pytest
from ends import End, Server, connect_client, expect_refusal, reserved, seconds_of, unused_address
from finhold import route_to, wait_until


@pytest.fixture
def busy_server():
    """Its backlog is full: a connection to it completes only after accept()."""
    made = Server(backlog=0)
    made.waiting = made.fill()
    yield made
    made.close()


def let_in(server) -> End:
    """Makes room, and takes the connection that waited for it."""
    server.accept().close()
    return End(server.accept(), "server")


def test_warnings_about_a_server_that_is_down_are_limited(start):
    """Clients that come again and again must not push other lines out of the log; each has its ending line."""
    finhold = start(route_to(unused_address()), limits={"workers": 1})
    begun = time.monotonic()
    for _ in range(400):
        expect_refusal(finhold.address())
    finhold.endings(400, ending="server-refused")
    assert 100 <= len(finhold.found("cannot connect to the server")) <= 101 + 10 * (time.monotonic() - begun)


def test_refused_is_a_reset(start):
    finhold = start(route_to(unused_address()))
    expect_refusal(finhold.address())
    ending = finhold.ending(ending="server-refused")
    assert ending["first_fin"] == "none"
    finhold.await_event("cannot connect to the server", session=ending["session"])


def test_one_who_has_sent_and_ended_sees_a_reset_if_no_server_comes(start):
    """Not the end that its own end might make it expect."""
    server = Server(backlog=0)
    finhold = start(route_to(server.address, connect_timeout="300ms"))
    server.waiting = server.fill()
    client = connect_client(finhold.address())
    client.send(1000)
    client.finish()
    client.expect_reset()
    finhold.ending(ending="server-timeout", to_server="0")


def test_a_server_that_never_answers_is_a_reset_after_connect_timeout(start, busy_server):
    finhold = start(route_to(busy_server.address, connect_timeout="500ms"))
    client = connect_client(finhold.address())
    client.expect_nothing(0.2)
    assert client.expect_reset_not_end() == 0
    ending = finhold.ending(ending="server-timeout")
    assert 0.4 <= float(ending["duration"].rstrip("s")) < 3


def test_a_name_without_an_address_is_a_reset(start):
    finhold = start(route_to("name.invalid:7000", connect_timeout="3s"))
    expect_refusal(finhold.address())
    # Without any network the resolver may use up the whole time instead of refusing.
    assert finhold.ending()["ending"] in ("server-unresolved", "server-timeout")


def test_an_unreachable_server_is_a_reset(start):
    """The limited broadcast address: no TCP goes there, on any machine."""
    finhold = start(route_to("255.255.255.255:9"))
    expect_refusal(finhold.address())
    finhold.ending(ending="server-unreachable")


def test_what_the_client_sends_before_the_server_accepts_arrives(start, busy_server):
    finhold = start(route_to(busy_server.address))
    client = connect_client(finhold.address())
    client.send(50_000)
    server = let_in(busy_server)
    server.receive(50_000)
    server.send(100)
    client.receive(100)
    client.close()
    server.expect_end()
    server.close()
    finhold.ending(ending="finished", to_server="50000", to_client="100")


@pytest.mark.parametrize("crosses", ["none", "server"])
def test_an_end_before_the_connection_is_complete(start, busy_server, crosses):
    finhold = start(route_to(busy_server.address, crosses, fin={"release_when_quiet": "100ms"}))
    client = connect_client(finhold.address())
    client.send(50_000)
    client.finish()
    server = let_in(busy_server)
    server.expect_end(50_000)
    server.send(100)
    client.receive(100)
    server.close()
    client.expect_end()
    client.close()
    finhold.ending(ending="finished", first_fin="client", to_server="50000")


def test_a_reset_before_the_connection_is_complete(start, busy_server):
    """It ends the dial; the server sees nobody, or somebody who is gone."""
    finhold = start(route_to(busy_server.address))
    client = connect_client(finhold.address())
    client.expect_nothing(0.1)
    client.reset()
    ending = finhold.ending(ending="client-reset", to_server="0")
    assert ending["server"] == f"127.0.0.1:{busy_server.address[1]}"
    finhold.await_nothing_left()


def test_bytes_before_a_reset_reach_the_server_that_is_still_dialed(start, busy_server):
    """R4: what was acknowledged is not taken back, and then the server sees the reset."""
    finhold = start(route_to(busy_server.address))
    client = connect_client(finhold.address())
    client.send(50_000)
    client.reset()
    server = let_in(busy_server)
    assert server.expect_reset_not_end() == 50_000
    finhold.ending(ending="client-reset", to_server="50000")
    server.close()
    finhold.await_nothing_left()


def test_a_client_that_is_gone_before_it_is_accepted(start, server):
    finhold = start(route_to(server.address), limits={"sessions": 1, "workers": 1})
    first = server.session(finhold.address())
    second = connect_client(finhold.address())
    finhold.await_event("accepting is paused")
    second.send(10)
    second.reset()
    first.close()
    finhold.ending(ending="finished")
    finhold.ending(ending="client-reset", to_server="10")
    finhold.await_nothing_left()


def test_a_server_that_resets_at_once(start, server):
    finhold = start(route_to(server.address))
    session = server.session(finhold.address())
    session.server.reset()
    session.client.expect_reset()
    # "refused" if the reset came before finhold had seen that it was connected.
    assert finhold.ending()["ending"] in ("server-reset", "server-refused")


def test_what_a_server_says_before_it_resets_at_once_arrives(start, busy_server):
    """"Too busy", and a reset, before finhold has looked: it is stopped meanwhile. The connection was
    complete, so that is no refused one, and what was said belongs to the client."""
    finhold = start(route_to(busy_server.address))
    client = connect_client(finhold.address())
    client.expect_nothing(0.2)  # the first SYN finds no room
    with finhold.suspended():
        server = let_in(busy_server)
        server.send(100)
        server.reset()
    assert client.expect_reset_not_end() == 100
    finhold.ending(ending="server-reset", to_client="100")


def test_a_server_that_speaks_first_and_closes(start, server):
    finhold = start(route_to(server.address))
    client = connect_client(finhold.address())
    accepted = End(server.accept(), "server")
    accepted.send(1000)
    accepted.close()
    client.expect_end(1000)
    client.close()
    finhold.ending(ending="finished", first_fin="server", to_client="1000")


def test_a_server_that_comes_back_is_found(start):
    """Each session dials anew."""
    address = unused_address()
    finhold = start(route_to(address))
    expect_refusal(finhold.address())
    finhold.ending(ending="server-refused")
    reserved.pop().close()
    server = Server(port=address[1])
    session = server.session(finhold.address())
    session.client.send(10)
    session.server.receive(10)
    session.close()
    finhold.ending(ending="finished")
    server.close()
    assert len(finhold.found("session ended")) == 2


def test_refusals_take_no_time(start):
    finhold = start(route_to(unused_address()))
    assert seconds_of(lambda: [expect_refusal(finhold.address()) for _ in range(50)]) < 3
    finhold.endings(50, ending="server-refused")
