"""What the rules of closing make of what a direct connection shows (walks.py), and nothing else:

- An end towards a crossing leg is held, and seen later: until the side behind that leg has ended too (R3a), the source is known to
  be gone (R3b), or a limit lets it go (R3c, d). Where finhold cannot know that a source is gone, the end waits.
- A reset comes behind every byte (R4): one who does not read hears of it later.
- Who closes while a full buffer holds its bytes, and is sent something, resets a direct connection. With more room between its end
  may have got through before that, and is a real one: it is one for certain if it was acknowledged (R4).
- Where both have ended a reset is no news: finhold has said so in order, whatever one's kernel answers to the other one's end.
- The limits of a session reset it (R6), and one whose one end is gone does not stay half-closed for ever (R7)."""

import time
from dataclasses import dataclass, replace

from walkers import SIDES, Both, Ends, Seen, Step
from walks import LIMIT, QUIET, Walk, settled


@dataclass(frozen=True)
class Timers:
    """Those of a route which a walk sleeps past (walks.NAP), in seconds; none: much longer than a walk."""

    quiet: float | None = None  # release_when_quiet
    hold: float | None = None  # hold_at_most
    half_closed: float | None = None  # half_closed_idle or _total
    idle: float | None = None
    vanished: float | None = None  # of keepalive; and the kernel of an end that closed forgets it before that

    def let_go(self) -> list[float]:
        return [each for each in (self.quiet, self.hold) if each is not None]


class Difference(AssertionError):
    def __init__(self, at: int, text: str):
        super().__init__(text)
        self.at = at


class Rules:
    def __init__(self, crosses: str, sees_gone: tuple[str, ...] = SIDES, timers: Timers = Timers()):
        self.crossing = {side: crosses in (side, "both") for side in SIDES}
        self.sees_gone, self.timers = sees_gone, timers
        self.ended_at: dict[str, float] = {}
        self.finished, self.said_end, self.gone, self.aborted, self.released = set(), set(), set(), set(), set()
        self.reads, self.last_ended = set(SIDES), {side: False for side in SIDES}
        self.began = 0.0  # the last step
        self.must_reset = False

    def note(self, step: Step) -> None:
        """Before it is done."""
        self.began = time.monotonic()
        if step.what in ("finish", "close", "abort", "quit"):
            self.finished.add(step.side)
            self.ended_at.setdefault(step.side, self.began)
        if step.what in ("finish", "close", "quit"):
            self.said_end.add(step.side)
        if step.what in ("close", "abort", "quit"):
            self.gone.add(step.side)
        if step.what in ("abort", "quit"):
            self.aborted.add(step.side)
        if step.what == "pause":
            self.reads.discard(step.side)
        if step.what == "resume":
            self.reads.add(step.side)

    # After a sleep in which nothing moved.

    def note_nap(self, seen: Both, direct: Both) -> bool:
        """What the limits have done meanwhile. False: more than can be said from here."""
        of = dict(zip(SIDES, seen))
        was_reset = any(its.reset for side, its in zip(SIDES, direct) if side not in self.gone)
        over = len(self.finished) == 2 or bool(self.aborted) or was_reset
        behind = [side for side in SIDES if side not in self.gone and of[side].behind]
        # Bytes are there for one who does not read, and its other end is gone, or both have ended: limits of the delivery.
        if behind and (over or self.gone):
            return False
        if self.timers.half_closed or self.timers.idle:
            half_closed = len(self.finished) == 1
            if half_closed and behind and self.timers.half_closed:
                return False  # the end may stand behind them
            self.must_reset = not over and (half_closed or self.timers.idle is not None)
        if self.timers.vanished and self.gone and not over:
            self.must_reset = True
        for side, other in zip(SIDES, reversed(SIDES)):
            if self.timers.let_go() and other in self.finished and not of[side].behind:
                if self.timers.hold or not of[other].behind:  # it is not quiet while bytes wait, the other way
                    self.released.add(side)
        return True

    def may_be_over(self, seen: Both, direct: Both) -> bool:
        """A reset that a direct connection has not: by a limit whose time has come, on a slow machine without a sleep too."""
        now = time.monotonic()
        for side, other, mine, its in zip(SIDES, reversed(SIDES), seen, direct):
            if side in self.gone or not mine.reset or its.reset:
                continue
            if self.timers.vanished and other in self.gone:
                return True
            if self.timers.idle and now - self.began >= self.timers.idle:
                return True
            if self.timers.half_closed and self.ended_at and now - min(self.ended_at.values()) >= self.timers.half_closed:
                return True
        return False

    def accepts(self, seen: Both, direct: Both) -> bool:
        of = dict(zip(SIDES, seen))
        if self.must_reset:
            return all(of[side].reset for side in SIDES if side not in self.gone)
        return all(side in self.gone or self._accepts(side, other, of[side], of[other], its)
                   for side, other, its in zip(SIDES, reversed(SIDES), direct))

    def _accepts(self, side: str, other: str, mine: Seen, others: Seen, direct: Seen) -> bool:
        if (mine.missing, mine.strange) != (direct.missing, direct.strange):
            return False
        if mine.reset != direct.reset and not (direct.reset and (mine.behind or self._is_no_news(side, other, mine))):
            return False
        return mine.ended in self._ends(side, other, mine, others, direct)

    def _is_no_news(self, side: str, other: str, mine: Seen) -> bool:
        """Both have ended, and the kernel of one has forgotten it: directly the other one's end draws a RST. Or one resets behind
        its own end, which directly still waited for room."""
        will_end = side not in self.reads and other in self.said_end
        return (mine.ended or will_end) and side in self.finished and other in self.gone

    def _ends(self, side: str, other: str, mine: Seen, others: Seen, direct: Seen) -> tuple[bool, ...]:
        if side not in self.reads:
            return (self.last_ended[side],)
        if direct.reset and (mine.torn or direct.torn):
            return (True,) if mine.sure_of_end else (False, True) if other in self.said_end else (False,)
        if not direct.ended or direct.reset or not self.crossing[side] or side in self.released:
            return (direct.ended,)
        if other in self.gone and (other in self.sees_gone or self.timers.vanished):
            return (True,) if other in self.sees_gone else (False, True)
        if side in self.finished:
            # Its own end may stand behind bytes that the other one does not read.
            return (False, True) if other not in self.gone and others.behind else (True,)
        may = any(time.monotonic() - self.ended_at[other] >= limit for limit in self.timers.let_go())
        return (False, True) if may else (False,)

    def keep(self, seen: Both) -> None:
        for side, mine in zip(SIDES, seen):
            self.last_ended[side] = mine.ended


