"""The two ends of a random walk (walks.py): programs that never block. What one could not send yet it sends as soon as there is
room, while it goes on reading."""

import errno
import fcntl
import select
import socket
import struct
import termios
import time
from collections import deque
from dataclasses import dataclass, field

from ends import pattern

SIDES = ("client", "server")
SIOCATMARK = 0x8905
SURE = 4000  # bytes that the smallest buffers take of what is sent to one who does not read
BLOCK = 65_536


@dataclass(frozen=True)
class Seen:
    """What an end knows."""

    missing: int = 0  # bytes that were sent to it, should have come by now, and have not (Walker.note)
    ended: bool = False
    reset: bool = False  # an error came, whatever was read before
    strange: tuple[int, ...] = ()  # places of urgent bytes that were read as others, and the reverse
    # Not compared: they depend on the buffers between.
    arrived: int = field(default=0, compare=False)  # read or not
    behind: bool = field(default=False, compare=False)  # it does not read, and not all that was sent is there
    torn: bool = field(default=False, compare=False)  # the sender closed when not all that it had to say was here
    sure_of_end: bool = field(default=False, compare=False)  # ... and when a kernel had acknowledged its end, and so all of it

    def __str__(self) -> str:
        words = [f"{self.arrived} bytes", f"{self.missing} MISSING" if self.missing else "", "ended" if self.ended else "",
                 "reset" if self.reset else "", f"wrong urgent marks {self.strange}" if self.strange else "",
                 "(more waits)" if self.behind else ""]
        return " ".join(filter(None, words))


Both = tuple[Seen, Seen]


@dataclass(frozen=True)
class Step:
    side: str
    what: str  # send, urgent, finish, close, abort, quit (finish and abort at once), pause, resume; sleep, of both
    size: int = 0

    def __str__(self) -> str:
        return f"{self.side} {self.what}" + (f" {self.size}" if self.size else "")


class Walker:
    """One end."""

    def __init__(self, sock: socket.socket, side: str):
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # else few bytes wait for an acknowledgement, now and then
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
        self.sock, self.side = sock, side
        self.other = SIDES[1 - SIDES.index(side)]
        self.sent = self.read = 0
        self.waiting: deque[tuple[str, int]] = deque()  # what it has to say and could not yet
        self.block = memoryview(b"")  # the next of it
        self.urgent: list[int] = []  # places that it sent as urgent
        self.marks: list[int] = []  # ... and that it saw
        self.seen = Seen()
        self.reads = self.is_open = True
        self.paused_at = 0  # bytes that it had read then
        self.finished = self.ended = self.reset = False
        self.over = False  # an end or an error was read
        self.told = 0  # the error that send() has told, and recv() will not tell again
        self.sure = 0  # bytes that the other kernel had when this end was closed
        self.torn = self.sure_of_end = False
        self.readable, self.failed = select.poll(), select.poll()
        self.readable.register(sock, select.POLLIN)
        self.failed.register(sock, 0)

    def may_send(self) -> bool:
        return self.is_open and not self.finished and not self.reset and not self.waiting

    def hear(self) -> None:
        """All that has come; and whether an error has, which one who does not read hears of too."""
        # Asked in this order no read begins at a mark that was not seen: one that came since is behind what waits already.
        while self.reads and not self.over and self.readable.poll(0):
            at_mark = struct.unpack("i", fcntl.ioctl(self.sock, SIOCATMARK, b"\0" * 4))[0]
            try:
                data = self.sock.recv(1 if at_mark else 1 << 18)
            except BlockingIOError:
                break
            except (ConnectionResetError, BrokenPipeError, TimeoutError):
                self.reset = self.over = True
                break
            assert data == pattern(self.other, self.read, len(data)), f"wrong bytes at {self.side} behind {self.read}"
            if at_mark and data:
                self.marks.append(self.read)
            self.read += len(data)
            if not data:
                self.over = True
                # EPIPE: the reset came behind an end.
                self.ended = self.ended or self.told in (0, errno.EPIPE)
        if any(events & select.POLLERR for _, events in self.failed.poll(0)):
            # Told once all that came before it was read, as whoever reads would hear of it.
            self.reset = self.reset or not self.reads or self.over

    def say(self) -> None:
        """All that has room."""
        while self.waiting and not self.reset:
            what, size = self.waiting[0]
            if what == "finish":
                self.shut()
                self.waiting.popleft()
                continue
            self.block = self.block or memoryview(pattern(self.side, self.sent, min(size, BLOCK)))
            try:
                count = self.sock.send(self.block, socket.MSG_OOB if what == "urgent" else 0)
            except BlockingIOError:
                return
            except (ConnectionResetError, BrokenPipeError, TimeoutError) as error:
                self.told, self.reset = error.errno, True
                break
            if what == "urgent":
                self.urgent.append(self.sent)
            self.sent += count
            self.block = self.block[count:]
            self.waiting[0] = (what, size - count)
            if size == count:
                self.waiting.popleft()
        if self.reset:
            self.waiting.clear()

    def shut(self) -> None:
        try:
            self.sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # one that was reset meanwhile has nothing to end any more

    def note(self, source: "Walker", carries_urgent: bool) -> None:
        """`missing`: all that was taken from the sender must come to one who reads, and what fits into the smallest buffers to
        one who does not. Behind a reset: what a kernel between the two had acknowledged (R4)."""
        arrived = self.read + (0 if self.reads or self.over else self._number(termios.FIONREAD))
        total = source.sent
        if self.reset and not self.ended:
            total = 0 if source.is_open else source.sure
        elif self.reads and source.is_open:
            total += sum(size for _, size in source.waiting)
        if not self.reads:
            total = min(total, self.paused_at + SURE)
        places = {place for place in source.urgent if place < self.read} if carries_urgent else set()
        self.seen = Seen(max(0, total - arrived), self.ended, self.reset, tuple(sorted(places ^ set(self.marks))), arrived,
                         not self.reads and source.sent > arrived, source.torn, source.sure_of_end)

    def _number(self, question: int) -> int:
        return struct.unpack("i", fcntl.ioctl(self.sock, question, b"\0" * 4))[0]

    def close(self, other: "Walker", abort: bool) -> None:
        unacknowledged = self._number(termios.TIOCOUTQ)
        self.sure = max(self.sent - unacknowledged, other.seen.arrived)
        self.sure_of_end = self.finished and not self.waiting and not self.reset and unacknowledged == 0
        self.torn = bool(self.waiting) or other.seen.arrived < self.sent
        self.waiting.clear()
        if abort:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()
        self.is_open = False


