"""allow and deny of a route: which clients may connect. Who may not is reset before anything is dialed."""

import socket

import pytest
from ends import End, connect, connect_from, expect_refusal, expect_refusal_of, text_of
from finhold import route_to, wait_until
from pair import start_pair
from proxy_headers import v1
from reloading import Reloading
from test_accept_proxy import accepting, expect_no_connection

LOCAL, OTHER = "127.0.0.1", "127.0.0.2"


def expect_service(finhold, server, source=LOCAL, route="main"):
    host, port = finhold.address(route)
    client = connect_from(("::1" if ":" in source else LOCAL, port), source)
    accepted = server.accept()
    client.sendall(b"x")
    assert accepted.recv(10) == b"x"
    client.close()
    accepted.close()
    finhold.ending(ending="finished")


RULES = {  # the two lists, whether 127.0.0.1 may connect, and 127.0.0.2
    "allow has it": ([LOCAL], None, True, False),
    "deny has it": (None, ["127.0.0.2/31"], True, False),
    "deny wins": (["127.0.0.0/8"], [OTHER], True, False),
    "in neither": (["192.0.2.0/24"], ["198.51.100.0/24"], False, False),
    "of the other family": (["::/0", OTHER], ["::1"], False, True),
    "mapped": (["::ffff:127.0.0.1"], None, True, False),
}


@pytest.mark.parametrize("case", RULES)
@pytest.mark.parametrize("host", [LOCAL, "[::]"], ids=["IPv4", "dual-stack"])
def test_who_may_connect(start, server, host, case):
    """Also through a dual-stack listener, whose IPv4 clients have mapped addresses."""
    allow, deny, *may = RULES[case]
    if host == LOCAL and case == "of the other family":
        allow = [OTHER]  # finhold check tells that nobody of ::/0 can connect there
    keys = {key: value for key, value in (("allow", allow), ("deny", deny)) if value}
    finhold = start(route_to(server.address, listen=f"{host}:0", **keys))
    address = (LOCAL, finhold.address()[1])
    refused = 0
    for source, lets_in in zip((LOCAL, OTHER), may):
        if lets_in:
            expect_service(finhold, server, source)
        else:
            expect_refusal_of(address, source)
            refused += 1
            finhold.endings(refused, ending="client-denied", to_server="0", to_client="0", server=text_of(server.address))
            warning = finhold.await_event("refused a client: by the route's allow and deny")
            assert warning.level == "warning" and warning["client"].startswith(f"{source}:") and warning["route"] == "main"
    expect_no_connection(server)


def test_an_ipv6_client_is_judged_by_ipv6_networks(start, server):
    finhold = start(route_to(server.address, listen="[::]:0", allow=["0.0.0.0/0"]))
    expect_refusal(("::1", finhold.address()[1]))
    finhold.ending(ending="client-denied")
    expect_service(finhold, server)


def test_nothing_of_a_denied_client_is_read(start, server):
    """What it sends at once does not turn the reset into anything else."""
    finhold = start(route_to(server.address, deny=[LOCAL]))
    with finhold.suspended():
        client = connect(finhold.address())
        client.sendall(b"x" * 1000)
        client.shutdown(socket.SHUT_WR)
    End(client, "client").expect_reset()
    client.close()
    finhold.ending(ending="client-denied", to_server="0", first_fin="none")
    expect_no_connection(server)


def test_each_route_has_its_own(start, server):
    finhold = start(route_to(server.address, deny=[LOCAL]), route_to(server.address, name="open"))
    expect_refusal(finhold.address())
    finhold.ending(ending="client-denied", route="main")
    expect_service(finhold, server, route="open")


def test_the_announced_client_is_judged_not_its_proxy(start, server):
    """Who may announce is another question: trusted."""
    finhold = accepting(start, server, [LOCAL], allow=["192.0.2.0/24"], deny=[LOCAL, "192.0.2.66"])
    for announced, may in (("192.0.2.7", True), ("192.0.2.66", False), ("198.51.100.1", False)):
        client = connect(finhold.address())
        client.sendall(v1((announced, 40000), ("10.0.0.5", 80)))
        if may:
            server.accept().close()
        else:
            End(client, "client").expect_reset()
            ending = finhold.ending(ending="client-denied", client=f"{announced}:40000")
            assert ending["proxy"].startswith(LOCAL)
            assert finhold.await_event("refused a client", client=f"{announced}:40000")["proxy"] == ending["proxy"]
        client.close()
    expect_no_connection(server)


def test_a_proxy_that_announces_nobody_is_judged_itself(start, server):
    finhold = accepting(start, server, [LOCAL], deny=[LOCAL])
    client = connect(finhold.address())
    client.sendall(b"PROXY UNKNOWN\r\n")
    End(client, "client").expect_reset()
    client.close()
    finhold.ending(ending="client-denied")
    expect_no_connection(server)


def test_the_near_end_refuses_its_clients(start, server):
    """Before the far end hears of them."""
    pair = start_pair(start, server.address, None, deny=[LOCAL])
    expect_refusal(pair.address())
    pair.near.ending(ending="client-denied")
    assert not pair.far.found("session ended")
    expect_no_connection(server)


def test_denied_clients_cannot_flood_the_log(start, server):
    """Of their warnings some are left out and counted; no ending is."""
    finhold = start(route_to(server.address, deny=[LOCAL]), limits={"workers": 1})
    refused = 200
    for _ in range(refused):
        expect_refusal(finhold.address())
    finhold.endings(refused, ending="client-denied")
    assert len(finhold.found("refused a client")) < refused

    def told():
        lines = finhold.found("refused a client")
        return len(lines) + sum(int(line.fields.get("left_out", 0)) for line in lines)

    def another_is_told():
        nonlocal refused
        expect_refusal(finhold.address())
        refused += 1
        finhold.endings(refused, ending="client-denied")
        return told() == refused

    wait_until(another_is_told)


def test_a_reload_changes_who_may_connect(start, public_path, server):
    """Sessions that are open stay."""
    running = Reloading(start, public_path / "reloaded.toml", route_to(server.address))
    session = server.session(running.finhold.address())
    running.reload(route_to(server.address, deny=[LOCAL]))
    expect_refusal(running.finhold.address())
    running.finhold.ending(ending="client-denied")
    session.client.send(100)
    session.server.receive(100)
    session.close()
    running.reload(route_to(server.address))
    expect_service(running.finhold, server)
