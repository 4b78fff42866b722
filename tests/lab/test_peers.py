"""What finhold and other TCP proxies make of ends and resets, beside a client behind the box that kills 3 s after the
first FIN. The README's table must be what is seen here."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest
import wire
from lab import ROOT, SERVER
from peers import Peer, finhold, haproxy, nginx, pair, socat, ssh, wait_until_it_listens

PROXIES = {
    "finhold": finhold,
    "a pair": pair,
    "haproxy": haproxy,
    "nginx": nginx(),
    "nginx, `proxy_half_close on`": nginx("proxy_half_close on;"),
    "socat": socat(),
    "`socat -t 30`": socat("-t", "30"),
    "`ssh -L`": ssh,
}


@dataclass(frozen=True)
class Row:
    client: list[str]
    server: list[str]  # none: nobody listens
    watched: str = "client"  # whose view of the session is told
    ends: bool = False  # the other side really ends, and does not reset or go on
    patience: float = 10


EARLY_FIN = "a FIN crosses the box before the server's"
STREAM = "the client ends, the server streams on"
TIMER = "the box cuts the transfer; the proxy's own timer finds out"
KILLED = "the proxy is killed (SIGKILL); the client sees"
ROWS = {
    STREAM: Row(["send:100000", "end", "read-end"], ["read:100000", "stream:5", "end", "read-end"], ends=True, patience=5),
    EARLY_FIN: None,  # in the capture of the row above
    "the server answers 1 s after the client's end": Row(["send:1000", "end", "read-end"],
                                                         ["read-end", "wait:1", "send:100000", "end"],
                                                         ends=True),
    TIMER: Row(["send:1000", "end", "read-end"], ["read-end", "stream:5"], ends=True, patience=8),
    "the server resets; the client sees": Row(["send:1000", "read:50000", "send:1", "read-end"],
                                              ["read:1000", "send:50000", "read:1001", "reset"]),
    "the client resets; the server sees": Row(["send:1000", "read:1", "reset"], ["read:1000", "send:1", "read-end"],
                                              watched="server"),
    "nobody listens at the server; the client sees": Row(["read-end"], []),
    KILLED: Row(["send:1000", "read:1000", "say:ready", "read-end"], ["read:1000", "send:1000", "read-end"], patience=30),
}
SESSIONS = {name: row for name, row in ROWS.items() if row}


def table(found: dict[str, dict[str, str]]) -> str:
    lines = [["", *PROXIES], ["---"] * (1 + len(PROXIES)), *([row, *found[row].values()] for row in ROWS)]
    return "\n".join(f"|{'|'.join('---' if cell == '---' else f' {cell} ' for cell in line)}|" for line in lines)


def seen(row: Row, result: dict, other: dict) -> str:
    """What one side has seen, and the other one done and got."""
    if result["outcome"] != "complete":
        return {"reset": "reset", "silence": "hangs"}[result["outcome"]]
    whole = row.ends and other["outcome"] == "complete" and result["received"] == other["sent"] > 0
    return "whole" if whole else "false end"


@pytest.fixture
def peers(lab):
    network = lab.network("strict")
    ports = iter(range(7000, 8000))
    with tempfile.TemporaryDirectory() as folder:  # others than root may enter it, and not pytest's
        Path(folder).chmod(0o755)
        started = {}
        for name, start in PROXIES.items():
            own = {row: next(ports) for row in SESSIONS}
            place = Path(folder) / str(own[STREAM])
            place.mkdir()
            started[name] = Peer(network, place, list(own.values()), short=own[TIMER])
            start(started[name])
        listening = {int(address.rpartition(":")[2]) for peer in started.values() for address in peer.addresses.values()}
        for peer in started.values():
            for process in peer.processes:
                wait_until_it_listens(process, listening)
        yield started


def test_the_readme_tells_what_proxies_make_of_ends_and_resets(peers):
    network = next(iter(peers.values())).network
    capture = network.capture("gc")
    sessions = {(row, proxy): (port, address) for proxy, peer in peers.items()
                for row, (port, address) in zip(SESSIONS, peer.addresses.items())}
    servers = {key: network.traffic("s", "listen", SERVER, port, SESSIONS[key[0]].server,
                                    patience=SESSIONS[key[0]].patience)
               for key, (port, _) in sessions.items() if SESSIONS[key[0]].server}
    for server in servers.values():
        server.wait_for_lines("^listening$", 20)
    clients = {key: network.connect("c", address, SESSIONS[key[0]].client, patience=SESSIONS[key[0]].patience)
               for key, (_, address) in sessions.items()}

    found: dict[str, dict[str, str]] = {row: {} for row in ROWS}

    def look_at(row: str, proxy: str) -> None:
        at_client = clients[row, proxy].result()
        at_server = servers[row, proxy].result() if (row, proxy) in servers else {}
        both = (at_server, at_client) if SESSIONS[row].watched == "server" else (at_client, at_server)
        has_all = not at_server or at_server["received"] == at_client["sent"]
        found[row][proxy] = seen(SESSIONS[row], *both) if has_all else "the server lacks bytes"

    for proxy, peer in peers.items():
        for row in SESSIONS:
            if row != KILLED:
                look_at(row, proxy)
        crossing = capture.segments(peer.crosses or sessions[STREAM, proxy][0])
        # A proxy that closes with bytes unread sends a reset in its place.
        early = wire.early_fins(crossing, "to_server") or [each for each in wire.resets(crossing) if each.flow == "to_server"]
        found[EARLY_FIN][proxy] = "yes" if early else "no"
    for proxy, peer in peers.items():
        clients[KILLED, proxy].wait_for_lines("^ready$", 20)
        peer.kill()
        look_at(KILLED, proxy)

    in_readme = f"\n\n{table(found)}\n\n" in (ROOT / "README.md").read_text()
    assert in_readme, f"the table of README.md is another than what is seen:\n{table(found)}"
