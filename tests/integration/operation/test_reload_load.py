"""A thousand reloads while sessions open, half-close and carry bulk: not one connection attempt, byte or ending is
lost."""

import sys
import threading
from contextlib import closing
from typing import Callable

import pytest
from ends import background, connect_client
from finhold import route_to, wait_until
from reloading import Reloading
from responder import Responder
from traffic import one_session

RELOADS = 1000
WRONG = 'nonsense = "here"\n'


@pytest.fixture
def quick_turns():
    """A reload waits for several threads of this test, one after the other."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(0.0005)
    yield
    sys.setswitchinterval(before)


def test_a_thousand_reloads_under_load_lose_nothing(start, public_path, quick_turns):
    one, two = Responder(), Responder()
    with closing(one.server), closing(two.server):
        texts = [
            [route_to(one.server.address)],
            [route_to(two.server.address, "both", keepalive={"idle": "20s"}, fin={"release_when_quiet": "0s"}),
             route_to(one.server.address, name="other")],
            [route_to(one.server.address, name="third"), route_to(two.server.address, "client", fin={"release_when_quiet": "10ms"})],
        ]
        finhold = Reloading(start, public_path / "reloaded.toml", *texts[0])
        address = finhold.finhold.address()
        over = threading.Event()
        begun = [0, 0, 0]

        def sessions(thread: int, length: Callable[[int], int]) -> None:
            while not over.is_set():
                begun[thread] += 1
                one_session(address, length(begun[thread]))

        loads = [background(lambda: sessions(0, lambda n: 1 + n % 500)), background(lambda: sessions(1, lambda n: 5000)),
                 background(lambda: sessions(2, lambda n: 2_000_000))]
        half_closed = [connect_client(address) for _ in range(10)]  # each waits for the end of its server all the time
        for client in half_closed:
            client.send(100)
        results = {"reloaded": 0, "nothing was reloaded": 0}
        reloads = RELOADS if finhold.finhold.memory_factor() == 1 else RELOADS // 5  # ThreadSanitizer is slow
        for number in range(reloads):
            if number % 4 == 3:
                finhold.path.write_text(WRONG)
            else:
                ports = finhold.write(*texts[number % 4])
            message = finhold.signal().message
            results["reloaded" if message == "reloaded" else "nothing was reloaded"] += 1
            for load in loads:
                assert not load.done() or load.result()
        over.set()
        for load in loads:
            load.result()
        for client in half_closed:
            client.finish()
            client.receive(100)
            client.expect_end()
            client.close()
        assert results == {"reloaded": reloads * 3 // 4, "nothing was reloaded": reloads // 4}
        assert not one.problems + two.problems
        total = sum(begun) + len(half_closed)
        endings = finhold.finhold.endings(total)
        assert len(endings) == total
        wait_until(lambda: one.served + two.served == total)
        assert {ending["ending"] for ending in endings} == {"finished"}
        finhold.finhold.descriptors += ports - finhold.ports