def line(rules: Rules, number: int, step: Step, seen: Both) -> str:
    words = ("closed" if side in rules.gone else str(one) for side, one in zip(SIDES, seen))
    return f"  {number:2} {step!s:22} " + "   ".join(f"{side}: {each}" for side, each in zip(SIDES, words))


def follow(walk: Walk, ends: Ends, rules: Rules, limit: float = LIMIT) -> None:
    """Does the steps, and awaits after each that both ends have seen what they should, and no more."""
    done: list[str] = []

    def fail(at: int, seen: Both, words: str) -> None:
        directly = replace(walk.steps[at], side="", what="directly", size=0)
        told = [*done, line(rules, at + 1, walk.steps[at], seen), line(rules, at + 1, directly, walk.seen[at])]
        raise Difference(at, "\n".join([words, *told]))

    for at, (step, direct) in enumerate(zip(walk.steps, walk.seen)):
        rules.note(step)
        ends.do(step)
        if step.what == "sleep" and not rules.note_nap(ends.look(), direct):
            return
        until, pause = time.monotonic() + limit, 0.0005
        while not rules.accepts(seen := ends.look(), direct):
            if rules.may_be_over(seen, direct):
                return
            if time.monotonic() > until:
                fail(at, seen, "the last step differs" + (": the session should be reset by a limit" if rules.must_reset else ""))
            time.sleep(pause)
            pause = min(2 * pause, 0.01)
        if rules.must_reset:
            return
        rules.keep(seen)
        done.append(line(rules, at + 1, step, seen))
    if walk.steps and not rules.accepts(seen := settled(ends, QUIET), direct) and not rules.may_be_over(seen, direct):
        fail(len(walk.steps) - 1, seen, "something comes after the last step")
