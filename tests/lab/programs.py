"""The programs that run in a lab: any (Process), and those whose output is understood."""

import json
import re
import subprocess
import threading
import time
from pathlib import Path
from typing import Any, Callable

import wire

START_LIMIT = 15  # seconds for a program to say that it is ready; generous, for a busy machine


class Process:
    """A program in a namespace (None: in the caller's own) whose output lines are collected as they come."""

    def __init__(self, namespace: str | None, command: list[str], **options: Any):
        self.name = f"{Path(command[0]).name} in {namespace or 'this namespace'}"
        self.lines: list[str] = []  # standard output and standard error
        self.started = time.monotonic()
        self.ended: float | None = None
        self._changed = threading.Condition()
        self.process = subprocess.Popen(
            [*(("ip", "netns", "exec", namespace) if namespace else ()), *command],
            stdin=options.get("stdin", subprocess.DEVNULL), stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, errors="replace",
        )
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in self.process.stdout:
            with self._changed:
                self.lines.append(line.rstrip("\n"))
                self._changed.notify_all()
        with self._changed:
            self.ended = time.monotonic()
            self._changed.notify_all()

    def wait_for_lines(self, pattern: str, limit: float, count: int = 1) -> list[re.Match]:
        """The first `count` lines that match, as soon as they are there."""
        found: list[re.Match] = []

        def enough() -> bool:
            found[:] = [match for line in self.lines if (match := re.search(pattern, line))]
            return len(found) >= count or self.ended is not None

        with self._changed:
            self._changed.wait_for(enough, limit)
            if len(found) < count:
                raise AssertionError(
                    f"{self.name}: {len(found)} of {count} lines with '{pattern}' within {limit:g} s; it wrote:\n"
                    + self.output()
                )
        return found[:count]

    def wait_until_ready(self, pattern: str) -> re.Match:
        """What its constructor waits for: a program that does not get ready is stopped, as nobody else knows it yet."""
        try:
            return self.wait_for_lines(pattern, START_LIMIT)[0]
        except BaseException:
            Process.stop(self)
            raise

    def output(self) -> str:
        return "\n".join(self.lines[-60:]) or "(nothing)"

    def wait(self, limit: float) -> int:
        """The exit code."""
        try:
            code = self.process.wait(limit)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} still runs after {limit:g} s; it wrote:\n{self.output()}") from None
        with self._changed:
            self._changed.wait_for(lambda: self.ended is not None, 2)
        return code

    def stop(self) -> int:
        """Asks it to end, asks again (a program may wait for its sessions), and then makes it end."""
        for end in (self.process.terminate, self.process.terminate, self.process.kill):
            if self.process.poll() is not None:
                break
            end()
            try:
                # A pair says goodbye for 2 s at most, if its box lets no FIN pass.
                self.process.wait(4)
            except subprocess.TimeoutExpired:
                continue
        return self.wait(5)


class Traffic(Process):
    """One end of a connection (traffic.py)."""

    def result(self, limit: float = 60) -> dict[str, Any]:
        self.wait(limit)
        if not self.lines or not self.lines[-1].startswith("{"):
            raise AssertionError(f"{self.name} gave no result; it wrote:\n{self.output()}")
        return json.loads(self.lines[-1])


class Finhold(Process):
    """A running finhold; `address` is where it listens, for its first route or as a far end."""

    def __init__(self, namespace: str | None, command: list[str]):
        super().__init__(namespace, command)
        self.address = self.wait_until_ready(r"\blistening (?:route|far)=\S+ address=(\S+)")[1]

    def addresses(self, count: int) -> dict[str, str]:
        """Of each route."""
        return dict(match.groups() for match in
                    self.wait_for_lines(r"\blistening route=(\S+) address=(\S+)", START_LIMIT, count))

    def endings(self, count: int = 1, limit: float = 15) -> list[dict[str, str]]:
        """The fields of the lines that the sessions leave in the log when they end."""
        lines = self.wait_for_lines(r"\bsession=\d+ route=.* ending=.*", limit, count)
        return [dict(re.findall(r"(\w+)=(\S+)", match[0])) for match in lines]

    def ending(self, limit: float = 15) -> dict[str, str]:
        return self.endings(1, limit)[0]

    def stop(self) -> int:
        code = super().stop()
        text = "\n".join(self.lines)
        if code != 0 or "Sanitizer" in text or "runtime error:" in text:
            raise AssertionError(f"{self.name} ended with {code}; it wrote:\n{self.output()}")
        return code


class Capture(Process):
    """tcpdump on one of the gateway's interfaces: "gc" faces the client, "gs" the server."""

    def __init__(self, namespace: str, interface: str, path: Path):
        self.path = path
        # --immediate-mode: each segment is in the file as soon as it was on the wire.
        super().__init__(namespace, ["tcpdump", "-n", "-i", interface, "--immediate-mode", "-U", "-s", "128",
                                     "-Z", "root", "-w", str(path), "tcp"])
        self.wait_until_ready("listening on")

    def segments(self, port: int, until: Callable[[list[wire.Segment]], Any] = bool) -> list[wire.Segment]:
        """The segments of a server's port so far. Waits a little for those that `until` looks for."""
        limit = time.monotonic() + 2
        while True:
            found = wire.read_capture(self.path, port)
            if until(found) or time.monotonic() > limit:
                return found
            time.sleep(0.05)
