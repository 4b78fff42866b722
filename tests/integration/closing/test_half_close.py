"""One side ends and the other goes on: what half-close is for."""

import pytest
from ends import background
from pair import OVER

MEGABYTE = 1_000_000
# Nothing is held towards a tunnel.
every_crosses = pytest.mark.parametrize("crosses", ["none", "client"] if OVER else ["none", "client", "server", "both"])


def source_of(flow):
    return "client" if flow == "to_server" else "server"


@every_crosses
def test_half_close_then_answer(relay, flow, crosses):
    """The answer comes only after the end was seen; across a crossing leg the quiet time lets it go."""
    finhold, session = relay(crosses, release="100ms")
    source, sink = session.flow(flow)
    source.send(100_000)
    source.finish()
    sink.receive(100_000)
    sink.expect_end()
    sink.send(200_000)
    sink.close()
    source.receive(200_000)
    source.expect_end()
    source.close()
    ending = finhold.ending(ending="finished", first_fin=source_of(flow))
    back = "to_client" if flow == "to_server" else "to_server"
    assert (ending[flow], ending[back]) == ("100000", "200000")


@every_crosses
def test_one_side_ends_first_and_the_other_sends_10_megabytes_on(relay, flow, crosses):
    """With "to_client": the server ends at once and the client goes on; and the other way round."""
    finhold, session = relay(crosses)
    early, late = session.flow(flow)
    early.finish()
    sending = background(lambda: (late.send(10 * MEGABYTE), late.finish()))
    early.receive(10 * MEGABYTE)
    early.expect_end()
    sending.result()
    late.expect_end(0)
    session.close()
    assert finhold.ending(ending="finished")["first_fin"] == source_of(flow)


def test_a_long_transfer_goes_on_after_a_held_end(relay, flow):
    """The end is read in the middle of the answer, and changes nothing in it."""
    finhold, session = relay("both")
    early, late = session.flow(flow)
    sending = background(lambda: (late.send(10 * MEGABYTE), late.finish()))
    early.receive(3 * MEGABYTE)
    early.send(1000)
    early.finish()
    early.receive_until(10 * MEGABYTE)
    early.expect_end()
    sending.result()
    late.expect_end(1000)
    session.close()
    finhold.ending(ending="finished")


@every_crosses
def test_both_end_at_once(relay, crosses):
    finhold, session = relay(crosses)
    for end in (session.client, session.server):
        end.send(5000)
        end.finish()
    for end in (session.client, session.server):
        end.receive(5000)
        end.expect_end()
    session.close()
    ending = finhold.ending(ending="finished")
    assert (ending["to_server"], ending["to_client"]) == ("5000", "5000")


def test_both_end_with_no_byte(relay):
    finhold, session = relay("both")
    session.client.finish()
    session.server.finish()
    session.client.expect_end(0)
    session.server.expect_end(0)
    session.close()
    finhold.ending(ending="finished", to_server="0", to_client="0")


@pytest.mark.parametrize("length", [1, 1000, 262_144, 262_145, 3 * MEGABYTE])
def test_the_end_comes_right_behind_the_last_byte(relay, flow, length):
    """Sizes below, at and above what finhold reads at once (buffer_per_flow)."""
    finhold, session = relay()
    source, sink = session.flow(flow)
    sending = background(lambda: (source.send(length), source.finish()))
    sink.expect_end(length)
    sending.result()
    sink.finish()
    source.expect_end(0)
    session.close()
    finhold.ending(ending="finished", **{flow: str(length)})


def test_an_end_with_no_byte_is_passed_on(relay, flow):
    finhold, session = relay()
    source, sink = session.flow(flow)
    source.finish()
    sink.expect_end(0)
    sink.send(10)
    source.receive(10)
    session.close()
    finhold.ending(ending="finished")


def test_a_close_of_both_directions_is_passed_on(relay, flow):
    """close() with nothing unread: an end like any other. What is then sent there meets a reset."""
    finhold, session = relay()
    source, sink = session.flow(flow)
    source.send(1000)
    source.close()
    sink.receive(1000)
    sink.expect_end()
    sink.send(10)
    sink.expect_reset()
    finhold.ending(ending=f"{source_of(flow)}-reset")


def test_one_byte_writes_arrive_intact_in_both_directions(relay):
    count = 4000
    finhold, session = relay("both")
    for end in (session.client, session.server):
        end.sock.setsockopt(6, 1, 1)  # TCP_NODELAY
    sending = [background(lambda end=end: (end.send(count, block=1), end.finish()))
               for end in (session.client, session.server)]
    for end in (session.client, session.server):
        end.receive(count)
        end.expect_end()
    for each in sending:
        each.result()
    session.close()
    finhold.ending(ending="finished", to_server=str(count), to_client=str(count))


def test_a_dialogue_of_many_turns(relay):
    """Nothing waits in a buffer for more to come."""
    finhold, session = relay("server")
    for _ in range(500):
        session.client.send(37)
        session.server.receive(37)
        session.server.send(41)
        session.client.receive(41)
    session.close()
    finhold.ending(ending="finished")
