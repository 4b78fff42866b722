"""When a held FIN goes out (R3), and the two limits of a half-closed session (R6). Whatever is done before a time has passed
takes a small part of it, so that a machine that stalls for a second makes no difference."""

import time

import pytest
from ends import background
from finhold import route_to
from test_half_close import source_of

MEGABYTE = 1_000_000


def crossing(flow):
    """The setting that holds the FIN of this flow."""
    return "server" if flow == "to_server" else "client"


def sink_ended(flow):
    return "server-ended" if flow == "to_server" else "client-ended"


def seconds(event, key):
    return float(event[key].rstrip("s"))


@pytest.mark.parametrize("crosses", ["none", "the other"])
def test_a_fin_is_not_held_where_nothing_crosses(relay, flow, crosses):
    other = {"to_server": "client", "to_client": "server"}[flow]
    finhold, session = relay("none" if crosses == "none" else other)
    source, sink = session.flow(flow)
    source.send(10)
    source.finish()
    sink.receive(10)
    sink.expect_end()
    session.close()
    ending = finhold.ending(ending="finished", released="not-held", first_fin=source_of(flow))
    assert seconds(ending, "held") == 0


def test_a_held_fin_goes_out_when_the_other_side_ends(relay, flow):
    finhold, session = relay(crossing(flow))
    source, sink = session.flow(flow)
    source.send(10)
    source.finish()
    sink.receive(10)
    sink.expect_nothing(0.4)
    sink.finish()
    source.expect_end(0)
    sink.expect_end()
    session.close()
    ending = finhold.ending(ending="finished", released=sink_ended(flow))
    assert 0.3 <= seconds(ending, "held") < 5


def test_a_held_fin_goes_out_after_quiet(relay, flow):
    finhold, session = relay(crossing(flow), release="1500ms")
    source, sink = session.flow(flow)
    source.send(10)
    source.finish()
    sink.receive(10)
    sink.expect_nothing(0.25)
    sink.expect_end()
    sink.send(10)
    source.receive(10)
    session.close()
    ending = finhold.ending(ending="finished", released="quiet")
    assert 1.4 <= seconds(ending, "held") < 6


def test_release_when_quiet_0s_holds_nothing(relay, flow):
    finhold, session = relay(crossing(flow), release="0s")
    source, sink = session.flow(flow)
    source.finish()
    sink.expect_end(0)
    session.close()
    assert seconds(finhold.ending(released="quiet"), "held") == 0


def test_it_is_not_quiet_while_the_other_flow_moves(relay, flow):
    """Some bytes now and then are enough. They stop, and then it is."""
    finhold, session = relay(crossing(flow), release="1500ms")
    source, sink = session.flow(flow)
    source.finish()
    for _ in range(20):
        sink.send(10)
        source.receive(10)
        sink.expect_nothing(0.1)
    sink.expect_end(0)
    session.close()
    assert seconds(finhold.ending(released="quiet"), "held") >= 3.3


def test_it_is_not_quiet_while_the_other_flow_waits_for_its_reader(relay, flow):
    """The answerer is not waiting for an end: it has more to say than is read."""
    finhold, session = relay(crossing(flow), release="300ms")
    source, sink = session.flow(flow)
    sink.send_while_it_goes()
    source.finish()
    sink.expect_nothing(0.9)
    source.receive_until(sink.sent)
    sink.expect_end(0)
    session.close()
    assert seconds(finhold.ending(released="quiet"), "held") >= 1


def test_hold_at_most_ends_the_hold_amid_a_stream(relay, flow):
    finhold, session = relay(crossing(flow), fin={"hold_at_most": "1500ms"})
    source, sink = session.flow(flow)
    source.finish()
    for _ in range(3):
        sink.send(10)
        sink.expect_nothing(0.1)
    sink.expect_end(0)
    sink.send(1000)
    source.receive_until(1030)
    session.close()
    ending = finhold.ending(ending="finished", released="hold-limit")
    assert 1.4 <= seconds(ending, "held") < 6


def test_never_means_never(relay, flow):
    finhold, session = relay(crossing(flow))
    source, sink = session.flow(flow)
    source.finish()
    sink.expect_nothing(0.5)
    sink.send(10)
    source.receive(10)
    sink.expect_nothing(0.5)
    session.close()
    finhold.ending(ending="finished", released=sink_ended(flow))


@pytest.mark.parametrize("crosses", ["none", "both"])
def test_half_closed_idle_resets_a_silent_half_closed_session(relay, flow, crosses):
    finhold, session = relay(crosses, fin={"half_closed_idle": "1500ms"})
    source, sink = session.flow(flow)
    source.finish()
    for _ in range(10):  # what moves is not idle
        sink.send(10)
        source.receive(10)
        time.sleep(0.2)
    source.expect_reset()
    sink.expect_reset()
    ending = finhold.ending(ending="half-closed-idle", first_fin=source_of(flow))
    assert seconds(ending, "duration") >= 3


@pytest.mark.parametrize("crosses", ["none", "both"])
def test_half_closed_total_resets_a_busy_half_closed_session(relay, flow, crosses):
    finhold, session = relay(crosses, fin={"half_closed_total": "600ms"})
    source, sink = session.flow(flow)
    source.finish()
    with pytest.raises((ConnectionResetError, BrokenPipeError)):
        for _ in range(200):
            sink.send(10)
            time.sleep(0.02)
    source.expect_reset_not_end()
    ending = finhold.ending(ending="half-closed-total")
    assert 0.5 <= seconds(ending, "duration") < 4


def test_the_half_closed_limits_leave_an_open_session_alone(relay):
    finhold, session = relay(fin={"half_closed_idle": "200ms", "half_closed_total": "200ms"})
    session.client.send(10)
    session.client.expect_nothing(0.5)
    session.server.receive(10)
    session.close()
    finhold.ending(ending="finished")


def test_a_session_outlives_its_first_end_by_much(relay, flow):
    """No guillotine: a slow stream behind an early end goes on as long as it likes."""
    finhold, session = relay("both", release="100ms")
    source, sink = session.flow(flow)
    source.finish()
    sink.expect_end(0)
    slow = background(lambda: [(sink.send(1000), time.sleep(0.1)) for _ in range(10)])
    source.receive(10_000)
    slow.result()
    session.close()
    finhold.ending(ending="finished", first_fin=source_of(flow))


def test_a_steady_slow_reader_is_not_idle(start, server):
    """What the kernel still delivers moves, although finhold itself moves nothing any more."""
    finhold = start(route_to(server.address, fin={"half_closed_idle": "3s"}))
    session = server.session(finhold.address(), receive_buffer=8192)
    session.server.send(300_000)
    session.server.finish()
    while session.client.received < 300_000:
        session.client.receive(min(4_000, 300_000 - session.client.received))
        time.sleep(0.05)  # 3.75 s in all, and never for long nothing: not as long as a stall of the machine
    session.client.expect_end()
    session.client.finish()
    session.server.expect_end(0)
    finhold.ending(ending="finished")
    session.close()
