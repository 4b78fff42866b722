"""What one client may have of a route, and a route of all sessions. Who has more is reset before anything is dialed; who comes
to a route that is full waits. All of it counts in the whole process, whichever worker has the session."""

import select
import time

import pytest
from admin import ON, Admin
from ends import End, Server, Session, connect, connect_client, connect_from, expect_refusal, expect_refusal_of, text_of
from finhold import route_to, wait_until
from pair import far_table, start_pair
from private_network import private_network
from proxy_headers import v1
from reloading import Reloading
from scripted import ScriptedNear
from test_accept_proxy import accepting, expect_no_connection
from test_limits import PAUSED, RECOVERED, work_of

LOCAL, OTHER = "127.0.0.1", "127.0.0.2"


def session_from(server, address, source):
    return Session(connect_from(address, source), server.accept())


@pytest.mark.parametrize("workers", [1, 4])
def test_a_client_has_so_many_sessions_at_a_time(start, server, workers):
    """The next one is refused, others are not; when one of its sessions is over it may have another."""
    finhold = start(route_to(server.address, sessions_per_client=5), limits={"workers": workers})
    sessions = [server.session(finhold.address()) for _ in range(5)]
    for _ in range(4):
        expect_refusal(finhold.address())
    refused = finhold.endings(4, ending="client-limit")
    assert {line["to_server"] for line in refused} == {"0"}
    warning = finhold.await_event("refused a client: it has sessions_per_client sessions open already")
    assert warning.level == "warning" and warning["limit"] == "5" and warning["route"] == "main"
    other = session_from(server, finhold.address(), OTHER)
    sessions.pop().close()
    finhold.ending(ending="finished")
    sessions.append(server.session(finhold.address()))
    expect_refusal(finhold.address())
    for session in (*sessions, other):
        work_of(session)
        session.close()
    finhold.endings(7, ending="finished")
    expect_no_connection(server)


def test_sessions_that_fail_are_given_back_too(start, server):
    """Resets, and dials in vain."""
    finhold = start(route_to(server.address, sessions_per_client=1))
    for number in range(3):
        session = server.session(finhold.address())
        session.client.reset()
        session.server.expect_reset()
        session.server.close()
        finhold.endings(number + 1, ending="client-reset")
    server.close()
    for number in range(3):
        expect_refusal(finhold.address())
        finhold.endings(number + 1, ending="server-refused")


def test_a_client_of_two_routes_is_counted_in_each(start, server):
    finhold = start(route_to(server.address, sessions_per_client=1), route_to(server.address, name="b", sessions_per_client=1))
    sessions = [server.session(finhold.address(name)) for name in ("main", "b")]
    for name in ("main", "b"):
        expect_refusal(finhold.address(name))
        finhold.ending(ending="client-limit", route=name)
    for session in sessions:
        session.close()


def test_the_announced_client_is_counted(start, server):
    """Not its proxy, from which all come; nor does one count that has announced nobody yet."""
    finhold = accepting(start, server, [LOCAL], sessions_per_client=1)
    silent = connect(finhold.address())

    def announced(client):
        sock = connect(finhold.address())
        sock.sendall(v1((client, 40000), ("10.0.0.5", 80)))
        return sock

    sessions = [Session(announced(client), server.accept()) for client in ("192.0.2.7", "192.0.2.8")]
    refused = End(announced("192.0.2.7"), "client")
    refused.expect_reset()
    refused.close()
    finhold.ending(ending="client-limit", client="192.0.2.7:40000")
    for session in sessions:
        session.close()
    silent.close()


@pytest.fixture
def ipv6_network():
    """With three addresses of one /64, one of another in the same /48."""
    with private_network() as network:
        network.set("net.ipv6.conf.lo.disable_ipv6", 0)
        for address in ("fd00:1:2:3::1", "fd00:1:2:3::2", "fd00:1:2:3:4:5:6:7", "fd00:1:2:4::1"):
            network.ip("addr", "add", f"{address}/128", "dev", "lo", "nodad")
        yield network


