"""Starts that the kernel refuses something: a call that fails (strace injects it), or a limit."""

import os
import re
import resource
import signal
import subprocess
from pathlib import Path

from finhold import BINARY, COMPLAINTS, PATIENCE

# LeakSanitizer needs ptrace for itself.
ENVIRONMENT = {**os.environ, "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"}


class Attempt:
    """One start, up to "ready" (which is ended in order then) or to its own end."""

    def __init__(self, config: Path, prefix: tuple[str, ...] = (), descriptors: int = 0):
        limit = (lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))) if descriptors else None
        process = subprocess.Popen([*prefix, BINARY, "run", "--config", str(config)], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT,
                                   preexec_fn=limit)
        self.lines: list[str] = []
        self.ready = False
        try:
            for line in process.stderr:
                self.lines.append(line.rstrip("\n"))
                if " ready workers=" in line:
                    self.ready = True
                    os.kill(started_by(process.pid) if prefix else process.pid, signal.SIGTERM)
            self.code = process.wait(PATIENCE)
        finally:
            process.kill()
            process.wait()
            process.stderr.close()

    def is_orderly(self) -> bool:
        """It ran, and ended as it should; or it said why it does not, and is over."""
        bad = [line for line in self.lines if any(word in line for word in COMPLAINTS)]
        if bad or not self.lines:
            return False
        return self.code == 0 if self.ready else self.code == 1 and has_reason(self.lines[-1])


def has_reason(line: str) -> bool:
    """Of a start that fails: what, why, and nothing left blank."""
    return re.search(r"cannot (start|listen|dial|go on)[^:]*: \S", line) is not None


def started_by(pid: int) -> int:
    """The program that a strace has started."""
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text())


def refusing(call: str, error: str, when: int, log: Path) -> tuple[str, ...]:
    """A prefix: the kernel refuses the `when`th such call of the main thread."""
    return ("strace", "-o", str(log), "-e", f"trace={call}", "-e", f"inject={call}:error={error}:when={when}")
