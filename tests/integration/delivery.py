"""Senders that are gone before their bytes are: what each sent was acknowledged by a kernel, and its reader is slow. All
transfers of a test run side by side, so that it takes as long as the slowest.

    transfers = [Transfer(place, session, flow, reader), ...]
    run(transfers, "reset", [places.gateway])        # or "close"
    expect_all(transfers, "reset")                   # every byte, and then what a direct connection has
"""

import fcntl
import select
import socket
import struct
import termios
import threading
import time
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Callable, Iterator

from ends import LIMIT, End, Session, background
from finhold import wait_until
from private_network import Network, private_network

LENGTH = 3_000_000
READERS = ("fast", "slow", "stopped")
SMALL = 32 << 10  # the receive buffer of those that are not fast
FIRST = 1_000_000  # what a slow reader has taken when its sender is gone
PACE = 0.005  # seconds between two reads of a slow one
PAUSE = 0.3  # seconds in which nothing may happen to one who reads nothing
# A second after close() the sender's kernel has forgotten the connection, and a keepalive draws a RST from it.
ROOMY = {"tcp_rmem": "4096 16777216 16777216", "tcp_wmem": "4096 16777216 16777216", "tcp_congestion_control": "reno",
         "tcp_fin_timeout": 1}
# As patient as a whole test may last: the readers take nothing until every sender is gone.
SOON = {"idle": "1s", "interval": "1s", "probes": 100}
NEVER = {"idle": "2h", "interval": "75s", "probes": 9}  # within a test


def tune(network: Network) -> None:
    """Megabytes fit into each socket that is not told otherwise, and are sent at once."""
    for key, value in ROOMY.items():
        network.set(f"net.ipv4.{key}", value)


@contextmanager
def roomy_network() -> Iterator[Network]:
    """One of a test's own, with segments as on a wire: a small window takes none of 64 KiB, and waits for a timer."""
    with private_network() as network:
        network.ip("link", "set", "lo", "mtu", "1500")
        tune(network)
        yield network


def unacknowledged(sock: socket.socket) -> int:
    return struct.unpack("i", fcntl.ioctl(sock, termios.TIOCOUTQ, b"\0" * 4))[0]


def await_acknowledged(end: End) -> None:
    wait_until(lambda: unacknowledged(end.sock) == 0, lambda: f"{unacknowledged(end.sock)} bytes are not acknowledged")


def reads_little(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL)


def expect_no_word(sink: End, seconds: float = PAUSE) -> None:
    """Neither end nor reset, to one who has not read the bytes before it."""
    poll = select.poll()
    poll.register(sink.sock, select.POLLRDHUP)
    assert not (got := poll.poll(seconds * 1000)), f"{sink.side}: events {got[0][1]:#x} before its bytes were read"


@dataclass
class Transfer:
    """One sender, one reader; `verdict` is how it was for the reader: "end", "reset", "end and reset", or an error."""

    name: str
    session: Session
    flow: str
    reader: str
    length: int = LENGTH
    verdict: str = ""
    gone: threading.Event = field(default_factory=threading.Event)
    reading: Future | None = None

    def __post_init__(self) -> None:
        self.source, self.sink = self.session.flow(self.flow)
        self.client = self.session.client.sock.getsockname()[:2]  # as the ending line has it
        # finhold's socket towards the sender, as finhold's kernel has it.
        own, other = self.source.sock.getsockname()[1], self.source.sock.getpeername()[1]
        self.is_of_sender = lambda pair: pair == (own, other)
        # Towards a client its own port may be a redirected one; towards a server another connection may have it too.
        self.is_of_finhold = lambda pair: pair[1] == own if self.flow == "to_server" else pair == (other, own)

    def begin_to_read(self) -> None:
        self.reading = background(self._read)

    def _read(self) -> None:
        slow = self.reader == "slow"
        try:
            if slow:
                self.sink.receive(FIRST)
            if self.reader != "fast":
                assert self.gone.wait(2 * LIMIT), "the sender is still there"
            while self.sink._read(64 << 10 if slow else 1 << 20):
                time.sleep(PACE if slow else 0)
            self.verdict = "end"
        except ConnectionResetError:
            self.verdict = "reset"
        except (OSError, AssertionError) as error:
            self.verdict = f"{type(error).__name__}: {error}"

    def await_reset_after_end(self) -> None:
        with suppress(AssertionError):
            self.sink.expect_reset()
            self.verdict = "end and reset"

    def __str__(self) -> str:
        return f"{self.name}, {self.flow}, {self.reader} reader: {self.sink.received} of {self.length} bytes, {self.verdict}"


def run(transfers: list[Transfer], last: str, finholds: list[Network], senders: list[Network] | None = None,
        after_end: bool = True) -> None:
    """Every sender sends, waits until a kernel has acknowledged it all, and is gone: "reset" at once, or by "close", after
    which it is the kernel that resets what comes later: a keepalive; with `senders`, the networks of these, the end of the
    reader. `after_end`: the reader waits for a reset behind the end."""
    for each in transfers:
        each.begin_to_read()
    for work in [background(lambda each=each: each.source.send(each.length)) for each in transfers]:
        work.result()
    for each in transfers:
        await_acknowledged(each.source)
    for each in transfers:
        each.source.reset() if last == "reset" else each.source.close()
    if senders:
        await_none(transfers, senders, lambda each: each.is_of_sender)
        for each in transfers:
            each.sink.finish()
    if finholds:
        await_none(transfers, finholds, lambda each: each.is_of_finhold)
    expect_nothing([each for each in transfers if each.reader == "stopped"])
    for each in transfers:
        each.gone.set()
    for each in transfers:
        each.reading.result()
    if after_end:
        for waiting in [background(each.await_reset_after_end) for each in transfers if each.verdict == "end"]:
            waiting.result()


def await_none(transfers: list[Transfer], places: list[Network], which: Callable) -> None:
    """These kernels have no such connection any more."""

    def left() -> list[Transfer]:
        known = set().union(*(place.connections() for place in places))
        return [each for each in transfers if any(map(which(each), known))]

    wait_until(lambda: not left(), lambda: "\n".join(map(str, left())))


def expect_nothing(transfers: list[Transfer]) -> None:
    """Neither end nor reset, for a moment: they read nothing, so all the bytes are before it."""
    poll = select.poll()
    for each in transfers:
        poll.register(each.sink.sock, select.POLLRDHUP)
    poll.poll(PAUSE * 1000)  # what it says is in the verdict, and in the bytes that are missing


def expect_all(transfers: list[Transfer], verdict: str) -> None:
    bad = [each for each in transfers if (each.sink.received, each.verdict) != (each.length, verdict)]
    assert not bad, (f"{len(bad)} of {len(transfers)} were not \"{verdict}\" after all bytes; together they lack "
                     f"{sum(each.length - each.sink.received for each in bad)}:\n" + "\n".join(map(str, bad)))

