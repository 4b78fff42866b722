"""Calls of a running finhold that fail when they are told to (failing_calls.cc, preloaded), and what each may fail with."""

import errno
import mmap
import os
import signal
import socket
import struct
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Iterator

import pytest
from admin import Admin
from finhold import BINARY, PATIENCE, ROOT, Finhold, wait_until

LIBRARY = next((path for path in (Path(BINARY).parent / "failing_calls.so", ROOT / "build/dev/failing_calls.so") if path.exists()),
               ROOT / "build/dev/failing_calls.so")
EVERYTHING = bool(os.environ.get("FAULTS"))  # every call with every errno, by hand
SEED = int(os.environ.get("SEED", "1"))  # of the pairs

# What a call may fail with: its manual page, without what is a mistake of the program (EBADF, EFAULT, EINVAL, ENOTSOCK and the
# like), and without what would be a lie of the kernel: a socket that epoll has just told of does not say EAGAIN ("not now"), and
# EPIPE says that a FIN has come before the RST, which the simulation has.
# The first is the likeliest: that is what CI tries.
WANT = ["EMFILE", "ENFILE", "ENOMEM"]
ERRORS: dict[str, list[str]] = {
    "accept4": ["EMFILE", "ENFILE", "ENOBUFS", "ENOMEM", "ECONNABORTED", "EPERM", "EPROTO", "EINTR"],
    "access": ["EACCES", "ENOENT", "EIO", "ENOMEM"],
    "bind": ["EADDRINUSE", "EACCES", "EADDRNOTAVAIL", "ENOMEM"],
    "cap_get_proc": ["ENOMEM"],
    "cap_set_proc": ["EPERM"],
    "close": ["EIO", "EINTR"],
    "connect": ["ECONNREFUSED", "EADDRNOTAVAIL", "ENETUNREACH", "EPERM", "EACCES", "EAGAIN", "ETIMEDOUT"],
    "connect_datagram": ["ENETUNREACH", "EACCES", "EAGAIN"],
    "dup": ["EMFILE"],
    "epoll_create1": WANT,
    "epoll_ctl_add": ["ENOSPC", "ENOMEM"],
    "epoll_wait": ["EINTR"],
    "eventfd": [*WANT, "ENODEV"],
    "fcntl": ["EPERM", "EBUSY", "ENOMEM", "EMFILE"],
    "fopen": ["EACCES", "EMFILE", "ENFILE", "ENOMEM", "ENOENT"],
    "fstat": ["ENOMEM", "EIO"],
    "getaddrinfo": ["EAI_AGAIN", "EAI_MEMORY", "EAI_FAIL", "EAI_NONAME", "EAI_SYSTEM"],
    "getpeername": ["ENOBUFS", "ENOTCONN"],
    "getpwnam_r": [*WANT, "EIO"],
    "getrandom": ["ENOSYS", "EINTR"],
    "getrlimit": ["EPERM"],
    "getsockname": ["ENOBUFS"],
    "getsockopt": ["ENOBUFS", "ENOPROTOOPT"],
    "ioctl": ["ENOTTY"],
    "listen": ["EADDRINUSE"],
    "memfd_create": WANT,
    "mmap": ["ENOMEM"],
    "open": ["EMFILE", "ENFILE", "EACCES", "ENOENT", "ENOMEM", "EIO"],
    "pipe2": ["EMFILE", "ENFILE"],
    "poll": ["ENOMEM", "EINTR"],
    "prctl": ["EPERM", "ENOSYS"],
    "pread": ["EIO", "EINTR"],
    "pthread_create": ["EAGAIN"],
    "read_event": ["EINTR"],
    "read_file": ["EIO", "EINTR"],
    "recv": ["ECONNRESET", "ENOMEM", "ETIMEDOUT", "EHOSTUNREACH", "EINTR"],
    "recvfrom": ["ENOMEM", "ECONNRESET", "ENOBUFS", "EINTR"],
    "sched_getaffinity": ["EPERM"],
    "send": ["ECONNRESET", "ENOBUFS", "ENOMEM", "ETIMEDOUT", "EHOSTUNREACH", "EINTR"],
    "setrlimit": ["EPERM"],
    "setsockopt": ["ENOBUFS", "ENOPROTOOPT", "EPERM", "ENOMEM"],
    "shutdown": ["ENOTCONN", "EACCES", "ENOBUFS"],
    "signalfd": [*WANT, "ENODEV"],
    "socket": ["EMFILE", "ENFILE", "ENOBUFS", "ENOMEM", "EACCES", "EAFNOSUPPORT"],
    "splice": ["EINVAL", "ENOMEM", "ECONNRESET"],
    "stat": ["EACCES", "ENOENT", "ENOMEM", "EIO"],
    "write_event": ["EINTR"],
    "write_file": ["EINTR"],  # of the log: a line that is lost otherwise, see test_log.py
    "malloc": ["ENOMEM"],
    "calloc": ["ENOMEM"],
    "realloc": ["ENOMEM"],
    "new_": ["ENOMEM"],
}
ALLOCATIONS = ("malloc", "calloc", "realloc", "new_", "mmap")


