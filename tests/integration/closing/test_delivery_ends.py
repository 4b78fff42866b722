"""What ends a delivery whose sender is gone, and what does not: progress keeps it, a reader that takes nothing more is
given the time after which it would count as vanished. Each in a network of its own, where megabytes fit into a socket."""

import select
import subprocess
import time

import pytest
from delivery import LENGTH, NEVER, SMALL, await_acknowledged, expect_no_word, reads_little, roomy_network
from ends import LIMIT, End, Session, connect, connect_client, text_of
from finhold import Finhold, route_to, wait_until
from pair import Pair

SHORT = {"idle": "1s", "interval": "1s", "probes": 1}  # one who takes nothing for 2 s is given up
STUCK = 20
PIECE = 64 << 10
SIDE = {"to_server": "client", "to_client": "server"}


@pytest.fixture
def network():
    with roomy_network() as made:
        yield made


@pytest.fixture
def opened(network, start, server):
    """A finhold, and a session through it whose reader has a small window: (finhold, session, source, sink)."""
    sessions: list[Session] = []

    def open_one(flow: str, finhold: Finhold | Pair | None = None, crosses: str = "none", tables: dict | None = None, **route):
        route = {"keepalive": SHORT, "fin": {"release_when_quiet": "never"}, **route}
        finhold = finhold or start(route_to(server.address, crosses, **route), **(tables or {}))
        session = Session(connect(finhold.address(), receive_buffer=SMALL if flow == "to_client" else 0), server.accept())
        if flow == "to_server":
            reads_little(session.server.sock)
        sessions.append(session)
        return finhold, session, *session.flow(flow)

    yield open_one
    for session in sessions:
        session.close()


def client_of(session: Session) -> str:
    return text_of(session.client.sock.getsockname()[:2])


def send_and_reset(source: End, ended: bool = False) -> None:
    source.send(LENGTH)
    if ended:
        source.finish()
    await_acknowledged(source)
    source.reset()


def await_reset(sink: End) -> None:
    """Leaves the error where it is: recv() tells it behind the bytes."""
    poll = select.poll()
    poll.register(sink.sock, 0)
    assert poll.poll(LIMIT * 1000), f"{sink.side}: no reset within {LIMIT} s"