class Ends:
    """Both, over a session of whatever kind."""

    def __init__(self, client: socket.socket, server: socket.socket, carries_urgent: bool = True):
        self.of = {"client": Walker(client, "client"), "server": Walker(server, "server")}
        self.carries_urgent = carries_urgent

    def look(self) -> Both:
        walkers = [walker for walker in self.of.values() if walker.is_open]
        for walker in walkers:
            walker.hear()
        for walker in walkers:
            walker.say()
        for walker in walkers:
            walker.note(self.of[walker.other], self.carries_urgent)
        return tuple(walker.seen for walker in self.of.values())

    def possible(self, step: Step) -> bool:
        if step.what == "sleep":
            return True
        one, other = self.of[step.side], self.of[SIDES[1 - SIDES.index(step.side)]]
        if step.what == "urgent":
            # TCP has one mark: a second one before the first was read takes its place.
            return one.may_send() and other.is_open and (not one.urgent or one.urgent[-1] < other.read)
        if step.what in ("send", "quit"):
            return one.may_send()
        if step.what == "finish":
            # Also behind what it could not send yet: it is then that it ends.
            return one.is_open and not one.finished and not one.reset
        return one.is_open and (step.what not in ("pause", "resume") or one.reads == (step.what == "pause"))

    def do(self, step: Step) -> None:
        if step.what == "sleep":
            until = time.monotonic() + step.size / 1000
            while (left := until - time.monotonic()) > 0:
                self.look()
                time.sleep(min(left, 0.02))
            return
        one = self.of[step.side]
        if step.what in ("send", "urgent"):
            one.waiting.append((step.what, step.size or 1))
            one.say()
        elif step.what == "finish":
            one.finished = True
            one.waiting.append(("finish", 0))
            one.say()
        elif step.what in ("pause", "resume"):
            one.reads, one.paused_at = step.what == "resume", one.read
        elif step.what in ("close", "abort", "quit"):
            if step.what == "quit":
                one.finished = True
                one.shut()
            one.close(self.of[one.other], step.what != "close")

    def progress(self) -> tuple:
        """Whatever may still change after a step."""
        seen = self.look()
        return seen, tuple(one.arrived for one in seen), tuple(one.sent for one in self.of.values())

    def close(self) -> None:
        for walker in self.of.values():
            walker.sock.close()
