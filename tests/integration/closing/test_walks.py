"""Random walks of both ends: what each sees is what it would see on a direct connection, but for what the rules say (walks.py,
walk_rules.py), through every kind of finhold (walk_ways.py). How many walks there are is a matter of time; each is its seed's."""

import itertools
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Callable, Iterator

import pytest
from walk_rules import Difference, follow
from walk_ways import CROSSES, KINDS, OVER_PAIR, SLEEPING, Way, Ways, direct_way
from walks import LIMIT, NAPS, PATIENT, Walk, record, shrunk

WALKS = int(os.environ.get("WALKS", "1000000"))  # at most
LEAST = 10  # in each way, also on a machine that is slow
SECONDS = float(os.environ.get("WALK_SECONDS", "6"))  # for each kind
NAPPING = 4 * SECONDS  # for all walks that sleep
FIRST = int(os.environ.get("FIRST", "1"))
LANES, SLEEPING_LANES = 4, 24  # walks at a time
CAREFUL = 0.06  # seconds of quiet, where nothing else runs
SHRINK = 30  # seconds; a shorter walk has failed if it has after FAILS
FAILS = 3


@pytest.fixture(autouse=True)
def limit(limit):
    """Of conftest.py, for hours by hand too."""
    signal.alarm(int(2 * SECONDS + NAPPING) + 120)
    yield


class Recorder:
    """The walk of each seed, made once."""

    def __init__(self, direct: Way, naps: int = 0):
        self.direct, self.naps = direct, naps
        self.lock = threading.Lock()
        self.turns: dict[int, threading.Lock] = {}
        self.made: dict[int, Walk] = {}

    def walk(self, seed: int) -> Walk:
        with self.lock:
            turn = self.turns.setdefault(seed, threading.Lock())
        with turn:
            if seed not in self.made:
                self.made[seed] = record(seed, self.direct.open, naps=self.naps)
        return self.made[seed]

    def patient(self, seed: int) -> Walk:
        return record(seed, self.direct.open, PATIENT, self.naps)


@pytest.fixture(scope="module")
def direct() -> Iterator[Way]:
    with direct_way() as way:
        yield way


@pytest.fixture(scope="module")
def recorder(direct):
    return Recorder(direct)


@pytest.fixture
def ways(start, authority, public_path):
    with ExitStack() as stack:
        yield Ways(start, authority, public_path, stack)


def difference(way: Way, walk: Walk, limit: float = LIMIT) -> Difference | None:
    ends = way.open()
    try:
        follow(walk, ends, way.rules(), limit)
    except Difference as found:
        return found
    except AssertionError as found:  # wrong bytes
        return Difference(len(walk.steps) - 1, str(found))
    finally:
        ends.close()
    return None


def check(way: Way, recorder: Recorder, seed: int) -> None:
    walk = recorder.walk(seed)
    found = difference(way, walk)
    if not found:
        return
    # On a busy machine the direct connection may have been slower than it was waited for.
    patient = recorder.patient(seed)
    if patient != walk and not (found := difference(way, patient)):
        return
    shorter = shrunk(patient, found.at, recorder.direct.open, lambda fewer: difference(way, fewer, FAILS), SHRINK)
    told = difference(way, shorter, FAILS) if shorter != patient else None
    raise AssertionError(f"{way.name}, seed {seed}: {found}" + (f"\n{len(shorter.steps)} steps are enough: {told}" if told else ""))


def share_out(ways: list[Way], recorder: Recorder, lanes: int, seconds: float) -> int:
    """Walks each seed through each way, until the time is over."""
    until = time.monotonic() + seconds
    jobs = ((seed, way) for seed in itertools.islice(itertools.count(FIRST), WALKS) for way in ways)
    turn, failed, done = threading.Lock(), threading.Event(), itertools.count()

    def next_job() -> tuple[int, Way] | None:
        with turn:
            seed, way = next(jobs, (0, None))
            over = failed.is_set() or (time.monotonic() > until and seed >= FIRST + LEAST)
            return None if way is None or over else (seed, way)

    def lane() -> None:
        while job := next_job():
            try:
                check(job[1], recorder, job[0])
            except BaseException:
                failed.set()
                raise
            next(done)

    with ThreadPoolExecutor(lanes) as pool:
        for each in [pool.submit(lane) for _ in range(lanes)]:
            each.result()
    return next(done)


def told(what: str, ways: list[Way], walks: int, seconds: Callable[[], float]) -> None:
    print(f"{what}: {walks} walks, the seeds from {FIRST} on through each of {len(ways)} ways, in {seconds():.0f} s")


@pytest.mark.parametrize("kind", KINDS)
def test_both_ends_see_what_a_direct_connection_shows(ways, recorder, kind):
    started = time.monotonic()
    made = ways.open(kind, OVER_PAIR if kind.startswith("pair") else CROSSES)
    told(kind, made, share_out(made, recorder, LANES, SECONDS), lambda: time.monotonic() - started)


def test_sleeping_past_a_timer_changes_what_the_rules_say_and_nothing_else(ways, direct):
    started = time.monotonic()
    made = [way for kind, routes in SLEEPING.items() for way in ways.open(kind, routes)]
    walks = share_out(made, Recorder(direct, NAPS), SLEEPING_LANES, NAPPING)
    told("sleeping", made, walks, lambda: time.monotonic() - started)


def test_a_walk_is_the_same_each_time(recorder):
    one, other = (record(FIRST, recorder.direct.open, CAREFUL) for _ in range(2))
    assert (one.steps, one.seen) == (other.steps, other.seen)
