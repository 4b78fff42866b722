"""What the sessions of the soak do. Each takes its lane, which opens sessions, and dice; it raises what it finds wrong. An
OSError of a reset is wrong too, unless the lane knows of a cut meanwhile (lanes.py).

`lane.holds`: the sides that hear of the other one's end only once they have ended themselves (R3a): their leg crosses a
box, and release_when_quiet is "never"."""

import random
import socket
import time
from typing import TYPE_CHECKING

from checked import Talk, is_reset
from delivery import SMALL
from ends import expect_refusal
from finhold import wait_until
from traffic import receive_at_random, send_at_random

if TYPE_CHECKING:
    from lanes import Lane

WAYS = ("to_server", "to_client")
CROWD = 30


def rounds(talk: Talk, dice: random.Random, most: int) -> None:
    for _ in range(dice.randint(1, most)):
        for way in WAYS:
            source, sink = talk.flow(way)
            source.send(dice.randint(1, 4000))
            sink.receive_until(source.sent)


def small(lane: "Lane", dice: random.Random) -> None:
    talk = lane.open()
    rounds(talk, dice, 20)
    talk.finish_both()


def bulk(lane: "Lane", dice: random.Random) -> None:
    """One way or both, in pieces of every size; each side ends as soon as it has sent all."""
    talk = lane.open()
    for way in WAYS:
        source, sink = talk.flow(way)
        total = source.sent + dice.choice([0, 100, 100_000, 2_000_000, 8_000_000, 8_000_000])
        talk.start(lambda source=source, seed=dice.random(), total=total: send_at_random(source, seed, total))
        talk.start(lambda sink=sink, seed=dice.random(), total=total: receive_at_random(sink, seed, total))
    talk.results()
    talk.close()


def half_closed(lane: "Lane", dice: random.Random) -> None:
    """One side ends, and the other sends for a while yet: the client as rsh does, or the server."""
    talk = lane.open()
    first, second = talk.flow(dice.choice(WAYS))
    first.send(dice.choice([1, 1000, 300_000]))
    second.receive_until(first.sent)
    first.finish()
    if second.side in lane.holds:
        second.expect_nothing(dice.uniform(0.02, 0.3))
    else:
        second.expect_end()
    for _ in range(dice.randint(0, 10)):
        second.send(dice.choice([1, 3000, 60_000]))
        first.receive_until(second.sent)
        time.sleep(dice.choice([0, 0, 0.1]))
    second.finish()
    first.expect_end()
    second.expect_end()
    talk.close()


def reset(lane: "Lane", dice: random.Random) -> None:
    """What a kernel had acknowledged is delivered before it (R4). Sometimes behind an end, which is true then."""
    talk = lane.open()
    source, sink = talk.flow(dice.choice(WAYS))
    if dice.random() < 0.5:
        sink.send(dice.choice([1, 5000]))  # stays unread
    length = dice.choice([0, 1, 5000, 2_000_000])
    reading = talk.start(lambda: sink.receive(length))
    source.send(length)
    after_end = dice.random() < 0.3
    if after_end:
        source.finish()
    source.await_acknowledged()
    source.reset()
    reading.result()
    verdict = sink.read_to_the_last()
    assert verdict == "reset" or after_end, f"{sink.side}: an end, and no reset"
    assert sink.received == source.sent, f"{sink.side}: {sink.received} bytes of {source.sent} that were acknowledged"
    talk.close()


def abandoned(lane: "Lane", dice: random.Random) -> None:
    """One closes while there is something unread, which its kernel makes a reset of."""
    talk = lane.open()
    source, sink = talk.flow(dice.choice(WAYS))
    length = dice.choice([2, 100_000, 2_000_000])
    sending = talk.start(lambda: source.send(length))
    sink.receive(dice.randint(1, length - 1))
    wait_until(lambda: sink.unread() > 0, lambda: f"{sink.side}: nothing more came")
    sink.close()
    problem = sending.exception(30)
    if problem:
        assert is_reset(problem), problem
    else:
        assert source.read_to_the_last() == "reset", f"{source.side}: an end, and no reset"
    talk.close()


def gone(lane: "Lane", dice: random.Random) -> None:
    """One sends, and closes: the other has its bytes and its end at once, wherever a box is (R3b)."""
    talk = lane.open()
    source, sink = talk.flow(dice.choice(WAYS))
    length = dice.choice([1, 5000, 1_000_000])
    talk.start(lambda: (source.send(length), source.leave()))
    sink.receive(length)
    sink.expect_end()
    talk.results()
    talk.close()


def slow(lane: "Lane", dice: random.Random) -> None:
    """A reader with a small buffer, who takes a little at a time; the other way goes on."""
    talk = lane.open(receive_buffer=SMALL)
    source, sink = talk.flow(dice.choice(WAYS))
    sink.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL)
    total = source.sent + dice.choice([300_000, 1_000_000, 3_000_000])
    talk.start(lambda: source.send(total - source.sent))
    while sink.received < total:
        sink.receive(min(dice.randint(1, 64 << 10), total - sink.received))
        if dice.random() < 0.2:
            time.sleep(dice.uniform(0, 0.02))
            sink.send(dice.randint(1, 1000))
            source.receive_until(sink.sent)
    talk.results()
    talk.finish_both()


def stalled(lane: "Lane", dice: random.Random) -> None:
    """A reader who takes nothing, until everything before him is full."""
    talk = lane.open()
    source, sink = talk.flow(dice.choice(WAYS))
    source.send_while_it_goes()
    for _ in range(dice.randint(1, 5)):
        sink.send(dice.randint(1, 5000))
        source.receive_until(sink.sent)
        time.sleep(dice.uniform(0, 0.3))
    sink.receive_until(source.sent)
    talk.finish_both()


def idle(lane: "Lane", dice: random.Random) -> None:
    talk = lane.open()
    if dice.random() < 0.5:
        rounds(talk, dice, 2)
    time.sleep(dice.uniform(0.1, 3))
    rounds(talk, dice, 2)
    talk.finish_both()


def crowd(lane: "Lane", dice: random.Random) -> None:
    """Many at once, most of them half-closed together."""
    talks = [lane.open() for _ in range(CROWD)]
    for talk in talks:
        rounds(talk, dice, 2)
    firsts = [talk.flow(dice.choice(WAYS))[0] for talk in talks]
    for first in firsts:
        first.finish()
    time.sleep(dice.uniform(0, 1))
    for talk, first in zip(talks, firsts):
        first.partner.send(dice.randint(1, 4000))
        first.receive_until(first.partner.sent)
    for first in firsts:
        first.partner.finish()
    for talk in talks:
        talk.client.expect_end()
        talk.server.expect_end()
        talk.close()


def refused(lane: "Lane", dice: random.Random) -> None:
    """Nobody listens there: a reset, never an end of nothing."""
    del dice
    lane.dead_begun += 1
    expect_refusal(lane.dead)


# How often each is chosen; and those that end as "finished".
WEIGHTS = {small: 30, bulk: 8, half_closed: 15, reset: 12, abandoned: 6, gone: 8, slow: 5, stalled: 2, idle: 5, crowd: 2, refused: 7}
ORDERLY = (small, bulk, half_closed, slow, stalled, idle, crowd)

