"""Urgent bytes: they are not carried as urgent yet, but arrive at their place, and stop nothing."""

import os
import signal
import socket

from ends import background, pattern


def test_an_urgent_byte_stalls_nothing(relay, flow):
    """recv() stops short at the urgent mark, although more is there: that is no empty queue. finhold is
    stopped meanwhile, so that all of it comes in one turn and no later event helps."""
    finhold, session = relay()
    source, sink = session.flow(flow)
    source.send(10)
    sink.receive(10)
    os.kill(finhold.pid, signal.SIGSTOP)
    source.send(1000)
    source.sock.send(b"!", socket.MSG_OOB)
    source.send(1000)
    os.kill(finhold.pid, signal.SIGCONT)
    expect_around_the_urgent_byte(sink, 1000, 1000)
    session.close()
    finhold.ending(ending="finished")


def test_many_urgent_bytes_in_a_stream(relay, flow):
    finhold, session = relay()
    source, sink = session.flow(flow)

    def send():
        for _ in range(300):
            source.send(777)
            source.sock.send(b"!", socket.MSG_OOB)
        source.finish()

    sending = background(send)
    got = b""
    while block := sink.sock.recv(65536):
        got += block
    sending.result()
    sent = pattern(source.side, 0, 300 * 777)
    assert got == b"".join(sent[i:i + 777] + b"!" for i in range(0, len(sent), 777))
    sink.finish()
    source.expect_end(0)
    session.close()
    finhold.ending(ending="finished")


def expect_around_the_urgent_byte(sink, before, after):
    """The urgent byte comes in line, at its place."""
    bytes_of_pattern = pattern(sink.other, sink.received, before + after)
    expected = bytes_of_pattern[:before] + b"!" + bytes_of_pattern[before:]
    sink.sock.settimeout(3)
    got = b""
    while len(got) < len(expected):
        got += sink.sock.recv(65536)
    assert got == expected
    sink.received += before + after
