"""A connection that is half-closed on purpose and silent for 8 s: nursed, it lives through the boxes that forget."""

import wire
from lab import SERVER, Network

BOXES_THAT_FORGET = ("conntrack", "idle")
NURSE = {"release_when_quiet": "0s", "nurse_every": "1s"}
DIRECT, NURSED = 7001, 7002
ENDS_FIRST = ["send:1000", "end", "read-end"]
ANSWERS_LATE = ["read-end", "wait:8", "send:1000", "wait:1"]


def test_silence_in_a_half_closed_session(lab):
    started = [begin(lab.network(box)) for begin in (client_ends, server_ends) for box in BOXES_THAT_FORGET]
    for half_closed, network, capture, finhold, direct, client, server in started:
        # `direct` is the side of the direct connection that waits for the answer.
        assert direct.result()["outcome"] == "silence", (network.box, direct.lines)
        at_client, at_server = client.result(), server.result()
        assert at_client["outcome"] == at_server["outcome"] == "complete", (network.box, at_client, at_server)
        assert at_client["received"] == at_server["received"] == 1000, (network.box, at_client, at_server)
        ending = finhold.ending()
        assert ending["ending"] == "finished", ending

        segments = capture.segments(NURSED)
        early = wire.early_fins(segments, half_closed)
        assert early and early[0].time - segments[0].time < 1, f"{network.box}: the FIN was to cross at once"
        nursing = [probe for probe in wire.probes(segments, half_closed) if probe.time > early[0].time]
        assert len(nursing) >= 5, (network.box, segments)
        assert wire.resets(segments) == [], network.box


def test_a_full_window_in_a_half_closed_session(lab):
    """The server has ended, and lets what it is sent wait for 12 s: the kernel sends no keepalives then, and asks for room at
    intervals that double. Silence is all that the box sees, unless they are bounded."""
    sends, pauses = ["send:20000000", "end", "read-end"], ["end", "wait:12", "read-end"]
    vanished_after_11_s = '{ idle = "5s", interval = "2s", probes = 3 }'
    started = []
    for box in BOXES_THAT_FORGET:
        network = lab.network(box)
        servers = {port: network.listen(port, pauses, patience=14) for port in (DIRECT, NURSED)}
        finhold = network.finhold("c", f"{SERVER}:{NURSED}", keepalive=vanished_after_11_s, fin=NURSE)
        network.connect("c", f"{SERVER}:{DIRECT}", sends, patience=14)
        nursed = network.connect("c", finhold.address, sends)
        started.append((network, finhold, servers, nursed))
    for network, finhold, servers, nursed in started:
        assert servers[DIRECT].result()["outcome"] in ("silence", "reset"), (network.box, servers[DIRECT].lines)
        at_server = servers[NURSED].result()
        assert (at_server["outcome"], at_server["received"]) == ("complete", 20_000_000), (network.box, at_server)
        assert nursed.result()["outcome"] == "complete", (network.box, nursed.lines)
        assert finhold.ending()["ending"] == "finished"


def client_ends(network: Network):
    capture = network.capture("gc")
    servers = {port: network.listen(port, ANSWERS_LATE) for port in (DIRECT, NURSED)}
    finhold = network.finhold("c", f"{SERVER}:{NURSED}", fin=NURSE)
    direct = network.connect("c", f"{SERVER}:{DIRECT}", ENDS_FIRST, patience=9)
    nursed = network.connect("c", finhold.address, ENDS_FIRST)
    return "to_server", network, capture, finhold, direct, nursed, servers[NURSED]


def server_ends(network: Network):
    capture = network.capture("gs")
    direct = network.listen(DIRECT, ENDS_FIRST, patience=9)
    server = network.listen(8002, ENDS_FIRST, address="127.0.0.1")
    finhold = network.finhold("s", "127.0.0.1:8002", crosses="client", listen=f"{SERVER}:{NURSED}", fin=NURSE)
    clients = {port: network.connect("c", f"{SERVER}:{port}", ANSWERS_LATE) for port in (DIRECT, NURSED)}
    return "to_client", network, capture, finhold, direct, clients[NURSED], server
