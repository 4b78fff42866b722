"""Memory that was needed for a while, and is not any more, is the system's again: also while other sessions go on."""

import re
import select
import socket
from contextlib import suppress
from pathlib import Path

import pytest
from ends import Server, Session, connect
from finhold import lean_environment, wait_until
from pair import start_pair

MIB = 1 << 20
SESSIONS = 60


def resident(finhold) -> int:
    rollup = Path(f"/proc/{finhold.pid}/smaps_rollup").read_text()
    return int(re.search(r"^Rss:\s+(\d+) kB", rollup, re.MULTILINE)[1]) * 1024


def stall(socks: list[socket.socket]) -> None:
    """Sends until none of them takes anything for a while; nobody reads."""
    for sock in socks:
        sock.setblocking(False)
    data = bytes(MIB)
    while select.select([], socks, [], 0.5)[1]:
        for sock in socks:
            with suppress(BlockingIOError):
                sock.send(data)


def stalled_sessions(finhold, server: Server, way: str) -> list[Session]:
    sessions = [Session(connect(finhold.address(), receive_buffer=4096), server.accept()) for _ in range(SESSIONS)]
    stall([(session.client if way == "up" else session.server).sock for session in sessions])
    return sessions


def expect_back(finholds, before, sessions, least):
    for finhold, at_first in zip(finholds, before):
        wait_until(lambda finhold=finhold, at_first=at_first: resident(finhold) >= at_first + least,
                   lambda finhold=finhold: f"{resident(finhold)} bytes at most")
    for session in sessions:
        session.client.reset()
        session.server.close()
    for finhold, at_first in zip(finholds, before):
        wait_until(lambda finhold=finhold, at_first=at_first: resident(finhold) <= at_first + least // 3,
                   lambda finhold=finhold, at_first=at_first: f"{resident(finhold)} bytes, {at_first} at first")


@pytest.mark.parametrize("way", ["up", "down"])
def test_windows_of_a_pair_that_were_full(start, server, way):
    """The connection stays, and a session on it."""
    ends = start_pair(lambda *routes, **tables: start(*routes, popen=lean_environment(), **tables), server.address, None)
    staying = server.session(ends.address())
    both = (ends.near, ends.far)
    before = [resident(each) for each in both]
    sessions = stalled_sessions(ends, server, way)
    expect_back(both, before, sessions, SESSIONS * MIB * 2 // 3)
    staying.close()
    for finhold in both:
        words = [ending["ending"] for ending in finhold.endings(SESSIONS + 1)]
        assert words[-1] == "finished" and set(words[:-1]) <= {"client-reset", "server-reset"}, words
