"""finhold beside the server: the server ends first, the client sends on for 6 s. Every box passes it where that end
is held. By default it is not: what it meets is what a direct connection meets, but for boxes that nursing helps."""

import wire
from lab import BOXES, SERVER

CLIENT = ["send:1000", "read:100000", "stream:6", "end"]  # it does not wait for the end, which is held until its own
SERVING = ["send:100000", "end", "read-end"]
DIRECT, BY_DEFAULT, HELD, STRICTLY = 7001, 7002, 7003, 7004  # where the client connects to
BEHIND = {port: f"127.0.0.1:{port + 1000}" for port in (BY_DEFAULT, HELD, STRICTLY)}  # the servers behind finhold
FIN = {HELD: {"release_when_quiet": "5s"}, STRICTLY: {"release_when_quiet": "never"}}

# Without finhold, seen by the server; the two other boxes restart their timers at each packet.
CUT = {"strict": "silence", "strict-reset": "reset", "kill-on-fin": "silence"}


def test_a_client_that_sends_on_after_the_servers_end(lab):
    started = []
    for box in BOXES:
        network = lab.network(box)
        capture = network.capture("gs")
        servers = {DIRECT: network.listen(DIRECT, SERVING, patience=4)}
        finholds = {}
        for port, behind in BEHIND.items():
            servers[port] = network.listen(int(behind.rpartition(":")[2]), SERVING, address="127.0.0.1", patience=4)
            finholds[port] = network.finhold("s", behind, crosses="client", listen=f"{SERVER}:{port}", fin=FIN.get(port))
        clients = {port: network.connect("c", f"{SERVER}:{port}", CLIENT, patience=4) for port in servers}
        started.append((box, capture, servers, finholds, clients))

    for box, capture, servers, finholds, clients in started:
        assert servers[DIRECT].result()["outcome"] == CUT.get(box, "complete"), (box, servers[DIRECT].lines)
        early = wire.early_fins(capture.segments(DIRECT), "to_client")
        assert early, f"{box}: the direct connection did not half-close, so this test shows nothing"

        assert wire.early_fins(capture.segments(BY_DEFAULT), "to_client"), f"{box}: held by default"
        # strict-reset resets finhold, which passes it on.
        assert servers[BY_DEFAULT].result()["outcome"] == CUT.get(box, "complete"), (box, servers[BY_DEFAULT].lines)
        if box not in CUT:
            assert finholds[BY_DEFAULT].ending()["released"] == "quiet", box

        for port in (HELD, STRICTLY):
            finhold = finholds[port]
            at_client, at_server = clients[port].result(), servers[port].result()
            assert at_client["outcome"] == "complete", (box, at_client)
            assert at_server["outcome"] == "complete", (box, at_server)
            assert at_client["received"] == 100000, (box, at_client)
            assert at_server["received"] == at_client["sent"] > 200000, (box, at_client, at_server)
            ending = finhold.ending()
            assert ending["ending"] == "finished", ending
            assert ending["first_fin"] == "server", ending
            assert ending["released"] == "client-ended", ending
            check_wire(capture.segments(port, until=both_ended))


def both_ended(segments: list[wire.Segment]) -> bool:
    return {segment.flow for segment in wire.fins(segments)} == {"to_server", "to_client"}


def check_wire(segments: list[wire.Segment]) -> None:
    """finhold's FIN crossed, and only after the client's."""
    assert both_ended(segments), segments[-5:]
    assert wire.early_fins(segments, "to_client") == []
    assert wire.resets(segments) == []
