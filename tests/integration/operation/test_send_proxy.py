"""send_proxy: the server learns of the client by a PROXY protocol header."""

import select

import pytest
from ends import End, Server, background, connect, text_of
from finhold import route_to
from proxy_headers import HEADERS, take_header

every_version = pytest.mark.parametrize("version", ["v1", "v2"])
LOOPBACK = {"IPv4": "127.0.0.1", "IPv6": "::1"}
every_family = pytest.mark.parametrize("family", LOOPBACK)


def own_addresses(client):
    return client.getsockname()[:2], client.getpeername()[:2]


@every_version
@every_family
def test_the_header_comes_first_and_names_both_addresses(start, server, version, family):
    """Also if the client says nothing: some servers speak first. The listener takes both families, so
    IPv4 clients are mapped to it."""
    finhold = start(route_to(server.address, listen="[::]:0", send_proxy=version))
    client = connect((LOOPBACK[family], finhold.address()[1]))
    accepted = server.accept()
    assert take_header(accepted) == (version, *own_addresses(client))
    accepted.sendall(b"220 ready")
    assert client.recv(100) == b"220 ready"
    client.sendall(b"HELO")
    assert accepted.recv(100) == b"HELO"
    client.close()
    assert accepted.recv(100) == b""
    accepted.close()
    ending = finhold.ending(ending="finished")
    assert (ending["to_server"], ending["to_client"]) == ("4", "9")


@every_version
def test_a_header_over_the_other_family_tells_the_clients_own(start, version):
    """proxy-protocol.txt, section 4.2: an IPv4 client of a server that is reached over IPv6."""
    server = Server("::1")
    finhold = start(route_to(server.address, send_proxy=version))
    client = connect(finhold.address())
    accepted = server.accept()
    assert take_header(accepted) == (version, *own_addresses(client))
    client.close()
    accepted.close()
    server.close()
    finhold.ending(ending="finished")


@every_version
def test_the_header_is_one_segment_of_its_own_right_after_the_connect(start, server, version):
    """Whole at the first readiness, although no other byte follows (proxy-protocol.txt, section 2)."""
    finhold = start(route_to(server.address, send_proxy=version))
    client = connect(finhold.address())
    accepted = server.accept()
    assert select.select([accepted], [], [], 10)[0]
    assert accepted.recv(1000) == HEADERS[version](*own_addresses(client))
    client.close()
    accepted.close()
    finhold.ending(ending="finished")


@every_version
@every_family
def test_what_was_announced_is_passed_on(start, server, version, family):
    """From either version to either, with the destination that the client had."""
    source, destination = (("192.0.2.7", 40000), ("10.0.0.5", 80)) if family == "IPv4" else \
        (("2001:db8::7", 40000), ("2001:db8::5", 80))
    finhold = start(route_to(server.address, accept_proxy=True, trusted=["127.0.0.1"], send_proxy=version))
    for number, header in enumerate(HEADERS.values()):
        client = connect(finhold.address())
        client.sendall(header(source, destination) + b"x")
        accepted = server.accept()
        assert take_header(accepted) == (version, source, destination)
        assert accepted.recv(10) == b"x"
        client.close()
        accepted.close()
        finhold.endings(number + 1, ending="finished", client=text_of(source), to_server="1")


def test_who_was_not_announced_is_told_of_as_it_is(start, server):
    finhold = start(route_to(server.address, accept_proxy=True, trusted=["127.0.0.1"], send_proxy="v2"))
    client = connect(finhold.address())
    client.sendall(b"PROXY UNKNOWN\r\n")
    accepted = server.accept()
    assert take_header(accepted) == ("v2", *own_addresses(client))
    client.close()
    accepted.close()
    finhold.ending(ending="finished")


@every_version
@pytest.mark.parametrize("crosses", ["none", "both"])
def test_half_close_works_behind_a_header(start, server, flow, version, crosses):
    """One side ends early, the other goes on. Every byte is checked by its place."""
    finhold = start(route_to(server.address, crosses, send_proxy=version, fin={"release_when_quiet": "100ms"}))
    ends = {"client": End(connect(finhold.address()), "client")}
    accepted = server.accept()
    take_header(accepted)
    ends["server"] = End(accepted, "server")
    early, late = ("client", "server") if flow == "to_server" else ("server", "client")
    sending = background(lambda: (ends[early].send(3_000_000), ends[early].finish()))
    ends[late].receive(3_000_000)
    sending.result()
    ends[late].expect_end(3_000_000)
    sending = background(lambda: (ends[late].send(5_000_000), ends[late].close()))
    ends[early].receive(5_000_000)
    sending.result()
    ends[early].expect_end(5_000_000)
    ends[early].close()
    ending = finhold.ending(ending="finished", first_fin=early)
    assert ending[flow] == "3000000"


def test_a_server_that_resets_at_once_resets_the_client(start, server):
    """Perhaps before the header is written, perhaps while it is dialed (server-refused)."""
    finhold = start(route_to(server.address, send_proxy="v1"))
    for number in range(20):
        client = End(connect(finhold.address()), "client")
        End(server.accept(), "server").reset()
        client.expect_reset()
        client.close()
        assert finhold.endings(number + 1)[-1]["ending"] in ("server-reset", "server-refused")
