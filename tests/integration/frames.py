"""HTTP/2 frame by frame, for a peer that says what no library would, and hears whatever comes.

    peer = Peer.near(connect(far.address("far")))       # has sent the preface and SETTINGS
    peer.send(opened(1, "127.0.0.1:7000"), frame(PING, payload=bytes(8)))
    assert peer.await_frame(HEADERS).stream == 1
"""

import socket
import struct
from contextlib import suppress
from dataclasses import dataclass
from typing import Callable

from ends import LIMIT

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS, PADDED, WITH_PRIORITY = 0x1, 0x1, 0x4, 0x8, 0x20
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def frame(kind: int, stream: int = 0, payload: bytes = b"", flags: int = 0) -> bytes:
    return struct.pack("!I", len(payload))[1:] + bytes([kind, flags]) + struct.pack("!I", stream) + payload


def field(name: str, value: str, prefix: int = 0x00) -> bytes:
    """A literal (RFC 7541 section 6.2) without Huffman code; prefix 0x40 puts it into the table."""
    def text(string: str) -> bytes:
        length = len(string)
        if length < 127:
            return bytes([length]) + string.encode()
        rest, digits = length - 127, b""
        while rest >= 128:
            digits += bytes([rest % 128 + 128])
            rest //= 128
        return b"\x7f" + digits + bytes([rest]) + string.encode()
    return bytes([prefix]) + text(name) + text(value)


def request_block(authority: str) -> bytes:
    """Of a CONNECT, without a table: it may be sent again and again."""
    return field(":method", "CONNECT") + field(":authority", authority)


def opened(stream: int, authority: str, flags: int = 0) -> bytes:
    return frame(HEADERS, stream, request_block(authority), END_HEADERS | flags)


@dataclass
class Heard:
    kind: int
    flags: int
    stream: int
    payload: bytes

    @property
    def code(self) -> int:
        """Of GOAWAY or RST_STREAM."""
        return struct.unpack("!I", self.payload[4:8] if self.kind == GOAWAY else self.payload)[0]


class Peer:
    def __init__(self, sock: socket.socket):
        self.sock = sock
        self.heard: list[Heard] = []
        self._bytes = b""

    @classmethod
    def near(cls, sock: socket.socket) -> "Peer":
        return cls(sock)._begin(PREFACE)

    @classmethod
    def far(cls, sock: socket.socket) -> "Peer":
        peer = cls(sock)
        while len(peer._bytes) < len(PREFACE):
            peer._bytes += sock.recv(1 << 16)
        peer._bytes = peer._bytes[len(PREFACE):]
        return peer._begin(b"")

    def _begin(self, preface: bytes) -> "Peer":
        self.sock.settimeout(LIMIT)
        self.sock.sendall(preface + frame(SETTINGS))
        self.await_frame(SETTINGS, lambda each: not each.flags & ACK)
        self.send(frame(SETTINGS, flags=ACK))
        return self

    def send(self, *frames: bytes) -> None:
        with suppress(ConnectionError):
            self.sock.sendall(b"".join(frames))

    def next(self) -> Heard | None:
        """None: the connection is over."""
        while len(self._bytes) < 9 or len(self._bytes) < 9 + int.from_bytes(self._bytes[:3], "big"):
            try:
                more = self.sock.recv(1 << 18)
            except ConnectionError:
                return None
            if not more:
                return None
            self._bytes += more
        length = int.from_bytes(self._bytes[:3], "big")
        heard = Heard(self._bytes[3], self._bytes[4], int.from_bytes(self._bytes[5:9], "big"), self._bytes[9:9 + length])
        self._bytes = self._bytes[9 + length:]
        self.heard.append(heard)
        return heard

    def await_frame(self, kind: int, condition: Callable[[Heard], bool] = lambda heard: True) -> Heard:
        while (heard := self.next()) is not None:
            if heard.kind == kind and condition(heard):
                return heard
        raise AssertionError(f"no frame {kind}: the connection is over, after {self.heard}")

    def goaway(self) -> int:
        """The code of the GOAWAY with which the other side gives the connection up; and it closes."""
        code = self.await_frame(GOAWAY, lambda heard: heard.code != 0).code
        while self.next() is not None:
            pass
        return code

    def close(self) -> None:
        self.sock.close()
