"""One run of one test against one proxy, and what it cost."""

import json
import os
import resource
import select
import socket
import subprocess
import threading
import time
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Iterator

import machine
from proxies import ADMIN, SERVER, Proxy


@dataclass(frozen=True)
class Test:
    """arguments: of the load generator. mtu: of loopback; None: what the whole run uses. quick: also with
    --quick."""
    name: str
    arguments: tuple[str, ...]
    mtu: int | None = None
    quick: bool = True


def _bulk(name: str, streams: int, *more: str, **keys: Any) -> Test:
    return Test(name, ("bulk", "--streams", str(streams), *more), **keys)


TESTS = {test.name: test for test in (
    _bulk("bulk1", 1),
    _bulk("bulk8", 8),
    _bulk("bulk1-sampled", 1, "--sample", quick=False),
    _bulk("bulk8-sampled", 8, "--sample", quick=False),
    Test("rr", ("rr", "--connections", "64")),
    Test("crr", ("crr", "--connections", "32")),
    Test("mixed", ("mixed", "--streams", "16", "--connections", "64")),
    Test("idle", ("idle",)),
    # Only if asked for by name, or by --check.
    _bulk("down8", 8, "--direction", "down", quick=False),
    _bulk("both8", 8, "--direction", "both", quick=False),
    _bulk("bulk1-1500", 1, mtu=1500, quick=False),
    _bulk("bulk8-1500", 8, mtu=1500, quick=False),
    Test("churn", ("churn", "--connections", "32", "--total", "100000"), quick=False),
)}
USUAL = ("bulk1", "bulk8", "bulk1-sampled", "bulk8-sampled", "rr", "crr", "mixed", "idle")
ONCE = ("idle", "churn")  # a fresh process each; memory is not noisy, so one round does


@dataclass
class Result:
    proxy: str
    test: str
    round: int
    other: float  # CPUs that other processes took
    softirq: float
    values: dict[str, float] = field(default_factory=dict)
    load: dict[str, Any] = field(default_factory=dict)
    error: str = ""


