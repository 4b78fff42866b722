"""Random walks of both ends: what each sees is what it would see on a direct connection, but for what is held (walks.py)."""

import os

import pytest
from ends import Server, connect
from finhold import route_to
from pair import start_pair
from walks import PATIENT, Ends, Walk, follow, record

COUNT = int(os.environ.get("WALKS", "60"))
FIRST = int(os.environ.get("FIRST", "1"))
WAYS = ["none", "client", "server", "both", "both spliced", "pair", "pair over TLS"]


@pytest.fixture(scope="module")
def walks() -> list[Walk]:
    return [record(seed) for seed in range(FIRST, FIRST + COUNT)]


def start_way(way: str, start, server: Server, authority):
    """What to connect to, and which legs cross."""
    if way.startswith("pair"):
        return start_pair(start, server.address, authority if way.endswith("TLS") else None).address(), "none"
    crosses, _, spliced = way.partition(" ")
    splice = "always" if spliced else "never"
    return start(route_to(server.address, crosses, fin={"release_when_quiet": "never"}), limits={"splice": splice}).address(), crosses


@pytest.mark.parametrize("way", WAYS)
def test_both_ends_see_what_a_direct_connection_shows(start, server, authority, walks, way):
    address, crosses = start_way(way, start, server, authority)

    def take(walk: Walk) -> None:
        ends = Ends(connect(address), server.accept())
        try:
            follow(walk, ends, crosses)
        finally:
            ends.close()

    for walk in walks:
        try:
            take(walk)
        except AssertionError:
            # On a busy machine the direct connection may have been slower than it was waited for.
            patient = record(walk.seed, PATIENT)
            if patient == walk:
                raise
            take(patient)


def test_a_walk_is_the_same_each_time():
    one, other = record(FIRST, PATIENT), record(FIRST, PATIENT)
    assert (one.steps, one.seen) == (other.steps, other.seen)
