"""The two ends of one session of the soak. Every byte belongs to its session, way and place; an end is true only if the other
end has ended, and after its last byte: whoever reads an end checks that."""

import errno
import fcntl
import random
import socket
import struct
import termios
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from typing import Callable, Iterator

from delivery import unacknowledged
from ends import LIMIT, RESETS, SALT, End, background
from finhold import wait_until

HEADER = 8  # the first bytes of each flow are the number of its session
PERIOD = 4_194_301  # a prime: no power of two moves a piece to where it looks right
CLOSED = 7  # the state of a connection that was reset, or that both have ended
MOST = 1 << 20  # what is sent or read at a time
POOLS = {side: (pool := random.Random(salt).randbytes(PERIOD)) + pool[:MOST] for side, salt in SALT.items()}
SPREAD = 2_654_435_761


def content(number: int, sender: str, start: int, length: int) -> bytes:
    """The bytes [start, start + length), at most MOST, that this side of that session sends."""
    head = number.to_bytes(HEADER, "big")[start:][:length] if start < HEADER else b""
    begin = (start + len(head) + number * SPREAD) % PERIOD
    return head + POOLS[sender][begin:begin + length - len(head)]


class Checked(End):
    def __init__(self, sock: socket.socket, side: str, number: int):
        super().__init__(sock, side)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # else few bytes wait for an acknowledgement
        self.number = number
        self.has_ended = False  # it sends no more, and has said so; a reset says nothing of the kind
        self.was_reset = False  # and it has been told so
        self.partner: Checked | None = None

    def _bytes(self, sender: str, start: int, length: int) -> bytes:
        return content(self.number, sender, start, length)

    def finish(self) -> None:
        if self.has_ended:
            return
        self.has_ended = True  # before it is: the other side may hear of it at once
        try:
            super().finish()
        except OSError:
            self.has_ended = False
            raise

    def leave(self) -> None:
        """close(), with nothing unread: to the other side it is an end."""
        self.has_ended = True
        self.close()

    @property
    def is_open(self) -> bool:
        return self.sock.fileno() >= 0

    def unread(self) -> int:
        return struct.unpack("i", fcntl.ioctl(self.sock, termios.FIONREAD, b"\0" * 4))[0]

    def send(self, length: int, block: int = MOST) -> None:
        with self._noting_resets():
            super().send(length, block)

    @contextmanager
    def _noting_resets(self) -> Iterator[None]:
        """The kernel tells of it once; whoever reads afterwards gets a 0 as of an end."""
        try:
            yield
        except OSError as error:
            self.was_reset |= is_reset(error)
            raise

    def _read(self, most: int) -> int:
        with self._noting_resets():
            got = super()._read(most)
            # A thread that sends may have heard of it and not have said so yet: it has not ended then.
            if not got and (self.was_reset or (not self.has_ended and self._state() == CLOSED)):
                raise ConnectionResetError(errno.ECONNRESET, f"{self.side}: reset, as was told already")
        if not got:
            assert self.partner and self.partner.has_ended, f"{self.side}: a false end after {self.received} bytes"
            assert self.received == self.partner.sent, f"{self.side}: an end after {self.received} bytes of {self.partner.sent}"
        return got

    def _state(self) -> int:
        return self.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]

    def await_acknowledged(self) -> None:
        """All that it has sent, and its end: a kernel has them."""
        wait_until(lambda: self._state() == CLOSED or unacknowledged(self.sock) == 0,
                   lambda: f"{self.side}: {unacknowledged(self.sock)} bytes are not acknowledged")
        if self._state() == CLOSED:
            raise ConnectionResetError(errno.ECONNRESET, f"{self.side}: reset while it waits")

    def expect_end(self, total: int | None = None) -> None:
        total = self.received if total is None else total
        while self._read(MOST):
            pass
        assert self.received == total, f"{self.side}: {self.received} bytes before the end, not {total}"
        if error := self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self.was_reset = True
            raise OSError(error, f"{self.side}: after the end")

    def read_to_the_last(self) -> str:
        """Whatever there is; "end" or "reset"."""
        try:
            while self._read(MOST):
                pass
            return "end"
        except OSError as error:
            if not is_reset(error):
                raise
            return "reset"


class Talk:
    """A session, and what runs for it in threads of its own."""

    def __init__(self, client: Checked, server: Checked):
        self.client, self.server = client, server
        client.partner, server.partner = server, client
        self.works: list[Future] = []

    def flow(self, name: str) -> tuple[Checked, Checked]:
        """Source and sink of "to_server" or "to_client"."""
        return (self.client, self.server) if name == "to_server" else (self.server, self.client)

    def start(self, action: Callable[[], object]) -> Future:
        self.works.append(background(action))
        return self.works[-1]

    def results(self) -> None:
        for work in self.works:
            work.result(6 * LIMIT)

    def finish_both(self) -> None:
        """The orderly end."""
        self.client.finish()
        self.server.finish()
        self.client.expect_end()
        self.server.expect_end()
        self.close()

    def close(self) -> None:
        self.client.close()
        self.server.close()

    def expect_over(self) -> None:
        """After a reset that was allowed: nothing of it hangs, and an end that anybody has read is a true one. Raises what
        any of its threads has found wrong."""
        for work in self.works:
            problem = work.exception(2 * LIMIT)
            if problem and not is_reset(problem):
                raise problem
        ends = [end for end in (self.client, self.server) if end.is_open]
        for end in ends:  # of a crowd others may live
            with suppress(OSError):
                end.finish()
        for end in ends:
            end.read_to_the_last()
        self.close()


def is_reset(problem: BaseException) -> bool:
    return isinstance(problem, OSError) and problem.errno in (*RESETS, errno.ENOTCONN)