@pytest.mark.parametrize("prefix,same,another", [
    (None, "fd00:1:2:3:4:5:6:7", "fd00:1:2:4::1"), (128, "fd00:1:2:3::1", "fd00:1:2:3::2"),
    (48, "fd00:1:2:4::1", "::1"),
])
def test_an_ipv6_client_is_a_network(start, ipv6_network, prefix, same, another):
    """By default a /64: whoever has one address of it has them all."""
    server = Server("::1")
    keys = {} if prefix is None else {"client_prefix": prefix}
    finhold = start(route_to(server.address, listen="[::]:0", sessions_per_client=1, **keys))

    address = ("::1", finhold.address()[1])
    session = session_from(server, address, "fd00:1:2:3::1")
    expect_refusal_of(address, same)
    finhold.ending(ending="client-limit")
    other = session_from(server, address, another)
    for each in (session, other):
        each.close()
    finhold.endings(2, ending="finished")
    server.close()


def test_a_mapped_client_is_the_same_one(start, server):
    """Through a dual-stack listener too an IPv4 client is one address, not all of them one."""
    finhold = start(route_to(server.address, listen="[::]:0", sessions_per_client=1))
    address = (LOCAL, finhold.address()[1])
    sessions = [session_from(server, address, source) for source in (LOCAL, OTHER)]
    expect_refusal_of(address, LOCAL)
    finhold.ending(ending="client-limit")
    for session in sessions:
        session.close()


def test_the_near_end_counts_its_clients(start, server):
    pair = start_pair(start, server.address, None, sessions_per_client=1)
    session = server.session(pair.address())
    expect_refusal(pair.address())
    pair.near.ending(ending="client-limit")
    assert not pair.far.found("session ended")
    session.close()


def test_the_far_end_counts_the_clients_that_near_ends_tell(start, server):
    """The refusal is a 503, and far-busy at the near end."""
    far = start(far=[far_table([server.address], sessions_per_client=1)], limits={"workers": 1})
    near = ScriptedNear(connect(far.address("far")))

    def asks(client):
        return near.request(text_of(server.address), forwarded=f'for="{client}:40000"')

    streams = [asks("192.0.2.7"), asks("192.0.2.8")]
    assert [near.answer(stream) for stream in streams] == [200, 200]
    accepted = [server.accept() for _ in streams]
    assert near.answer(asks("192.0.2.7")) == 503
    far.ending(ending="client-limit", client="192.0.2.7:40000", route="far")
    assert far.await_event("refused a client")["near"].startswith(LOCAL)
    for stream, sock in zip(streams, accepted):
        near.end(stream)
        sock.close()
        near.await_end(stream)
    near.close()


@pytest.mark.parametrize("workers", [1, 3])
def test_connects_per_second_lets_a_burst_through_then_so_many(start, server, workers):
    """Ten seconds' worth at once, and the next as time passes; another client has its own."""
    server.close()  # who is admitted gets no server: each attempt has an ending that tells
    finhold = start(route_to(server.address, connects_per_second=1), limits={"workers": workers})
    attempts = 0

    def is_admitted(source=LOCAL):
        nonlocal attempts
        expect_refusal_of(finhold.address(), source)
        attempts += 1
        ending = finhold.endings(attempts)[-1]["ending"]
        assert ending in ("server-refused", "client-rate")
        return ending == "server-refused"

    begun = time.monotonic()
    admitted = 0
    while is_admitted():
        admitted += 1
    assert 10 <= admitted <= 11 + time.monotonic() - begun
    warning = finhold.await_event("refused a client: it connects more often than connects_per_second says")
    assert warning.level == "warning" and warning["limit"] == "1"
    assert is_admitted(OTHER)
    wait_until(is_admitted)