def number(error: str) -> int:
    return getattr(socket, error) if error.startswith("EAI_") else getattr(errno, error)


@dataclass(frozen=True)
class Fault:
    call: str
    nth: int  # from when it is armed
    error: str

    def __str__(self) -> str:
        return f"{self.call} #{self.nth}: {self.error}"


class Calls:
    """What the finhold that is started with environment() calls."""

    _FORM = struct.Struct("40sqqqqii")
    _MOST = 128
    _MADE, _FAILED, _UNTIL, _WITH = 40, 48, 56, 72

    def __init__(self, folder: Path, name: str = "calls", keep: bool = False):
        """`keep`: the file is there, and knows the names of a run before."""
        self.path = folder / name
        if not keep:
            self.path.write_bytes(bytes(self._FORM.size * self._MOST))
        self.path.chmod(0o666)
        with self.path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), 0)

    def environment(self) -> dict[str, str]:
        options = os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0:allocator_may_return_null=1"
        return {**os.environ, "ASAN_OPTIONS": options, "LD_PRELOAD": str(LIBRARY), "FAILING_CALLS": str(self.path)}

    def _places(self) -> Iterator[tuple[str, int]]:
        for place in range(0, len(self._map), self._FORM.size):
            name = self._map[place:place + 40].rstrip(b"\0").decode()
            if name:
                yield name, place

    def _place(self, call: str) -> int:
        return next(place for name, place in self._places() if name == call)

    def _number(self, place: int) -> int:
        return struct.unpack_from("q", self._map, place)[0]

    def made(self) -> dict[str, int]:
        return {name: self._number(place + self._MADE) for name, place in self._places()}

    def arm(self, *faults: Fault) -> None:
        """Each in a place of its own; before a start too, if it was started once."""
        for slot, fault in enumerate(faults):
            place = self._place(fault.call)
            struct.pack_into("i", self._map, place + self._WITH + 4 * slot, number(fault.error))
            struct.pack_into("q", self._map, place + self._UNTIL + 8 * slot, fault.nth)

    def disarm(self) -> int:
        """Nothing fails any more. How many have."""
        failed = 0
        for _, place in self._places():
            struct.pack_into("qq", self._map, place + self._UNTIL, 0, 0)
            failed += self._number(place + self._FAILED)
            struct.pack_into("q", self._map, place + self._FAILED, 0)
        return failed

    def forget(self) -> None:
        """As before the start, but for the names."""
        for _, place in self._places():
            self._map[place + self._MADE:place + self._FORM.size] = bytes(self._FORM.size - self._MADE)

    def recorded(self, before: dict[str, int]) -> dict[str, int]:
        """Those since then, how often each."""
        return {name: count - before.get(name, 0) for name, count in self.made().items() if count > before.get(name, 0)}


def some(count: int, most: int) -> list[int]:
    """The first, the last, and what lies evenly between them: at most that many."""
    if EVERYTHING or count <= most:
        return list(range(1, min(count, 400) + 1))
    return sorted({1 + round(i * (count - 1) / (most - 1)) for i in range(most)} if most > 1 else {1})


def faults_of(counts: dict[str, int], most: int, allocations: int, errors: int = 2) -> list[Fault]:
    """For each call at most that many of its places, with its `errors` likeliest failures by turns."""
    unknown = set(counts) - set(ERRORS)
    assert not unknown, f"nothing is known of how these fail: {unknown}"
    made = []
    for call, count in sorted(counts.items()):
        likely = ERRORS[call] if EVERYTHING else ERRORS[call][:errors]
        for i, nth in enumerate(some(count, allocations if call in ALLOCATIONS else most)):
            made += [Fault(call, nth, error) for error in (likely if EVERYTHING or count == 1 else [likely[i % len(likely)]])]
    return made


TURNS = 5000  # of the loop, for what is tried and what is checked after it: hundreds are usual, a spin makes very many more


