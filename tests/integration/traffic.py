"""Whole sessions, and bytes at random: what tests of every subject send."""

import random
import time

from ends import Address, Session, connect_client

SMALL, BULK = (1, 4096), (65_536, 3_000_000)


def send_at_random(end, seed: int, total: int) -> None:
    """Bursts of small pieces and of large ones, with pauses that let the flow run dry, then the end."""
    dice = random.Random(seed)
    while end.sent < total:
        low, high = dice.choice([SMALL, BULK])
        for _ in range(dice.randint(1, 6)):
            end.send(min(dice.randint(low, high), total - end.sent))
        if dice.random() < 0.4:
            time.sleep(dice.random() * 0.02)
    end.finish()


def receive_at_random(end, seed: int, total: int) -> None:
    dice = random.Random(seed)
    while end.received < total:
        end.receive(min(dice.choice([1, 5_000, 400_000]), total - end.received))
        if dice.random() < 0.1:
            time.sleep(dice.random() * 0.05)  # long enough for back-pressure
    end.expect_end(total)


def exchange(session: Session) -> None:
    """Bytes both ways, both ends, nothing lost."""
    session.client.send(1000)
    session.client.finish()
    session.server.receive(1000)
    session.server.expect_end()
    session.server.send(2000)
    session.server.finish()
    session.client.receive(2000)
    session.client.expect_end()
    session.close()


def one_session(address: Address, length: int) -> None:
    client = connect_client(address)
    client.send(length)
    client.finish()
    client.receive(min(length, 5000))
    client.expect_end()
    client.close()