def read_slowly(sink: End, seconds: float, every: float = 0.2) -> None:
    """Some bytes now and then, never for long none."""
    stop = time.monotonic() + seconds
    while time.monotonic() < stop:
        sink.receive(PIECE // 4)
        time.sleep(every)


# After a reset.


def test_a_reader_that_goes_on_reading_gets_all_before_the_reset(opened, flow):
    """For longer than a leg may be without an answer: it is from the last progress that this counts."""
    finhold, session, source, sink = opened(flow)
    send_and_reset(source)
    read_slowly(sink, 5)
    assert sink.expect_reset_not_end() == LENGTH
    finhold.ending(ending=f"{source.side}-reset", **{flow: str(LENGTH)})


@pytest.mark.parametrize("ended", [False, True])
def test_a_reader_that_takes_nothing_more_is_reset(opened, flow, ended):
    """And the ending line counts what its kernel has acknowledged, which is what it can still read."""
    finhold, session, source, sink = opened(flow)
    send_and_reset(source, ended=ended)
    expect_no_word(sink, 1)
    await_reset(sink)
    assert 0 < sink.expect_reset_not_end() < LENGTH
    word = {} if ended else {"ending": f"{source.side}-reset"}
    finhold.ending(first_fin=source.side if ended else "none", **word, **{flow: str(sink.received)})


def test_a_reset_with_everything_read_is_passed_on_at_once(opened, flow):
    """Nobody waits for a time to pass: it is much longer here than the test."""
    finhold, session, source, sink = opened(flow, keepalive=NEVER)
    source.send(LENGTH)
    sink.receive(LENGTH)
    source.reset()
    sink.expect_reset(5)
    finhold.ending(ending=f"{source.side}-reset", **{flow: str(LENGTH)})


def test_the_last_byte_is_followed_by_the_reset_at_once(opened, flow):
    finhold, session, source, sink = opened(flow, keepalive=NEVER)
    send_and_reset(source)
    expect_no_word(sink)
    sink.receive(LENGTH)
    sink.expect_reset(5)
    finhold.ending(ending=f"{source.side}-reset", **{flow: str(LENGTH)})


def test_a_second_reset_ends_the_delivery(opened, flow):
    finhold, session, source, sink = opened(flow, keepalive=NEVER)
    send_and_reset(source)
    expect_no_word(sink)
    sink.reset()
    ending = finhold.ending(ending=f"{source.side}-reset")
    assert int(ending[flow]) < LENGTH


def test_the_drain_limit_ends_the_delivery(opened, flow):
    finhold, session, source, sink = opened(flow, tables={"limits": {"drain": "300ms"}},
                                            keepalive=NEVER)
    send_and_reset(source)
    expect_no_word(sink)
    assert not finhold.found("session ended")
    finhold.signal()
    finhold.await_exit()
    assert sink.expect_reset_not_end() < LENGTH


def test_sigkill_amid_the_delivery_is_no_end(opened, flow):
    finhold, session, source, sink = opened(flow)
    send_and_reset(source)
    expect_no_word(sink)
    assert not finhold.found("session ended")
    finhold.kill()
    assert sink.expect_reset_not_end() < LENGTH


def test_bytes_for_one_who_has_reset_do_not_keep_the_session(opened, flow):
    """The other way: what the reader still says goes nowhere, and does not keep it from reading either: it sends all before
    it reads."""
    finhold, session, source, sink = opened(flow, keepalive=NEVER)
    send_and_reset(source)
    sink.send(10 * LENGTH)
    sink.receive(LENGTH)
    assert sink.expect_reset_not_end() == LENGTH
    finhold.ending(ending=f"{source.side}-reset", **{flow: str(LENGTH)})


def test_one_who_vanishes_takes_nothing_back(opened, network, flow):
    """What had arrived from it is delivered, and then the reader is reset."""
    finhold, session, source, sink = opened(flow, keepalive={"idle": "1s", "interval": "1s", "probes": 2})
    ours, theirs = source.sock.getsockname()[1], source.sock.getpeername()[1]
    source.send(LENGTH)
    await_acknowledged(source)
    network.lose((ours, theirs))
    stop = time.monotonic() + LIMIT
    while (theirs, ours) in network.connections():
        assert time.monotonic() < stop, "finhold's kernel does not give it up"
        read_slowly(sink, 0.1, 0.1)
    expect_no_word(sink)
    assert sink.expect_reset_not_end() == LENGTH
    finhold.ending(ending=f"{source.side}-vanished", **{flow: str(LENGTH)})


# ... through a pair, in which each end delivers for itself.

BOTH = {"keepalive": SHORT | {"probes": 3}, "far": {"keepalive": SHORT | {"probes": 3}}}


@pytest.mark.parametrize("ended", [False, True])
def test_a_pair_delivers_to_one_who_goes_on_reading(opened, pair, flow, ended):
    through, session, source, sink = opened(flow, pair("plain", **BOTH))
    send_and_reset(source, ended)
    read_slowly(sink, 6, 0.1)
    if ended:
        while sink._read(PIECE):
            pass
        assert sink.received == LENGTH
        sink.expect_reset()
    else:
        assert sink.expect_reset_not_end() == LENGTH
    through.ending(first_fin=source.side if ended else "none", **{flow: str(LENGTH)})


def test_a_pair_lets_go_of_one_who_takes_nothing_more(opened, pair, flow):
    through, session, source, sink = opened(flow, pair("plain", **BOTH))
    send_and_reset(source)
    expect_no_word(sink, 1)
    await_reset(sink)
    assert 0 < sink.expect_reset_not_end() < LENGTH
    through.ending(ending=f"{source.side}-reset")


# After an end.


@pytest.mark.parametrize("crosses", ["none", "both"])
@pytest.mark.parametrize("length", [150_000, LENGTH], ids=["drained", "not drained"])
def test_a_reset_after_an_end_leaves_the_end(opened, flow, crosses, length):
    """Held, or sent into the kernel behind bytes that the reader has not taken yet."""
    finhold, session, source, sink = opened(flow, crosses=crosses)
    source.send(length)
    source.finish()
    await_acknowledged(source)
    expect_no_word(sink)
    source.reset()
    expect_no_word(sink)
    while sink._read(PIECE):
        pass
    assert sink.received == length
    sink.expect_reset()
    finhold.ending(first_fin=source.side, **{flow: str(length)})


def both_end(source: End, sink: End) -> None:
    """Only bytes are left, which the sink does not read."""
    source.send(LENGTH)
    source.finish()
    sink.finish()
    source.expect_end(0)


def test_a_reader_that_goes_on_reading_after_both_ends_gets_all(opened, flow):
    finhold, session, source, sink = opened(flow)
    both_end(source, sink)
    read_slowly(sink, 5)
    sink.expect_end(LENGTH)
    finhold.ending(ending="finished", **{flow: str(LENGTH)})


def test_a_reader_that_takes_nothing_more_after_both_ends_is_closed(opened, server, flow):
    """Many of them, as many as there may be sessions: they make room for others."""
    finhold, *first = opened(flow, tables={"limits": {"sessions": STUCK, "workers": 1}})
    sessions = [first, *(opened(flow, finhold)[1:] for _ in range(STUCK - 1))]
    for _, source, sink in sessions:
        both_end(source, sink)
    other = connect_client(finhold.address())  # into the queue of the listener
    other.send(10)
    served = End(server.accept(), "server")
    served.receive(10)
    finhold.endings(STUCK, ending="closing", first_fin=SIDE[flow])
    for session, _, sink in sessions:
        assert 0 < sink.expect_reset_not_end() < LENGTH
        finhold.ending(client=client_of(session), ending="closing", **{flow: str(sink.received)})
    for each in (other, served):
        each.close()
    finhold.ending(ending="finished", to_server="10")


@pytest.mark.parametrize("where", ["route", "limits"])
def test_the_time_for_a_reader_after_both_ends_can_be_said(opened, flow, where):
    patient = {"keepalive": NEVER}
    keys = {"closing": "500ms", **patient} if where == "route" else {"tables": {"limits": {"closing": "500ms"}}, **patient}
    finhold, session, source, sink = opened(flow, **keys)
    both_end(source, sink)
    await_reset(sink)
    sink.expect_reset_not_end()
    finhold.ending(ending="closing", **{flow: str(sink.received)})


def test_half_closed_total_counts_while_only_a_reader_is_waited_for(opened, flow):
    """Also one that goes on reading, which `closing` leaves alone."""
    finhold, session, source, sink = opened(flow, closing="never",
                                            fin={"release_when_quiet": "never", "half_closed_total": "1500ms"})
    both_end(source, sink)
    expect_no_word(sink, 0.5)
    await_reset(sink)
    sink.expect_reset_not_end()
    finhold.ending(ending="half-closed-total", **{flow: str(sink.received)})


def test_a_session_in_which_nothing_moves_is_reset_if_it_is_to_be(opened, flow):
    finhold, session, source, sink = opened(flow, idle="2s")
    for _ in range(3):  # a stall of the machine is shorter than what is left of the time
        source.send(100)
        sink.receive(100)
        expect_no_word(sink, 0.8)
    source.expect_reset()
    sink.expect_reset()
    finhold.ending(ending="idle", first_fin="none", **{flow: "300"})


def test_two_ends_behind_bytes_that_nobody_reads(opened):
    """Neither was read by finhold, which waits for both readers: more than its socket takes, less than both of its sockets."""
    finhold, session, source, sink = opened("to_server", keepalive=NEVER, closing="500ms")
    reads_little(session.client.sock)
    for end in (source, sink):
        end.send(20_000_000)
        end.finish()
    finhold.ending(ending="closing", first_fin="none")


def test_hold_at_most_bounds_a_reset_and_not_an_end(opened, flow):
    """A reset is waited for no longer than a FIN may be held; what had ended is delivered, as R4 says; 0s is no wait at all for
    a FIN, and none that could be over for bytes."""
    for hold, ended, whole in (("300ms", False, False), ("300ms", True, True), ("0s", False, True)):
        finhold, session, source, sink = opened(flow, keepalive=NEVER, fin={"release_when_quiet": "never", "hold_at_most": hold})
        send_and_reset(source, ended=ended)
        if not whole:
            await_reset(sink)
            assert sink.expect_reset_not_end() < LENGTH
            continue
        expect_no_word(sink, 0.6)
        sink.receive(LENGTH)
        if ended:
            assert sink.sock.recv(1) == b""
        await_reset(sink)


def sockets(state: str, port: int) -> bytes:
    return subprocess.run(["ss", "-Htn", "state", state, "sport", "=", f":{port}"], capture_output=True, check=True).stdout


def test_an_end_and_a_reset_at_once_while_our_own_end_is_under_way(opened, network):
    """The kernel says ECONNRESET of both then; only what is read from it tells them apart."""
    finhold, session, source, sink = opened("to_server", keepalive=NEVER)
    source.send(10)
    sink.receive(10)
    ours = source.sock.getsockname()[1]
    network.filter(f"tcp dport {ours} drop")  # what finhold sends to the client: its FIN stays unacknowledged
    sink.finish()
    theirs = source.sock.getpeername()[1]
    wait_until(lambda: sockets("fin-wait-1", theirs))
    with finhold.suspended():
        source.send(1000)
        source.finish()
        wait_until(lambda: sockets("closing", theirs))
        source.reset()
    sink.expect_end(1010)
