"""A far end goes and another comes, while clients open sessions: not one is lost."""

import threading
from contextlib import closing

import pytest
from ends import Address, background, connect, connect_client
from finhold import wait_until
from pair import far_table, start_pair
from private_network import private_network
from responder import Responder

TAKEOVERS = 5
LENGTHS = (1, 3000, 300_000)  # what the clients of a thread send


def one_session(address: Address, length: int) -> None:
    with closing(connect_client(address)) as client:
        client.send(length)
        client.finish()
        client.expect_end(length)


def nobody_listens(address: Address) -> bool:
    try:
        connect(address).close()
    except ConnectionRefusedError:
        return True
    except ConnectionResetError:  # it waited to be accepted
        pass
    return False


@pytest.fixture
def network():
    """Where nobody else takes the far end's port while it is away."""
    with private_network() as made:
        yield made


@pytest.mark.parametrize("optimistic", [True, False])
def test_sessions_that_begin_while_far_ends_change_are_not_lost(network, start, authority, optimistic):
    with closing(Responder(most=max(LENGTHS))) as responder:
        ends = start_pair(start, responder.server.address, authority, tunnel={"optimistic_data": optimistic})
        far_address = ends.far.address("far")
        fars = [ends.far]
        begun = [0] * len(LENGTHS)
        over = threading.Event()

        def sessions(thread: int) -> None:
            while not over.is_set():
                begun[thread] += 1
                one_session(ends.address(), LENGTHS[thread])

        loads = [background(lambda thread=thread: sessions(thread)) for thread in range(len(LENGTHS))]
        for _ in range(TAKEOVERS):
            fars[-1].signal()
            wait_until(lambda: nobody_listens(far_address))
            listen = f"{far_address[0]}:{far_address[1]}"
            fars.append(start(far=[far_table([responder.server.address], authority, listen=listen)], limits={"workers": 1}))
            fars[-1].await_event("near end connected")
            fars[-2].await_exit()
            for load in loads:
                assert not load.done() or load.result()
        over.set()
        for load in loads:
            load.result()
        wait_until(lambda: responder.served == sum(begun), lambda: f"{responder.served} served of {sum(begun)}, {responder.problems}")
        assert not responder.problems
        endings = ends.near.endings(sum(begun))
        assert len(endings) == sum(begun)
        assert {ending["ending"] for ending in endings} == {"finished"}
        assert {ending["ending"] for far in fars for ending in far.found("session ended")} == {"finished"}
        ends.near.descriptors += 1  # who waits has another connection dialed
        ends.near.stop()  # before its far end, which counts its connections
