"""How an end knows that the other one lives: it is asked as often as was said, for as long as there is time; a slow link is
no dead one; and a process that hangs is noticed, although its kernel goes on for a while."""

import time
from contextlib import contextmanager, suppress

import pytest
from ends import End, Server, background, connect, connect_client
from frames import ACK, PING, Peer, frame
from pair import await_tunnels, far_table, start_pair, through_tunnel, tunnel_table
from places import routed_places

PATIENT = {"ping_every": "200ms", "ping_timeout": "2s"}
IMPATIENT = {"ping_every": "500ms", "ping_timeout": "1s"}  # what a slow link needs is more than both together
BOTH = pytest.mark.parametrize("asking", ["near", "far"])


@contextmanager
def asked_by(start, server, asking):
    """(the end that asks, the raw peer of its connection, which has said SETTINGS)."""
    if asking == "far":
        finhold = start(far=[far_table([server.address], **PATIENT)], limits={"workers": 1})
        peer = Peer.near(connect(finhold.address("far")))
    else:
        listening = Server()
        accepting = background(listening.accept)
        finhold = start(through_tunnel(server.address), limits={"workers": 1}, tunnel=[tunnel_table(listening.address, **PATIENT)])
        peer = Peer.far(accepting.result())
        await_tunnels(finhold)
        listening.close()
    yield finhold, peer
    peer.close()


@BOTH
def test_who_is_silent_is_asked_each_time_and_then_lost(start, server, asking):
    """ping_every is shorter than ping_timeout here: a box forgets a connection that is asked only once."""
    with asked_by(start, server, asking) as (finhold, peer):
        pings = 0
        while (heard := peer.next()) is not None:
            pings += heard.kind == PING and not heard.flags & ACK
        assert pings > 3
        message = "near end gone" if asking == "far" else "tunnel has lost a connection"
        assert finhold.await_event(message)["error"] == "no answer to PING for 2s"


@BOTH
def test_who_answers_only_now_and_then_is_not_lost(start, server, asking):
    """Each answer begins the time anew. Of 36 PINGs, which take more than three times ping_timeout, six are answered."""
    with asked_by(start, server, asking) as (_, peer):
        for number in range(36):
            ping = peer.await_frame(PING, lambda each: not each.flags & ACK)
            if number % 6 == 5:
                peer.send(frame(PING, payload=ping.payload, flags=ACK))


# A slow link: 100 kB a second one way, and what waits for it before its sender is more than the times above bear.


def slow_down(places, towards):
    with places.gateway.inside():
        device = {"client": "g1", "server": "g2"}[towards]
        places.gateway.slow_down(device, "800kbit")


@contextmanager
def pair_over_a_link(start, **route):
    """The near end beside its client, the far end beside its server, and the gateway between is the link."""
    with routed_places() as places:
        with places.server.inside():
            server = Server("10.77.2.2", port=9000)
            far = start(far=[far_table([server.address], listen="10.77.2.2:8443", **IMPATIENT)], limits={"workers": 1})
        with places.client.inside():
            near = start(through_tunnel(server.address, **route), limits={"workers": 1},
                         tunnel=[tunnel_table(("10.77.2.2", 8443), **IMPATIENT)])
            await_tunnels(near, 1, far)
        try:
            yield places, near, far, server
        finally:
            server.close()


@pytest.mark.parametrize("towards", ["server", "client"])
def test_bulk_one_way_over_a_slow_link_arrives(start, towards):
    """Its sender hears nothing meanwhile: neither window nor an answer to its PINGs, which stand behind the bytes."""
    length = 500_000
    with pair_over_a_link(start) as (places, near, far, server):
        with places.client.inside():
            client = connect_client(near.address())
        accepted = End(server.accept(), "server")
        slow_down(places, towards)
        sender, receiver = (client, accepted) if towards == "server" else (accepted, client)
        sender.send(length)
        sender.finish()
        receiver.expect_end(length)
        receiver.finish()
        sender.expect_end(0)
        near.ending(ending="finished")
        far.ending(ending="finished")


def test_a_session_gets_through_beside_bulk_on_a_slow_link(start):
    """What it says does not wait behind what the bulk's sender has got rid of."""
    with pair_over_a_link(start, connect_timeout="2s") as (places, near, _, server):
        with places.client.inside():
            bulk = connect_client(near.address())
        accepted = End(server.accept(), "server")
        slow_down(places, "server")
        sending = background(lambda: bulk.send(700_000))
        accepted.receive(250_000)
        with places.client.inside():
            client = connect_client(near.address())
        client.send(100)
        other = End(server.accept(), "server")
        other.receive(100)
        other.send(100)
        client.receive(100)
        accepted.receive(100_000)  # ... which goes on
        client.close()
        other.close()
        for each in (bulk, accepted):
            each.reset()
        sending.exception()


@BOTH
def test_a_process_that_hangs_is_noticed_though_its_kernel_takes_bytes(start, server, asking):
    """PINGs and a trickle of bytes are acknowledged all the time; nothing of that is an answer."""
    ends = start_pair(start, server.address, None, far=IMPATIENT, tunnel=IMPATIENT)
    session = server.session(ends.address())
    asked, hanging = (ends.near, ends.far) if asking == "near" else (ends.far, ends.near)
    talking = session.client if asking == "near" else session.server
    with hanging.suspended():
        with suppress(ConnectionError):
            for _ in range(200):
                talking.send(1)
                time.sleep(0.05)
        asked.ending(ending="tunnel-lost")
    hanging.ending(ending="tunnel-lost")
