"""Fixtures of the integration tests. Run them with:  /usr/bin/python3 -m pytest tests/integration"""

import faulthandler
import functools
import itertools
import os
import signal
import sys
import tempfile
from pathlib import Path

import pytest
from certificates import Authority
from clocks import Clocks
from ends import Server, Session, reserved
from finhold import Finhold, config_text, lean_environment, route_to
from pair import OVER, Pair, start_pair

LIMIT = 90  # seconds for one test; nearly all take less than two, on a machine that does nothing else


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    """A test that fails tells what each finhold of its own has said."""
    report = (yield).get_result()
    if report.failed:
        for finhold in getattr(item, "finholds", ()):
            report.sections.append((f"log of finhold {finhold.pid}", finhold.log()))


@pytest.fixture(autouse=True)
def limit():
    """Ends a test that hangs in such a way that its fixtures still clean up."""

    def too_long(*_: object) -> None:
        faulthandler.dump_traceback(file=sys.__stderr__)
        raise TimeoutError(f"this test took longer than {LIMIT} s")

    before = signal.signal(signal.SIGALRM, too_long)
    signal.alarm(LIMIT)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def server():
    made = Server()
    yield made
    made.close()


@pytest.fixture
def public_path():
    """A directory that every user may read, unlike tmp_path."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        yield Path(name)


@pytest.fixture
def start(request, public_path):
    """Starts finholds from routes (see route_to) and tables; checks at the end that each of them
    stops as it should, with nothing left. A test that ends one itself calls await_exit()."""
    started: list[Finhold] = []
    request.node.finholds = started
    numbers = itertools.count(1)

    def start_one(*routes: dict, prefix: tuple[str, ...] = (), arguments: tuple[str, ...] = (),
                  wait: bool = True, popen: dict | None = None, user: str = "", **tables: dict) -> Finhold:
        if routes or tables:
            path = public_path / f"finhold{next(numbers)}.toml"
            path.write_text(config_text(list(routes), tables, user))
            arguments = ("--config", str(path))
        started.append(Finhold(["run", *arguments], prefix, wait, **(popen or {})))
        return started[-1]

    yield start_one
    problems = []
    for finhold in reversed(started):  # near before far
        try:
            finhold.stop()
        except AssertionError as problem:
            problems.append(str(problem))
        finally:
            if finhold.process.poll() is None:
                finhold.kill()
    for sock in reserved:
        sock.close()
    reserved.clear()
    assert not problems, "\n".join(problems)


@pytest.fixture(params=["to_server", "to_client"])
def flow(request) -> str:
    """For tests that hold in both directions."""
    return request.param


@pytest.fixture
def clocks(tmp_path):
    """Those of finholds that are started with popen=clocks.popen()."""
    made = Clocks(tmp_path)
    yield made
    made.close()


@pytest.fixture
def authority(public_path):
    return Authority(public_path)


@pytest.fixture
def pair(start, server, authority):
    """Starts a pair for the server, over TLS unless told otherwise; see start_pair."""

    def pair_one(over: str = "tls", **options: object) -> Pair:
        return start_pair(start, server.address, authority if over == "tls" else None, **options)

    return pair_one


@pytest.fixture
def finhold_to(start, authority):
    """Starts a finhold with one route to a server, or a pair if such tests run through one."""

    def start_one(server: Server, crosses: str = "none", tables: dict | None = None, lean: bool = False,
                  **route: object) -> Finhold | Pair:
        started = functools.partial(start, popen=lean_environment() if lean else None)
        if not OVER:
            return started(route_to(server.address, crosses, **route), **(tables or {}))
        # A pair has nothing to hold: the end goes through in band. Its buffers are as large as those of one finhold.
        crosses = "client" if crosses == "client" else "none"
        tables = {**(tables or {}), "limits": {"tunnel_window": "256KiB", **(tables or {}).get("limits", {})}}
        return start_pair(started, server.address, authority if OVER == "tls" else None, tables, crosses=crosses, **route)

    return start_one


@pytest.fixture
def relay(finhold_to, server):
    """Starts a finhold with one route, and opens a session through it: (finhold, session)."""
    sessions: list[Session] = []

    def relay_one(crosses: str = "none", release: str = "never", tables: dict | None = None,
                  fin: dict | None = None, lean: bool = False, **route: object) -> tuple[Finhold | Pair, Session]:
        fin = {"release_when_quiet": release, **(fin or {})}
        finhold = finhold_to(server, crosses, tables, lean, fin=fin, **route)
        sessions.append(server.session(finhold.address()))
        return finhold, sessions[-1]

    yield relay_one
    for session in sessions:
        session.close()
