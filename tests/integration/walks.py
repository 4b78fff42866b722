"""Random walks: two ends do the same seeded steps on a direct connection and through finhold, and after each step what each of
them has seen is compared. The oracle is the direct connection; what the rules of closing change is said in one place (`through`).

    walk = record(seed)              # on a direct connection of this machine
    follow(walk, session, "client")  # the same through a finhold whose client leg crosses a middlebox

By hand, for longer:  WALKS=5000 FIRST=1 /usr/bin/python3 -m pytest tests/integration/closing/test_walks.py"""

import fcntl
import random
import select
import socket
import struct
import termios
import time
from dataclasses import dataclass, field

from ends import Server, pattern

SIDES = ("client", "server")
STEPS = 25
QUIET = 0.02  # seconds without a change, on a direct connection over loopback: then a step has had its effect
PATIENT = 0.3  # the same, where the machine has much else to do
LIMIT = 20  # seconds for the same through finhold, which is awaited
SMALL = 4000  # what is sent to one who does not read, at a time and in all: the smallest buffers take it
SIZES = (1, 2, 100, 4096, 65_536, 300_000, 1_000_000)


@dataclass(frozen=True)
class Seen:
    """What an end knows. `arrived`: bytes, read or not. `reset`: an error came, whatever was read before."""

    arrived: int = 0
    ended: bool = False
    reset: bool = False


@dataclass(frozen=True)
class Step:
    side: str
    what: str  # send, finish, close, abort, pause, resume, nothing
    size: int = 0

    def __str__(self) -> str:
        return f"{self.side} {self.what}" + (f" {self.size}" if self.size else "")


class Walker:
    """One end."""

    def __init__(self, sock: socket.socket, side: str):
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # else few bytes wait for an acknowledgement, now and then
        self.sock, self.side = sock, side
        self.other = SIDES[1 - SIDES.index(side)]
        self.sent = self.read = 0
        self.seen = Seen()
        self.reads = self.is_open = True
        self.finished = False
        self.over = False  # an end or an error was read
        self.unread = 0  # bytes that were sent to it while it did not read

    def may_send(self) -> bool:
        return self.is_open and not self.finished and not self.seen.reset

    def look(self) -> None:
        """All that has come; and whether an error has, which one who does not read hears of too."""
        if not self.is_open:
            return
        ended, reset = self.seen.ended, self.seen.reset
        while self.reads and not self.over:
            try:
                data = self.sock.recv(1 << 20)
            except BlockingIOError:
                break
            except (ConnectionResetError, BrokenPipeError):
                reset = self.over = True
                break
            assert data == pattern(self.other, self.read, len(data)), f"wrong bytes at {self.side} behind {self.read}"
            self.read += len(data)
            ended = self.over = not data
        poll = select.poll()
        poll.register(self.sock, 0)
        if any(events & select.POLLERR for _, events in poll.poll(0)):
            # Told once all that came before it was read, as whoever reads would hear of it.
            reset = reset or not self.reads or self.over
        self.seen = Seen(self.read + (0 if self.reads else self._waiting()), ended, reset)

    def _waiting(self) -> int:
        return struct.unpack("i", fcntl.ioctl(self.sock, termios.FIONREAD, b"\0" * 4))[0]

    def send_some(self, stop: int) -> None:
        try:
            self.sent += self.sock.send(pattern(self.side, self.sent, min(stop - self.sent, 1 << 20)))
        except BlockingIOError:
            pass
        except (ConnectionResetError, BrokenPipeError):
            self.over = True  # the error was told here, and recv() would make an end of it
            self.seen = Seen(self.seen.arrived, self.seen.ended, True)

    def close(self, abort: bool) -> None:
        if abort:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()
        self.is_open = False


class Ends:
    """Both, over a session of whatever kind."""

    def __init__(self, client: socket.socket, server: socket.socket):
        self.of = {"client": Walker(client, "client"), "server": Walker(server, "server")}

    def look(self) -> tuple[Seen, Seen]:
        for walker in self.of.values():
            walker.look()
        return tuple(walker.seen for walker in self.of.values())

    def do(self, step: Step) -> None:
        one = self.of[step.side]
        if step.what == "send":
            stop = one.sent + step.size
            limit = time.monotonic() + LIMIT
            while one.sent < stop and one.may_send():
                one.send_some(stop)
                self.look()
                assert time.monotonic() < limit, f"{step}: {stop - one.sent} bytes were not taken"
            other = self.of[one.other]
            other.unread += 0 if other.reads else step.size
        elif step.what == "finish":
            one.finished = True
            # One that was reset meanwhile has nothing to end any more.
            try:
                one.sock.shutdown(socket.SHUT_WR)
            except OSError:
                pass
        elif step.what in ("pause", "resume"):
            one.reads = step.what == "resume"
            one.unread = 0
        elif step.what in ("close", "abort"):
            one.close(step.what == "abort")

    def close(self) -> None:
        for walker in self.of.values():
            if walker.is_open:
                walker.close(False)


