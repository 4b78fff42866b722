"""Each call that a running finhold makes fails once, and then two at a time: the session that it was for is reset, or nothing is
seen of it. Everybody else has all bytes and ends, nothing is left behind, and a new session works."""

import http.client
import random
from pathlib import Path
from typing import Callable

import pytest
from ends import Server, unused_address
from failing import ALLOCATIONS, EVERYTHING, SEED, TURNS, Calls, Fault, Results, Watched, faults_of, patience, recording
from finhold import config_text, route_to, wait_until
from talks import RESETS, HalfEnd, Talk, bulk, client_resets, close_left_over, half_close, held, server_resets, urgent

SCRIPTS = {"main": (half_close, bulk, urgent, client_resets, server_resets), "server": (held,), "nursed": (half_close,),
           "named": (half_close,), "both": (half_close, server_resets)}


class World(Watched):
    """A finhold with routes for all that is tried, and one session that nothing may harm."""

    def __init__(self, start, folder: Path, splice: str):
        super().__init__(Calls(folder), 1)
        self.start, self.splice = start, splice
        self.server = Server()
        self.config = folder / "finhold.toml"
        self.refused = unused_address()
        self.ends = 0
        self.begin()

    def write(self, *more: dict) -> None:
        address = self.server.address
        routes = [route_to(address), route_to(address, "server", name="server", fin={"release_when_quiet": "never"}),
                  route_to(address, "server", name="nursed", fin={"release_when_quiet": "0s"}),
                  route_to(address, "both", name="both", fin={"release_when_quiet": "0s"}),
                  route_to(f"localhost:{address[1]}", name="named"), route_to(self.refused, name="refused")]
        self.config.write_text(config_text([*routes, *more], {"limits": {"workers": 1, "splice": self.splice},
                                                              "admin": {"listen": "127.0.0.1:0"}}))

    def begin(self) -> None:
        self.write()
        self.began(self.start(arguments=("--config", str(self.config)), popen={"env": self.calls.environment()}))
        self.bystander = self.server.session(self.finhold.address())
        for action in self.exercises().values():  # what is made once for all sessions is there then
            action()
        self.after("reload" if self.splice != "always" else "")
        self.check()
        self.base = self.descriptors()

    # What is tried.

    def exercises(self) -> dict[str, Callable[[], None]]:
        routes = {f"route {route}": (lambda route=route: self.sessions(route)) for route in SCRIPTS}
        if self.splice == "always":  # the bytes go another way, and nothing else
            return {what: routes[what] for what in ("route main", "route both")}
        return {**routes, "refused": self.refusal, "scrape": self.scrape, "reload": self.reload}

    def sessions(self, route: str) -> None:
        for script in SCRIPTS[route]:
            Talk(self.server, self.finhold.address(route)).play(script)

    def refusal(self) -> None:
        client = HalfEnd.connected(self.finhold.address("refused"))
        Talk.read_out(client, None)
        client.close()

    def scrape(self) -> None:
        for path in ("/metrics", "/status.json", "/"):
            try:
                code, text, _ = self.admin.ask(path)
                assert code == 200 and text, f"{path}: {code}"
            except (OSError, http.client.HTTPException) as error:
                assert not isinstance(error, TimeoutError), f"{path} hangs"

    def reload(self) -> None:
        """A route more; without it again, when nothing fails any more."""
        self.write(route_to(self.server.address, name="more"))
        self.signal_reload()

    def take_back(self) -> None:
        self.write()
        assert self.signal_reload() in ("reloaded", "over"), self.finhold.log()

    def after(self, what: str) -> None:
        if what == "reload":
            self.take_back()

    # What must hold afterwards.

    def check(self) -> None:
        self.bystander.client.send(50)
        self.bystander.server.receive(50)
        self.bystander.server.send(50)
        self.bystander.client.receive(50)
        close_left_over(self.server)
        assert Talk(self.server, self.finhold.address("server")).play(held), "a new session is reset"
        self.await_nothing_left()

    def try_fault(self, what: str, *faults: Fault) -> bool:
        """Whether it has happened."""
        turns = self.calls.made()["epoll_wait"]
        self.calls.arm(*faults)
        try:
            try:
                self.exercises()[what]()
            except (*RESETS, ConnectionRefusedError):
                wait_until(self.is_over, lambda: "nobody listens any more")
            reached = self.calls.disarm() > 0
            if not self.is_over():
                try:
                    self.after(what)
                    self.check()
                except (OSError, AssertionError):
                    if not self.ends_soon():
                        raise
            if self.is_over() or self.finhold.process.poll() is not None:
                self.assert_may_have_ended(faults)
                self.bystander.close()
                self.ends += 1
                self.begin()
            else:
                turns = self.calls.made()["epoll_wait"] - turns
                assert turns < TURNS, f"it spins: {turns} turns"
            return reached
        except (OSError, AssertionError) as error:
            raise AssertionError(f"{what}: {' and '.join(map(str, faults))}: {type(error).__name__}: {error}") from error

    def begin_again(self) -> None:
        """After a mistake, of which more could follow."""
        if not self.finhold.stopped:
            self.finhold.kill()
        self.bystander.close()
        self.begin()

    def close(self) -> None:
        self.bystander.close()
        self.server.close()


@pytest.fixture(params=["auto", "always"])
def world(request, start, tmp_path, patience):
    made = World(start, tmp_path, request.param)
    yield made
    made.close()


def test_each_call_of_a_running_finhold_fails_once(world):
    results = Results(least=0.7)
    for what, action in world.exercises().items():
        for fault in faults_of(recording(world.calls, action, lambda what=what: world.after(what)), most=3,
                               allocations=20 if what == "route named" else 1):
            results.take(lambda: world.try_fault(what, fault), world.begin_again)
        print(f"{what}: {results.reached} of {results.tried}", flush=True)
    results.settle(f"{world.splice}, {world.ends} ends for want of memory")


def test_two_calls_of_a_running_finhold_fail(world):
    dice = random.Random(SEED)
    places = {}
    for what, action in world.exercises().items():
        counts = recording(world.calls, action, lambda what=what: world.after(what))
        places[what] = [fault for fault in faults_of(counts, most=8, allocations=1, errors=3) if fault.call not in ALLOCATIONS]
    results = Results(least=0.5)
    for _ in range(3000 if EVERYTHING else 60):
        what = dice.choice(list(places))
        first = dice.choice(places[what])
        second = dice.choice([fault for fault in places[what] if fault.call != first.call])
        results.take(lambda: world.try_fault(what, first, second), world.begin_again)
    results.settle(world.splice)
