"""The known HTTP/2 floods against a real far end: the flooding connection is dropped with a reason, what others have
open goes on, and memory stays where it was."""

import socket
import struct
from contextlib import suppress

import pytest
from ends import End, connect, text_of
from finhold import lean_environment
from frames import (CONTINUATION, DATA, END_HEADERS, HEADERS, PING, PRIORITY, RST_STREAM, SETTINGS, WINDOW_UPDATE, field, frame,
                    opened, request_block)
from pair import far_table
from scripted import ScriptedNear

ROUNDS = 400
MEGABYTE = 1_000_000

# Each gives the bytes of one round; `number` counts them. The stream 1 is open.
FLOODS = {
    "ping": lambda number, authority: frame(PING, payload=bytes(8)) * 50,
    "settings": lambda number, authority: frame(SETTINGS, payload=struct.pack("!HI", 4, 65535 + number % 2)) * 10,
    "empty settings": lambda number, authority: frame(SETTINGS) * 10,
    "rapid reset": lambda number, authority: b"".join(
        opened(stream, authority) + frame(RST_STREAM, stream, struct.pack("!I", 8))
        for stream in range(3 + number * 200, 3 + number * 200 + 200, 2)),
    "empty data": lambda number, authority: frame(DATA, 1) * 50,
    "continuation": lambda number, authority: (frame(HEADERS, 3, b"") if number == 0 else b"") + frame(CONTINUATION, 3) * 20,
    "continuation of many bytes": lambda number, authority: (
        frame(HEADERS, 3, b"") if number == 0 else b"") + frame(CONTINUATION, 3, b"\x00\x01a\x7f\x00" + b"a" * 127) * 5,
    # A field that enters the table with the first request (RFC 7541 section 6.2.1), and is one byte from then on.
    "header bomb": lambda number, authority: (
        frame(HEADERS, 3, request_block(authority) + field("x", "v" * 4000, 0x40), END_HEADERS) if number == 0 else b"") + frame(
        HEADERS, 5 + 2 * number, b"\xbe" * 8000, END_HEADERS),
    "window updates": lambda number, authority: frame(WINDOW_UPDATE, 1, struct.pack("!I", 1)) * 200,
    "priority": lambda number, authority: frame(PRIORITY, 5, struct.pack("!IB", 3, 7)) * 50,
    "unknown frames": lambda number, authority: frame(0x77, 1, b"x" * 100) * 20,
    "resets of closed streams": lambda number, authority: frame(RST_STREAM, 1, struct.pack("!I", 8)) * 200,
    # Errors of the client's own that make the server reset (CVE-2025-8671, "MadeYouReset").
    "made you reset": lambda number, authority: b"".join(
        opened(stream, authority) + frame(WINDOW_UPDATE, stream, bytes(4))
        for stream in range(3 + number * 40, 3 + number * 40 + 40, 2)),
}


@pytest.mark.parametrize("flood", FLOODS)
def test_a_flood_ends_only_its_own_connection(start, server, flood):
    far = start(far=[far_table([server.address])], limits={"workers": 1}, popen=lean_environment())
    authority = text_of(server.address)
    other = ScriptedNear(connect(far.address("far")))
    stream = other.open(authority)
    accepted = End(server.accept(), "server")

    flooding = ScriptedNear(connect(far.address("far")))
    own = text_of(flooding.sock.getsockname())
    flooding.open(authority)
    victim = End(server.accept(), "server")
    server.sock.setblocking(False)
    before = far.peak_memory()
    with suppress(ConnectionError, TimeoutError):
        for number in range(ROUNDS):
            flooding.sock.sendall(FLOODS[flood](number, authority))
            if number % 20 == 0:
                accept_all(server)
    ended = drained(flooding.sock)
    # Each of these is a dial. With a sanitizer, on a busy machine, far takes fewer in a second than it allows.
    assert ended or flood == "rapid reset", f"{flood}: still connected after all of it"
    if not ended:
        flooding.close()
    accept_all(server)
    victim.expect_reset()
    line = far.await_event("near end gone", near=own)
    assert not ended or line.level == "warning" and line["error"], line
    grown = far.peak_memory() - before
    # Of a rapid reset, what came in one turn is all there at once: some thousand requests at most.
    most = 32 if flood == "rapid reset" else 16
    assert grown < most * MEGABYTE * far.memory_factor(), grown

    other.send(stream, b"question", end=True)
    assert accepted.sock.recv(100) == b"question"
    accepted.close()
    other.await_end(stream)
    for each in (other, flooding):
        each.close()


def accept_all(server) -> None:
    """Takes what a flood has opened, and lets it go."""
    with suppress(BlockingIOError):
        while True:
            server.sock.accept()[0].close()


def drained(sock: socket.socket) -> bool:
    """Whether the other side closes or resets, whatever it says before."""
    sock.settimeout(5)
    try:
        while sock.recv(1 << 18):
            pass
    except TimeoutError:
        return False
    except ConnectionError:
        pass
    return True


def test_a_flood_of_answers_that_nobody_reads_is_dropped(start, server):
    """PING within its limit, and a client that never reads: what is to be sent to it is bounded."""
    far = start(far=[far_table([server.address])], limits={"workers": 1}, popen=lean_environment())
    near = ScriptedNear(connect(far.address("far"), receive_buffer=4096))
    stream = near.open(text_of(server.address))
    accepted = End(server.accept(), "server")
    before = far.peak_memory()
    accepted.send_while_it_goes()
    assert far.peak_memory() - before < 8 * MEGABYTE * far.memory_factor()
    near.close()
    accepted.expect_reset()
    assert stream


def test_more_streams_than_allowed_are_refused(start, server):
    """streams_per_connection of far: what is above is refused, the rest goes on."""
    far = start(far=[far_table([server.address], streams_per_connection=5)], limits={"workers": 1})
    near = ScriptedNear(connect(far.address("far")))
    authority = text_of(server.address)
    streams = [near.open(authority) for _ in range(5)]
    accepted = [server.accept() for _ in streams]
    near.raw(opened(99, authority))
    near.step(0.3)
    assert near.h2.remote_settings.max_concurrent_streams == 5
    server.sock.settimeout(0.3)
    with pytest.raises(TimeoutError):
        server.accept()
    near.close()
    for sock in accepted:
        sock.close()
