"""Servers that are names: several addresses, slow answers, none. With /etc/hosts and /etc/resolv.conf of
its own, in a network of its own, where the resolver is this test."""

import socket
import struct

import pytest
from certificates import FAR
from ends import End, Server, connect, connect_client, expect_refusal, seconds_of
from finhold import PATIENCE, route_to
from name_server import name_server
from pair import await_tunnels, far_table, through_tunnel, tunnel_table
from private_network import private_network, with_files
from scripted import ScriptedNear


@pytest.fixture
def network():
    with private_network() as made:
        yield made


@pytest.fixture
def resolver(network):
    """A socket where questions arrive; the answer is left to the test."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
        made.bind(("127.0.0.1", 53))
        made.settimeout(PATIENCE)
        yield made


def answer(resolver, address):
    """Both questions, for IPv4 and for IPv6: one has an address."""
    for _ in range(2):
        question, sender = resolver.recvfrom(512)
        name_end = question.index(b"\0", 12) + 1
        wanted = struct.unpack("!H", question[name_end:name_end + 2])[0]
        record = b""
        if wanted == 1:
            record = b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 60, 4) + socket.inet_aton(address)
        header = question[:2] + struct.pack("!HHHHH", 0x8180, 1, 1 if record else 0, 0, 0)
        resolver.sendto(header + question[12:name_end + 4] + record, sender)


def start_with(start, tmp_path, route, hosts="", **tables):
    prefix = with_files(tmp_path, hosts=hosts, resolv_conf="nameserver 127.0.0.1\noptions timeout:10 attempts:1\n")
    return start(route, prefix=prefix, **tables)


def exchange(session):
    session.client.send(100)
    session.server.receive(100)
    session.server.send(100)
    session.client.receive(100)
    session.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_of_two_families_the_one_that_listens_is_found(network, start, tmp_path, host):
    server = Server(host)
    finhold = start_with(start, tmp_path, route_to(f"both.test:{server.address[1]}"),
                         "::1 both.test\n127.0.0.1 both.test\n")
    exchange(server.session(finhold.address()))
    expected = f"[::1]:{server.address[1]}" if host == "::1" else f"127.0.0.1:{server.address[1]}"
    assert finhold.ending(ending="finished")["server"] == expected
    server.close()


def test_a_dead_address_leaves_time_for_the_living(network, start, tmp_path):
    """The first address swallows everything; the second has its share of connect_timeout."""
    server = Server("127.0.0.1")
    network.filter("ip6 daddr ::1 drop")
    finhold = start_with(start, tmp_path, route_to(f"both.test:{server.address[1]}", connect_timeout="2s"),
                         "::1 both.test\n127.0.0.1 both.test\n")
    exchange(server.session(finhold.address()))
    ending = finhold.ending(ending="finished")
    assert ending["server"].startswith("127.0.0.1:")
    assert float(ending["duration"].rstrip("s")) >= 0.9
    server.close()


def test_an_address_of_a_family_that_is_off_is_unreachable_at_once(network, start, tmp_path):
    """IPv6 switched off, as in many containers. connect() then says EADDRNOTAVAIL, as it does when all
    our ports are in use; but here waiting for one is of no use."""
    network.set("net.ipv6.conf.all.disable_ipv6", 1)
    finhold = start(route_to("[::1]:7000", connect_timeout="4s"))
    assert seconds_of(lambda: expect_refusal(finhold.address())) < 2
    assert finhold.ending()["ending"] in ("server-unreachable", "local-error")


def test_an_end_while_the_name_is_looked_up(network, start, tmp_path, resolver):
    server = Server()
    finhold = start_with(start, tmp_path, route_to(f"slow.test:{server.address[1]}", "server",
                                                   fin={"release_when_quiet": "100ms"}))
    client = connect_client(finhold.address())
    client.send(5000)
    client.finish()
    client.expect_nothing(0.3)
    answer(resolver, "127.0.0.1")
    accepted = End(server.accept(), "server")
    accepted.expect_end(5000)
    accepted.send(10)
    accepted.finish()
    client.expect_end(10)
    finhold.ending(ending="finished", first_fin="client", to_server="5000")


def test_a_reset_while_the_name_is_looked_up(network, start, tmp_path, resolver):
    finhold = start_with(start, tmp_path, route_to("slow.test:7000"))
    client = connect_client(finhold.address())
    client.expect_nothing(0.1)
    client.reset()
    finhold.ending(ending="client-reset", to_server="0")
    answer(resolver, "127.0.0.1")  # for nobody; the look-up ends


def test_a_name_that_is_not_answered_is_a_reset_after_connect_timeout(network, start, tmp_path, resolver):
    finhold = start_with(start, tmp_path, route_to("slow.test:7000", connect_timeout="500ms"))
    assert seconds_of(lambda: expect_refusal(finhold.address())) < 5
    finhold.ending(ending="server-timeout")
    answer(resolver, "127.0.0.1")


def test_a_name_that_cannot_be_looked_up_is_a_reset(network, start, tmp_path):
    """With nobody at the resolver's port: it is refused, at once."""
    finhold = start_with(start, tmp_path, route_to("nobody.test:7000"))
    expect_refusal(finhold.address())
    ending = finhold.ending(ending="server-unresolved")
    assert ending["server"] == "nobody.test:7000"
    finhold.await_event("the server's name cannot be looked up", session=ending["session"])


