"""A side that vanishes without a word is found, whatever the session is doing (R7); one that merely
reads slowly or says nothing is left alone. In a network of its own, where packets can be made to vanish.

The situations of one test run side by side, as sessions of one finhold: each takes some seconds."""

import time

import pytest
from ends import Server, connect_client, expect_refusal
from finhold import route_to
from private_network import private_network

KEEPALIVE = {"idle": "1s", "interval": "1s", "probes": 2}
LONG = 5  # seconds; one that vanished is given up after 3
SIDE = {"to_server": "client", "to_client": "server"}


@pytest.fixture
def network():
    with private_network() as made:
        yield made


@pytest.fixture
def sessions(network, start):
    """(finhold, open): open(crosses) gives another session of that finhold."""
    server = Server()
    fin = {"release_when_quiet": "never", "nurse_every": "1s"}
    finhold = start(*(route_to(server.address, crosses, name=crosses, keepalive=KEEPALIVE, fin=fin)
                      for crosses in ("none", "both")))
    opened = []

    def open_one(crosses):
        opened.append(server.session(finhold.address(crosses)))
        return opened[-1]

    yield finhold, open_one
    for session in opened:
        session.close()
    server.close()


# What goes on when `gone` vanishes.


def silence(gone, stays):
    gone.send(10)
    stays.receive(10)


def bytes_on_their_way(gone, stays):
    """The kernel would repeat them for 15 minutes, and send no keepalive meanwhile. They are sent once
    it has vanished: see the test."""
    stays.send(10)
    gone.receive(10)


def ended(gone, stays):
    """Half-closed and silent: nothing would ever tell, but for keepalive."""
    gone.finish()
    stays.expect_end(0)


def ended_and_held(gone, stays):
    gone.finish()
    stays.expect_nothing(0.1)


def answer_awaited(gone, stays):
    stays.finish()
    gone.expect_end(0)


def reader_paused(gone, stays):
    """Its window is full: what is sent to it are probes of that."""
    stays.send_while_it_goes()


def ended_and_reader_paused(gone, stays):
    gone.finish()
    stays.expect_end(0)
    stays.send_while_it_goes()


# ... and what crosses then.
SITUATIONS = {silence: "none", bytes_on_their_way: "none", ended: "none", ended_and_held: "both",
              answer_awaited: "none", reader_paused: "none", ended_and_reader_paused: "none"}


def port_of(end):
    return end.sock.getsockname()[1]


def client_text(session):
    return f"127.0.0.1:{port_of(session.client)}"


def test_a_side_that_vanishes_is_found(network, sessions):
    finhold, open_one = sessions
    cases = []
    for situation, crosses in SITUATIONS.items():
        for flow, side in SIDE.items():
            session = open_one(crosses)
            gone, stays = session.flow(flow)
            situation(gone, stays)
            cases.append((f"{situation.__name__}, {flow}", gone, stays, client_text(session), f"{side}-vanished"))
    vanish(network, [gone for _, gone, *_ in cases])
    for _, _, stays, *_ in cases:
        if stays.sent == 10:
            stays.send(1000)
    for name, _, stays, client, ending in cases:
        try:
            # The kernel asks a full window at twice as long intervals each time: the next question may be as far away as the
            # reader has paused before, which on a busy machine is long.
            stays.expect_reset(24)
        except AssertionError as problem:
            raise AssertionError(f"{name}: {problem}\n{finhold.log()}") from problem
        finhold.ending(client=client, ending=ending)


def vanish(network, ends):
    network.lose(*(ports_of(end) for end in ends))


def ports_of(end):
    return port_of(end), end.sock.getpeername()[1]


def test_a_reader_that_vanishes_while_the_session_closes_is_found(network, sessions):
    """Both have ended; the last bytes wait for a reader that is no more."""
    finhold, open_one = sessions
    pairs = []
    for flow in ("to_server", "to_client"):
        session = open_one("none")
        gone, stays = session.flow(flow)
        gone.finish()
        stays.expect_end(0)
        stays.send(200_000)
        stays.finish()
        pairs.append((flow, gone, stays))
    vanish(network, [gone for _, gone, _ in pairs])
    # Whichever of two limits, as long as each other, is looked at first.
    for ending in finhold.endings(2):
        gone = "client" if ending["first_fin"] == "client" else "server"
        assert ending["ending"] in (f"{gone}-vanished", "closing"), ending
    finhold.await_nothing_left()


def test_a_server_that_vanishes_while_it_is_dialed_is_given_up(network, start):
    server = Server()
    network.drop(server.address[1])
    finhold = start(route_to(server.address, connect_timeout="1s"))
    expect_refusal(finhold.address())
    finhold.ending(ending="server-timeout")
    server.close()


def test_a_client_that_vanishes_while_the_server_is_dialed_is_found(network, start):
    server = Server(backlog=0)
    finhold = start(route_to(server.address, connect_timeout="20s", keepalive=KEEPALIVE))
    waiting = server.fill()
    client = connect_client(finhold.address())
    network.lose(ports_of(client))
    finhold.ending(ending="client-vanished")
    waiting.clear()
    server.close()


def test_a_living_side_is_left_alone(sessions):
    """Paused readers, and half-closed sessions in which nothing flows, for a long time; then all go on."""
    finhold, open_one = sessions
    paused, quiet = [], []
    for flow in ("to_server", "to_client"):
        source, sink = open_one("none").flow(flow)
        source.send_while_it_goes()
        source.finish()
        paused.append((source, sink))
        source, sink = open_one("both").flow(flow)
        source.finish()
        quiet.append((source, sink))
    time.sleep(LONG)
    assert not finhold.found("session ended")
    for source, sink in paused:
        sink.expect_end(source.sent)
        sink.finish()
        source.expect_end(0)
    for source, sink in quiet:
        sink.send(10)
        sink.finish()
        source.receive(10)
        source.expect_end()
        sink.expect_end(0)
    finhold.endings(4, ending="finished")
