"""The client ends at once, the server streams on for 10 s: with finhold beside the client, every box passes it."""

import pytest
import wire
from lab import BOXES, SERVER

CLIENT = ["send:100000", "end", "read-end"]
SERVING = ["read:100000", "stream:10"]  # it does not wait for the end, which is held until its own
DIRECT, BY_DEFAULT, STRICTLY = 7001, 7002, 7003  # one server for each connection

# Without finhold; the two others restart their timers at each packet of the stream.
CUT = {"strict": "silence", "strict-reset": "reset", "kill-on-fin": "silence"}


def test_an_active_stream_after_the_clients_end(lab):
    started = []
    for box in BOXES:
        network = lab.network(box)
        capture = network.capture("gc")
        servers = {port: network.listen(port, SERVING) for port in (DIRECT, BY_DEFAULT, STRICTLY)}
        finholds = {
            BY_DEFAULT: network.finhold("c", f"{SERVER}:{BY_DEFAULT}"),
            STRICTLY: network.finhold("c", f"{SERVER}:{STRICTLY}", fin={"release_when_quiet": "never"}),
        }
        direct = network.connect("c", f"{SERVER}:{DIRECT}", CLIENT, patience=4)
        clients = {port: network.connect("c", finhold.address, CLIENT) for port, finhold in finholds.items()}
        started.append((box, capture, servers, finholds, direct, clients))

    for box, capture, servers, finholds, direct, clients in started:
        assert direct.result()["outcome"] == CUT.get(box, "complete"), (box, direct.lines)

        for port, client in clients.items():
            at_client, at_server = client.result(), servers[port].result()
            assert at_client["outcome"] == "complete", (box, at_client)
            assert at_server["outcome"] == "complete", (box, at_server)
            assert at_server["received"] == 100000, (box, at_server)
            assert at_client["received"] == at_server["sent"] > 300000, (box, at_client, at_server)
            check_ending(finholds[port].ending(), at_client)
            check_wire(capture.segments(port, until=both_ended))

        early = wire.early_fins(capture.segments(DIRECT), "to_server")
        assert early, f"{box}: the direct connection did not half-close, so this test shows nothing"


def check_ending(ending: dict[str, str], at_client: dict) -> None:
    assert ending["ending"] == "finished", ending
    assert ending["first_fin"] == "client", ending
    assert ending["released"] == "server-ended", ending
    assert ending["held"].endswith("s") and 9 <= float(ending["held"][:-1]) <= 13, ending
    assert int(ending["to_server"]) == at_client["sent"], ending
    assert int(ending["to_client"]) == at_client["received"], ending


def both_ended(segments: list[wire.Segment]) -> bool:
    return {segment.flow for segment in wire.fins(segments)} == {"to_server", "to_client"}


def check_wire(segments: list[wire.Segment]) -> None:
    """finhold's FIN crossed, and only after the server's."""
    assert both_ended(segments), segments[-5:]
    assert wire.early_fins(segments, "to_server") == []
    assert wire.resets(segments) == []
    first, second = wire.fins(segments)[:2]
    assert first.flow == "to_client" and second.flow == "to_server", wire.fins(segments)
    assert first.time - segments[0].time == pytest.approx(10, abs=2)
