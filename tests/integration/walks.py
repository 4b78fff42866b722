"""Random walks: two ends do the same seeded steps on a direct connection and through finhold, and after each step what each of
them has seen is compared. The oracle is the direct connection; what the rules change of it is said in one place (walk_rules.py).

    walk = record(seed, direct)             # on a direct connection of this machine
    follow(walk, ends, rules)               # the same through a finhold; walk_rules.py

How much fits into what is between two ends is nobody's promise, so no amount that a full buffer has taken is compared: but that
nothing of what was taken is missing where it should be.

By hand, for longer:  WALK_SECONDS=3600 FIRST=1000 /usr/bin/python3 -m pytest tests/integration/closing/test_walks.py"""

import random
import time
from dataclasses import dataclass, field
from typing import Callable

from walkers import Both, Ends, Step

STEPS = 25
QUIET = 0.02  # seconds without a change, on a direct connection over loopback: then a step has had its effect
PATIENT = 0.3  # the same, where the machine has much else to do
LIMIT = 20  # seconds for the same through finhold, which is awaited
NAP = 4.5  # seconds: longer than each timer of the walks that sleep
NAPS = 2  # in a walk that sleeps
SIZES = (1, 2, 100, 4096, 65_536, 300_000, 1_000_000)
FILLING = (65_536, 300_000, 1_000_000, 3_000_000)  # to one who does not read


@dataclass
class Walk:
    seed: int
    steps: list[Step] = field(default_factory=list)
    seen: list[Both] = field(default_factory=list)  # after each of them


def settled(ends: Ends, quiet: float) -> Both:
    """What they see when nothing changes any more. What is missing on a direct connection is on its way."""
    started = since = time.monotonic()
    last = ends.progress()
    while time.monotonic() - since < quiet or (any(one.missing for one in last[0]) and time.monotonic() - started < LIMIT):
        time.sleep(quiet / 10)
        if (now := ends.progress()) != last:
            last, since = now, time.monotonic()
    return last[0]


def choice(ends: Ends, dice: random.Random, may_sleep: bool) -> Step | None:
    """A step that means something now; nothing: the walk is over."""
    weighed: list[tuple[int, Step]] = []
    for one in ends.of.values():
        other = ends.of[one.other]
        sizes = SIZES if other.is_open and other.reads else (1, 100, 1000)
        weighed += [(8, Step(one.side, "send", size)) for size in dice.sample(sizes, 2)]
        if other.is_open and not other.reads:
            weighed.append((12, Step(one.side, "send", dice.choice(FILLING))))
        # What was sent by one who is gone is to be read by the other one, mostly.
        ways_out = ((8, "resume"), (1, "close")) if not other.is_open else ((3, "resume"), (2, "close"))
        gives_up = (4 if other.seen.behind else 1, "abort")
        weighed += [(weight, Step(one.side, what))
                    for weight, what in (*ways_out, gives_up, (1, "quit"), (3, "urgent"), (3, "finish"), (3, "pause"))]
    weighed = [(weight, step) for weight, step in weighed if ends.possible(step)]
    if not weighed:
        return None
    if may_sleep:
        # Mostly where something waits that a timer may take for dead.
        all_others = sum(weight for weight, _ in weighed)
        is_full = any(one.seen.behind or one.waiting for one in ends.of.values())
        weighed.append((all_others if is_full else all_others // 5 + 1, Step("both", "sleep", int(NAP * 1000))))
    return dice.choices([step for _, step in weighed], [weight for weight, _ in weighed])[0]


def record(seed: int, direct: Callable[[], Ends], quiet: float = QUIET, naps: int = 0) -> Walk:
    """The walk of that seed on a direct connection. The steps depend on what was seen there."""
    dice, walk = random.Random(seed), Walk(seed)
    ends = direct()
    try:
        while len(walk.steps) < STEPS and (step := choice(ends, dice, naps > 0)):
            naps -= step.what == "sleep"
            take(walk, ends, step, quiet)
    finally:
        ends.close()
    return walk


def take(walk: Walk, ends: Ends, step: Step, quiet: float) -> None:
    ends.do(step)
    walk.steps.append(step)
    walk.seen.append(settled(ends, quiet))


def repeat(seed: int, steps: list[Step], direct: Callable[[], Ends], quiet: float = QUIET) -> Walk:
    """These steps on a direct connection, without those that are not possible there."""
    walk = Walk(seed)
    ends = direct()
    try:
        for step in steps:
            if ends.possible(step):
                take(walk, ends, step, quiet)
    finally:
        ends.close()
    return walk


def shrunk(walk: Walk, last: int, direct: Callable[[], Ends], fails: Callable[[Walk], bool], seconds: float) -> Walk:
    """The shortest that still fails which is found by dropping what comes after the `last` step, and then one step after the
    other, in that time."""
    until = time.monotonic() + seconds
    walk = Walk(walk.seed, walk.steps[:last + 1], walk.seen[:last + 1])
    at = last
    while at >= 0 and time.monotonic() < until:
        fewer = repeat(walk.seed, walk.steps[:at] + walk.steps[at + 1:], direct)
        if fails(fewer):
            walk, at = fewer, min(at, len(fewer.steps))
        at -= 1
    return walk
