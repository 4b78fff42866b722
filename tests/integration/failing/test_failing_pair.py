"""Each call of either end of a pair fails once: the sessions of that tunnel are reset, at both ends, or nothing is seen of it. Other
sessions go on, the tunnel comes back, and nothing is left behind."""

import random
import time
from pathlib import Path
from typing import Callable

import pytest
from ends import Server
from failing import ALLOCATIONS, EVERYTHING, SEED, TURNS, Calls, Fault, Results, Watched, faults_of, patience, recording, some
from finhold import PATIENCE, config_text, route_to
from pair import await_tunnels, far_table, through_tunnel, tunnel_table
from talks import Talk, bulk, client_resets, close_left_over, half_close, server_resets

SCRIPTS = (half_close, bulk, client_resets, server_resets)


class World:
    """A pair over TLS. Near has a route without the tunnel too, with one session that nothing may harm."""

    def __init__(self, start, folder: Path, authority):
        self.start, self.authority, self.folder = start, authority, folder
        self.server, self.own = Server(), Server()
        self.near, self.far = Watched(Calls(folder, "near"), 1), Watched(Calls(folder, "far"), 0)
        self.config = folder / "near.toml"
        self.ends = 0
        self.pings = 10
        self.begin()

    def begin(self) -> None:
        tables = {"limits": {"workers": 1}, "admin": {"listen": "127.0.0.1:0"}}
        self.far.began(self.start(far=[far_table([self.server.address], self.authority)], **tables,
                                  popen={"env": self.far.calls.environment()}))
        self.write()
        self.near.began(self.start(arguments=("--config", str(self.config)), popen={"env": self.near.calls.environment()}))
        await_tunnels(self.near.finhold, 1, self.far.finhold)
        self.bystander = self.own.session(self.near.finhold.address("own"))
        for action in self.exercises().values():
            action()
        self.check()
        self.near.base, self.far.base = self.near.descriptors(), self.far.descriptors()

    def write(self) -> None:
        tunnel = tunnel_table(self.far.finhold.address("far"), self.authority, ping_every=f"{self.pings}s")
        self.config.write_text(config_text([through_tunnel(self.server.address, connect_timeout="2s"), route_to(self.own.address, name="own")], {
            "limits": {"workers": 1}, "admin": {"listen": "127.0.0.1:0"}, "tunnel": [tunnel]}))

    # What is tried.

    def exercises(self) -> dict[str, Callable[[], None]]:
        return {"sessions": self.sessions, "new tunnel": self.new_tunnel}

    def sessions(self) -> None:
        for script in SCRIPTS:
            self.talk(script)

    def talk(self, script: Callable[[Talk], None]) -> bool:
        return Talk(self.server, self.near.finhold.address()).play(script)

    def new_tunnel(self) -> None:
        """The former one ends, since its settings are others."""
        self.pings = 21 - self.pings
        self.write()
        if self.near.signal_reload() == "reloaded":
            self.talk(half_close)

    # What must hold afterwards.

    def check(self) -> None:
        self.bystander.client.send(50)
        self.bystander.server.receive(50)
        self.bystander.server.send(50)
        self.bystander.client.receive(50)
        stop = time.monotonic() + PATIENCE
        while not self.talk(half_close):  # until the tunnel is there again
            assert time.monotonic() < stop and not self.is_over(), "the tunnel does not come back"
            time.sleep(0.01)
        close_left_over(self.server)
        self.near.await_nothing_left()
        self.far.await_nothing_left()

    def is_over(self) -> bool:
        return any(each.is_over() or each.finhold.process.poll() is not None for each in (self.near, self.far))

    def try_fault(self, which: Watched, what: str, *faults: Fault) -> bool:
        """Whether it has happened."""
        turns = which.calls.made()["epoll_wait"]
        which.calls.arm(*faults)
        try:
            try:
                self.exercises()[what]()
                reached = which.calls.disarm() > 0
                if not self.is_over():
                    self.check()
            except (OSError, AssertionError):
                reached = which.calls.disarm() > 0
                if not which.ends_soon():
                    raise
            if self.is_over():
                which.assert_may_have_ended(faults)
                self.ends += 1
                self.bystander.close()
                for each in (self.near, self.far):
                    if not each.finhold.stopped:
                        each.base = {}
                        each.finhold.stop()
                self.begin()
            else:
                turns = which.calls.made()["epoll_wait"] - turns
                assert turns < TURNS, f"it spins: {turns} turns"
            return reached
        except (OSError, AssertionError) as error:
            raise AssertionError(f"{what}: {' and '.join(map(str, faults))}: {type(error).__name__}: {error}\nnear:\n{self.near.finhold.log()}\n"
                                 f"far:\n{self.far.finhold.log()}") from error

    def begin_again(self) -> None:
        """After a mistake, of which more could follow."""
        for each in (self.near, self.far):
            if not each.finhold.stopped:
                each.finhold.kill()
        self.bystander.close()
        self.begin()

    def close(self) -> None:
        self.bystander.close()
        for each in (self.near, self.far):  # check() has looked at each; a second connection of a tunnel stays for a minute
            if not each.finhold.stopped:
                each.await_nothing_left(0)
                each.finhold.descriptors = each.finhold.open_descriptors()
        self.server.close()
        self.own.close()


@pytest.mark.parametrize("end", ["near", "far"])
def test_what_a_tunnel_in_clear_could_not_send_is_no_hole_in_it(start, public_path, patience, end):
    """TLS would see it; here the other side would take what comes behind it for its next bytes."""
    world = World(start, public_path, None)
    which: Watched = getattr(world, end)
    results = Results(least=0.5)
    for nth in some(recording(which.calls, world.sessions, world.check)["send"], 12):
        results.take(lambda: world.try_fault(which, "sessions", Fault("send", nth, "ENOBUFS")), world.begin_again)
    world.close()
    results.settle(end)


@pytest.fixture
def world(start, public_path, authority, patience):
    made = World(start, public_path, authority)
    yield made
    made.close()


@pytest.mark.parametrize("end", ["near", "far"])
def test_each_call_of_an_end_of_a_pair_fails_once(world, end):
    which: Watched = getattr(world, end)
    results = Results(least=0.6)
    for what, action in world.exercises().items():
        for fault in faults_of(recording(which.calls, action, world.check), most=2, allocations=2 if end == "near" else 1):
            results.take(lambda: world.try_fault(which, what, fault), world.begin_again)
        print(f"{end}, {what}: {results.reached} of {results.tried}", flush=True)
    results.settle(f"{end}, {world.ends} ends for want of memory")


@pytest.mark.parametrize("end", ["near", "far"])
def test_two_calls_of_an_end_of_a_pair_fail(world, end):
    which: Watched = getattr(world, end)
    dice = random.Random(SEED)
    places = {what: [fault for fault in faults_of(recording(which.calls, action, world.check), most=8, allocations=1, errors=3)
                     if fault.call not in ALLOCATIONS] for what, action in world.exercises().items()}
    results = Results(least=0.4)
    for _ in range(1500 if EVERYTHING else 15):
        what = dice.choice(list(places))
        first = dice.choice(places[what])
        second = dice.choice([fault for fault in places[what] if fault.call != first.call])
        results.take(lambda: world.try_fault(which, what, first, second), world.begin_again)
    results.settle(end)
