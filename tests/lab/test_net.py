"""The lab's own promises: `net up` and `net down` can be repeated, and nothing is left, however a test ends."""

import os
import signal
import subprocess
import sys
import time

from lab import HERE, NET

OWNER = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from lab import Network
network = Network("none", Path("."))
network.run("c", ["sleep", "60"])
print(network.name, flush=True)
time.sleep(60)
"""


def namespaces(name: str) -> list[str]:
    listed = subprocess.run(["ip", "netns"], capture_output=True, text=True, check=True).stdout
    return sorted(line.split()[0] for line in listed.splitlines() if line.startswith(f"{name}-"))


def net(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run([str(NET), *arguments], capture_output=True, text=True, timeout=30)


def test_up_and_down_can_be_repeated():
    name = f"finhold-{os.getpid()}-again"
    try:
        for _ in range(2):
            assert net("up", name, "strict").returncode == 0
            assert namespaces(name) == [f"{name}-c", f"{name}-gw", f"{name}-s"]
    finally:
        for _ in range(2):
            assert net("down", name).returncode == 0
    assert namespaces(name) == []


def test_a_wrong_box_is_named_and_leaves_nothing():
    name = f"finhold-{os.getpid()}-wrong"
    answer = net("up", name, "strikt")
    assert answer.returncode != 0
    assert "strikt" in answer.stderr and "strict-reset" in answer.stderr
    assert namespaces(name) == []


def test_nothing_is_left_of_a_killed_test():
    owner = subprocess.Popen([sys.executable, "-c", OWNER, str(HERE)], stdout=subprocess.PIPE, text=True)
    name = owner.stdout.readline().strip()
    assert len(namespaces(name)) == 3
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    limit = time.monotonic() + 15
    while namespaces(name) and time.monotonic() < limit:
        time.sleep(0.1)
    assert namespaces(name) == []
