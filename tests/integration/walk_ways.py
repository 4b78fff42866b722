"""The ways of random walks (walks.py): directly, and through each kind of finhold, in networks of their own. A kind has one route
for each `crosses`, or for each timer; a way is one of them."""

import threading
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, Iterator

from certificates import Authority
from ends import Address, Server, connect, text_of
from finhold import Finhold, config_text, route_to
from pair import await_tunnels, far_table, tunnel_table
from places import SERVER, Place, Places, routed_places
from walk_rules import Rules, Timers
from walkers import SIDES, Ends

PORT, DIVERTED = 9000, 15001
# With small buffers a megabyte does not fit between two ends, also with a finhold between. The others are Linux's own.
SMALL = {"tcp_rmem": "4096 131072 131072", "tcp_wmem": "4096 65536 65536"}
USUAL = {"tcp_rmem": "4096 131072 6291456", "tcp_wmem": "4096 16384 4194304"}
# An end that closed is forgotten within a nap.
COMMON = {"tcp_congestion_control": "reno", "tcp_fin_timeout": 1}
# Copied or spliced, and with which buffers, is not the same for each kind: every combination would take as long again.
KINDS = {"copied": SMALL, "spliced": SMALL, "copied, usual buffers": USUAL, "sidecar, copied": SMALL, "sidecar, spliced": USUAL,
         "gateway, copied": USUAL, "gateway, spliced": SMALL, "pair in clear": SMALL, "pair over TLS": USUAL}


@dataclass
class Route:
    """What a way asks for."""

    name: str
    crosses: str
    keys: dict = field(default_factory=dict)
    fin: dict = field(default_factory=dict)
    timers: Timers = Timers()


CROSSES = [Route(each, each) for each in ("none", "client", "server", "both")]
OVER_PAIR = [Route(each, each) for each in ("none", "client")]
SOON = {"idle": "1s", "interval": "1s", "probes": 2}
VANISHED = Timers(vanished=3)
SLEEPING = {
    "copied": [
        Route("quiet", "both", fin={"release_when_quiet": "400ms"}, timers=Timers(quiet=0.4)),
        Route("hold_at_most", "both", fin={"hold_at_most": "400ms"}, timers=Timers(hold=0.4)),
        Route("half_closed_total", "both", fin={"half_closed_total": "1s"}, timers=Timers(half_closed=1)),
        Route("keepalive", "both", {"keepalive": SOON}, {"nurse_every": "1s"}, VANISHED),
    ],
    "gateway, spliced": [
        Route("quiet", "both", fin={"release_when_quiet": "400ms"}, timers=Timers(quiet=0.4)),
        Route("half_closed_idle", "server", fin={"half_closed_idle": "1s"}, timers=Timers(half_closed=1)),
        Route("idle", "none", {"idle": "1s"}, timers=Timers(idle=1)),
        Route("keepalive", "both", {"keepalive": SOON}, {"nurse_every": "1s"}, VANISHED),
    ],
    "pair over TLS": [Route("keepalive", "client", {"keepalive": SOON}, {"nurse_every": "1s"}, VANISHED)],
}


def tune(place: Place, keys: dict) -> None:
    for key, value in {**keys, **COMMON}.items():
        place.set(f"net.ipv4.{key}", value)
    with place.inside():
        place.ip("link", "set", "lo", "mtu", "1500")  # a small window takes no segment of 64 KiB, and waits for a timer


@contextmanager
def one_place(keys: dict) -> Iterator[Places]:
    place = Place()
    try:
        tune(place, keys)
        yield Places(place, place, place)
    finally:
        place.close()


@dataclass
class Way:
    """Where to connect to, who accepts then, and which rules are between. Of any thread."""

    name: str
    places: Places
    server: Server
    target: Address
    rules: Callable[[], Rules] = lambda: Rules("none")
    carries_urgent: bool = True
    turn: threading.Lock = field(default_factory=threading.Lock)

    def open(self) -> Ends:
        with self.turn:
            with self.places.client.inside():
                # A port that no other has, so that a redirected one keeps its own.
                client = connect(self.target, own_port=True)
            try:
                return Ends(client, self.server.accept(), self.carries_urgent)
            except OSError as error:
                client.close()
                raise AssertionError(f"{self.name}: the server is not reached: {error}") from error


