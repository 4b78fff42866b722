"""The other end of what finhold and systemd say to each other: sockets that are passed, and notices."""

import ctypes
import os
import socket
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Iterator

ACTIVATE = Path(__file__).with_name("activate.py")
LIMIT = 15  # seconds until a notice comes


def listening(host: str = "127.0.0.1", kind: int = socket.SOCK_STREAM) -> socket.socket:
    """As systemd makes one of a .socket unit."""
    made = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, kind)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind((host, 0))
    if kind == socket.SOCK_STREAM:
        made.listen(4096)
    return made


def passing(*sockets: tuple[socket.socket, str]) -> dict[str, Any]:
    """For conftest.start: what starts a finhold with these sockets and their names."""
    words = [f"{each.fileno()}:{name}" for each, name in sockets]
    return {"prefix": (sys.executable, "-B", str(ACTIVATE), *words, "--"),
            "popen": {"pass_fds": [each.fileno() for each, _ in sockets]}}


class Manager:
    """Listens on NOTIFY_SOCKET."""

    def __init__(self, path: str):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.bind(path.replace("@", "\0", 1) if path.startswith("@") else path)
        self.sock.settimeout(LIMIT)
        self.path = path
        self.seen: list[str] = []  # lines, in their order

    def environment(self, **more: str) -> dict[str, Any]:
        return {"env": {**os.environ, "NOTIFY_SOCKET": self.path, **more}}

    def await_line(self, line: str, times: int = 1) -> list[str]:
        """Until it has come that often in all; all lines of the notice in which it did."""
        notice: list[str] = []
        while self.seen.count(line) < times:
            notice = self.sock.recv(4096).decode().splitlines()
            self.seen += notice
        return notice

    def close(self) -> None:
        self.sock.close()


PTRACE_SEIZE, PTRACE_INTERRUPT, PTRACE_DETACH = 0x4206, 0x4207, 17


@contextmanager
def hanging_workers(pid: int) -> Iterator[None]:
    """Every thread of the process stands still but its main one."""
    threads = [int(each) for each in os.listdir(f"/proc/{pid}/task") if int(each) != pid]
    ptrace = ctypes.CDLL(None, use_errno=True).ptrace
    ptrace.argtypes = [ctypes.c_long] * 4
    for thread in threads:
        for request in (PTRACE_SEIZE, PTRACE_INTERRUPT):
            assert ptrace(request, thread, 0, 0) == 0, os.strerror(ctypes.get_errno())
        os.waitpid(thread, 0x4000_0000)  # __WALL
    try:
        yield
    finally:
        for thread in threads:
            ptrace(PTRACE_DETACH, thread, 0, 0)
