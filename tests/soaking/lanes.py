"""Lanes: threads of which each has a route and a server of its own, and one session after the other through them."""

import random
import select
import socket
import threading
import time
import traceback
from collections import Counter, deque
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Callable

from checked import HEADER, Checked, Talk, content, is_reset
from ends import LIMIT, Server, connect
from kinds import ORDERLY, WEIGHTS, small

if TYPE_CHECKING:
    from world import Lasting

NUMBERS = count(1)  # of sessions; next() is one step for all threads
STUCK = 240  # seconds that one session may take, and more than any takes


class Windows:
    """When connections between the ends of a pair were cut: a session that was there at the time may have been reset."""

    def __init__(self) -> None:
        self.begun: float | None = None
        self._past: deque[tuple[float, float]] = deque(maxlen=100)

    def begin(self) -> None:
        self.begun = time.monotonic()

    def end(self) -> None:
        self._past.append((self.begun, time.monotonic()))
        self.begun = None

    def overlap(self, since: float) -> bool:
        return self.begun is not None or any(end >= since for _, end in list(self._past))


@dataclass
class Failure:
    lane: "Lane"
    kind: str
    number: int  # of the session in its lane
    problem: BaseException

    def __str__(self) -> str:
        where = traceback.extract_tb(self.problem.__traceback__)
        ours = next((frame for frame in where if frame.filename.endswith("kinds.py")), where[-1])
        what = f"{type(self.problem).__name__}: {self.problem}"
        return f"{self.lane.name}, session {self.number}, {self.kind} (line {ours.lineno}: {ours.line}): {what}"


@dataclass
class Lane:
    """`windows`: of a pair that is cut now and then. `holds`: see kinds.py."""

    name: str
    finhold: "Lasting"
    route: str
    seed: int
    server: Server
    fail: Callable[[Failure], None]
    holds: tuple[str, ...] = ()
    windows: Windows | None = None
    kinds: tuple[str, ...] = ()
    pause: float = 0.3  # seconds between two sessions, at most
    begun: int = 0  # sessions that got to finhold, and of those:
    orderly: int = 0  # that had to be finished
    cut: int = 0  # kinds that a cut has ended
    dead_begun: int = 0
    bytes: int = 0
    done: Counter = field(default_factory=Counter)
    since: float | None = None  # the present one began then

    def __post_init__(self) -> None:
        self.address, self.dead = self.finhold.address(self.route), self.finhold.address("dead")
        self.talks: list[Talk] = []
        self.lost: deque[int] = deque(maxlen=200)  # numbers of sessions that were cut before their server had them
        self.number, self.rests = 0, False
        self.may_run, self.over = threading.Event(), threading.Event()
        self.thread = threading.Thread(target=self._run, name=self.name, daemon=True)
        self.thread.start()

    # For the kinds.

    def open(self, receive_buffer: int = 0) -> Talk:
        number = next(NUMBERS)
        client = Checked(connect(self.address, receive_buffer=receive_buffer), "client", number)
        self.begun += 1
        self.lost.append(number)
        try:
            if self.windows:
                client.send(HEADER)
            server = Checked(self._accept(client), "server", number)
            server.received = HEADER if self.windows else 0
        except BaseException:
            client.close()
            raise
        self.lost.remove(number)
        self.talks.append(Talk(client, server))
        return self.talks[-1]

    def _accept(self, client: Checked) -> socket.socket:
        """Where there are cuts, a server may hear of sessions that their client has lost by then."""
        poll = select.poll()
        poll.register(client.sock, 0)
        poll.register(self.server.sock, select.POLLIN)
        while True:
            ready = [number for number, _ in poll.poll(LIMIT * 1000)]
            assert ready, f"the session did not get to its server within {LIMIT} s"
            if self.server.sock.fileno() not in ready:
                raise ConnectionResetError(104, "reset before the server had it")
            sock = self.server.accept()
            if not self.windows or self._is_of(client, sock):
                return sock
            sock.close()

    def _is_of(self, client: Checked, sock: socket.socket) -> bool:
        sock.settimeout(LIMIT)
        try:
            head = sock.recv(HEADER, socket.MSG_WAITALL)
        except ConnectionResetError:
            return False
        if head == content(client.number, "client", 0, HEADER):
            return True
        earlier = int.from_bytes(head, "big")
        assert not head or earlier in self.lost, f"wrong first bytes: {head.hex()}, not of session {client.number}"
        return False

    # The thread.

    def _run(self) -> None:
        while not self.over.is_set():
            self.rests = False  # before it looks: whoever clears may_run and then reads that it rests may rely on it
            if not self.may_run.is_set():
                self.rests = True
                self.may_run.wait(0.2)
                continue
            self.one()
            if self.pause:
                self.over.wait(random.random() * self.pause)

    def one(self) -> None:
        self.number += 1
        dice = random.Random(f"{self.seed} {self.name} {self.number}")
        wanted = [each for each in WEIGHTS if not self.kinds or each.__name__ in self.kinds]
        self._do(dice.choices(wanted, [WEIGHTS[each] for each in wanted])[0], dice)

    def calibrate(self, number: int) -> None:
        """The same small session for the same number. Called by another thread, while this one rests."""
        self._do(small, random.Random(number))

    def _do(self, chosen: Callable, dice: random.Random) -> None:
        begun, self.since = self.begun, time.monotonic()
        try:
            try:
                chosen(self, dice)
                self.orderly += self.begun - begun if chosen in ORDERLY else 0
            except OSError as problem:
                if not is_reset(problem) or not self.windows or not self.windows.overlap(self.since):
                    raise
                self.cut += 1
                for talk in self.talks:
                    talk.expect_over()
            self.done[chosen.__name__] += 1
            self.bytes += sum(end.received for talk in self.talks for end in (talk.client, talk.server))
        except BaseException as problem:  # noqa: BLE001: it is told, and ends the soak
            self.fail(Failure(self, chosen.__name__, self.number, problem))
        finally:
            for talk in self.talks:
                with suppress(OSError):
                    talk.close()
            self.talks.clear()
            self.since = None

    def endings(self) -> Counter:
        return self.finhold.endings_of(self.route)

    @property
    def is_stuck(self) -> bool:
        since = self.since
        return since is not None and time.monotonic() - since > STUCK
