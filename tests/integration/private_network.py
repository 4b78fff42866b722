"""A network of a test's own: a namespace with nothing but its loopback, whose settings and rules touch
nobody else. Needs root (CAP_SYS_ADMIN, CAP_NET_ADMIN).

The namespace is that of the calling thread: what it starts afterwards is in it too, sockets, threads
and processes; sockets that were made before stay where they are."""

import ctypes
import os
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator

CLONE_NEWNET = 0x4000_0000
Ports = set[tuple[int, int]]
libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), "a network namespace cannot be made: run these tests as root")


def unshare(kind: int) -> None:
    _check(libc.unshare(kind))


def enter(descriptor: int) -> None:
    """The calling thread goes into that network."""
    _check(libc.setns(descriptor, CLONE_NEWNET))


class Network:
    def set(self, key: str, value: str | int) -> None:
        """A sysctl of this namespace."""
        Path("/proc/sys", *key.split(".")).write_text(f"{value}\n")

    def filter(self, *rules: str) -> None:
        """nft rules for what arrives."""
        chain = "\n".join(["type filter hook input priority 0", *rules])
        self.load(f"table inet box {{\nchain input {{\n{chain}\n}}\n}}\n")

    def load(self, rules: str) -> None:
        """A file of nft."""
        subprocess.run(["nft", "-f", "-"], input=rules, text=True, check=True)

    def ip(self, *arguments: str) -> None:
        subprocess.run(["ip", *arguments], check=True)

    def slow_down(self, device: str, rate: str) -> None:
        """What leaves by that device, from now on; its queue is 20 packets long."""
        bucket = ["rate", rate, "burst", "3000", "limit", "30000"]
        subprocess.run(["tc", "qdisc", "add", "dev", device, "root", "tbf", *bucket], check=True)

    def connections(self) -> Ports:
        """Its own port and the other one of each that this kernel has. One that was reset is none, also where its socket is
        still bound, which ss of Debian 13 shows."""
        text = subprocess.run(["ss", "-Htan"], capture_output=True, text=True, check=True).stdout
        connected = [fields for fields in map(str.split, text.splitlines()) if fields[0] != "UNCONN"]
        ends = [[end.rpartition(":")[2] for end in fields[3:5]] for fields in connected]
        return {(int(own), int(other)) for own, other in ends if other != "*"}

    def drop(self, port: int) -> None:
        """Whatever comes to or from this listener's port vanishes, silently."""
        self.filter(f"tcp dport {port} drop", f"tcp sport {port} drop")

    def lose(self, *connections: tuple[int, int]) -> None:
        """The same for connections, each by the ports of its two ends. By one alone others may go with it: the kernel gives a
        port to several that connect to different ones (1 of 100 networks with 12 connections had such a pair)."""
        ways = [way for one, other in connections for way in ((one, other), (other, one))]
        self.filter(*(f"tcp sport {source} tcp dport {sink} drop" for source, sink in ways))


@contextmanager
def private_network() -> Iterator[Network]:
    with open("/proc/thread-self/ns/net", "rb") as before:
        unshare(CLONE_NEWNET)
        try:
            subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
            yield Network()
        finally:
            enter(before.fileno())


def with_files(directory: Path, **files: str) -> tuple[str, ...]:
    """A command that runs another with its own /etc/NAME (hosts="...", resolv_conf="..."), nobody
    else's."""
    mounts = []
    for name, text in files.items():
        path = directory / name
        path.write_text(text)
        mounts.append(f"mount --bind {path} /etc/{name.replace('_', '.')}")
    return ("unshare", "-m", "sh", "-c", " && ".join([*mounts, 'exec "$0" "$@"']))


assert os.geteuid() == 0, "these tests make network namespaces: run them as root"
