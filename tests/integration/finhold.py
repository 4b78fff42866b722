"""A running finhold, as its tests see it: a process, its log lines as they come, and what it must
leave behind, which is nothing."""

import contextlib
import json
import os
import re
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import Any, Callable, Iterator

from ends import Address, text_of

ROOT = Path(__file__).resolve().parent.parent.parent
BINARY = os.environ.get("FINHOLD", str(ROOT / "build" / "dev" / "finhold"))
SPLICE = os.environ.get("FINHOLD_SPLICE")  # forces one data path upon every test
PATIENCE = 20  # seconds that anything may take; generous, for a busy machine

FIELD = re.compile(r' (\w+)=("(?:[^"\\]|\\.)*"|\S+)')
COMPLAINTS = ("check failed", "Sanitizer", "runtime error:")


class Event:
    """One line of the log."""

    def __init__(self, line: str):
        self.line = line
        if line.startswith("{"):
            self.fields = json.loads(line)
            self.level, self.message = self.fields["level"], self.fields["message"]
        else:
            self.fields = {key: value.strip('"') for key, value in FIELD.findall(line)}
            _, self.level, self.message = (FIELD.sub("", line).split(" ", 2) + ["", ""])[:3]

    def __getitem__(self, key: str) -> Any:
        return self.fields[key]

    def __repr__(self) -> str:
        return self.line


class Finhold:
    """Starts a finhold. `wait`: until it is ready. `prefix`: a command that starts it; `popen`: further
    options of subprocess.Popen."""

    def __init__(self, arguments: list[str], prefix: tuple[str, ...] = (), wait: bool = True, **popen: Any):
        self.events: list[Event] = []
        self._over = False
        self._news = threading.Condition()
        self.process = subprocess.Popen(
            [*prefix, BINARY, *arguments, *(["--splice", SPLICE] if SPLICE else [])], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            **{"stderr": subprocess.PIPE, **popen},
        )
        self.pid = self.process.pid
        self.stopped = False
        self._reader = threading.Thread(target=self._read, daemon=True)
        if self.process.stderr:
            self._reader.start()
        if wait:
            self.descriptors = self._after_start()

    def _read(self) -> None:
        for line in self.process.stderr:
            with self._news:
                self._note(Event(line.decode(errors="replace").rstrip("\n")))
                self._news.notify_all()
        with self._news:
            self._over = True
            self._news.notify_all()

    def _note(self, event: Event) -> None:
        self.events.append(event)

    def _after_start(self) -> int:
        try:
            self.await_event("ready")
        except AssertionError:
            self.process.kill()
            self.process.wait()
            raise
        return self.settled_descriptors()

    # What it says.

    def found(self, message: str, **fields: str) -> list[Event]:
        """The lines so far with that message (the beginning of it) and those fields."""
        return [
            event for event in list(self.events)
            if event.message.startswith(message)
            and all(event.fields.get(key) == value for key, value in fields.items())
        ]

    def await_events(self, message: str, count: int, **fields: str) -> list[Event]:
        with self._news:
            self._news.wait_for(
                lambda: self._over or len(self.found(message, **fields)) >= count, PATIENCE)
        found = self.found(message, **fields)
        assert len(found) >= count, f"{len(found)} of {count} '{message}' {fields} in:\n{self.log()}"
        return found

    def await_event(self, message: str, **fields: str) -> Event:
        return self.await_events(message, 1, **fields)[-1]

    def ending(self, **fields: str) -> Event:
        """The line of the (only) session that has ended, or ends soon."""
        return self.await_event("session ended", **fields)

    def endings(self, count: int, **fields: str) -> list[Event]:
        return self.await_events("session ended", count, **fields)

    def log(self) -> str:
        return "\n".join(event.line for event in self.events[-40:]) or "(nothing)"

    # Where it listens.

    def address(self, route: str = "main") -> Address:
        """Of a route, or of a far end."""

        def lines() -> list[Event]:
            return self.found("listening", route=route) + self.found("listening", far=route)

        with self._news:
            self._news.wait_for(lambda: self._over or lines(), PATIENCE)
        assert lines(), f"nothing listens for {route}:\n{self.log()}"
        host, _, port = lines()[-1]["address"].rpartition(":")
        return host.strip("[]"), int(port)

    # What it holds.

    def open_descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def settled_descriptors(self) -> int:
        """Without those that are open for a moment only, as while a thread starts."""
        counts = []
        for _ in range(3):
            counts.append(self.open_descriptors())
            time.sleep(0.005)
        return min(counts)

    def peak_memory(self) -> int:
        """Bytes: the most that it ever had resident."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024

    def memory_factor(self) -> int:
        """What a byte costs: ThreadSanitizer keeps several for each."""
        return 8 if "libtsan" in Path(f"/proc/{self.pid}/maps").read_text() else 1

    def await_nothing_left(self) -> None:
        """No session, so no descriptor more than when it was ready."""
        wait_until(lambda: self.open_descriptors() <= self.descriptors,
                   lambda: f"{self.open_descriptors()} descriptors, {self.descriptors} at first")

    @contextlib.contextmanager
    def suspended(self) -> Iterator[None]:
        """It is stopped: what comes meanwhile is all there in its next turn, and no later event helps."""
        self.signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self.pid, os.WSTOPPED)  # once every thread of it is
        try:
            yield
        finally:
            self.signal(signal.SIGCONT)

    # How it ends.

    def signal(self, number: int = signal.SIGTERM) -> None:
        self.process.send_signal(number)

    def await_exit(self, code: int = 0) -> None:
        try:
            actual = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"finhold does not end; it wrote:\n{self.log()}") from None
        finally:
            self.stopped = True
            if self.process.stderr:
                self._reader.join(PATIENCE)
        self.assert_no_complaint()
        assert actual == code, f"exit code {actual}, not {code}; it wrote:\n{self.log()}"

    def assert_no_complaint(self) -> None:
        bad = [event.line for event in self.events if any(word in event.line for word in COMPLAINTS)]
        assert not bad, "\n".join(event.line for event in self.events)

    def stop(self) -> None:
        """The orderly end: all sessions are over, nothing is left of them, exit code 0."""
        if self.stopped:
            return
        try:
            self.await_nothing_left()
        finally:
            self.signal()
            self.await_exit()

    def kill(self) -> None:
        """SIGKILL: the end that nobody can prepare for."""
        self.process.kill()
        self.process.wait()
        self.stopped = True


def wait_until(condition: Callable[[], bool], what: Callable[[], str] = lambda: "", limit: float = PATIENCE) -> None:
    """For what tells no event: the kernel's tables."""
    stop = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < stop, f"not within {limit} s: {what()}"
        time.sleep(0.01)