@dataclass
class Walk:
    seed: int
    steps: list[Step] = field(default_factory=list)
    seen: list[tuple[Seen, Seen]] = field(default_factory=list)  # after each of them

    def __str__(self) -> str:
        lines = [f"seed {self.seed}:"]
        for step, (client, server) in zip(self.steps, self.seen):
            lines.append(f"  {step!s:22} client {client}, server {server}")
        return "\n".join(lines)


def settled(ends: Ends, quiet: float) -> tuple[Seen, Seen]:
    last, since = ends.look(), time.monotonic()
    while time.monotonic() - since < quiet:
        time.sleep(quiet / 20)
        if (now := ends.look()) != last:
            last, since = now, time.monotonic()
    return last


def choices(ends: Ends, dice: random.Random) -> Step | None:
    """A step that means something now; nothing: the walk is over."""
    possible: list[tuple[int, Step]] = []
    for one in ends.of.values():
        if not one.is_open:
            continue
        other = ends.of[one.other]
        if one.may_send():
            sizes = SIZES if other.is_open and other.reads else [size for size in (1, 100, 1000) if other.unread + size <= SMALL]
            possible += [(8, Step(one.side, "send", size)) for size in dice.sample(sizes, min(2, len(sizes)))]
            possible.append((3, Step(one.side, "finish")))
        possible.append((3, Step(one.side, "pause" if one.reads else "resume")))
        possible += [(2, Step(one.side, "close")), (1, Step(one.side, "abort"))]
    if not possible:
        return None
    return dice.choices([step for _, step in possible], [weight for weight, _ in possible])[0]


def record(seed: int, quiet: float = QUIET) -> Walk:
    """The walk of that seed on a direct connection. The steps depend on what was seen there."""
    dice, walk = random.Random(seed), Walk(seed)
    server = Server()
    session = server.session(server.address)
    ends = Ends(session.client.sock, session.server.sock)
    try:
        while len(walk.steps) < STEPS and (step := choices(ends, dice)):
            ends.do(step)
            walk.steps.append(step)
            walk.seen.append(settled(ends, quiet))
    finally:
        ends.close()
        server.sock.close()
    return walk


class Rules:
    """What the rules of closing make of what a direct connection shows: an end that is held is seen later. One whose program is
    gone is not held (R3b), nor is one whose reader has ended too (R3a)."""

    def __init__(self, crosses: str):
        self.crossing = {side: crosses in (side, "both") for side in SIDES}
        self.finished = {side: False for side in SIDES}
        self.gone = {side: False for side in SIDES}
        self.reads = {side: True for side in SIDES}
        self.last = {side: Seen() for side in SIDES}  # what it should have seen by now

    def note(self, step: Step) -> None:
        self.finished[step.side] |= step.what in ("finish", "close", "abort")
        self.gone[step.side] |= step.what in ("close", "abort")
        if step.what in ("pause", "resume"):
            self.reads[step.side] = step.what == "resume"

    def through(self, direct: tuple[Seen, Seen]) -> tuple[Seen, Seen]:
        for side, other, seen in zip(SIDES, reversed(SIDES), direct):
            if self.gone[side]:
                continue
            held = self.crossing[side] and not self.finished[side] and not self.gone[other] and not seen.reset
            ended = seen.ended and not held if self.reads[side] else self.last[side].ended
            self.last[side] = Seen(seen.arrived, ended, seen.reset)
        return tuple(self.last[side] for side in SIDES)


def follow(walk: Walk, ends: Ends, crosses: str) -> None:
    """Does the steps, and awaits after each that both ends have seen what they should, and no more."""
    rules = Rules(crosses)
    done: list[str] = []
    for step, direct in zip(walk.steps, walk.seen):
        ends.do(step)
        rules.note(step)
        expected = rules.through(direct)
        limit = time.monotonic() + LIMIT
        while (seen := ends.look()) != expected:
            if time.monotonic() > limit:
                raise AssertionError("\n".join([f"seed {walk.seed}, crosses {crosses}, after:", *done, f"  {step}", "expected:",
                                                *map(str, expected), "seen:", *map(str, seen)]))
            time.sleep(0.001)
        done.append(f"  {step!s:22} client {seen[0]}, server {seen[1]}")
