"""What the soak runs in: a network namespace of its own, with finholds whose logs are bounded, and the lanes through them.

    copied   one finhold, every `crosses`, all bytes copied         steady   a pair over TLS: near and far
    spliced  the same, every byte through a pipe                    cut      another one, whose connections are cut

Each finhold has two files that it is given in turn, by SIGHUP."""

import re
import signal
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable

from admin import ON, Admin
from certificates import Authority
from ends import Address, Server, text_of, unused_address
from finhold import Event, Finhold, config_text, lean_environment, route_to, wait_until
from lanes import Failure, Lane, Windows
from pair import far_table, through_tunnel, tunnel_table
from private_network import Network

WORKERS = 2
KEPT = 300  # lines of a log
CONNTRACK = {"time_wait": 5, "close": 5, "last_ack": 30, "close_wait": 60, "fin_wait": 120}  # seconds
COMPLAINTS = re.compile(r"check failed|Sanitizer|runtime error:")


class Lasting(Finhold):
    """A finhold that may run for days: of its log the last lines are kept, the others are counted. It dies with this thread."""

    def __init__(self, name: str, path: Path, texts: list[str]):
        self.name, self.path, self.texts = name, path, texts
        self.variant = 0
        self.lines, self.counts = 0, Counter()
        self.listens: dict[str, Address] = {}
        path.write_text(texts[0])
        super().__init__(["run", "--config", str(path)], prefix=("setpriv", "--pdeathsig", "KILL"), **lean_environment())
        self.admin = Admin(self)
        self.sanitized = bool(re.search(r"lib[at]san|__asan", Path(f"/proc/{self.pid}/maps").read_text()))

    def _note(self, event: Event) -> None:
        super()._note(event)
        self.lines += 1
        kind = f"{event.level}: {event.message}"
        self.counts[kind if kind in self.counts or len(self.counts) < 100 else "other lines"] += 1
        if COMPLAINTS.search(event.line):
            self.counts["complaints"] += 1
        if len(self.events) > 2 * KEPT:
            del self.events[:KEPT]

    def address(self, route: str = "main") -> Address:
        """Its line may be among those that are not kept."""
        if route not in self.listens:
            self.listens[route] = super().address(route)
        return self.listens[route]

    def said(self, beginning: str) -> int:
        """How many lines had that message, whatever their level."""
        return sum(number for kind, number in list(self.counts.items()) if kind.split(": ", 1)[-1].startswith(beginning))

    def endings_of(self, route: str) -> Counter:
        """Of all sessions of a route, as it counts them itself."""
        beginning = f'finhold_sessions_total{{route="{route}",ending="'
        metrics = self.admin.metrics()
        return Counter({name[len(beginning):-2]: int(value) for name, value in metrics.items() if name.startswith(beginning)})

    def reload(self, text: str, message: str) -> None:
        before = self.said(message)
        self.path.write_text(text)
        self.signal(signal.SIGHUP)
        wait_until(lambda: self.said(message) > before, lambda: f"{self.name} has not said \"{message}\":\n{self.log()}")


def tables_of(**tables: Any) -> dict[str, Any]:
    return {"admin": ON, **tables, "limits": {"workers": WORKERS, "sessions": 1000, **tables.get("limits", {})}}


