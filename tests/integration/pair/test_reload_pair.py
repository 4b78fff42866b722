"""SIGHUP at the ends of a pair: new certificates, tunnels and far ends; running sessions go on."""

import shutil
from contextlib import closing
from pathlib import Path

import pytest
from certificates import FAR, Authority
from ends import Server, Session, background, connect_client, expect_refusal, text_of, unused_address
from finhold import toml, wait_until
from reloading import WORKERS, Reloading, free_address
from responder import Responder
from traffic import exchange, one_session


def table(heading: str, **keys: object) -> str:
    return f"[[{heading}]]\n" + "".join(f"{key} = {toml(value)}\n" for key, value in keys.items())


LOG = '[log]\nlevel = "debug"\n[limits]\nworkers = 2\n'


class World:
    """A pair with certificates of its own, in files that a test may replace."""

    def __init__(self, start, directory: Path, to: list):
        self.authority = Authority(directory)
        self.directory = directory
        self.to = to
        self.far_address = text_of(free_address())
        self.listen = text_of(free_address())
        for end in ("near", "far"):
            self.use(end, getattr(self.authority, end))
        self.write_far()
        self.write_near()
        self.far = Reloading(start, directory / "far.toml")
        self.near = Reloading(start, directory / "near.toml")
        self.near.finhold.await_events("tunnel is open", WORKERS)
        self.far.finhold.await_events("near end connected", WORKERS)
        self.descriptors = [(end.finhold, end.finhold.settled_descriptors()) for end in (self.near, self.far)]

    def use(self, end: str, identity) -> None:
        shutil.copy(identity.certificate, self.directory / f"{end}-used.pem")
        shutil.copy(identity.key, self.directory / f"{end}-used.key")

    def tls(self, end: str) -> dict:
        return {"certificate": str(self.directory / f"{end}-used.pem"), "key": str(self.directory / f"{end}-used.key")}

    def write_far(self, **keys) -> None:
        tls = {**self.tls("far"), "client_ca": self.authority.certificate}
        allow = [text_of(address) for address in self.to]
        keys = {"name": "far", "listen": self.far_address, "tls": tls, "allow": allow, **keys}
        (self.directory / "far.toml").write_text(LOG + table("far", **keys))

    def write_near(self, route: dict | None = None, tunnel: bool = True, **keys) -> None:
        tls = {**self.tls("near"), "ca": self.authority.certificate, "server_name": FAR}
        route = {"name": "main", "listen": self.listen, "server": text_of(self.to[0]), **(route or {"tunnel": "dc"})}
        text = LOG + table("route", **route)
        if tunnel:
            text += table("tunnel", **{"name": "dc", "far": self.far_address, "tls": tls, **keys})
        (self.directory / "near.toml").write_text(text)

    def session(self, server: Server) -> Session:
        host, _, port = self.listen.rpartition(":")
        return server.session((host, int(port)))

    def settle(self) -> None:
        """At the end nothing is left of what reloads have replaced. A worker of near may have two connections more than
        at first: that a test has asked for, and one that was dialed for a session that waited."""
        for finhold, at_first in self.descriptors:
            finhold.descriptors = at_first + 2 * WORKERS


@pytest.fixture
def world(start, public_path, server):
    made = World(start, public_path, [server.address])
    yield made
    made.settle()


def reloaded(end: Reloading) -> None:
    event = end.signal()
    assert event.message == "reloaded", end.finhold.log()


def test_a_pair_that_is_the_same_keeps_its_connections(world, server):
    reloaded(world.near)
    reloaded(world.far)
    exchange(world.session(server))
    assert len(world.far.finhold.found("near end connected")) == WORKERS
    assert not world.far.finhold.found("near end gone")


def test_the_certificate_of_the_far_end_is_read_again(world, server):
    """The old session goes on over the old connection; the near end comes again, and sees the new certificate."""
    old = world.session(server)
    old.client.send(100)
    old.server.receive(100)
    world.use("far", world.authority.issue("renewed"))
    reloaded(world.far)
    wait_until(lambda: len([event for event in world.near.finhold.events if "renewed" in event.fields.get("identity", "")]) >= WORKERS)
    exchange(world.session(server))
    exchange(old)
    assert len(world.near.finhold.endings(2, ending="finished")) == 2