@contextmanager
def direct_way() -> Iterator[Way]:
    with one_place(SMALL) as places:
        with places.server.inside():
            server = Server()
        try:
            yield Way("directly", places, server, server.address)
        finally:
            server.close()


class Ways:
    """Starts finholds of the kinds; `start` and `authority` are the fixtures."""

    def __init__(self, start: Callable[..., Finhold], authority: Authority, directory: Path, stack: ExitStack):
        self.start, self.authority, self.directory, self.stack = start, authority, directory, stack

    def open(self, kind: str, routes: list[Route]) -> list[Way]:
        word, _, how = kind.partition(",")
        buffers = KINDS[kind]
        if word in ("sidecar", "gateway"):
            places = self.stack.enter_context(routed_places())
            for place in places.all():
                tune(place, buffers)
        else:
            places = self.stack.enter_context(one_place(buffers))
        with places.server.inside():
            host = SERVER if word in ("sidecar", "gateway") else "127.0.0.1"
            servers = [Server(host, port=PORT + at) for at in range(len(routes))]
        for server in servers:
            self.stack.callback(server.close)
        tables = [self._table(route, server) for route, server in zip(routes, servers)]
        limits = {"workers": 1, "splice": "always" if "spliced" in kind else "never"}
        if word in ("sidecar", "gateway"):
            self._divert(word, tables, servers, limits, places)
            targets = [server.address for server in servers]
        else:
            targets = self._listen(kind, tables, servers, limits, places)
        # Only an end on finhold's own machine is asked about, and far does not tell near of it.
        sees_gone = {"copied": SIDES, "spliced": SIDES, "gateway": ()}.get(word, ("client",))
        return [Way(f"{kind}, {route.name}", places, server, target,
                    lambda route=route: Rules(route.crosses, sees_gone, route.timers), not kind.startswith("pair"))
                for route, server, target in zip(routes, servers, targets)]

    @staticmethod
    def _table(route: Route, server: Server) -> dict:
        return {**route_to(server.address, route.crosses, name=route.name), **route.keys,
                "fin": {"release_when_quiet": "never", **route.fin}}

    def _listen(self, kind: str, tables: list[dict], servers: list[Server], limits: dict, places: Places) -> list[Address]:
        with places.gateway.inside():
            if not kind.startswith("pair"):
                finhold = self.start(*tables, limits=limits)
            else:
                authority = self.authority if kind.endswith("TLS") else None
                keepalive = {key: table["keepalive"] for table in tables for key in ("keepalive",) if key in table}
                far = self.start(far=[far_table([server.address for server in servers], authority, **keepalive)], limits=limits)
                finhold = self.start(*({**table, "tunnel": "tunnel"} for table in tables), limits=limits,
                                     tunnel=[tunnel_table(far.address("far"), authority)])
                await_tunnels(finhold, 1, far)
        return [finhold.address(table["name"]) for table in tables]

    def _divert(self, word: str, tables: list[dict], servers: list[Server], limits: dict, places: Places) -> None:
        """A sidecar stands beside the client; a gateway copies the client's address, or not."""
        for at, (table, server) in enumerate(zip(tables, servers)):
            del table["server"]
            table["listen"] = f"0.0.0.0:{DIVERTED + at}"
            table["catch"] = [text_of(server.address)]
            table["intercept"] = {"sidecar": "redirect", "gateway": "tproxy"}[word]
            if word == "gateway":
                table["source"] = ("client", "self")[at % 2]
        file = self.directory / f"{word}.toml"
        file.write_text(config_text(tables, {"limits": limits}))
        with (places.client if word == "sidecar" else places.gateway).inside():
            self.start(arguments=("--config", str(file), "--apply-rules"))

