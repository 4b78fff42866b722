"""A pair: sessions are streams of a tunnel between near and far. What holds for every session is in test_half_close,
test_reset, test_slow_reader and test_last_bytes, which run through a pair too (integration.pair.*)."""

import socket
import time

import pytest
from ends import LIMIT, End, Server, Session, background, connect, connect_client, expect_refusal, text_of, unused_address
from pair import await_tunnels, far_table, start_pair, through_tunnel, tunnel_table
from private_network import private_network, with_files
from proxy_headers import take_header
from traffic import receive_at_random, send_at_random

MEGABYTE = 1_000_000
every_way = pytest.mark.parametrize("over", ["tls", "plain"])


def exchange(session, there: int = 100_000, back: int = 200_000) -> None:
    """The client ends, the answer comes after it; whatever was said before."""
    session.client.send(there)
    session.client.finish()
    session.server.receive(there)
    session.server.expect_end()
    session.server.send(back)
    session.server.finish()
    session.client.receive(back)
    session.client.expect_end()
    session.close()


@every_way
def test_a_session_half_closes_through_a_pair(pair, server, over):
    """In clear and over TLS: the end arrives at once, the answer after it, and both ends say the same of it."""
    ends = pair(over)
    session = server.session(ends.address())
    own = text_of(session.client.sock.getsockname())
    exchange(session)
    for finhold in (ends.near, ends.far):
        ending = finhold.ending(ending="finished", first_fin="client", client=own)
        assert (ending["to_server"], ending["to_client"]) == ("100000", "200000")
        assert ending["server"] == text_of(server.address)


def test_the_far_end_names_the_client_and_the_near_end(pair, server):
    """The client's own address, as the near end saw it, and the near end's, which is the tunnel's."""
    ends = pair()
    session = server.session(ends.address())
    client = text_of(session.client.sock.getsockname())
    exchange(session)
    ending = ends.far.ending(client=client, route="far")
    assert ending["near"].startswith("127.0.0.1:")
    assert ending["near"] == ends.far.await_event("near end connected")["near"]
    assert ending["near"] != client


@every_way
@pytest.mark.parametrize("seed", [1, 2])
def test_flows_at_random_keep_every_byte(pair, server, over, seed):
    ends = pair(over)
    session = server.session(ends.address())
    to_server, to_client = 7_654_321 * seed, 20_000_003 // seed
    work = [
        background(lambda: send_at_random(session.client, seed * 10 + 1, to_server)),
        background(lambda: send_at_random(session.server, seed * 10 + 2, to_client)),
        background(lambda: receive_at_random(session.server, seed * 10 + 3, to_server)),
        background(lambda: receive_at_random(session.client, seed * 10 + 4, to_client)),
    ]
    for each in work:
        each.result()
    session.close()
    ends.ending(ending="finished", to_server=str(to_server), to_client=str(to_client))


@pytest.mark.parametrize("workers", [1, 2])
def test_many_sessions_at_once_through_few_connections(pair, server, workers):
    """More than one connection may carry (streams_per_connection), so others are opened, and closed in the end."""
    ends = pair(tables={"limits": {"workers": workers}}, tunnel={"streams_per_connection": 7})
    sessions = [server.session(ends.address()) for _ in range(40)]
    for session in sessions:
        session.client.send(1000)
    for session in sessions:
        session.server.receive(1000)
    assert len(ends.far.found("near end connected")) >= 40 // 7
    ends.keep_connections()
    for session in sessions:
        exchange(session, 10_000, 20_000)
    ends.endings(40, ending="finished")


def test_one_connection_carries_many_sessions(pair, server):
    ends = pair()
    sessions = [server.session(ends.address()) for _ in range(30)]
    for session in sessions:
        exchange(session, 1000, 1000)
    ends.endings(30, ending="finished")
    assert len(ends.far.found("near end connected")) == 1


def test_a_warm_tunnel_costs_no_round_trip_more(pair, server):
    """The client's first bytes do not wait for the answer to CONNECT: they are there as soon as the server is."""
    ends = pair(tunnel={"optimistic_data": True})
    client = connect_client(ends.address())
    client.send(100)
    accepted = End(server.accept(), "server")
    accepted.receive(100)
    accepted.send(10)
    client.receive(10)
    client.close()
    accepted.close()
    ends.ending(ending="finished")


@pytest.mark.parametrize("optimistic", [True, False])
def test_a_refused_server_resets_the_client(pair, optimistic):
    """Whatever it has sent meanwhile; both ends say why."""
    refusing = unused_address()
    ends = pair(far={"allow": [text_of(refusing)]}, tunnel={"optimistic_data": optimistic}, server=text_of(refusing))
    # The reset may come before connect() has returned.
    with pytest.raises((ConnectionResetError, BrokenPipeError)):
        connect_client(ends.address()).send(MEGABYTE * 100)
    ends.far.ending(ending="server-refused")
    ends.near.ending(ending="server-refused")


def test_a_server_that_does_not_answer_the_dial_is_a_timeout(start):
    busy = Server(backlog=0)
    waiting = busy.fill()
    ends = start_pair(start, busy.address, None, far={"connect_timeout": "500ms"})
    expect_refusal(ends.address())
    ends.far.ending(ending="server-timeout")
    ends.near.ending(ending="server-timeout")
    waiting.clear()
    busy.close()


