"""Starts the ends of a pair that are not finhold (others/)."""

import fcntl
import functools
import hashlib
import os
import subprocess
import threading
from collections import deque
from pathlib import Path

from certificates import Authority, Identity
from ends import Address
from finhold import PATIENCE, ROOT

OTHERS = Path(__file__).resolve().parent / "others"


class Other:
    """A running one; `address` is where it listens."""

    def __init__(self, command: list[str]):
        self.lines: deque[str] = deque(maxlen=40)
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, text=True)
        self._port: list[int] = []
        self._ready = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        assert self._ready.wait(PATIENCE) and self._port, f"{command} does not start:\n" + "\n".join(self.lines)
        self.address: Address = ("127.0.0.1", self._port[0])

    def _read(self) -> None:
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))
            if line.startswith("listening "):
                self._port.append(int(line.split()[1]))
                self._ready.set()
        self._ready.set()

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
        self._reader.join(PATIENCE)
        self.process.stdout.close()


@functools.cache
def go_program() -> str:
    """Compiled by the first test that needs it, with Debian's standard library, so that nothing is fetched."""
    source, place = OTHERS / "go.go", ROOT / "build" / "go"
    place.mkdir(parents=True, exist_ok=True)
    program = place / f"ends-{hashlib.sha256(source.read_bytes()).hexdigest()[:16]}"
    with (place / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not program.exists():
            subprocess.run(["go", "build", "-o", f"{program}.new", str(source)], check=True, timeout=120,
                           env={**os.environ, "GO111MODULE": "off", "GOFLAGS": "", "GOCACHE": str(place / "cache")})
            os.rename(f"{program}.new", program)
    return str(program)


def program_of(kind: str) -> list[str]:
    return ["node", str(OTHERS / "node.mjs")] if kind == "node" else [go_program()]


def credentials(authority: Authority | None, identity: Identity | None) -> list[str]:
    return [authority.certificate, identity.certificate, identity.key] if authority else []


def other_near(kind: str, far: Address, server: str, authority: Authority | None = None) -> Other:
    return Other([*program_of(kind), "near", str(far[1]), server,
                  *credentials(authority, authority and authority.near)])


def other_far(kind: str, authority: Authority | None = None) -> Other:
    return Other([*program_of(kind), "far", *credentials(authority, authority and authority.far)])
