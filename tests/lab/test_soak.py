"""The soak (tests/soak) finds what it is there to find: faults that are put into its finholds (tests/soaking/fault.c). And it ends as it
should, however it is ended."""

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from lab import ROOT
from programs import Process

sys.path.append(str(ROOT / "tests" / "soaking"))
from figures import MIB, grown, table  # noqa: E402

FINHOLD = os.environ.get("FINHOLD", str(ROOT / "build" / "dev" / "finhold"))
LIMIT = 60  # seconds for one step, on a busy machine


@contextmanager
def soak(*arguments, finhold=FINHOLD):
    command = [sys.executable, "-B", str(ROOT / "tests" / "soak"), "--finhold", str(finhold), "--warm-up", "1s", "--every", "1s", *arguments]
    process = Process(None, command)
    try:
        yield process
    finally:
        if process.process.poll() is None:
            process.process.kill()
            process.process.wait()


def children(pid):
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def lives(pid):
    """Whoever has to may take its time to ask for its exit code."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.fixture
def faulty(tmp_path):
    """A program that is finhold with a fault."""

    def make(fault):
        library, program = tmp_path / "fault.so", tmp_path / "finhold"
        source = ROOT / "tests" / "soaking" / "fault.c"
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", "-o", library, source, "-ldl"], check=True)
        program.write_text(f"#!/bin/sh\nexport ASAN_OPTIONS=\"$ASAN_OPTIONS:verify_asan_link_order=0\" LD_PRELOAD={shlex.quote(str(library))} "
                           f"SOAK_FAULT={fault}\nexec {shlex.quote(FINHOLD)} \"$@\"\n")
        program.chmod(0o755)
        return program

    return make


def test_a_wrong_byte_is_found(faulty):
    with soak("--for", "29s", "--kinds", "small", "--through", "copied", finhold=faulty("wrong-byte")) as process:
        process.wait_for_lines(r"^FAILED with --seed \d+ after \S+: copied-\w+, session \d+, small .*: wrong bytes at ", LIMIT)
        assert process.wait(LIMIT) == 1
        process.wait_for_lines(r"^--- the last lines of copied", 0)


def test_a_reset_that_becomes_an_end_is_found(faulty):
    with soak("--for", "29s", "--kinds", "reset", "--through", "copied", finhold=faulty("false-end")) as process:
        process.wait_for_lines(r"^FAILED with .*: a false end after \d+ bytes", LIMIT)
        assert process.wait(LIMIT) == 1


def test_a_leak_is_found(faulty):
    with soak("--for", "3s", "--kinds", "small", "--through", "copied", finhold=faulty("leak")) as process:
        process.wait_for_lines(r"^FAILED: copied descriptors has grown from \d+ to \d+; the bound is \d+$", LIMIT)
        assert process.wait(LIMIT) == 1


def test_what_grows_beyond_its_bound_is_told():
    start = {"copied memory": 10 * MIB, "copied descriptors": 20, "sockets": 50, "conntrack": 9, "a session's cpu": 100.0}
    assert not grown(start, start)
    for name, value in {"copied memory": 17 * MIB, "copied descriptors": 25, "sockets": 59, "conntrack": 30, "a session's cpu": 260.0}.items():
        problem, = grown(start, {**start, name: value})
        assert problem.startswith(f"{name} has grown from ")
        assert not grown(start, {**start, name: value}, (name.split()[-1],))
    assert "+2.00 MiB" in table(start, {**start, "copied memory": 11 * MIB}, 0.5)


def test_it_ends_in_order_when_it_is_interrupted():
    with soak("--for", "29s") as process:
        process.wait_for_lines(r"^00:\d\d:\d\d  sessions [1-9]\d* ", LIMIT)
        process.process.send_signal(signal.SIGINT)
        assert process.wait(LIMIT) == 0, process.output()
        process.wait_for_lines(r"^stopped after 00:\d\d:\d\d: no failures$", 0)
        process.wait_for_lines(r"^copied memory +\d+\.\d\d MiB +\d+\.\d\d MiB ", 0)
        assert re.search(r"^endings: finished [1-9]", "\n".join(process.lines), re.MULTILINE)


def test_what_it_has_started_goes_with_it():
    with soak("--for", "29s") as process:
        process.wait_for_lines(r"^00:\d\d:\d\d .* sessions ", LIMIT)
        finholds = children(process.process.pid)
        assert len(finholds) >= 6
        process.process.kill()
        stop = time.monotonic() + 15
        while any(map(lives, finholds)):
            assert time.monotonic() < stop, finholds
            time.sleep(0.02)
