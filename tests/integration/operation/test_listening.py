"""Where finhold listens, and what it says if it cannot."""

import pytest
from ends import Server, text_of
from finhold import Finhold, route_to


def cannot_start(address, expected):
    failing = Finhold(["run", "--listen", address, "--server", "127.0.0.1:9"], wait=False)
    failing.await_exit(1)
    line = failing.found("cannot listen")[0]
    assert line.level == "error" and line["address"] == address
    assert expected in line["error"], line.line


def test_a_port_in_use_is_named(server):
    cannot_start(text_of(server.address), "Address already in use")


def test_an_address_that_this_machine_does_not_have_is_named():
    cannot_start("192.0.2.77:7000", "Cannot assign requested address")


def test_two_finholds_do_not_share_a_port(start, server):
    """Although each has several listening sockets on it."""
    first = start(route_to(server.address), limits={"workers": 3})
    cannot_start(text_of(first.address()), "Address already in use")
    session = server.session(first.address())
    session.client.send(10)
    session.server.receive(10)
    session.close()


def test_a_port_is_free_again_when_finhold_has_ended(start, server):
    """Also while connections of the first are in TIME_WAIT."""
    first = start(route_to(server.address))
    session = server.session(first.address())
    session.server.finish()
    session.client.expect_end(0)
    session.close()
    first.ending(ending="finished")
    first.stop()
    second = start(route_to(server.address, listen=text_of(first.address())))
    server.session(second.address()).close()


def test_ipv6(start):
    server = Server("::1")
    finhold = start(route_to(server.address, listen="[::1]:0"))
    session = server.session(finhold.address())
    session.client.send(1000)
    session.client.finish()
    session.server.expect_end(1000)
    session.close()
    ending = finhold.ending(ending="finished")
    assert ending["client"].startswith("[::1]:")
    assert ending["server"] == text_of(server.address)
    server.close()


def test_dual_stack(start, server):
    """"[::]" means both families, and an IPv4 client is written as one."""
    finhold = start(route_to(server.address, listen="[::]:0"))
    port = finhold.address()[1]
    for host, text in (("127.0.0.1", "127.0.0.1:"), ("::1", "[::1]:")):
        session = server.session((host, port))
        session.client.send(1000)
        session.server.receive(1000)
        ours = session.client.sock.getsockname()[1]
        session.close()
        assert finhold.ending(client=f"{text}{ours}")["ending"] == "finished"


def test_several_routes(start):
    servers = {"one": Server(), "two": Server()}
    finhold = start(*(route_to(each.address, name=name) for name, each in servers.items()))
    for name, each in servers.items():
        session = each.session(finhold.address(name))
        session.client.send(100)
        session.server.receive(100)
        session.close()
        finhold.ending(ending="finished", route=name)
        each.close()


@pytest.mark.parametrize("workers", [1, 5])
def test_workers(start, server, workers):
    finhold = start(route_to(server.address), limits={"workers": workers})
    assert finhold.await_event("ready")["workers"] == str(workers)
    for _ in range(20):
        session = server.session(finhold.address())
        session.client.send(10)
        session.server.receive(10)
        session.close()
    finhold.endings(20, ending="finished")


def test_1000_sessions_half_closed_at_once_and_then_answered(start, server):
    count = 1000
    finhold = start(route_to(server.address, "server", fin={"release_when_quiet": "500ms"}))
    sessions = [server.session(finhold.address()) for _ in range(count)]
    for session in sessions:
        session.client.send(300)
        session.client.finish()
    for session in sessions:
        session.server.expect_end(300)
    for session in sessions:
        session.server.send(500)
        session.server.finish()
    for session in sessions:
        session.client.expect_end(500)
        session.close()
    endings = finhold.endings(count, ending="finished", first_fin="client", released="quiet")
    assert len({ending["session"] for ending in endings}) == count
