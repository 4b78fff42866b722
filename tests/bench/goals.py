"""The goals of the data path, as ratios of medians of one interleaved run. Never part of the tests: a
busy machine must not make them fail."""

from dataclasses import dataclass
from typing import Callable

from table import Column, Results


@dataclass(frozen=True)
class Goal:
    """`ours` must be at most (or at least) `factor` times that of `against`: a peer's name, or "best"."""
    what: str
    test: str
    key: str
    factor: float
    against: str = "best"
    at_least: bool = False


SINGLE = (
    Goal("CPU s/GB, 1 stream", "bulk1", "cpu_per_gb", 0.5),
    Goal("CPU s/GB, 8 streams", "bulk8", "cpu_per_gb", 0.85),
    Goal("CPU s/GB, 8 streams", "bulk8", "cpu_per_gb", 0.55, "haproxy-splice"),
    Goal("CPU s/GB, 1 stream (checks sampled)", "bulk1-sampled", "cpu_per_gb", 0.5),
    Goal("CPU s/GB, 8 streams (checks sampled)", "bulk8-sampled", "cpu_per_gb", 0.85),
    Goal("CPU s/GB, 8 streams (checks sampled)", "bulk8-sampled", "cpu_per_gb", 0.55, "haproxy-splice"),
    Goal("GB/s, 1 stream (checks sampled)", "bulk1-sampled", "gb_per_s", 2, at_least=True),
    Goal("GB/s, 8 streams (checks sampled)", "bulk8-sampled", "gb_per_s", 1.25, at_least=True),
    Goal("MTU 1500, CPU s/GB, 1 stream", "bulk1-1500", "cpu_per_gb", 1.1),
    Goal("MTU 1500, CPU s/GB, 8 streams", "bulk8-1500", "cpu_per_gb", 1.1),
    Goal("MTU 1500, GB/s, 1 stream", "bulk1-1500", "gb_per_s", 0.9, at_least=True),
    Goal("MTU 1500, GB/s, 8 streams", "bulk8-1500", "gb_per_s", 0.9, at_least=True),
    Goal("CPU us per transaction", "rr", "cpu_us", 1.05),
    Goal("CPU us per transaction", "rr", "cpu_us", 0.9, "haproxy"),
    Goal("p99 of request/response", "rr", "p99_us", 1.05),
    Goal("CPU us per connection", "crr", "cpu_us", 1.10),
    Goal("CPU us per connection", "crr", "cpu_us", 1.0, "haproxy"),
    Goal("p99 of 64 small sessions beside 16 bulk ones", "mixed", "p99_us", 3),
)
# Without [admin] nothing may cost much less than with it, scraped every 100 ms: what is counted is
# counted either way. The scrape itself is made on the worker's CPU here, and delays whatever is under way.
SINGLE += tuple(
    Goal(f"without [admin], {what}", test, key, factor, "finhold-watched", at_least=True)
    for what, test, key, factor in (
        ("CPU s/GB, 1 stream (checks sampled)", "bulk1-sampled", "cpu_per_gb", 0.9),
        ("CPU s/GB, 8 streams (checks sampled)", "bulk8-sampled", "cpu_per_gb", 0.85),
        ("CPU us per transaction", "rr", "cpu_us", 0.9),
        ("p99 of request/response", "rr", "p99_us", 0.75),
        ("CPU us per connection", "crr", "cpu_us", 0.9)))
TLS = (
    Goal("CPU s/GB, 1 stream (checks sampled)", "bulk1-sampled", "cpu_per_gb", 0.75),
    Goal("CPU s/GB, 8 streams (checks sampled)", "bulk8-sampled", "cpu_per_gb", 0.75),
    Goal("GB/s, 1 stream (checks sampled)", "bulk1-sampled", "gb_per_s", 1.2, at_least=True),
    Goal("GB/s, 8 streams (checks sampled)", "bulk8-sampled", "gb_per_s", 1.2, at_least=True),
    Goal("CPU us per transaction", "rr", "cpu_us", 0.7),
    Goal("CPU us per connection", "crr", "cpu_us", 0.6, "ssh"),
    Goal("user bytes per idle session", "idle", "bytes_per_idle", 0.1),
)
PLAIN = (
    Goal("CPU s/GB, 1 stream (checks sampled)", "bulk1-sampled", "cpu_per_gb", 0.6, "haproxy"),
    Goal("CPU s/GB, 8 streams (checks sampled)", "bulk8-sampled", "cpu_per_gb", 0.75, "haproxy"),
    Goal("CPU us per transaction", "rr", "cpu_us", 0.75),
    Goal("CPU us per connection", "crr", "cpu_us", 0.65),
    Goal("user bytes per idle session", "idle", "bytes_per_idle", 0.6),
)
GOALS = {None: SINGLE, "tls": TLS, "plain": PLAIN}  # by run --pair
MOST_PER_IDLE = 1024             # bytes
MOST_GROWTH = 512 * 1024         # bytes in all that 100,000 sessions may leave: less than 6 each
LIMITS: tuple[tuple[str, str, str, float], ...] = (  # of one instance
    ("user bytes per idle session", "idle", "bytes_per_idle", MOST_PER_IDLE),
    ("user bytes left after 100,000 short sessions", "churn", "churn_growth", MOST_GROWTH),
    ("descriptors left after 100,000 short sessions", "churn", "churn_descriptors", 0),
)


def needed(pair: str | None) -> list[str]:
    """The tests that tell whether they are reached."""
    limits = () if pair else LIMITS
    return list(dict.fromkeys([*(goal.test for goal in GOALS[pair]), *(each[1] for each in limits)]))


def _line(verdict: str, what: str) -> str:
    return f"{verdict:<7} {what}"


def _compare(results: Results, ours: str, goal: Goal) -> str:
    value = results.median(ours, goal.test, goal.key)
    if goal.against == "best":
        best = results.best_peer(Column("", goal.test, goal.key, goal.at_least, 0))
        name, other = best if best else ("no peer", None)
    else:
        name, other = goal.against, results.median(goal.against, goal.test, goal.key)
    words = "at least" if goal.at_least else "at most"
    what = f"{goal.what}: {words} {goal.factor:g} x {name}"
    if value is None or not other:
        return _line("unknown", what)
    ratio = value / other
    good = ratio >= goal.factor if goal.at_least else ratio <= goal.factor
    return _line("pass" if good else "FAIL", f"{what}: {ratio:.2f} x ({value:.4g} and {other:.4g})")


def check(results: Results, ours: str, pair: str | None, say: Callable[[str], None]) -> bool:
    """Says a line for each goal; whether all were reached."""
    lines = [_compare(results, ours, goal) for goal in GOALS[pair]]
    for what, test, key, most in () if pair else LIMITS:
        value = results.median(ours, test, key)
        text = f"{what}: at most {most:g}"
        lines.append(_line("unknown", text) if value is None
                     else _line("pass" if value <= most else "FAIL", f"{text}: {value:.0f}"))
    wrong = [f"{each.proxy}, {each.test}: {each.error}" for each in results.results
             if each.proxy == ours and each.error]
    lines.append(_line("FAIL" if wrong else "pass", "every byte and every end right" +
                       "".join(f"; {each}" for each in wrong[:3])))
    for line in lines:
        say(line)
    return all(line.startswith("pass") for line in lines)
