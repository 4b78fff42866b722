"""The tables: medians, their spread, and their ratio to the best peer."""

from dataclasses import dataclass
from statistics import median

from measure import Result


@dataclass(frozen=True)
class Column:
    title: str
    test: str
    key: str
    more_is_better: bool
    digits: int


COLUMNS = (
    Column("GB/s, 1 stream", "bulk1", "gb_per_s", True, 2),
    Column("CPU s/GB", "bulk1", "cpu_per_gb", False, 3),
    Column("GB/s, 8 streams", "bulk8", "gb_per_s", True, 2),
    Column("CPU s/GB", "bulk8", "cpu_per_gb", False, 3),
    Column("GB/s, 1 stream, sampled", "bulk1-sampled", "gb_per_s", True, 2),
    Column("CPU s/GB", "bulk1-sampled", "cpu_per_gb", False, 3),
    Column("GB/s, 8 streams, sampled", "bulk8-sampled", "gb_per_s", True, 2),
    Column("CPU s/GB", "bulk8-sampled", "cpu_per_gb", False, 3),
    Column("GB/s, 8 streams down", "down8", "gb_per_s", True, 2),
    Column("CPU s/GB", "down8", "cpu_per_gb", False, 3),
    Column("GB/s, 8 streams both ways", "both8", "gb_per_s", True, 2),
    Column("CPU s/GB", "both8", "cpu_per_gb", False, 3),
    Column("MTU 1500: GB/s, 1 stream", "bulk1-1500", "gb_per_s", True, 2),
    Column("CPU s/GB", "bulk1-1500", "cpu_per_gb", False, 2),
    Column("MTU 1500: GB/s, 8 streams", "bulk8-1500", "gb_per_s", True, 2),
    Column("CPU s/GB", "bulk8-1500", "cpu_per_gb", False, 2),
    Column("rr tx/s", "rr", "per_s", True, 0),
    Column("p50 us", "rr", "p50_us", False, 0),
    Column("p99 us", "rr", "p99_us", False, 0),
    Column("p99.9 us", "rr", "p999_us", False, 0),
    Column("CPU us/tx", "rr", "cpu_us", False, 1),
    Column("crr conn/s", "crr", "per_s", True, 0),
    Column("p99 us", "crr", "p99_us", False, 0),
    Column("CPU us/conn", "crr", "cpu_us", False, 1),
    Column("mixed p99 us", "mixed", "p99_us", False, 0),
    Column("mixed GB/s", "mixed", "gb_per_s", True, 2),
    Column("B/idle session", "idle", "bytes_per_idle", False, 0),
    Column("B left after churn", "churn", "churn_growth", False, 0),
)
FULL = 0.95  # of a CPU: where the load generator had no more, its rate says nothing about the proxy


class Results:
    """Of all runs, what is shown: of each (proxy, test, round) the least disturbed try."""

    def __init__(self, results: list[Result], peers: list[str]):
        self.results = results
        self._peers = peers

    def values(self, proxy: str, test: str, key: str) -> list[float]:
        return [each.values[key] for each in self.results
                if each.proxy == proxy and each.test == test and key in each.values]

    def median(self, proxy: str, test: str, key: str) -> float | None:
        values = self.values(proxy, test, key)
        return median(values) if values else None

    def best_peer(self, column: Column) -> tuple[str, float] | None:
        found = [(value, name) for name in self._peers
                 if (value := self.median(name, column.test, column.key)) is not None]
        if not found:
            return None
        value, name = max(found) if column.more_is_better else min(found)
        return name, value

    def failed(self, proxy: str, test: str) -> bool:
        return any(each.error for each in self.results if (each.proxy, each.test) == (proxy, test))

    def cell(self, proxy: str, column: Column, spread: bool) -> str:
        values = self.values(proxy, column.test, column.key)
        if not values:
            return "failed" if self.failed(proxy, column.test) else "-"
        text = f"{median(values):.{column.digits}f}"
        if spread and len(values) > 1:
            text += f" ({min(values):.{column.digits}f}-{max(values):.{column.digits}f})"
        busy = self.values(proxy, column.test, "load_cpu")
        if busy and median(busy) > FULL and column.key in ("gb_per_s", "per_s"):
            text += " *"
        if self.failed(proxy, column.test):
            text += " (and failed)"
        return text

    def ratio(self, proxy: str, column: Column) -> str:
        value, best = self.median(proxy, column.test, column.key), self.best_peer(column)
        if value is None or best is None or best[1] <= 0:
            return "-"
        return f"{value / best[1]:.2f}"


def markdown(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def tables(results: Results, proxies: list[str], spread: bool) -> str:
    columns = [each for each in COLUMNS
               if any(results.values(name, each.test, each.key) for name in proxies)]
    values = markdown(["proxy", *(each.title for each in columns)],
                       [[name, *(results.cell(name, each, spread) for each in columns)] for name in proxies])
    best = [results.best_peer(each) for each in columns]
    ratios = markdown(
        ["ratio to the best peer", *(each.title for each in columns)],
        [["(the best peer)", *(each[0] if each else "-" for each in best)],
         *([name, *(results.ratio(name, each) for each in columns)] for name in proxies)])
    return f"{values}\n\n{ratios}"