class Bench:
    def __init__(self, load: str, seconds: float, mtu: int):
        self.load, self.seconds, self.mtu = load, seconds, mtu

    def run(self, proxy: Proxy, test: Test, number: int) -> Result:
        proxy.network.set_mtu(test.mtu or self.mtu)
        measure = {"idle": self._idle, "churn": self._churn}.get(test.name, self._timed)
        if test.name in ONCE:
            proxy.stop()
        proxy.start()
        try:
            return measure(proxy, test, number)
        finally:
            if test.name in ONCE:
                proxy.stop()

    def _start(self, proxy: Proxy, *arguments: str) -> subprocess.Popen:
        command = [self.load, *arguments, "--target", proxy.target, "--listen", f"127.0.0.1:{SERVER}"]
        with proxy.network.inside():
            return machine.start(command, {machine.LOAD_CPU}, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE, text=True)

    @staticmethod
    def _finish(load: subprocess.Popen, limit: float) -> dict[str, Any]:
        try:
            out, err = load.communicate(timeout=limit)
        except BaseException:
            load.kill()
            load.communicate()
            raise
        try:
            return json.loads(out.splitlines()[-1])
        except (IndexError, ValueError):
            return {"errors": 1, "first_error": f"the load generator: exit code {load.returncode}: {err.strip()}"}

    def _timed(self, proxy: Proxy, test: Test, number: int) -> Result:
        seconds = self.seconds
        disturbance = machine.Disturbance()
        cpu_before = proxy.cpu()
        ours_before = _children_cpu()
        with scraped(proxy) if proxy.scraped else nullcontext():
            load = self._start(proxy, *test.arguments, "--seconds", str(seconds))
            report = self._finish(load, seconds + 30)
        load_cpu = _children_cpu() - ours_before
        time.sleep(0.02)  # the last sessions end in the proxy
        cpu = proxy.cpu() - cpu_before
        other, softirq = disturbance.since(cpu + load_cpu)
        result = Result(proxy.name, test.name, number, other, softirq, load=report)
        if report["errors"]:
            result.error = f"{report['first_error']} ({report['errors']} errors)"
            return result
        result.values = _values(test, report, None if proxy.is_direct else cpu)
        return result

    def _idle(self, proxy: Proxy, test: Test, number: int) -> Result:
        """User memory of the sessions that are open and quiet, each after one transaction."""
        result = Result(proxy.name, test.name, number, 0, 0)
        warm = self._start(proxy, "rr", "--connections", "8", "--seconds", "0.1")
        self._finish(warm, 30)
        time.sleep(0.3)
        before = proxy.memory()
        load = self._start(proxy, *test.arguments, "--connections", str(proxy.idle), "--seconds", "45")
        try:
            ready, _, _ = select.select([load.stdout], [], [], 70)
            line = load.stdout.readline() if ready else ""
            if "held" in line:
                time.sleep(0.5)
                result.values = {"bytes_per_idle": (proxy.memory() - before) / proxy.idle,
                                 "idle_sessions": proxy.idle}
            elif line:
                result.error = json.loads(line)["first_error"]
        finally:
            report = self._finish(load, 70)
        if report["errors"]:
            result.error = result.error or report["first_error"]
            result.values = {}
        result.load = report
        return result

    def _churn(self, proxy: Proxy, test: Test, number: int) -> Result:
        """What is left in a proxy after many short sessions, in memory and in descriptors."""
        result = Result(proxy.name, test.name, number, 0, 0)
        if proxy.is_direct:
            return result
        warm = self._start(proxy, *test.arguments[:-1], "20000", "--seconds", "100")
        self._finish(warm, 150)
        time.sleep(1)
        memory, descriptors = proxy.memory(), proxy.descriptors()
        load = self._start(proxy, *test.arguments, "--seconds", "200")
        report = self._finish(load, 250)
        time.sleep(1)
        result.load = report
        if report["errors"]:
            result.error = report["first_error"]
        else:
            result.values = {"churn_growth": proxy.memory() - memory, "churn_sessions": report["sessions"],
                             "churn_descriptors": proxy.descriptors() - descriptors}
        return result


@contextmanager
def scraped(proxy: Proxy) -> Iterator[None]:
    """Its metrics are asked for every 100 ms meanwhile, from the load's CPU."""
    over = threading.Event()
    wrong: list[str] = []

    def scrape() -> None:
        os.sched_setaffinity(0, {machine.LOAD_CPU})  # of this thread, as the namespace
        try:
            with proxy.network.inside():
                while not over.wait(0.1):
                    with socket.create_connection(("127.0.0.1", ADMIN), timeout=10) as http:
                        http.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
                        if not (first := http.recv(1 << 20)).startswith(b"HTTP/1.1 200"):
                            raise OSError(f"metrics: {first[:40]!r}")
                        while http.recv(1 << 20):
                            pass
        except OSError as error:
            wrong.append(str(error))

    thread = threading.Thread(target=scrape)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    if wrong:
        raise machine.Failure(f"{proxy.name}: {wrong[0]}")


def _children_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _values(test: Test, report: dict[str, Any], cpu: float | None) -> dict[str, float]:
    values: dict[str, float] = {"load_cpu": report["load_cpu"]}
    if report["bytes"]:
        values["gb_per_s"] = report["gb_per_s"]
        if cpu is not None:
            values["cpu_per_gb"] = cpu / (report["bytes"] / 1e9)
    if report["transactions"]:
        values["per_s"] = report["per_s"]
        for key in ("p50_us", "p99_us", "p999_us"):
            values[key] = report[key]
        count = report["sessions"] if test.name == "crr" else report["transactions"]
        if cpu is not None and test.name in ("rr", "crr"):
            values["cpu_us"] = cpu * 1e6 / count
    return values


def processor_count() -> int:
    return len(os.sched_getaffinity(0))
