"""The wall clock is set while finhold runs: what is about dates follows it, and nothing else does."""

import datetime

import pytest
from admin import ON, Admin
from clocks import HOUR
from ends import expect_refusal
from finhold import route_to
from pair import start_pair

DAY = 24 * HOUR


def use(session):
    session.client.send(100)
    session.server.receive(100)
    session.server.send(100)
    session.client.receive(100)


def date_of(event):
    return datetime.datetime.strptime(event.line.split()[0], "%Y-%m-%dT%H:%M:%S.%fZ")


@pytest.mark.parametrize("seconds", [HOUR, -HOUR], ids=["forwards", "backwards"])
def test_only_dates_follow_the_wall_clock(start, server, clocks, seconds):
    fin = {"release_when_quiet": "never", "half_closed_total": "30m"}
    finhold = start(route_to(server.address, "both", idle="30m", fin=fin), route_to(server.address, name="rated", connects_per_second=1),
                    limits={"workers": 1}, admin=ON, popen=clocks.popen())
    admin = Admin(finhold)
    session, held = server.session(finhold.address()), server.session(finhold.address())
    held.client.finish()
    for _ in range(10):  # all that its client may have at once
        server.session(finhold.address("rated")).close()
    finhold.endings(10, ending="finished")
    clocks.set_date(seconds)
    expect_refusal(finhold.address("rated"))
    use(session)
    held.server.send(100)
    held.client.receive(100)
    status = admin.status()
    assert 0 <= status["uptime_seconds"] < HOUR / 2
    assert all(0 <= one["age_seconds"] < HOUR / 2 for one in status["sessions_listed"])
    held.server.finish()
    held.client.expect_end()
    for each in (session, held):
        each.close()
    for ending in finhold.endings(2, route="main"):
        assert ending["ending"] == "finished" and float(ending["duration"].rstrip("s")) < HOUR / 2
    moved = (date_of(finhold.events[-1]) - date_of(finhold.events[0])).total_seconds()
    assert abs(moved - seconds) < HOUR / 2


def test_certificates_are_judged_by_the_wall_clock_when_they_are_shown(start, server, clocks, authority):
    """Sessions of a connection from before go on; the next connection is refused while the date is wrong, and opens once it is right."""
    pair = start_pair(lambda *routes, **tables: start(*routes, popen=clocks.popen(), **tables), server.address, authority,
                      {"admin": ON}, tunnel={"streams_per_connection": 1})
    session = server.session(pair.address())
    Admin(pair.near).await_metric('finhold_tunnel_connections{tunnel="tunnel"}', 2)
    clocks.set_date(10 * DAY)  # the certificates are good for two
    another = server.session(pair.address())
    pair.near.await_event("tunnel cannot be opened")
    assert "was valid until" in pair.near.found("tunnel cannot be opened")[0]["error"]
    use(session)
    use(another)
    clocks.set_date(-10 * DAY)
    third = server.session(pair.address())
    for each in (session, another, third):
        use(each)
        each.close()
    pair.keep_connections()
    pair.endings(3, ending="finished")
