"""What a far end answers to frames that no peer should send: the cases of h2spec for which libraries differ, each with its
section of RFC 9113. h2spec itself is not packaged by Debian; conf/pair.md tells how the rest of it fares."""

import socket
import struct

import hpack
import pytest
from ends import connect, text_of
from frames import (ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, PRIORITY, RST_STREAM, SETTINGS,
                    WINDOW_UPDATE, Peer, field, frame, opened, request_block)
from pair import far_table

NO_ERROR, PROTOCOL_ERROR, STREAM_CLOSED, FRAME_SIZE_ERROR, CANCEL, ENHANCE_YOUR_CALM = 0, 1, 5, 6, 8, 11
BEYOND_MAX_FRAME = (256 << 10) + 1
CANCELLED = struct.pack("!I", CANCEL)
ONE_BYTE_MORE = struct.pack("!I", 1)


def priority(depends_on: int) -> bytes:
    return struct.pack("!IB", depends_on, 15)


def status(answer) -> int:
    return int(dict(hpack.Decoder().decode(answer.payload))[":status"])


class Case:
    """A far end, and a peer of it whose streams are for a server that does what the case needs."""

    def __init__(self, far, server):
        self.peer = Peer.near(connect(far.address("far")))
        self.server = server
        self.authority = text_of(server.address)

    def send(self, *frames: bytes) -> None:
        self.peer.send(*frames)

    def open(self, stream: int = 1, flags: int = 0):
        """The server's end of it."""
        self.send(opened(stream, self.authority, flags))
        accepted = self.server.accept()
        self.peer.await_frame(HEADERS, lambda heard: heard.stream == stream)
        return accepted

    def ended(self, stream: int = 1) -> None:
        """A stream that both sides have ended."""
        accepted = self.open(stream, END_STREAM)
        accepted.close()
        self.peer.await_frame(DATA, lambda heard: heard.stream == stream and heard.flags & END_STREAM)

    def cancelled(self, stream: int = 1) -> None:
        """One that the peer has reset."""
        accepted = self.open(stream)
        self.send(frame(RST_STREAM, stream, CANCELLED))
        with pytest.raises(ConnectionResetError):
            accepted.recv(1)
        accepted.close()

    def reset_by_far(self, stream: int = 1) -> None:
        """The server's RST; what the peer sends now may have been on its way."""
        accepted = self.open(stream)
        accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        accepted.close()
        self.peer.await_frame(RST_STREAM, lambda heard: heard.stream == stream)

    def refused(self, stream: int = 1) -> None:
        """A POST, whose answer is 405; the rest of it, trailers too, is not wanted."""
        fields = {":method": "POST", ":scheme": "http", ":path": "/", ":authority": self.authority}
        self.send(frame(HEADERS, stream, b"".join(field(*each) for each in fields.items()), END_HEADERS))
        self.peer.await_frame(RST_STREAM, lambda heard: heard.stream == stream and heard.code == NO_ERROR)

    def lives(self) -> bool:
        self.send(frame(PING, payload=b"question"))
        self.peer.await_frame(PING, lambda heard: heard.flags & ACK and heard.payload == b"question")
        return not any(heard.kind == GOAWAY for heard in self.peer.heard)


@pytest.fixture
def case(start, server):
    far = start(far=[far_table([server.address])], limits={"workers": 1})
    made = Case(far, server)
    yield made
    made.peer.close()


# Section 5.1: "MAY treat receipt of any other type of frame on a closed stream as a connection error of type
# STREAM_CLOSED". finhold does where the peer has closed the stream itself.
LATE = {
    "DATA": lambda: frame(DATA, 1, b"late"),
    "DATA with END_STREAM": lambda: frame(DATA, 1, b"late", END_STREAM),
    "HEADERS": lambda: opened(1, "127.0.0.1:1"),
    "trailers": lambda: frame(HEADERS, 1, field("x", "late"), END_HEADERS | END_STREAM),
}


@pytest.mark.parametrize("late", LATE)
@pytest.mark.parametrize("before", ["ended", "cancelled"])
def test_frames_on_a_stream_that_the_peer_has_closed_end_the_connection(case, before, late):
    getattr(case, before)()
    case.send(LATE[late]())
    assert case.peer.goaway() == STREAM_CLOSED


@pytest.mark.parametrize("late", LATE)
def test_frames_on_a_stream_that_the_peer_has_ended_end_the_connection(case, late):
    """Half-closed (remote), section 5.1. A stream error is allowed to be one of the connection (section 5.4.2)."""
    accepted = case.open(flags=END_STREAM)
    case.send(LATE[late]())
    assert case.peer.goaway() == STREAM_CLOSED
    accepted.close()


@pytest.mark.parametrize("late", LATE)
@pytest.mark.parametrize("before", ["reset_by_far", "refused"])
def test_frames_on_a_stream_that_far_has_reset_are_dropped(case, before, late):
    """Section 5.1: they may have been on their way, so they are no error."""
    getattr(case, before)()
    case.send(LATE[late]())
    assert case.lives()
    case.open(3).close()


@pytest.mark.parametrize("before", ["ended", "cancelled", "reset_by_far", "refused"])
def test_management_of_a_closed_stream_is_dropped(case, before):
    """Section 5.1: WINDOW_UPDATE and RST_STREAM may come for some time, PRIORITY always."""
    getattr(case, before)()
    case.send(frame(WINDOW_UPDATE, 1, ONE_BYTE_MORE), frame(PRIORITY, 1, priority(0)), frame(RST_STREAM, 1, CANCELLED))
    assert case.lives()
    case.open(3).close()