@dataclass
class World:
    network: Network
    directory: Path
    seed: int
    fail: Callable[[Failure], None]
    kinds: tuple[str, ...]
    through: tuple[str, ...]
    finholds: list[Lasting] = field(default_factory=list)
    lanes: list[Lane] = field(default_factory=list)
    windows: Windows = field(default_factory=Windows)

    def __post_init__(self) -> None:
        for state, seconds in CONNTRACK.items():
            with suppress(FileNotFoundError):
                self.network.set(f"net.netfilter.nf_conntrack_tcp_timeout_{state}", seconds)
        with suppress(OSError):
            self.network.set("net.ipv4.tcp_congestion_control", "reno")  # bbr has timers for each piece
        self.network.filter("ct state new,established accept")  # so there is connection tracking
        self.dead = unused_address()
        for name, splice in (("copied", "never"), ("spliced", "always")):
            if name in self.through:
                self._single(name, splice)
        authority = Authority(self.directory)
        for name, port in (("steady", 8443), ("cut", 8444)):
            if name in self.through:
                self._pair(name, authority, port)

    def _start(self, name: str, texts: list[str]) -> Lasting:
        self.finholds.append(Lasting(name, self.directory / f"{name}.toml", texts))
        return self.finholds[-1]

    def _single(self, name: str, splice: str) -> None:
        servers = {crosses: Server() for crosses in ("none", "server", "client", "both", "quiet")}
        both = [self._single_text(splice, servers, variant) for variant in (0, 1)]
        finhold = self._start(name, both)
        for crosses, server in servers.items():
            holds = tuple(side for side in ("server", "client") if crosses in (side, "both"))
            self._lane(f"{name}-{crosses}", finhold, crosses, server, holds)

    def _single_text(self, splice: str, servers: dict[str, Server], variant: int) -> str:
        keys = [{}, {"keepalive": {"idle": "20s"}, "connect_timeout": "7s"}][variant]
        routes = [route_to(self.dead, name="dead")]
        for crosses, server in servers.items():
            quiet = {"release_when_quiet": "200ms"} if crosses == "quiet" else {"release_when_quiet": "never"}
            # A name is looked up, and has an address at which nobody listens.
            to = f"localhost:{server.address[1]}" if crosses == "none" else server.address
            routes.append(route_to(to, "both" if crosses == "quiet" else crosses, name=crosses, fin=quiet, **keys))
        routes += [route_to(self.dead, name="another")] * variant
        return config_text(routes, tables_of(limits={"splice": splice}))

    def _pair(self, name: str, authority: Authority, port: int) -> None:
        servers = [Server() for _ in range(3)]
        address = ("127.0.0.1", port)  # no client is given it while the far end is away
        allowed = [*(server.address for server in servers), self.dead]
        far = [config_text([], tables_of(far=[far_table(allowed, authority, text_of(address), **keys)]))
               for keys in ({}, {"connect_timeout": "7s"})]
        self._start(f"{name}-far", far).address("far")
        routes = [through_tunnel(server.address, f"{name}-{number}") for number, server in enumerate(servers)]
        routes.append(through_tunnel(self.dead, "dead"))
        near = [config_text(routes, tables_of(tunnel=[tunnel_table(address, authority, **keys)]))
                for keys in ({}, {"connections": 2})]
        finhold = self._start(f"{name}-near", near)
        finhold.await_events("tunnel is open", WORKERS)
        for number, server in enumerate(servers):
            self._lane(f"{name}-{number}", finhold, f"{name}-{number}", server, windows=self.windows if name == "cut" else None)

    def _lane(self, name: str, finhold: Lasting, route: str, server: Server, holds: tuple[str, ...] = (),
              windows: Windows | None = None) -> None:
        self.lanes.append(Lane(name, finhold, route, self.seed, server, self.fail, holds, windows, self.kinds))

    def finhold(self, name: str) -> Lasting:
        return next(each for each in self.finholds if each.name == name)

    def restart_far(self) -> None:
        """The far end of the pair that is cut, by SIGKILL."""
        old = self.finhold("cut-far")
        old.kill()
        self.finholds[self.finholds.index(old)] = new = Lasting(old.name, old.path, old.texts)
        new.address("far")
        new.lines, new.counts = new.lines + old.lines, new.counts + old.counts

    # Rest: no session, and all with their first file.

    def run(self) -> None:
        for lane in self.lanes:
            lane.may_run.set()

    def rest(self) -> None:
        for lane in self.lanes:
            lane.may_run.clear()
        wait_until(lambda: all(lane.rests for lane in self.lanes),
                   lambda: ", ".join(lane.name for lane in self.lanes if not lane.rests), limit=300)
        for finhold in self.finholds:
            if finhold.variant:
                finhold.reload(finhold.texts[0], "reloaded")
                finhold.variant = 0
            wait_until(lambda: finhold.admin.status()["sessions"] == 0, lambda: f"{finhold.name} has sessions that nobody has")

    def close(self) -> None:
        """In order; what is wrong with that is raised."""
        for lane in self.lanes:
            lane.over.set()
            lane.may_run.set()
        problems = []
        for finhold in reversed(self.finholds):  # near before far
            try:
                finhold.signal()
                finhold.await_exit()
                assert not finhold.counts["complaints"], finhold.log()
            except AssertionError as problem:
                problems.append(f"{finhold.name}: {problem}")
        assert not problems, "\n".join(problems)
