"""Over IPv6 the strict box cuts a half-closed stream, and finhold keeps it whole."""

import wire

SERVER = "fd77:2::2"
CLIENT = ["send:1000", "end", "read-end"]
SERVING = ["read:1000", "stream:6"]


def test_a_stream_over_ipv6(lab):
    network = lab.network("strict")
    capture = network.capture("gc")
    servers = {port: network.listen(port, SERVING, address=SERVER) for port in (7001, 7002)}
    finhold = network.finhold("c", f"[{SERVER}]:7002", listen="[::1]:0")
    direct = network.connect("c", f"[{SERVER}]:7001", CLIENT, patience=4)
    client = network.connect("c", finhold.address, CLIENT)

    at_client, at_server = client.result(), servers[7002].result()
    assert at_client["outcome"] == at_server["outcome"] == "complete", (at_client, at_server)
    assert at_client["received"] == at_server["sent"] > 200000, (at_client, at_server)
    ending = finhold.ending()
    assert ending["client"].startswith("[::1]:"), ending
    assert ending["server"] == f"[{SERVER}]:7002", ending
    assert direct.result()["outcome"] == "silence", direct.lines

    segments = capture.segments(7002, until=lambda found: len(wire.fins(found)) >= 2)
    assert [segment.flow for segment in wire.fins(segments)][:2] == ["to_client", "to_server"], segments
    assert wire.early_fins(capture.segments(7001), "to_server")