def test_a_stream_that_another_has_passed_is_an_error(case):
    """Section 5.1.1: the identifier of a new stream is greater than all before it."""
    case.open(1)
    case.open(5)
    case.send(opened(3, case.authority))
    assert case.peer.goaway() == PROTOCOL_ERROR


def test_streams_may_be_passed_over(case):
    for stream in (1, 5, 7, 101):
        case.open(stream).close()
    assert case.lives()


ERRORS = {
    "4.2 a HEADERS frame above SETTINGS_MAX_FRAME_SIZE":
        (frame(HEADERS, 1, bytes(BEYOND_MAX_FRAME), END_HEADERS), FRAME_SIZE_ERROR),
    "4.2 a DATA frame above SETTINGS_MAX_FRAME_SIZE": (frame(DATA, 1, bytes(BEYOND_MAX_FRAME)), FRAME_SIZE_ERROR),
    "5.1 DATA on an idle stream": (frame(DATA, 1, b"x"), PROTOCOL_ERROR),
    "5.1 RST_STREAM on an idle stream": (frame(RST_STREAM, 1, CANCELLED), PROTOCOL_ERROR),
    "5.1 WINDOW_UPDATE on an idle stream": (frame(WINDOW_UPDATE, 1, ONE_BYTE_MORE), PROTOCOL_ERROR),
    "5.1.1 a stream of the server's": (opened(2, "127.0.0.1:1"), PROTOCOL_ERROR),
    "6.1 DATA on stream 0": (frame(DATA, 0, b"x"), PROTOCOL_ERROR),
    "6.2 HEADERS on stream 0": (opened(0, "127.0.0.1:1"), PROTOCOL_ERROR),
    "6.3 PRIORITY on stream 0": (frame(PRIORITY, 0, priority(0)), PROTOCOL_ERROR),
    "6.3 PRIORITY of four octets": (frame(PRIORITY, 1, bytes(4)), FRAME_SIZE_ERROR),
    "6.4 RST_STREAM on stream 0": (frame(RST_STREAM, 0, CANCELLED), PROTOCOL_ERROR),
    "6.5 SETTINGS on a stream": (frame(SETTINGS, 1), PROTOCOL_ERROR),
    "6.7 PING on a stream": (frame(PING, 1, bytes(8)), PROTOCOL_ERROR),
    "6.10 CONTINUATION on stream 0": (frame(CONTINUATION, 0, b"", END_HEADERS), PROTOCOL_ERROR),
    "10.5.1 a header block above 16 KiB": (frame(HEADERS, 1, field("x", "v" * 17_000), END_HEADERS), ENHANCE_YOUR_CALM),
    "10.5.1 a header list above 16 KiB": (frame(HEADERS, 1, b"\x90" * 600), ENHANCE_YOUR_CALM),
}


@pytest.mark.parametrize("error", ERRORS)
def test_an_error_of_the_connection_has_its_code(case, error):
    """PRIORITY of a wrong length is an error of the stream in section 6.3; it may be one of the connection (5.4.2)."""
    sent, code = ERRORS[error]
    assert case.lives()  # so the SETTINGS of far are in force
    case.send(sent)
    assert case.peer.goaway() == code


def test_a_stream_that_depends_on_itself_is_nobodys_concern(case):
    """RFC 9113 has taken the tree of priorities of RFC 7540 away, and this error with it (section 5.3.2)."""
    accepted = case.open()
    case.send(frame(PRIORITY, 1, priority(1)), frame(PRIORITY, 7, priority(7)))
    assert case.lives()
    case.send(frame(DATA, 1, b"goes on"))
    assert accepted.recv(100) == b"goes on"
    accepted.close()


def test_the_length_of_a_tunnel_is_not_that_of_a_content(case):
    """Section 8.5: a CONNECT has no content, so content-length says nothing (RFC 9110 section 9.3.6)."""
    case.send(frame(HEADERS, 1, request_block(case.authority) + field("content-length", "1"), END_HEADERS))
    case.send(frame(DATA, 1, b"more than one", END_STREAM))
    accepted = case.server.accept()
    assert accepted.recv(100) == b"more than one"
    assert accepted.recv(100) == b""
    accepted.close()
    case.peer.await_frame(DATA, lambda heard: heard.flags & END_STREAM)
    assert case.lives()


@pytest.mark.parametrize("extra", [":path", ":scheme"])
def test_a_connect_with_more_than_an_authority_is_malformed(case, extra):
    """Section 8.5. The stream is reset (section 8.1.1), and others are not concerned."""
    case.send(frame(HEADERS, 1, request_block(case.authority) + field(extra, "/"), END_HEADERS))
    assert case.peer.await_frame(RST_STREAM).code == PROTOCOL_ERROR
    case.open(3).close()


def test_a_header_list_that_is_somewhat_too_long_is_refused(case):
    """Section 10.5.1, RFC 6585 section 5: 431, and others are not concerned."""
    accepted = case.open()
    case.send(frame(HEADERS, 3, request_block(case.authority) + field("x", "v" * 9000), END_HEADERS))
    assert status(case.peer.await_frame(HEADERS, lambda heard: heard.stream == 3)) == 431
    case.send(frame(DATA, 1, b"goes on"))
    assert accepted.recv(100) == b"goes on"
    accepted.close()
    assert case.lives()


@pytest.mark.parametrize("unknown", [frame(0x77, 1, b"x"), frame(0x77, 0, b"x"), frame(SETTINGS, 0, struct.pack("!HI", 0x7777, 1)),
                                     frame(PING, 0, bytes(8), 0x7E)], ids=["frame", "of the connection", "setting", "flags"])
def test_what_is_not_known_is_no_error(case, unknown):
    """Sections 4.1, 5.5 and 6.5.2."""
    accepted = case.open()
    case.send(unknown)
    assert case.lives()
    accepted.close()