def test_the_certificate_of_the_near_end_is_read_again(world, server):
    old = world.session(server)
    old.client.send(100)
    old.server.receive(100)
    world.use("near", world.authority.issue("renewed", names=""))
    reloaded(world.near)
    wait_until(lambda: len([event for event in world.far.finhold.found("near end connected") if "renewed" in event["identity"]]) == WORKERS)
    exchange(world.session(server))
    exchange(old)
    assert len(world.near.finhold.endings(2, ending="finished")) == 2
    world.far.finhold.await_events("near end gone", WORKERS)


def test_a_certificate_that_is_none_changes_nothing(world, server):
    (world.directory / "far-used.pem").write_text("no certificate")
    reasons = world.far.fail()
    assert reasons[0].startswith(f"{world.directory}/far.toml:") and "far-used.pem" in reasons[0]
    exchange(world.session(server))


def test_a_tunnel_comes_and_goes(world, server):
    """Each of the sessions ends on the way on which it began."""
    first = world.session(server)
    world.write_near({"crosses": "none"}, tunnel=False)
    reloaded(world.near)
    second = world.session(server)
    world.write_near(connections=2)
    reloaded(world.near)
    third = world.session(server)
    world.far.finhold.await_events("near end connected", 3 * WORKERS)
    for session in (third, second, first):
        exchange(session)
    assert len(world.near.finhold.endings(3, ending="finished")) == 3
    assert len(world.far.finhold.endings(2, ending="finished")) == 2


def test_what_the_far_end_allows_is_for_new_sessions(world, server):
    old = world.session(server)
    world.write_far(allow=["192.0.2.1:1"])
    reloaded(world.far)
    world.far.finhold.await_events("near end connected", 2 * WORKERS)
    refused = connect_client(old.client.sock.getpeername())
    assert refused.expect_reset_not_end() == 0
    world.near.finhold.ending(ending="not-allowed")
    exchange(old)
    world.near.finhold.ending(ending="finished")


def test_a_far_end_becomes_a_route_and_a_far_end_again(world, server):
    """At the same address: the listening socket is the same one."""
    old = world.session(server)
    far_toml = world.directory / "far.toml"
    text = far_toml.read_text()
    far_toml.write_text(LOG + table("route", name="plain", listen=world.far_address, server=text_of(unused_address())))
    reloaded(world.far)
    host, _, port = world.far_address.rpartition(":")
    expect_refusal((host, int(port)))
    far_toml.write_text(text)
    reloaded(world.far)
    world.far.finhold.await_events("near end connected", 2 * WORKERS)
    exchange(world.session(server))
    exchange(old)


def test_reloads_of_both_ends_under_load_lose_nothing(start, public_path):
    responder = Responder()
    with closing(responder.server):
        world = World(start, public_path, [responder.server.address])
        host, _, port = world.listen.rpartition(":")
        renewed = [world.authority.far, world.authority.issue("renewed")]
        begun = [0, 0]
        over = []

        def sessions(thread: int, length: int) -> None:
            while not over:
                begun[thread] += 1
                one_session((host, int(port)), length)

        loads = [background(lambda: sessions(0, 100)), background(lambda: sessions(1, 1_000_000))]
        for number in range(60):
            if number % 3 == 0:
                world.use("far", renewed[number % 2])
                reloaded(world.far)
            elif number % 3 == 1:
                world.write_near(connections=1 + number % 2)
                reloaded(world.near)
            else:
                world.write_far(connect_timeout=f"{number + 1}s")
                reloaded(world.far)
            for load in loads:
                assert not load.done() or load.result()
        over.append(True)
        for load in loads:
            load.result()
        assert not responder.problems
        endings = world.near.finhold.endings(sum(begun))
        assert {ending["ending"] for ending in endings} == {"finished"}
        assert len(endings) == sum(begun)
        wait_until(lambda: responder.served == sum(begun))
        world.settle()
