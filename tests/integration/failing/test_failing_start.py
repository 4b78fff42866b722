"""Each call of a start, and of a stop, fails once: finhold says why it does not start, or it starts and works."""

import os
import random
import re
import shutil
import signal
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from ends import Server, connect_client
from failing import ALLOCATIONS, EVERYTHING, SEED, Calls, Fault, faults_of, patience
from finhold import BINARY, COMPLAINTS, PATIENCE, config_text, route_to
from pair import far_table

AT_ONCE = 3  # starts side by side: a start mostly waits for the disk and for the end
REASON = re.compile(r"cannot [^:]*: \S|ended, and every session is reset: \S")


class Attempt:
    """One start, a session through it if it is ready, and its end."""

    def __init__(self, config: Path, calls: Calls, server: Server, *faults: Fault, at_stop: bool = False):
        self.faults, self.ready, self.lines, self.problem = faults, False, [], ""
        if not at_stop:
            calls.arm(*faults)
        self.process = subprocess.Popen([BINARY, "run", "--config", str(config)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.PIPE, text=True, env=calls.environment())
        guard = threading.Timer(2 * PATIENCE, self.process.kill)
        guard.start()
        address = None
        try:
            for line in self.process.stderr:
                self.lines.append(line.rstrip("\n"))
                if found := re.search(r"listening route=main address=127.0.0.1:(\d+)", line):
                    address = ("127.0.0.1", int(found[1]))
                if " ready workers=" in line:
                    self.ready = True
                    self.counts = calls.made()
                    self._work(address, calls, server, faults if at_stop else ())
            self.code = self.process.wait(PATIENCE)
            self.failed = calls.disarm()
        finally:
            guard.cancel()
            self.process.kill()
            self.process.wait()
            self.process.stderr.close()

    def _work(self, address: tuple[str, int], calls: Calls, server: Server, at_stop: tuple[Fault, ...]) -> None:
        """Half of a session, the wish to stop, and the other half."""
        try:
            client = connect_client(address)
            self._first_half(client, server)
            self.counts_at_stop = calls.made()
            calls.arm(*at_stop)
            self.process.send_signal(signal.SIGTERM)
            self._second_half(client)
        except OSError as error:
            if not at_stop:  # a start that says "ready" has all that it needs
                self.problem = f"{type(error).__name__}: {error}"
                self.process.send_signal(signal.SIGTERM)
        except AssertionError as error:
            self.problem = str(error)
            self.process.send_signal(signal.SIGTERM)
        finally:
            client.close()

    @staticmethod
    def _first_half(client, server: Server) -> None:
        client.send(3000)
        client.finish()

    @staticmethod
    def _second_half(client) -> None:
        client.receive(3000)
        client.expect_end()

    def mistake(self) -> str:
        """What is wrong with it, or nothing."""
        if any(word in line for line in self.lines for word in COMPLAINTS):
            return "a complaint"
        if self.ready and self.code == 0:
            return self.problem
        if self.code not in (1, 2):
            return f"exit code {self.code}"
        if not any(REASON.search(line) for line in self.lines):
            return "no reason"
        if self.ready and not any(fault.call in ALLOCATIONS for fault in self.faults):
            return "it has ended"
        return ""

    def __str__(self) -> str:
        return f"{' and '.join(map(str, self.faults))}: {self.mistake()}\n    " + "\n    ".join(self.lines[-30:])


class Echo:
    """Sends back what it gets, in the patterns of a server, and the end."""

    def __init__(self):
        self.server = Server()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        from ends import End
        while True:
            try:
                sock = self.server.sock.accept()[0]
            except TimeoutError:
                continue
            except OSError:
                return
            end = End(sock, "server")
            try:
                end.receive(3000)
                end.expect_end()
                end.send(3000)
                end.finish()
            except (OSError, AssertionError):
                pass  # its client says what is wrong
            end.close()


@pytest.fixture
def echo():
    made = Echo()
    yield made.server
    made.server.close()


@pytest.fixture
def config(public_path, authority, echo, patience):
    """All that a start may need: certificates, a status page, a user to become, a route whose ends are looked up."""
    path = public_path / "start.toml"
    path.write_text(config_text([route_to(echo.address, "server", fin={"release_when_quiet": "0s"})],
                                {"limits": {"workers": 1}, "admin": {"listen": "127.0.0.1:0"},
                                 "far": [far_table([echo.address], authority)]},
                                "nobody" if os.geteuid() == 0 else ""))
    return path


def try_all(config: Path, folder: Path, echo: Server, faults: list[tuple[Fault, ...]], recorded: Calls, at_stop: bool) -> None:
    def attempt(item: tuple[int, tuple[Fault, ...]]) -> Attempt:
        i, each = item
        shutil.copy(recorded.path, folder / f"calls{i}")
        made = Attempt(config, Calls(folder, f"calls{i}", keep=True), echo, *each, at_stop=at_stop)
        (folder / f"calls{i}").unlink()
        return made

    with ThreadPoolExecutor(AT_ONCE) as pool:
        attempts = list(pool.map(attempt, enumerate(faults)))
    print(f"{len(faults)} faults, {sum(each.failed > 0 for each in attempts)} reached, "
          f"{sum(each.ready for each in attempts)} ready, {sum(each.code != 0 for each in attempts)} refused or ended")
    wrong = [each for each in attempts if each.mistake()]
    if wrong:
        print("\n".join(map(str, wrong)))
    assert not wrong, f"{len(wrong)} of {len(faults)}:\n" + "\n".join(map(str, wrong))
    reached = {fault.call for each in attempts if each.failed for fault in each.faults}
    if at_stop:  # when exactly it has begun, other threads cannot know
        return
    unreached = {fault.call for each in faults for fault in each} - reached
    assert not unreached, f"never made: {unreached}"


@pytest.fixture
def recorded(config, echo, tmp_path):
    """A start and a stop without a failure: (the file, what the start called, what the rest called)."""
    calls = Calls(tmp_path)
    attempt = Attempt(config, calls, echo)
    assert attempt.ready and not attempt.mistake(), str(attempt)
    start, stop = attempt.counts, calls.recorded(attempt.counts_at_stop)
    calls.forget()
    return calls, {call: count for call, count in start.items() if count}, stop


def test_each_call_of_a_start_fails_once(config, echo, tmp_path, recorded):
    calls, counts, _ = recorded
    try_all(config, tmp_path, echo, [(each,) for each in faults_of(counts, most=3, allocations=6)], calls, at_stop=False)


def test_each_call_of_a_stop_fails_once(config, echo, tmp_path, recorded):
    calls, _, counts = recorded
    # Of the session nothing is sure until it is over: its calls are in test_failing_calls.py.
    faults = [(each,) for each in faults_of(counts, most=2, allocations=2)]
    try_all(config, tmp_path, echo, faults, calls, at_stop=True)


def test_two_calls_of_a_start_fail(config, echo, tmp_path, recorded):
    calls, counts, _ = recorded
    dice = random.Random(SEED)
    faults = faults_of(counts, most=6, allocations=6, errors=3)
    pairs = [tuple(dice.sample(faults, 2)) for _ in range(500 if EVERYTHING else 15)]
    try_all(config, tmp_path, echo, [pair for pair in pairs if pair[0].call != pair[1].call], calls, at_stop=False)