def test_a_second_sigterm_ends_at_once_although_a_name_is_looked_up(network, start, tmp_path, resolver):
    """The look-up cannot be interrupted; it must not be waited for."""
    finhold = start_with(start, tmp_path, route_to("slow.test:7000"))
    client = connect_client(finhold.address())
    resolver.recvfrom(512)  # which is not answered; the look-up takes 10 s
    finhold.signal()
    finhold.await_event("stopping")
    finhold.signal()
    assert seconds_of(finhold.await_exit) < 3
    client.expect_reset()


def test_slow_names_do_not_stall_other_routes(network, start, tmp_path, resolver):
    """Look-ups wait in threads, and there are few of these."""
    server = Server()
    prefix = with_files(tmp_path, resolv_conf="nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
    finhold = start(route_to("slow.test:7000", name="slow"),
                    route_to(f"127.0.0.1:{server.address[1]}", name="address"),
                    prefix=prefix)
    clients = [connect_client(finhold.address("slow")) for _ in range(10)]
    resolver.recvfrom(512)
    session = server.session(finhold.address("address"))
    exchange(session)
    finhold.ending(ending="finished", route="address")
    for client in clients:
        client.reset()
    finhold.endings(10, ending="client-reset")
    server.close()


def test_a_name_that_nobody_answers_for_does_not_hold_up_another(network, start, tmp_path, resolver):
    """Its sessions share one look-up, so most of libuv's threads stay free however many they are."""
    server = Server()
    finhold = start(
        route_to("dead.test:7000", name="dead", connect_timeout="2s"),
        route_to(f"good.test:{server.address[1]}", name="good"),
        prefix=with_files(tmp_path, hosts="127.0.0.1 good.test\n",
                          resolv_conf="nameserver 127.0.0.1\noptions timeout:10 attempts:1\n"))
    waiting = [connect_client(finhold.address("dead")) for _ in range(40)]
    resolver.recvfrom(512)  # the question has been asked, and is not answered
    assert seconds_of(lambda: exchange(server.session(finhold.address("good")))) < 1
    for client in waiting:
        client.expect_reset()
    finhold.endings(40, route="dead", ending="server-timeout")
    finhold.signal()
    finhold.await_exit()


# The dot at the end of a name: it is looked up as it is, and not with what "search" says behind it, where others may own
# names. With ndots:9 each name without one would be.


@pytest.fixture
def searching(network, tmp_path):
    """A name server, and the prefix of a finhold that asks it. The names of evil.test are somebody else's."""
    prefix = with_files(tmp_path, hosts="127.0.0.1 localhost\n",
                        resolv_conf="nameserver 127.0.0.1\nsearch evil.test\noptions ndots:9 timeout:2 attempts:1\n")
    with name_server() as made:
        made.names = {"db.inner.test": "127.0.0.1", "db.inner.test.evil.test": "127.0.0.66", FAR: "127.0.0.1",
                      f"{FAR}.evil.test": "127.0.0.66"}
        yield made, prefix


def test_a_dot_at_the_end_of_a_servers_name_is_kept(start, searching):
    names, prefix = searching
    server = Server("127.0.0.1")
    finhold = start(route_to(f"db.inner.test.:{server.address[1]}"), prefix=prefix)
    exchange(server.session(finhold.address()))
    finhold.ending(ending="finished", server=f"127.0.0.1:{server.address[1]}")
    assert set(names.asked) == {"db.inner.test"}
    server.close()


@pytest.mark.parametrize(("listed", "asked", "looked_up"), [
    ("db.inner.test", "db.inner.test.", "db.inner.test"),
    ("db.inner.test.", "db.inner.test", "db.inner.test"),  # what is allowed is what is looked up
    ("DB.inner.test.", "Db.Inner.Test.", "db.inner.test"),
    ("db.inner.test", "db.inner.test", "db.inner.test.evil.test"),
    ("127.0.0.0/8", "db.inner.test.", "db.inner.test"),
    ("127.0.0.0/8", "db.inner.test", "db.inner.test.evil.test"),
])
def test_a_dot_at_the_end_of_a_name_is_kept_by_the_far_end(start, searching, listed, asked, looked_up):
    names, prefix = searching
    far = start(far=[far_table([f"{listed}:7000"])], limits={"workers": 1}, prefix=prefix)
    near = ScriptedNear(connect(far.address("far")))
    assert near.refusal(near.request(f"{asked}:7000")) in (403, 502)
    assert names.asked == [looked_up]
    near.close()


def test_a_dot_at_the_end_goes_through_a_pair(start, searching, authority):
    """Near looks its far end up as it is written, asks for the server as it is written, and far looks that up; the
    certificate has the name without it (RFC 6066 section 3)."""
    names, prefix = searching
    server = Server("127.0.0.1")
    name = f"db.inner.test.:{server.address[1]}"
    far = start(far=[far_table([name, server.address], authority)], limits={"workers": 1}, prefix=prefix)
    tunnel = tunnel_table((f"{FAR}.", far.address("far")[1]), authority)
    del tunnel["tls"]["server_name"]
    near = start(through_tunnel(name), tunnel=[tunnel], limits={"workers": 1}, prefix=prefix)
    await_tunnels(near)
    exchange(server.session(near.address()))
    near.ending(ending="finished")
    assert set(names.asked) == {FAR, "db.inner.test"}
    server.close()
