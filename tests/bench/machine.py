"""The machine under the benchmark: private network namespaces, processes and what they cost, and what
everybody else on the machine did meanwhile."""

import ctypes
import os
import platform
import resource
import signal
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator

ROOT = Path(__file__).resolve().parent.parent.parent
CLONE_NEWNET = 0x4000_0000
PR_SET_PDEATHSIG = 1
TICKS = os.sysconf("SC_CLK_TCK")
PROXY_CPU, LOAD_CPU = 0, 1
libc = ctypes.CDLL(None, use_errno=True)


class Failure(Exception):
    """The benchmark cannot do what it was asked for; the message says why."""


def _check(result: int, what: str) -> None:
    if result != 0:
        raise Failure(f"{what}: {os.strerror(ctypes.get_errno())}; run it as root")


class Network:
    """A network namespace with nothing but loopback. It has no name: it goes away with the last process
    in it, however that one ends."""

    def __init__(self, mtu: int):
        before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        try:
            _check(libc.unshare(CLONE_NEWNET), "a network namespace cannot be made")
            self._fd = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
            try:
                run("ip", "link", "set", "lo", "up")
                for key, value in {
                    "net/ipv4/ip_local_port_range": "1024 65535",  # many connections, soon after another
                    "net/ipv4/ip_unprivileged_port_start": "0",
                    "net/ipv4/tcp_tw_reuse": "1",
                    "net/ipv4/tcp_max_tw_buckets": "1000000",
                }.items():
                    Path("/proc/sys", key).write_text(value)
            finally:
                _check(libc.setns(before, CLONE_NEWNET), "setns")
        finally:
            os.close(before)
        self._mtu = 0
        self.set_mtu(mtu)

    @contextmanager
    def inside(self) -> Iterator[None]:
        """What is started meanwhile is in this namespace."""
        before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        try:
            _check(libc.setns(self._fd, CLONE_NEWNET), "setns")
            yield
        finally:
            _check(libc.setns(before, CLONE_NEWNET), "setns")
            os.close(before)

    def set_mtu(self, mtu: int) -> None:
        """1500 also turns segmentation and receive offload off; 65536 is loopback as it is."""
        if mtu == self._mtu:
            return
        switch = "off" if mtu <= 1500 else "on"
        with self.inside():
            run("ip", "link", "set", "lo", "mtu", str(mtu))
            run("ethtool", "-K", "lo", "tso", switch, "gso", switch, "gro", switch)
        self._mtu = mtu

    def listens(self, port: int) -> bool:
        with self.inside():
            lines = Path("/proc/thread-self/net/tcp").read_text().splitlines()[1:]
        return any(line.split()[1].endswith(f":{port:04X}") and line.split()[3] == "0A" for line in lines)

    def close(self) -> None:
        os.close(self._fd)


def run(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    except FileNotFoundError:
        raise Failure(f"'{command[0]}' is missing; run: deploy/packages bench") from None
    except subprocess.TimeoutExpired:
        raise Failure(f"{' '.join(command)} does not end") from None
    if done.returncode != 0:
        raise Failure(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def start(command: list[str], cpus: set[int], **popen) -> subprocess.Popen:
    """Starts it on those CPUs. It ends when we end, even if we are killed."""

    def prepare() -> None:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        os.sched_setaffinity(0, cpus)
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))

    return subprocess.Popen(command, preexec_fn=prepare, start_new_session=True, **popen)


# Processes, from /proc.

def _stat(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def tree(root: int) -> list[int]:
    """The process and all that come from it."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                children.setdefault(int(_stat(int(entry))[1]), []).append(int(entry))
            except (OSError, IndexError):
                pass
    found = [root]
    for pid in found:
        found += children.get(pid, [])
    return found


def cpu_seconds(root: int) -> float:
    """User and system time of the tree, with the children that have ended."""
    ticks = 0
    for pid in tree(root):
        try:
            ticks += sum(map(int, _stat(pid)[11:15]))
        except OSError:
            pass
    return ticks / TICKS


def user_memory(root: int) -> int:
    """Bytes: the proportional set size of the tree."""
    total = 0
    for pid in tree(root):
        try:
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1]) * 1024
        except OSError:
            pass
    return total


def descriptors(root: int) -> int:
    total = 0
    for pid in tree(root):
        try:
            total += len(os.listdir(f"/proc/{pid}/fd"))
        except OSError:
            pass
    return total


_guard: int | None = None


def guard(*pids: int) -> None:
    """These end with us, even if we are killed: what a proxy has forked does not see that by itself. Call
    it once without any before the first proxy starts."""
    global _guard
    if _guard is None:
        reader, _guard = os.pipe()
        if os.fork() == 0:
            os.setsid()
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            os.close(_guard)
            with open(reader) as lines:  # ends when the only writer does
                born = dict(line.split() for line in lines)
            for pid, start_time in born.items():
                try:
                    if _stat(int(pid))[19] == start_time:
                        os.kill(int(pid), signal.SIGKILL)
                except OSError:
                    pass
            os._exit(0)
        os.close(reader)
    for pid in pids:
        try:
            os.write(_guard, f"{pid} {_stat(pid)[19]}\n".encode())
        except OSError:
            pass


def end(process: subprocess.Popen) -> None:
    """Ends the whole tree: politely, and after two seconds by force."""
    born = {}
    for pid in tree(process.pid):
        try:
            born[pid] = _stat(pid)[19]
        except OSError:
            pass
    process.terminate()
    try:
        process.wait(2)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for pid, start_time in born.items():
        try:
            if _stat(pid)[19] == start_time and _stat(pid)[0] != "Z":
                os.kill(pid, signal.SIGKILL)
        except OSError:
            pass


class Disturbance:
    """What other processes take of the CPUs. Softirq threads count as ours: loopback keeps them busy."""

    def __init__(self):
        self._softirq = [pid for pid in self._kernel_threads()]
        self._before = self._sample()

    @staticmethod
    def _kernel_threads() -> Iterator[int]:
        for entry in os.listdir("/proc"):
            try:
                if entry.isdigit() and Path(f"/proc/{entry}/comm").read_text().startswith("ksoftirqd/"):
                    yield int(entry)
            except OSError:
                pass

    def _sample(self) -> tuple[float, float, float]:
        words = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
        user, nice, system, _, _, irq, softirq, steal = map(int, words)
        threads = sum(sum(map(int, _stat(pid)[11:13])) for pid in self._softirq)
        return time.monotonic(), (user + nice + system + irq + softirq + steal) / TICKS, threads / TICKS

    def since(self, ours: float) -> tuple[float, float]:
        """The share of one CPU that others took, and that softirq threads took."""
        now, busy, threads = self._sample()
        seconds = now - self._before[0]
        softirq = threads - self._before[2]
        other = busy - self._before[1] - ours - softirq
        return max(0.0, other / seconds), softirq / seconds


def describe() -> str:
    model = "unknown CPU"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    memory = int(Path("/proc/meminfo").read_text().split()[1]) / 1024 / 1024
    system = "unknown system"
    for line in Path("/etc/os-release").read_text().splitlines():
        if line.startswith("PRETTY_NAME="):
            system = line.partition("=")[2].strip('"')
    return (f"{os.cpu_count()} CPUs ({model}), {memory:.0f} GiB, Linux {platform.release()}, {system}; "
            f"proxy on CPU {PROXY_CPU}, load on CPU {LOAD_CPU}")
