"""The real `sort`: it answers only after the end, here 6 s later, through a NAT that forgets after 3 s.

No single instance can hold the FIN from it: finhold lets it out once nothing has come back for 1 s, and keeps
the half-closed connection alive with keepalives.
"""

import random

import wire
from lab import SERVER

DIRECT, NURSED = 7001, 7002
SLOW_SORT = """#!/bin/sh
# The pause begins with the first line of the result, which is after the end of the input.
sort -n | { read -r first; sleep 6; echo "$first"; cat; }
"""


def test_sort_with_a_late_answer_through_conntrack(lab, tmp_path):
    script = tmp_path / "slow-sort"
    script.write_text(SLOW_SORT)
    script.chmod(0o755)
    numbers = list(range(20000))
    random.Random(1).shuffle(numbers)
    unsorted = tmp_path / "unsorted"
    unsorted.write_text("".join(f"{number}\n" for number in numbers))

    network = lab.network("conntrack")
    capture = network.capture("gc")
    for port in (DIRECT, NURSED):
        # -t: by default socat gives the answer half a second after the end of the input.
        listen = f"TCP-LISTEN:{port},bind={SERVER},reuseaddr"
        network.run("s", ["socat", "-d", "-d", "-t", "60", listen, f"EXEC:{script}"]).wait_for_lines("listening on", 15)
    finhold = network.finhold("c", f"{SERVER}:{NURSED}", fin={"release_when_quiet": "1s", "nurse_every": "1s"})

    def nc(address: str):
        host, port = address.split(":")
        with unsorted.open() as file:
            return network.run("c", ["timeout", "9", "nc", "-N", host, port], stdin=file)

    direct, nursed = nc(f"{SERVER}:{DIRECT}"), nc(finhold.address)

    assert nursed.wait(20) == 0, nursed.output()
    assert nursed.lines == [str(number) for number in range(20000)]
    ending = finhold.ending()
    assert ending["ending"] == "finished", ending
    assert ending["released"] == "quiet", ending
    assert 1 <= float(ending["held"].rstrip("s")) < 2.5, ending

    status = direct.wait(20)
    assert direct.lines == [], "without finhold, the answer was expected to be lost"
    assert status == 124, f"without finhold, nc was expected to wait until it was stopped: {direct.output()}"

    segments = capture.segments(NURSED, until=lambda found: len(wire.fins(found)) >= 2)
    early = wire.early_fins(segments, "to_server")
    assert early, "the end must reach sort before it can answer"
    assert 1 <= early[0].time - segments[0].time < 3, early
    nursing = [probe for probe in wire.probes(segments, "to_server") if probe.time > early[0].time]
    assert len(nursing) >= 4, segments
    assert wire.resets(segments) == []