def test_a_route_that_is_full_lets_the_next_client_wait(start, server):
    """In the kernel's queue, as at limits.sessions: no reset, no ending. Other routes go on."""
    finhold = start(route_to(server.address, sessions=3), route_to(server.address, name="other"), limits={"workers": 1})
    sessions = [server.session(finhold.address()) for _ in range(3)]
    waiting = connect_client(finhold.address())
    waiting.send(100)
    pause = finhold.await_event(PAUSED)
    assert (pause["reason"], pause["sessions"], pause["route"]) == ("sessions of the route is reached", "3", "main")
    elsewhere = server.session(finhold.address("other"))
    work_of(elsewhere)
    waiting.expect_nothing(0.3)
    sessions.pop().close()
    served = End(server.accept(), "server")
    served.receive(100)
    served.close()
    waiting.close()
    for session in (*sessions, elsewhere):
        work_of(session)
        session.close()
    finhold.endings(5, ending="finished")
    finhold.await_event(RECOVERED)
    assert len(finhold.found(PAUSED)) == 1


def test_a_full_route_is_told_also_while_another_one_is_full(start, server):
    finhold = start(route_to(server.address, sessions=1), route_to(server.address, name="b", sessions=1), limits={"workers": 1})
    for name in ("main", "b"):
        session, waiting = server.session(finhold.address(name)), connect(finhold.address(name))
        finhold.await_event(PAUSED, route=name)
        waiting.close()
        session.close()
        server.accept().close()
    finhold.endings(4, ending="finished")


def test_the_limit_of_a_route_holds_for_all_workers(start, server):
    """To one session of each worker, which look before they accept."""
    finhold = start(route_to(server.address, sessions=4), limits={"workers": 3})
    clients = [connect_client(finhold.address()) for _ in range(14)]
    for client in clients:
        client.finish()
    finhold.await_event(PAUSED)
    served = 0
    while served < len(clients):
        accepted = [server.accept()]
        while select.select([server.sock], [], [], 0.5)[0]:
            accepted.append(server.accept())
        served += len(accepted)
        assert len(accepted) < 4 + 3 and (len(accepted) >= 4 or served == len(clients))
        for sock in accepted:
            sock.close()
    for client in clients:
        client.expect_end(0)
        client.close()
    finhold.endings(14, ending="finished")


def test_after_a_reload_sessions_of_before_count(start, public_path, server):
    """They had no limit when they began; a new one has them among its own."""
    running = Reloading(start, public_path / "reloaded.toml", route_to(server.address))
    finhold = running.finhold
    sessions = [server.session(finhold.address()) for _ in range(3)]
    running.reload(route_to(server.address, sessions_per_client=3))
    expect_refusal(finhold.address())
    finhold.ending(ending="client-limit")
    running.reload(route_to(server.address, sessions=3))
    waiting = connect_client(finhold.address())
    assert finhold.await_event(PAUSED)["sessions"] == "3"
    waiting.expect_nothing(0.2)
    running.reload(route_to(server.address, sessions_per_client=4, sessions=9))
    sessions.append(Session(waiting.sock, server.accept()))
    expect_refusal(finhold.address())
    finhold.endings(2, ending="client-limit")
    running.reload(route_to(server.address))
    sessions.append(server.session(finhold.address()))
    for session in sessions:
        work_of(session)
        session.close()
    finhold.endings(5, ending="finished")


def test_metrics_have_the_limit_of_a_route_and_its_refusals(start, server):
    finhold = start(route_to(server.address, sessions=7, sessions_per_client=1), route_to(server.address, name="free"), admin=ON)
    session = server.session(finhold.address())
    expect_refusal(finhold.address())
    admin = Admin(finhold)
    admin.await_metric('finhold_sessions_total{route="main",ending="client-limit"}', 1)
    metrics = admin.metrics()
    assert metrics['finhold_route_sessions_limit{route="main"}'] == 7
    assert not [name for name in metrics if name.startswith("finhold_route_sessions_limit") and "free" in name]
    assert metrics['finhold_sessions{route="main"}'] == 1
    assert [route.get("sessions_limit") for route in admin.status()["routes"]] == [7, None]
    session.close()