def lean_environment() -> dict[str, Any]:
    """Options of subprocess.Popen for tests that measure memory: AddressSanitizer keeps little of what was freed, and no
    stacks of its own."""
    options = os.environ.get("ASAN_OPTIONS", "")
    lean = f"{options}:quarantine_size_mb=1:detect_stack_use_after_return=0"
    return {"env": {**os.environ, "ASAN_OPTIONS": lean}}


def toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {toml(each)}" for key, each in value.items()) + " }"
    return json.dumps(value)


def config_text(routes: list[dict[str, Any]], tables: dict[str, Any], user: str = "") -> str:
    """A configuration file. A route may have a table "fin"; of some tables there are several, in a list."""
    lines: list[str] = [f"user = {toml(user)}"] if user else []
    for name, table in tables.items():
        for each in table if isinstance(table, list) else [table]:
            lines += [f"[[{name}]]" if isinstance(table, list) else f"[{name}]",
                      *(f"{key} = {toml(value)}" for key, value in each.items())]
    for route in routes:
        fin = route.get("fin", {})
        lines += ["[[route]]", *(f"{key} = {toml(value)}" for key, value in route.items() if key != "fin")]
        lines += ["[route.fin]", *(f"{key} = {toml(value)}" for key, value in fin.items())]
    return "\n".join(lines) + "\n"


def route_to(server: Address | str, crosses: str = "none", listen: str = "127.0.0.1:0", name: str = "main",
             **keys: Any) -> dict[str, Any]:
    return {"name": name, "listen": listen, "server": server if isinstance(server, str) else text_of(server),
            "crosses": crosses, **keys}
