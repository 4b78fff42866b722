"""Back-pressure (R8), and that the last byte before an end is not lost (R1)."""

import socket
import time
from pathlib import Path

import pytest
from ends import background

MEGABYTE = 1_000_000


@pytest.mark.parametrize("crosses", ["none", "both"])
def test_a_paused_reader_whose_sender_has_ended(relay, flow, crosses):
    """finhold does not take what nobody reads; when the reader goes on, all of it arrives. What is
    allowed to grow is one buffer of one flow and the allocator's noise."""
    finhold, session = relay(crosses, release="100ms", lean=True)
    source, sink = session.flow(flow)
    sink.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, MEGABYTE)  # it does not grow any more
    total = 15 * MEGABYTE + most_in_kernel()
    before = finhold.peak_memory()
    sending = background(lambda: (source.send(total), source.finish()))
    sink.receive(10 * MEGABYTE)
    time.sleep(0.5)
    assert source.sent < total, "everything was taken"
    sink.receive_until(total)
    sending.result()
    sink.expect_end()
    sink.finish()
    source.expect_end(0)
    session.close()
    finhold.ending(ending="finished", **{flow: str(total)})
    assert finhold.peak_memory() - before < 4 * MEGABYTE * finhold.memory_factor()


def most_in_kernel() -> int:
    """Bytes that two connections in a row may keep in the kernel, but for the last receive buffer."""
    sends, receives = (int(Path(f"/proc/sys/net/ipv4/tcp_{name}mem").read_text().split()[2]) for name in "wr")
    return 2 * sends + receives


def test_many_paused_readers_cost_bounded_memory(start, relay, server):
    """50 sessions, each with both directions full: two buffers of 256 KiB a session, not more."""
    finhold, _ = relay(lean=True)
    sessions = [server.session(finhold.address()) for _ in range(50)]
    before = finhold.peak_memory()
    for session in sessions:
        for end in (session.client, session.server):
            end.sock.setblocking(False)
    for _ in range(3):
        for session in sessions:
            for end in (session.client, session.server):
                push(end)
        time.sleep(0.1)
    assert finhold.peak_memory() - before < (50 * 2 * 262_144 + 8 * MEGABYTE) * finhold.memory_factor()
    for session in sessions:
        session.client.reset()
        session.server.reset()
    assert {ending["ending"] for ending in finhold.endings(50)} <= {"client-reset", "server-reset"}


def push(end):
    data = bytes(MEGABYTE)
    try:
        while True:
            end.sock.send(data)
    except BlockingIOError:
        pass


def test_a_last_byte_waits_as_long_as_its_reader(relay, flow):
    """Both have ended, one reads late: nothing is cut, however the session is closing already."""
    finhold, session = relay()
    source, sink = session.flow(flow)
    sink.finish()
    source.expect_end(0)
    sending = background(lambda: (source.send(20 * MEGABYTE), source.finish()))
    time.sleep(0.3)
    for _ in range(10):
        sink.receive(MEGABYTE)
        time.sleep(0.02)
    sink.receive_until(20 * MEGABYTE)
    sink.expect_end()
    sending.result()
    session.close()
    finhold.ending(ending="finished", **{flow: str(20 * MEGABYTE)})


def test_a_slow_reader_does_not_stall_the_other_direction(relay, flow):
    finhold, session = relay()
    source, sink = session.flow(flow)
    source.send_while_it_goes()
    for _ in range(100):
        sink.send(1000)
        source.receive(1000)
    source.reset()
    sink.expect_reset_not_end()
    finhold.ending(ending=f"{source.side}-reset")


def test_a_slow_reader_does_not_stall_another_session(relay, server):
    """On one worker, so that both are in the same loop."""
    finhold, stalled = relay(tables={"limits": {"workers": 1}})
    stalled.client.send_while_it_goes()
    other = server.session(finhold.address())
    sending = background(lambda: (other.client.send(5 * MEGABYTE), other.client.finish()))
    other.server.receive(5 * MEGABYTE)
    other.server.expect_end()
    sending.result()
    other.close()
    finhold.ending(ending="finished")
    stalled.client.reset()
    stalled.server.expect_reset_not_end()
    finhold.ending(ending="client-reset")


def test_a_busy_session_leaves_turns_to_another(relay, server):
    """A stream at full speed beside a dialogue, on one worker."""
    finhold, busy = relay(tables={"limits": {"workers": 1}})
    stream = background(lambda: (busy.server.send(100 * MEGABYTE), busy.server.finish()))
    drain = background(lambda: (busy.client.receive(100 * MEGABYTE), busy.client.expect_end()))
    talk = server.session(finhold.address())
    turns = 0
    while not drain.done():
        talk.client.send(100)
        talk.server.receive(100)
        talk.server.send(100)
        talk.client.receive(100)
        turns += 1
    stream.result()
    drain.result()
    assert turns > 10
    talk.close()
    busy.close()
    finhold.endings(2, ending="finished")
