"""A finhold whose configuration file changes while it runs."""

import ctypes
import os
import signal
import socket
from pathlib import Path
from typing import Any, Callable

from ends import Address
from finhold import PATIENCE, Event, Finhold, config_text

WORKERS = 2


def free_address(host: str = "127.0.0.1") -> Address:
    """Where nobody listens at the moment: for a listener whose port must be known beforehand."""
    with socket.socket() as sock:
        sock.bind((host, 0))
        return sock.getsockname()


def listening_inodes(pid: int) -> set[str]:
    """The listening IPv4 sockets of the process."""
    table = Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]
    listen = {line.split()[9] for line in table if line.split()[3] == "0A"}
    fds = Path(f"/proc/{pid}/fd")
    return listen & {os.readlink(fd)[8:-1] for fd in fds.iterdir() if os.readlink(fd).startswith("socket:[")}


def keepalive_of_listeners(pid: int, port: int) -> set[int]:
    """The TCP_KEEPIDLE, in seconds, of those at that port: what they accept has it too."""
    system_call = ctypes.CDLL(None, use_errno=True).syscall
    pidfd_getfd = 438
    inodes = listening_inodes(pid)
    seen = set()
    pidfd = os.pidfd_open(pid)
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        if os.readlink(fd).removeprefix("socket:[").removesuffix("]") not in inodes:
            continue
        copy = system_call(pidfd_getfd, pidfd, int(fd.name), 0)
        assert copy >= 0, os.strerror(ctypes.get_errno())
        with socket.socket(fileno=copy) as sock:
            if sock.getsockname()[1] == port:
                seen.add(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE))
    os.close(pidfd)
    return seen


class Reloading:
    """`start`: the fixture of conftest. Routes and tables as for config_text()."""

    def __init__(self, start: Callable[..., Finhold], path: Path, *routes: dict, popen: dict | None = None,
                 arguments: tuple[str, ...] = (), prefix: tuple[str, ...] = (), **tables: Any):
        self.path = path
        self.ports = self.write(*routes, **tables) if routes else 0  # none: the file is there already
        self.finhold = start(arguments=("--config", str(path), *arguments), popen=popen, prefix=prefix)
        self.seen = 0  # events that were looked at

    def write(self, *routes: dict, user: str = "", **tables: Any) -> int:
        """Returns how many listening sockets that makes."""
        tables["limits"] = {"workers": WORKERS, **tables.get("limits", {})}
        self.path.write_text(config_text(list(routes), tables, user))
        return WORKERS * (len(routes) + len(tables.get("far", [])))

    def await_next(self, *messages: str) -> Event:
        """The next line that begins with one of these, each once."""
        finhold = self.finhold
        with finhold._news:
            while True:
                while self.seen < len(finhold.events):
                    event = finhold.events[self.seen]
                    self.seen += 1
                    if event.message.startswith(messages):
                        return event
                assert finhold._news.wait(PATIENCE) and not finhold._over, finhold.log()

    def signal(self) -> Event:
        self.finhold.signal(signal.SIGHUP)
        return self.await_next("reloaded", "nothing was reloaded")

    def reload(self, *routes: dict, **tables: Any) -> Event:
        """With that file; it must succeed."""
        ports = self.write(*routes, **tables)
        event = self.signal()
        assert event.message == "reloaded", self.finhold.log()
        self.finhold.descriptors += ports - self.ports
        self.ports = ports
        return event

    def fail(self) -> list[str]:
        """Must be refused; the reasons."""
        before = len(self.finhold.events)
        event = self.signal()
        assert event.message.startswith("nothing was reloaded"), self.finhold.log()
        return [each["error"] for each in self.finhold.events[before:] if each.level == "error" and "error" in each.fields]
