"""finhold on a router between client and server that neither of them knows of, with the client's own address and port
towards the server (tproxy, source = "client"). The half-close workloads that a box behind it cuts otherwise come
through, over IPv4 and IPv6."""

import re

from lab import Lab, Network
from programs import Finhold
from transparent import (BOXES, CAUGHT, SERVERS, Workload, check_late_answer, check_stream, late_answer, stream, text_of,
                         wait_until)

SOON = {"release_when_quiet": "1s", "nurse_every": "1s"}


def gateway(lab: Lab, box: str, fin: dict[str, str] | None = None) -> tuple[Network, Finhold]:
    network = lab.network(box, routed=True)
    return network, network.intercept("r", "tproxy", fin, source="client")


def check(workload: Workload, finhold: Finhold, check_one) -> None:
    workload.check_without()
    for family, at_client, at_server in workload.with_finhold():
        assert at_server["peer"] == at_client["self"], (at_client, at_server)
        ending = next(each for each in finhold.endings(2) if each["client"] == at_client["self"])
        assert ending["server"] == at_client["peer"], ending
        check_one(workload, family, ending)
        assert {segment.client for segment in workload.segments(family)} == {at_client["self"]}


def test_a_stream_through_every_box_from_the_clients_own_address(lab):
    started = []
    for box in BOXES:
        network, finhold = gateway(lab, box)
        started.append((stream(network, "gc"), finhold))
    for workload, finhold in started:
        check(workload, finhold, check_stream)


def test_a_late_answer_to_the_clients_own_address(lab):
    network, finhold = gateway(lab, "conntrack", SOON)
    check(late_answer(network, "gc"), finhold, check_late_answer)


def test_the_kernels_show_the_clients_own_address_on_both_sides(lab):
    network, _ = gateway(lab, "none", {"release_when_quiet": "0s"})
    for family, own_port in (("v4", 40004), ("v6", 40006)):
        port, address = CAUGHT[family], SERVERS[family]
        server = network.listen(port, ["read:10", "send:10", "read-end"], address=address)
        own = text_of({"v4": "10.77.3.2", "v6": "fd77:3::2"}[family], own_port)
        client = network.connect("c", text_of(address, port), ["send:10", "read:10", "wait:30"], own_port=own_port)
        wait_until(lambda: [own] == peers(network, "s", port))
        # The same two addresses in the client's kernel; and in the router's, both ways round.
        assert peers(network, "c", own_port) == [text_of(address, port)]
        assert peers(network, "r", port) == [own]
        assert peers(network, "r", own_port) == [text_of(address, port)]
        client.stop()
        assert server.result()["peer"] == own


def peers(network: Network, side: str, own_port: int) -> list[str]:
    """What the connections of a port are connected to."""
    lines = network.do(side, ["ss", "-Htn", "state", "established", "sport", "=", f":{own_port}"]).splitlines()
    return [re.sub(r"\[::ffff:([\d.]+)\]", r"\1", line.split()[3]) for line in lines]


def test_a_client_that_uses_its_port_again_at_once(lab):
    """As rsh does, which comes from 1023 whenever it can."""
    network, finhold = gateway(lab, "none", {"release_when_quiet": "0s"})
    for family, port in CAUGHT.items():
        for _ in range(5):
            server = network.listen(port, ["read-end", "send:10"], address=SERVERS[family])
            client = network.connect("c", text_of(SERVERS[family], port), ["send:10", "end", "read-end"], own_port=1023)
            assert client.result()["outcome"] == "complete", (client.lines, finhold.lines)
            assert server.result()["peer"].endswith(":1023")
    assert {ending["ending"] for ending in finhold.endings(10)} == {"finished"}
