"""What must not grow: figures of a world at rest, with bounds, and their table."""

import os
import re
import socket
import struct
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from world import World

MIB = 1 << 20

# By the last word of its name, how far a figure may be above its start, and what that is for.
BOUNDS = {
    "memory": lambda start: start + start // 5 + 4 * MIB,  # what malloc keeps, and the shape of its holes
    "descriptors": lambda start: start + 4,  # a pipe that is kept, a tunnel connection that is left for a minute
    "threads": lambda start: start + 2,  # look-ups come and go
    "sockets": lambda start: start + 8,
    "conntrack": lambda start: start + 20,
    "cpu": lambda start: start * 2 + 50,  # microseconds; other programs share the caches
}
SHOWN = {"memory": lambda value: f"{value / MIB:.2f} MiB", "cpu": lambda value: f"{value:.0f} us"}


def memory(pid: int) -> int:
    """Bytes that are its own, and its part of what it shares (PSS)."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return int(re.search(r"^Pss:\s+(\d+) kB", rollup, re.MULTILINE)[1]) * 1024


def cpu(pid: int) -> int:
    """Nanoseconds of all its threads."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            total += int((task / "schedstat").read_text().split()[0])
        except (FileNotFoundError, ProcessLookupError):  # a thread that has ended meanwhile
            pass
    return total


def sockets() -> int:
    """TCP sockets that this kernel has, whether or not a program has them. Those in TIME_WAIT go after a minute."""
    lines = subprocess.run(["ss", "-Htan"], capture_output=True, text=True, check=True).stdout.splitlines()
    return sum(not line.startswith("TIME-WAIT") for line in lines)


def conntrack() -> int:
    """Entries that are still good. A dump passes over the others, which nf_conntrack_count may have for a minute."""
    request, dump, family = 0x1, 0x300, socket.AF_UNSPEC
    message = struct.pack("=IHHII", 20, 1 << 8 | 1, request | dump, 1, 0) + struct.pack("=BBH", family, 0, 0)
    entries = 0
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12) as sock:  # NETLINK_NETFILTER
        sock.settimeout(10)
        sock.sendto(message, (0, 0))
        while True:
            data = sock.recv(1 << 20)
            while data:
                length, kind = struct.unpack_from("=IH", data)
                if kind == 2:  # NLMSG_ERROR
                    raise OSError(-struct.unpack_from("=i", data, 16)[0], "conntrack cannot be read")
                if kind == 3:  # NLMSG_DONE
                    return entries
                entries += 1
                data = data[length + 3 & ~3:]


def at_rest(world: "World") -> dict[str, int]:
    figures = {}
    for finhold in world.finholds:
        figures[f"{finhold.name} memory"] = memory(finhold.pid)
        figures[f"{finhold.name} descriptors"] = finhold.open_descriptors()
        figures[f"{finhold.name} threads"] = len(os.listdir(f"/proc/{finhold.pid}/task"))
    figures["sockets"] = sockets()
    figures["conntrack"] = conntrack()
    return figures


def grown(start: dict[str, float], end: dict[str, float], told_only: tuple[str, ...] = ()) -> list[str]:
    """What is above its bound; by the last words of `told_only`, nothing is."""
    problems = []
    for name, before in start.items():
        kind = name.split()[-1]
        most = BOUNDS[kind](before)
        if end[name] > most and kind not in told_only:
            problems.append(f"{name} has grown from {shown(name, before)} to {shown(name, end[name])}; the bound is {shown(name, most)}")
    return problems


def shown(name: str, value: float) -> str:
    return SHOWN.get(name.split()[-1], "{:.0f}".format)(value)


def table(start: dict[str, float], end: dict[str, float], hours: float) -> str:
    lines = [f"{'at rest':28}{'start':>14}{'end':>14}{'per hour':>14}{'bound':>14}"]
    for name, before in start.items():
        growth = (end[name] - before) / hours
        per_hour = ("+" if growth > 0 else "-" if growth < 0 else "") + shown(name, abs(growth))
        lines.append(f"{name:28}{shown(name, before):>14}{shown(name, end[name]):>14}{per_hour:>14}"
                     f"{shown(name, BOUNDS[name.split()[-1]](before)):>14}")
    return "\n".join(lines)