class Watched:
    """A finhold whose calls may fail. `staying`: sessions that stay open."""

    def __init__(self, calls: Calls, staying: int):
        self.calls, self.staying = calls, staying
        self.base: dict[str, int] = {}

    def began(self, finhold: Finhold) -> None:
        self.finhold = finhold
        self.admin = Admin(finhold)
        self.base = {}

    def is_over(self) -> bool:
        return self.finhold._over

    def ends_soon(self) -> bool:
        """An end by a failure is seen by others a moment before it is over."""
        with suppress(subprocess.TimeoutExpired):
            self.finhold.process.wait(1)
        return self.finhold.process.returncode is not None

    def descriptors(self) -> dict[str, int]:
        """How many of each kind: sockets, pipes, ... Without the connections of tunnels, which it counts itself: one more that a session
        has waited for stays for a minute."""
        status = self.admin.status()
        kinds = {"socket": -sum(end["connections"] for kind in ("tunnels", "fars") for end in status[kind])}
        for fd in Path(f"/proc/{self.finhold.pid}/fd").iterdir():
            with suppress(FileNotFoundError):
                kind = os.readlink(fd).partition(":")[0]
                kinds[kind] = kinds.get(kind, 0) + 1
        return kinds

    def more(self) -> dict[str, int]:
        return {kind: count - self.base.get(kind, 0) for kind, count in self.descriptors().items() if count > self.base.get(kind, 0)}

    def await_nothing_left(self, staying: int | None = None) -> None:
        """No slot of a session, and no descriptor."""
        self._open, staying = -1, self.staying if staying is None else staying

        def settled() -> bool:
            self._open = self.admin.status()["sessions"]
            return self._open == staying

        wait_until(settled, lambda: f"{self._open} sessions, not {staying}")
        if self.base:
            wait_until(lambda: not self.more(), lambda: f"it has more open: {self.more()}")
        self.finhold.assert_no_complaint()

    def signal_reload(self) -> str:
        """What the reload came to. "over": finhold has ended."""
        finhold, before = self.finhold, len(self.finhold.events)

        def ends() -> list[str]:
            return [event.message for event in finhold.events[before:] if event.message.startswith(("reloaded", "nothing was reloaded"))]

        finhold.signal(signal.SIGHUP)
        with finhold._news:
            finhold._news.wait_for(lambda: finhold._over or ends(), PATIENCE)
        if finhold._over:
            return "over"
        assert ends(), f"the reload hangs:\n{finhold.log()}"
        if ends()[0] != "reloaded":
            assert any("error" in event.fields for event in finhold.events[before:] if event.level == "error"), f"no reason:\n{finhold.log()}"
        return ends()[0]

    def assert_may_have_ended(self, faults: tuple[Fault, ...]) -> None:
        """For want of memory only, and it says so."""
        self.finhold.await_exit(1)
        assert any(fault.call in ALLOCATIONS for fault in faults), f"it has ended:\n{self.finhold.log()}"
        assert "no memory" in self.finhold.log() or "cannot go on" in self.finhold.log(), self.finhold.log()


@pytest.fixture
def patience():
    """For a test of many faults: more than one of conftest.py has."""
    signal.alarm(0 if EVERYTHING else 170)


class Results:
    """Of many faults in one test: all that is wrong is told, up to a bound."""

    MOST = 15

    def __init__(self, least: float):
        self.tried = self.reached = 0
        self.problems: list[str] = []
        self.least = least  # the part that must have happened: not every run of a program makes the same calls

    def take(self, attempt: Callable[[], bool], begin_again: Callable[[], None]) -> None:
        self.tried += 1
        try:
            self.reached += attempt()
        except AssertionError as problem:
            self.problems.append(str(problem))
            print(problem, flush=True)
            assert len(self.problems) < self.MOST, "\n".join(self.problems)
            begin_again()

    def settle(self, what: str) -> None:
        print(f"{what}: {self.reached} of {self.tried} faults have happened", flush=True)
        assert not self.problems, "\n".join(self.problems)
        assert self.reached >= self.least * self.tried


def recording(calls: Calls, action: Callable[[], None], after: Callable[[], None] = lambda: None) -> dict[str, int]:
    """The calls of an action: the most of two times, since how bytes fall into reads is not the same each time."""
    counts: dict[str, int] = {}
    for _ in range(2):
        before = calls.made()
        action()
        for call, count in calls.recorded(before).items():
            counts[call] = max(count, counts.get(call, 0))
        after()
    return counts
