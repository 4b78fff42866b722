"""A reset stays a reset (R4): in both directions, at every stage, as soon as it arrives."""

import errno
import select
import socket

import pytest
from ends import background

from finhold import wait_until
from test_half_close import every_crosses, source_of

MEGABYTE = 1_000_000


def expect_reset_ending(finhold, flow):
    return finhold.ending(ending=f"{source_of(flow)}-reset")


@every_crosses
def test_a_reset_with_nothing_sent_is_passed_on(relay, flow, crosses):
    finhold, session = relay(crosses)
    source, sink = session.flow(flow)
    sink.send(1)
    source.receive(1)
    source.reset()
    sink.expect_reset()
    assert expect_reset_ending(finhold, flow)["first_fin"] == "none"


def test_a_reset_amid_a_transfer_arrives_as_one_after_a_correct_prefix(relay, flow):
    """Bytes wait everywhere when it comes: in every kernel buffer, and in finhold."""
    finhold, session = relay()
    source, sink = session.flow(flow)
    source.send_while_it_goes()
    sink.receive(MEGABYTE)
    source.reset()
    sink.expect_reset_not_end()
    assert int(expect_reset_ending(finhold, flow)[flow]) >= sink.received


def what_stops(sender) -> str:
    """One who sends for as long as it goes, and is told of an end before anything else."""
    data, poll = bytes(MEGABYTE), select.poll()
    sender.setblocking(False)
    poll.register(sender, select.POLLIN | select.POLLOUT)
    while True:
        (_, events), = poll.poll(15_000)
        if events & ~select.POLLOUT:
            error = sender.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            return errno.errorcode[error] if error else "end" if sender.recv(1) == b"" else "bytes"
        try:
            sender.send(data)
        except BlockingIOError:
            pass
        except OSError as error:
            return errno.errorcode[error.errno]


def test_a_reset_by_the_reader_stops_the_sender(relay, server, flow):
    """By a reset, not by an end and then a reset, for which the kernel would say EPIPE. Often, since where the reset meets
    the relaying is chance: there is room for more just then, so bytes are on their way."""
    finhold, session = relay()
    for length in range(100_000, 4_100_000, 100_000):
        source, sink = session.flow(flow)
        stopped = background(lambda sender=source.sock: what_stops(sender))
        while length > 0:
            length -= len(sink.sock.recv(65_536))
        sink.reset()
        assert stopped.result() == "ECONNRESET"
        session.close()
        session = server.session(finhold.address())
    session.close()
    endings = finhold.endings(40, ending="server-reset" if flow == "to_server" else "client-reset")
    assert {ending["first_fin"] for ending in endings} == {"none"}


def test_all_bytes_before_a_reset_are_offered_first(relay, flow):
    finhold, session = relay()
    source, sink = session.flow(flow)
    source.send(100_000)
    sink.receive(50_000)
    source.reset()
    wait_until(lambda: finhold.found("session ended"))
    assert sink.expect_reset_not_end() == 100_000
    assert expect_reset_ending(finhold, flow)[flow] == "100000"


def test_an_answer_right_before_a_reset_is_offered_to_one_who_still_sends(relay, flow):
    """As a server does that refuses a long request: it answers, and closes with bytes unread. That
    finhold finds first that it cannot write must not cost the answer: it had arrived."""
    finhold, session = relay()
    speaker, sender = session.flow(flow)
    sender.send(10)
    speaker.receive(10)
    with finhold.suspended():  # so that both come in one turn, the writer's bytes first
        sender.send(1000)
        speaker.send(500)
        speaker.reset()
    assert sender.expect_reset_not_end() == 500
    expect_reset_ending(finhold, flow)


def test_a_close_with_unread_bytes_is_passed_on_as_a_reset(relay, flow):
    """The kernel makes a reset of it: the sender must learn that its bytes were not read."""
    finhold, session = relay()
    source, sink = session.flow(flow)
    source.send(1000)
    sink.receive(1)
    sink.close()
    source.expect_reset()
    finhold.ending(ending="server-reset" if flow == "to_server" else "client-reset")


@every_crosses
def test_an_end_and_then_a_reset_is_passed_on_while_nothing_is_written(relay, flow, crosses):
    """Whether the end is held or was sent on: the reset comes when it happens, not at a write."""
    finhold, session = relay(crosses)
    source, sink = session.flow(flow)
    source.send(5000)
    source.finish()
    sink.receive(5000)
    held = crosses in ("both", "server" if flow == "to_server" else "client")
    if held:
        sink.expect_nothing()
    else:
        sink.expect_end()
    source.reset()
    sink.expect_reset()
    ending = expect_reset_ending(finhold, flow)
    assert ending["released"] == ("source-gone" if held else "not-held")
    assert ending["first_fin"] == source_of(flow)


def test_a_reset_while_bytes_wait_for_the_reader_is_no_end(relay, flow):
    """What the sender's kernel still had is lost: what the reader gets is a beginning, so it must not look complete."""
    finhold, session = relay("both")
    source, sink = session.flow(flow)
    source.send_while_it_goes()
    source.reset()
    assert sink.expect_reset_not_end() < source.sent
    finhold.ending(ending=f"{source_of(flow)}-reset")


def test_a_reset_after_our_own_fin(relay, flow):
    """The reader of the end is gone before it answered."""
    finhold, session = relay()
    source, sink = session.flow(flow)
    source.send(100)
    source.finish()
    sink.receive(100)
    sink.expect_end()
    sink.reset()
    source.expect_reset()
    finhold.ending(ending="server-reset" if flow == "to_server" else "client-reset",
                   released="not-held")


def test_a_reset_after_our_own_fin_amid_the_answer(relay, flow):
    finhold, session = relay()
    source, sink = session.flow(flow)
    source.finish()
    sink.expect_end()
    sink.send(100_000)
    source.receive(100_000)
    sink.reset()
    assert source.expect_reset_not_end() == 100_000
    finhold.ending(ending="server-reset" if flow == "to_server" else "client-reset")
