"""Keepalive on both legs, always; and nursing: often, on a crossing leg that is half-closed. `ss` shows
the time that is left on the kernel's timer of a socket."""

import re
import socket
import time

from ends import seconds_of
from finhold import route_to, wait_until
from keepalive import await_timer, leg, timer
from reloading import Reloading
from test_holding import crossing

KEEPALIVE = {"idle": "100s", "interval": "20s", "probes": 3}
NURSING = {"nurse_every": "7s"}


def legs(session):
    """How to look up finhold's two sockets by the tests' ends of them."""
    def look(end):
        local, remote = end.sock.getpeername()[1], end.sock.getsockname()[1]
        return lambda: leg(local, remote)
    return {"client": look(session.client), "server": look(session.server)}


def test_both_legs_have_keepalive(relay):
    _, session = relay("both", keepalive=KEEPALIVE)
    session.client.send(10)
    session.server.receive(10)
    for look in legs(session).values():
        await_timer(look, 90, 100)


def nursed_leg(flow):
    return "server" if flow == "to_server" else "client"


def test_a_crossing_leg_is_nursed_once_its_fin_is_out(relay, flow):
    _, session = relay(crossing(flow), release="200ms", keepalive=KEEPALIVE, fin=NURSING)
    source, sink = session.flow(flow)
    look = legs(session)
    source.finish()
    sink.expect_end(0)
    nursed = nursed_leg(flow)
    await_timer(look[nursed], 3, 7)
    other = "client" if nursed == "server" else "server"
    assert timer(look[other]()) > 90, "the leg that crosses nothing is left as it is"


def test_a_leg_whose_fin_is_held_is_not_nursed(relay, flow):
    """On its wire nothing has happened yet."""
    _, session = relay(crossing(flow), keepalive=KEEPALIVE, fin=NURSING)
    source, sink = session.flow(flow)
    source.finish()
    sink.expect_nothing(0.3)
    assert timer(legs(session)[nursed_leg(flow)]()) > 90


def test_a_crossing_leg_whose_own_end_sent_the_fin_is_nursed(relay, flow):
    """That FIN has crossed the box already: the other way round, by the other side."""
    source_leg = "client" if flow == "to_server" else "server"
    _, session = relay(source_leg, keepalive=KEEPALIVE, fin=NURSING)
    source, sink = session.flow(flow)
    source.finish()
    sink.expect_end(0)
    await_timer(legs(session)[source_leg], 3, 7)


def test_a_fin_that_waits_behind_bytes_is_nursed(relay, flow):
    """It has crossed the box, though the reader's slowness keeps the end from being read."""
    source_leg = "client" if flow == "to_server" else "server"
    _, session = relay(source_leg, keepalive=KEEPALIVE, fin=NURSING)
    source, sink = session.flow(flow)
    look = legs(session)[source_leg]
    source.send(5_000_000)
    source.finish()
    wait_until(lambda: look().startswith("CLOSE-WAIT"), look)
    assert int(look().split()[1]) > 0, "all was read"
    await_timer(look, 3, 7)
    sink.expect_end(5_000_000)


def test_nursing_never_makes_keepalives_rarer(relay, flow):
    """Where the route's own keepalives are more frequent, they stay."""
    _, session = relay(crossing(flow), release="100ms", keepalive={**KEEPALIVE, "idle": "4s", "interval": "4s"},
                       fin={"nurse_every": "60s"})
    source, sink = session.flow(flow)
    source.finish()
    sink.expect_end(0)
    time.sleep(0.2)
    assert timer(legs(session)[nursed_leg(flow)]()) <= 4


def test_what_a_nursed_leg_leaves_to_the_kernel_has_the_usual_patience(start, server):
    """finhold ends while a reader pauses. What is nursed repeats itself often, and the kernel counts repetitions: it
    would give the last bytes up after 3 s."""
    finhold = start(route_to(server.address, crosses="both", fin={"release_when_quiet": "100ms", "nurse_every": "1s"},
                             keepalive={"idle": "5s", "interval": "2s", "probes": 3}), limits={"drain": "2s"})
    session = server.session(finhold.address(), receive_buffer=8192)
    client = legs(session)["client"]
    length = 500_000  # more than the reader's window, less than a send buffer
    session.client.finish()
    session.server.expect_end(0)
    session.server.send(length)
    session.server.finish()
    finhold.signal()
    finhold.await_exit()
    wait_until(lambda: re.search(r"timer:\(persist,([2-9]|\d\d)(\.\d+m)?s", client()), client)
    session.client.expect_end(length)
    session.close()
    finhold.ending(ending="finished", to_client=str(length))


def test_small_writes_do_not_wait_for_each_other(relay):
    """TCP_NODELAY on both legs: none waits for the acknowledgement of the one before (40 ms)."""
    _, session = relay()

    def turns():
        for _ in range(100):
            session.client.send(1)
            session.client.send(1)
            session.server.receive(2)

    session.client.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    assert seconds_of(turns) < 2


def probes(session):
    return [line for line in (look() for look in legs(session).values()) if "keepalive" in line]


def test_keepalive_off_means_no_probe_on_either_leg(relay):
    _, session = relay("both", keepalive="off")
    session.client.send(10)
    session.server.receive(10)
    assert all(look() for look in legs(session).values())
    wait_until(lambda: not any("timer:" in look() for look in legs(session).values()))  # of acknowledgements
    assert not probes(session)


def test_keepalive_off_means_no_nursing(relay, flow):
    """Of the leg whose FIN was released, or of the one that it came over."""
    _, session = relay("both", release="200ms", keepalive="off")
    source, sink = session.flow(flow)
    source.finish()
    sink.expect_end(0)
    time.sleep(0.2)
    assert not probes(session)
    sink.send(10)
    source.receive(10)
    sink.finish()
    source.expect_end()


def test_a_reload_turns_keepalive_off_and_on_for_new_sessions(start, public_path, server):
    """Their listeners stay, from which the clients' legs have it."""
    running = Reloading(start, public_path / "reloaded.toml", route_to(server.address, keepalive=KEEPALIVE))
    for keepalive, has_probes in ((KEEPALIVE, 2), ("off", 0), (KEEPALIVE, 2)):
        running.reload(route_to(server.address, keepalive=keepalive))
        session = server.session(running.finhold.address())
        session.client.send(10)
        session.server.receive(10)
        wait_until(lambda: all("timer:" not in look() or "keepalive" in look() for look in legs(session).values()))
        assert len(probes(session)) == has_probes
        session.close()
