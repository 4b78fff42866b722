"""Somebody flushes nftables' rule set, as "systemctl reload nftables" does, or removes policy routing, while connections are
diverted: none is lost, none is refused, none passes by."""

import subprocess

import pytest
from ends import End, Server, Session, background, connect
from finhold import config_text
from places import SERVER, routed_places

ROUTE = {"name": "main", "listen": "[::]:15001", "intercept": "tproxy", "crosses": "none", "catch": [":9000"]}
SIDECAR = {"name": "main", "listen": "[::]:15001", "intercept": "redirect", "crosses": "none", "catch": ["127.0.0.2:9000"]}
ROUNDS = 20
EACH = 500_000
GATEWAYS = ["gateway", "gateway as the client"]


@pytest.fixture(params=[*GATEWAYS, "sidecar"])
def diverted(request, start, public_path):
    """A server, the place of who connects to it, and the place of the rules."""
    with routed_places() as places:
        sidecar = request.param == "sidecar"
        rules, client = (places.client, places.client) if sidecar else (places.gateway, places.client)
        with (places.client if sidecar else places.server).inside():
            server = Server("127.0.0.2" if sidecar else SERVER, port=9000)
        route = SIDECAR if sidecar else {**ROUTE, "source": "client"} if "as" in request.param else ROUTE
        path = public_path / "flushed.toml"
        path.write_text(config_text([route], {}))
        with rules.inside():
            finhold = start(arguments=("--config", str(path), "--apply-rules"))
        yield server, client, rules, finhold
        finhold.stop()
        server.close()


def session_of(server: Server, client) -> Session:
    with client.inside():
        return Session(connect(server.address), server.accept())


def run(place, *command: str) -> None:
    with place.inside():
        subprocess.run(command, check=True)


def both_ways(session: Session) -> None:
    """EACH bytes each way, at the same time."""
    pairs: list[tuple[End, End]] = [(session.client, session.server), (session.server, session.client)]
    running = [background(lambda one=one: one.send(EACH)) for one, _ in pairs]
    running += [background(lambda other=other: other.receive(EACH)) for _, other in pairs]
    for each in running:
        each.result()


def finish(session: Session) -> None:
    session.client.finish()
    session.server.expect_end()
    session.server.finish()
    session.client.expect_end()
    session.close()


def test_a_flush_of_the_rule_set_touches_no_session(diverted):
    server, client, rules, finhold = diverted
    open_all_the_time = session_of(server, client)
    for _ in range(ROUNDS):
        transfer = background(lambda: both_ways(open_all_the_time))
        run(rules, "nft", "flush", "ruleset")
        other = session_of(server, client)
        both_ways(other)
        finish(other)
        transfer.result()
    finish(open_all_the_time)
    finhold.endings(ROUNDS + 1, ending="finished")


@pytest.mark.parametrize("diverted", GATEWAYS, indirect=True)
def test_policy_routing_that_is_removed_comes_back_in_time_for_a_session(diverted):
    """What comes meanwhile goes its own way: a silent session feels nothing of it."""
    server, client, rules, finhold = diverted
    silent = session_of(server, client)
    run(rules, "ip", "rule", "del", "priority", "538")
    finhold.await_event("the policy routing of --apply-rules is there again")
    both_ways(silent)
    finish(silent)
    finhold.ending(ending="finished")