def test_the_near_ends_patience_ends_first(start):
    """Its connect_timeout runs until the answer. The far end's dial is given up with it."""
    busy = Server(backlog=0)
    waiting = busy.fill()
    ends = start_pair(start, busy.address, None, connect_timeout="500ms")
    expect_refusal(ends.address())
    ends.near.ending(ending="server-timeout")
    ends.far.ending(ending="client-reset")
    waiting.clear()
    busy.close()


def test_a_name_is_looked_up_by_the_far_end(start, server, tmp_path):
    """The near end need not know it; it goes through as it is written in `server`."""
    authority_text = f"db.internal:{server.address[1]}"
    far = start(far=[far_table([text_of(server.address), authority_text])], limits={"workers": 1},
                prefix=with_files(tmp_path, hosts="127.0.0.1 db.internal\n"))
    near = start(through_tunnel(authority_text), tunnel=[tunnel_table(far.address("far"))], limits={"workers": 1})
    await_tunnels(near)
    session = server.session(near.address())
    exchange(session)
    assert near.ending(ending="finished")["server"] == authority_text
    assert far.ending(ending="finished")["server"] == text_of(server.address)


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_the_far_end_announces_the_client_to_the_server(pair, server, version):
    """PROXY protocol: the client's address is that of the near end's client, not of the near end."""
    ends = pair(far={"send_proxy": version})
    client = connect(ends.address())
    client.sendall(b"question")
    accepted = server.accept()
    assert take_header(accepted)[:2] == (version, client.getsockname()[:2])
    client.close()
    accepted.close()


def test_streams_per_connection_1_gives_each_session_its_own(pair, server):
    """Taken from the warm pool, which is filled up again."""
    ends = pair(tunnel={"streams_per_connection": 1, "connections": 2})
    sessions = [server.session(ends.address()) for _ in range(5)]
    connected = ends.far.await_events("near end connected", 7)
    assert len({event["near"] for event in connected}) == len(connected)
    ends.keep_connections()
    for session in sessions:
        exchange(session, 1000, 1000)
    ends.endings(5, ending="finished")


def test_several_workers_have_connections_of_their_own(pair, server):
    ends = pair(tables={"limits": {"workers": 3}}, tunnel={"connections": 2})
    assert len(ends.far.await_events("near end connected", 6)) == 6
    sessions = [server.session(ends.address()) for _ in range(12)]
    for session in sessions:
        exchange(session)
    ends.endings(12, ending="finished")


def test_an_idle_pair_stays_connected(pair, server):
    """PING and its answers keep it alive; nothing is said of them."""
    signs = {"ping_every": "200ms", "ping_timeout": "2s"}  # longer than a stall of the machine, shorter than the silence
    ends = pair(tunnel=signs, far=signs)
    session = server.session(ends.address())
    session.client.finish()
    session.server.expect_end(0)
    time.sleep(3)
    session.server.send(1000)
    session.server.finish()
    session.client.expect_end(1000)
    session.close()
    ends.ending(ending="finished")
    assert len(ends.near.found("tunnel is open")) == 1
    assert not [event for event in ends.near.events + ends.far.events if event.level in ("warning", "error")]


CLIENT, PORT = "127.0.0.9", 15001  # only what comes from this client is diverted
DIVERTED = {
    "redirect": f"""
table inet divert {{
  chain output {{
    type nat hook output priority -100
    ip saddr {CLIENT} tcp dport 9000 redirect to :{PORT}
  }}
}}
""",
    "tproxy": f"""
table inet divert {{
  chain output {{
    type route hook output priority mangle
    ip saddr {CLIENT} tcp dport 9000 meta mark set 1
  }}
  chain prerouting {{
    type filter hook prerouting priority mangle
    meta mark 1 meta l4proto tcp tproxy ip to :{PORT} accept
  }}
}}
""",
}


@pytest.mark.parametrize("intercept", DIVERTED)
def test_a_diverted_session_goes_where_its_client_was_going(start, intercept):
    """The far end is asked for the original destination, by its address."""
    with private_network() as network:
        network.load(DIVERTED[intercept])
        network.ip("rule", "add", "fwmark", "1", "lookup", "100")
        network.ip("route", "add", "local", "default", "dev", "lo", "table", "100")
        server = Server("127.0.0.2", port=9000)
        far = start(far=[far_table(["127.0.0.2:9000"])], limits={"workers": 1})
        near = start({"name": "main", "listen": f"0.0.0.0:{PORT}", "intercept": intercept, "tunnel": "tunnel"},
                     tunnel=[tunnel_table(far.address("far"))], limits={"workers": 1})
        await_tunnels(near)
        client = socket.socket()
        client.bind((CLIENT, 0))
        client.settimeout(LIMIT)
        client.connect(server.address)
        session = Session(client, server.accept())
        own = text_of(client.getsockname())
        exchange(session)
        for finhold in (near, far):
            assert finhold.ending(ending="finished", client=own)["server"] == "127.0.0.2:9000"
        server.close()


def test_a_loss_of_both_in_any_order_leaves_nothing(pair, server):
    """The far end is stopped first, then the near one, with a session that has just ended."""
    ends = pair()
    exchange(server.session(ends.address()))
    ends.ending(ending="finished")
    ends.far.signal()
    ends.far.await_exit()
    ends.near.signal()
    ends.near.await_exit()
