"""Bytes are copied, or spliced through a pipe; a flow changes between the two as its traffic does."""

import os
import random
import resource

import pytest
from ends import background
from finhold import route_to
from traffic import receive_at_random, send_at_random

PATHS = ["auto", "never", "always"]


def pipes_of(finhold) -> int:
    """Both ends of each pipe, the log's own and libuv's included."""
    count = 0
    for fd in os.listdir(f"/proc/{finhold.pid}/fd"):
        try:
            count += os.readlink(f"/proc/{finhold.pid}/fd/{fd}").startswith("pipe:")
        except FileNotFoundError:
            pass
    return count


@pytest.mark.parametrize("splice", PATHS)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_flows_that_change_between_few_bytes_and_many_keep_every_byte(relay, splice, seed):
    _, session = relay(tables={"limits": {"splice": splice}})
    dice = random.Random(seed)
    to_server, to_client = dice.randint(1, 40_000_000), dice.randint(1, 40_000_000)
    work = [
        background(lambda: send_at_random(session.client, seed * 10 + 1, to_server)),
        background(lambda: send_at_random(session.server, seed * 10 + 2, to_client)),
        background(lambda: receive_at_random(session.server, seed * 10 + 3, to_server)),
        background(lambda: receive_at_random(session.client, seed * 10 + 4, to_client)),
    ]
    for each in work:
        each.result()


@pytest.mark.parametrize("splice", PATHS)
def test_a_reset_amid_bulk_leaves_a_true_beginning_and_no_pipe(relay, flow, splice):
    finhold, session = relay(tables={"limits": {"splice": splice}})
    source, sink = session.flow(flow)
    sending = background(source.send_while_it_goes)
    sink.receive(3_000_000)
    sending.result()
    source.reset()
    assert sink.expect_reset_not_end() >= 3_000_000
    finhold.ending(ending=f"{source.side}-reset")


def test_an_idle_session_and_a_held_one_own_no_pipe(relay):
    finhold, session = relay("server")
    before = pipes_of(finhold)
    work = background(lambda: session.client.send(30_000_000))
    session.server.receive(30_000_000)
    work.result()
    # The worker keeps the pipe that it has made, for the next; it is not the session's.
    assert pipes_of(finhold) <= before + 2
    session.client.finish()
    work = background(lambda: session.server.send(30_000_000))
    session.client.receive(30_000_000)
    work.result()
    assert pipes_of(finhold) <= before + 2


def test_slow_readers_keep_a_bounded_number_of_pipes_and_the_rest_is_copied(start, server):
    finhold = start(route_to(server.address), limits={"workers": 1})
    before = pipes_of(finhold)
    sessions = [server.session(finhold.address()) for _ in range(24)]
    full = [background(session.client.send_while_it_goes) for session in sessions]
    for each in full:
        assert each.result() > 0
    pipes = (pipes_of(finhold) - before) // 2
    assert 0 < pipes <= 16, f"{pipes} pipes for 24 slow readers"
    for session in sessions:
        session.client.finish()
        session.server.expect_end(session.client.sent)
        session.server.close()
    finhold.endings(24, ending="finished")


def test_without_descriptors_for_pipes_bulk_is_copied(start, server):
    # Two sockets of the session fit, a pipe does not.
    finhold = start(route_to(server.address), limits={"workers": 1})
    open_now = finhold.open_descriptors()
    resource.prlimit(finhold.pid, resource.RLIMIT_NOFILE, (open_now + 3, open_now + 3))
    session = server.session(finhold.address())
    work = background(lambda: session.client.send(30_000_000))
    session.server.receive(30_000_000)
    work.result()
    assert finhold.open_descriptors() <= open_now + 3
    session.client.finish()
    session.server.expect_end()
    session.close()
    finhold.ending(ending="finished", to_server="30000000")
