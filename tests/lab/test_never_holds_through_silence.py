"""release_when_quiet = "never": the FIN is held through 8 s of silence, and the late answer passes every box."""

import wire
from lab import BOXES, SERVER

CLIENT = ["send:1000", "end", "read-end"]
SERVING = ["read:1000", "wait:8", "send:1000", "wait:1"]
DIRECT, HELD = 7001, 7002

# Without finhold.
CUT = {box: "reset" if box == "strict-reset" else "silence" for box in BOXES}


def test_an_answer_after_a_long_silence(lab):
    started = []
    for box in BOXES:
        network = lab.network(box)
        capture = network.capture("gc")
        servers = {port: network.listen(port, SERVING) for port in (DIRECT, HELD)}
        # No FIN was seen by the `idle` box, and still it forgets: that takes keepalives.
        finhold = network.finhold("c", f"{SERVER}:{HELD}", fin={"release_when_quiet": "never"},
                                  keepalive='{ idle = "1s", interval = "1s", probes = 6 }')
        direct = network.connect("c", f"{SERVER}:{DIRECT}", CLIENT, patience=10)
        client = network.connect("c", finhold.address, CLIENT)
        started.append((box, capture, servers, finhold, direct, client))

    for box, capture, servers, finhold, direct, client in started:
        assert direct.result()["outcome"] == CUT[box], (box, direct.lines)
        at_client, at_server = client.result(), servers[HELD].result()
        assert at_client["outcome"] == at_server["outcome"] == "complete", (box, at_client, at_server)
        assert at_client["received"] == at_server["received"] == 1000, (box, at_client, at_server)
        ending = finhold.ending()
        assert ending["ending"] == "finished", ending
        assert ending["released"] == "server-ended", ending

        segments = capture.segments(HELD, until=lambda found: len(wire.fins(found)) >= 2)
        assert wire.early_fins(segments, "to_server") == [], box
        assert wire.resets(segments) == [], box
        assert len(wire.probes(segments, "to_server")) >= 5, (box, segments)
