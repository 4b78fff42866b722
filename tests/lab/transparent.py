"""What the tests of interception have in common: clients that connect to their servers, over both families, once to
a port that the rules catch and once to one that they do not. The client knows nothing of finhold in either case."""

import time
from typing import Callable

import wire
from lab import SERVER, Network

SERVERS = {"v4": SERVER, "v6": "fd77:2::2"}
CAUGHT = {"v4": 7001, "v6": 7002}
DIRECT = {"v4": 8001, "v6": 8002}
BOXES = ("conntrack", "strict", "strict-reset", "kill-on-fin")


def text_of(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def wait_until(condition: Callable[[], bool], limit: float = 15) -> None:
    """For what tells no event: the kernel's tables."""
    stop = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < stop, f"not within {limit} s"
        time.sleep(0.05)


class Workload:
    """Runs in one network: with finhold and without, over IPv4 and IPv6. `outcome`: of the client without."""

    def __init__(self, network: Network, capture_on: str, client: list[str], serving: list[str], outcome: str,
                 patience: float):
        self.network = network
        self.outcome = outcome
        self.capture = network.capture(capture_on)
        both = [*((family, port) for ports in (CAUGHT, DIRECT) for family, port in ports.items())]
        self.servers = {port: network.listen(port, serving, address=SERVERS[family]) for family, port in both}
        self.clients = {port: network.connect("c", text_of(SERVERS[family], port), client,
                                              patience=15 if port in CAUGHT.values() else patience)
                        for family, port in both}

    def check_without(self) -> None:
        for port in DIRECT.values():
            result = self.clients[port].result()
            assert result["outcome"] == self.outcome, (self.network.box, port, result)
            early = wire.early_fins(self.capture.segments(port), "to_server")
            assert early, f"{self.network.box}: the direct connection did not half-close, so this test shows nothing"

    def with_finhold(self):
        """(family, result of the client, result of the server), of what survived."""
        for family, port in CAUGHT.items():
            at_client, at_server = self.clients[port].result(), self.servers[port].result()
            place = (self.network.box, family, at_client, at_server)
            assert at_client["outcome"] == at_server["outcome"] == "complete", place
            assert at_client["received"] == at_server["sent"] > 0, place
            assert at_server["received"] == at_client["sent"] > 0, place
            assert at_client["peer"] == text_of(SERVERS[family], port), place
            yield family, at_client, at_server

    def segments(self, family: str) -> list[wire.Segment]:
        return self.capture.segments(CAUGHT[family], until=both_ended)


def both_ended(segments: list[wire.Segment]) -> bool:
    return {segment.flow for segment in wire.fins(segments)} == {"to_server", "to_client"}


def stream(network: Network, capture_on: str) -> Workload:
    """The client ends at once, the server streams on, longer than the box waits after a FIN."""
    cut = {"strict": "silence", "strict-reset": "reset", "kill-on-fin": "silence"}.get(network.box, "complete")
    return Workload(network, capture_on, ["send:100000", "end", "read-end"], ["read:100000", "stream:6"], cut, 4)


def late_answer(network: Network, capture_on: str) -> Workload:
    """The server answers after the end only, and later than the box waits: as a slow sort."""
    return Workload(network, capture_on, ["send:1000", "end", "read-end"], ["read-end", "wait:6", "send:1000", "wait:1"],
                    "silence", 9)


def check_stream(workload: Workload, family: str, ending: dict[str, str]) -> None:
    """Nothing was early on the crossing leg."""
    segments = workload.segments(family)
    assert both_ended(segments), segments[-5:]
    assert wire.early_fins(segments, "to_server") == []
    assert wire.resets(segments) == []
    assert ending["ending"] == "finished" and ending["released"] == "server-ended", ending


def check_late_answer(workload: Workload, family: str, ending: dict[str, str]) -> None:
    """The FIN went out when nothing came back, and keepalives kept the box from forgetting."""
    segments = workload.segments(family)
    early = wire.early_fins(segments, "to_server")
    assert early, segments
    assert len([probe for probe in wire.probes(segments, "to_server") if probe.time > early[0].time]) >= 3, segments
    assert wire.resets(segments) == []
    assert ending["ending"] == "finished" and ending["released"] == "quiet", ending
