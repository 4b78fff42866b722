"""Random walks: two ends do the same seeded steps on a direct connection and through finhold, and after each step what each of
them has seen is compared. The oracle is the direct connection; what the rules change of it is said in one place (walk_rules.py).

    walk = record(seed, direct)             # on a direct connection of this machine
    follow(walk, ends, rules)               # the same through a finhold; walk_rules.py

An end is a program that never blocks: what it could not send yet it sends as soon as there is room, while it goes on reading. How
much fits into what is between two ends is nobody's promise, so no amount that a full buffer has taken is compared: but that
nothing of what was taken is missing where it should be.

By hand, for longer:  WALK_SECONDS=3600 FIRST=1000 /usr/bin/python3 -m pytest tests/integration/closing/test_walks.py"""

import errno
import fcntl
import random
import select
import socket
import struct
import termios
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Callable

from ends import pattern

SIDES = ("client", "server")
SIOCATMARK = 0x8905
STEPS = 25
QUIET = 0.02  # seconds without a change, on a direct connection over loopback: then a step has had its effect
PATIENT = 0.3  # the same, where the machine has much else to do
LIMIT = 20  # seconds for the same through finhold, which is awaited
NAP = 4.5  # seconds: longer than each timer of the walks that sleep
NAPS = 2  # in a walk that sleeps
SURE = 4000  # bytes that the smallest buffers take of what is sent to one who does not read
BLOCK = 65_536
SIZES = (1, 2, 100, 4096, 65_536, 300_000, 1_000_000)
FILLING = (65_536, 300_000, 1_000_000, 3_000_000)  # to one who does not read


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

    def __str__(self) -> str:
        words = [f"{self.arrived} bytes", f"{self.missing} MISSING" if self.missing else "", "ended" if self.ended else "",
                 "reset" if self.reset else "", f"wrong urgent marks {self.strange}" if self.strange else "",
                 "(more waits)" if self.behind else ""]
        return " ".join(filter(None, words))


Both = tuple[Seen, Seen]


@dataclass(frozen=True)
class Step:
    side: str
    what: str  # send, urgent, finish, close, abort, pause, resume; sleep, of both
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
        self.torn = False
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
                self._shut()
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

    def _shut(self) -> None:
        try:
            self.sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # one that was reset meanwhile has nothing to end any more

    def note(self, source: "Walker", carries_urgent: bool) -> None:
        """`missing`: all that was taken from the sender must come to one who reads, and what fits into the smallest buffers to
        one who does not. Behind a reset: what a kernel between the two had acknowledged (R4)."""
        arrived = self.read + (0 if self.reads or self.over else self._number(termios.FIONREAD))
        total = source.sent
        if self.reset:
            total = 0 if source.is_open else source.sure
        elif self.reads and source.is_open:
            total += sum(size for _, size in source.waiting)
        if not self.reads:
            total = min(total, self.paused_at + SURE)
        places = {place for place in source.urgent if place < self.read} if carries_urgent else set()
        self.seen = Seen(max(0, total - arrived), self.ended, self.reset, tuple(sorted(places ^ set(self.marks))), arrived,
                         not self.reads and source.sent > arrived, source.torn)

    def _number(self, question: int) -> int:
        return struct.unpack("i", fcntl.ioctl(self.sock, question, b"\0" * 4))[0]

    def close(self, other: "Walker", abort: bool) -> None:
        self.sure = max(self.sent - self._number(termios.TIOCOUTQ), other.seen.arrived)
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
        if step.what in ("send", "finish"):
            return one.may_send()
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
        elif step.what in ("close", "abort"):
            one.close(self.of[one.other], step.what == "abort")

    def progress(self) -> tuple:
        """Whatever may still change after a step."""
        seen = self.look()
        return seen, tuple(one.arrived for one in seen), tuple(one.sent for one in self.of.values())

    def close(self) -> None:
        for walker in self.of.values():
            walker.sock.close()


@dataclass
class Walk:
    seed: int
    steps: list[Step] = field(default_factory=list)
    seen: list[Both] = field(default_factory=list)  # after each of them


def settled(ends: Ends, quiet: float) -> Both:
    """What they see when nothing changes any more. What is missing on a direct connection is on its way."""
    started = since = time.monotonic()
    last = ends.progress()
    while time.monotonic() - since < quiet or (any(one.missing for one in last[0]) and time.monotonic() - started < LIMIT):
        time.sleep(quiet / 10)
        if (now := ends.progress()) != last:
            last, since = now, time.monotonic()
    return last[0]


def choice(ends: Ends, dice: random.Random, may_sleep: bool) -> Step | None:
    """A step that means something now; nothing: the walk is over."""
    weighed: list[tuple[int, Step]] = []
    for one in ends.of.values():
        other = ends.of[one.other]
        sizes = SIZES if other.is_open and other.reads else (1, 100, 1000)
        weighed += [(8, Step(one.side, "send", size)) for size in dice.sample(sizes, 2)]
        if other.is_open and not other.reads:
            weighed.append((6, Step(one.side, "send", dice.choice(FILLING))))
        weighed += [(weight, Step(one.side, what)) for weight, what in (
            (3, "urgent"), (3, "finish"), (3, "pause"), (3, "resume"), (2, "close"), (1, "abort"))]
    weighed = [(weight, step) for weight, step in weighed if ends.possible(step)]
    if not weighed:
        return None
    if may_sleep:
        weighed.append((max(1, sum(weight for weight, _ in weighed) // 5), Step("both", "sleep", int(NAP * 1000))))
    return dice.choices([step for _, step in weighed], [weight for weight, _ in weighed])[0]


def record(seed: int, direct: Callable[[], Ends], quiet: float = QUIET, naps: int = 0) -> Walk:
    """The walk of that seed on a direct connection. The steps depend on what was seen there."""
    dice, walk = random.Random(seed), Walk(seed)
    ends = direct()
    try:
        while len(walk.steps) < STEPS and (step := choice(ends, dice, naps > 0)):
            naps -= step.what == "sleep"
            take(walk, ends, step, quiet)
    finally:
        ends.close()
    return walk


def take(walk: Walk, ends: Ends, step: Step, quiet: float) -> None:
    ends.do(step)
    walk.steps.append(step)
    walk.seen.append(settled(ends, quiet))


def repeat(seed: int, steps: list[Step], direct: Callable[[], Ends], quiet: float = QUIET) -> Walk:
    """These steps on a direct connection, without those that are not possible there."""
    walk = Walk(seed)
    ends = direct()
    try:
        for step in steps:
            if ends.possible(step):
                take(walk, ends, step, quiet)
    finally:
        ends.close()
    return walk


def shrunk(walk: Walk, last: int, direct: Callable[[], Ends], fails: Callable[[Walk], bool], seconds: float) -> Walk:
    """The shortest that still fails which is found by dropping what comes after the `last` step, and then one step after the
    other, in that time."""
    until = time.monotonic() + seconds
    walk = Walk(walk.seed, walk.steps[:last + 1], walk.seen[:last + 1])
    at = last
    while at >= 0 and time.monotonic() < until:
        fewer = repeat(walk.seed, walk.steps[:at] + walk.steps[at + 1:], direct)
        if fails(fewer):
            walk, at = fewer, min(at, len(fewer.steps))
        at -= 1
    return walk
