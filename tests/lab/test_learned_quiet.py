"""release_when_quiet = "auto" and the real `sort`, which answers only after the end: the first two wait 5 s for that, the third does not.
Where the box kills at the FIN none has an answer, and after some the log says what would help."""

import pytest
import wire
from lab import SERVER

PORT = 7001
LIVES = '{ idle = "1s", interval = "1s", probes = 2 }'
PATIENT = 5.0


def network_with_sort(lab, box):
    network = lab.network(box)
    # -t: by default socat gives the answer half a second after the end of the input.
    listen = f"TCP-LISTEN:{PORT},bind={SERVER},reuseaddr,fork"
    network.run("s", ["socat", "-d", "-d", "-t", "60", listen, "EXEC:sort -n"]).wait_for_lines("listening on", 15)
    return network


def sort_through(network, address, tmp_path):
    host, port = address.split(":")
    numbers = tmp_path / "numbers"
    numbers.write_text("3\n1\n2\n")
    with numbers.open() as file:
        return network.run("c", ["timeout", "20", "nc", "-N", host, port], stdin=file)


def held(ending):
    return float(ending["held"].rstrip("s"))


@pytest.mark.parametrize("box", ["conntrack", "strict"])
def test_the_third_answer_comes_at_once(lab, tmp_path, box):
    network = network_with_sort(lab, box)
    capture = network.capture("gc")
    finhold = network.finhold("c", f"{SERVER}:{PORT}", keepalive='{ idle = "30s", interval = "10s", probes = 6 }', workers=1)
    for count in (2, 1):
        tools = [sort_through(network, finhold.address, tmp_path) for _ in range(count)]
        for tool in tools:
            assert tool.wait(20) == 0 and tool.lines == ["1", "2", "3"], tool.output()
    endings = finhold.endings(3)
    assert [ending["end_needs"] for ending in endings] == ["unknown", "unknown", "waits"], endings
    assert all(ending["released"] == "quiet" and ending["ending"] == "finished" for ending in endings), endings
    assert [held(ending) >= PATIENT - 0.1 for ending in endings] == [True, True, False] and held(endings[2]) < 2, endings
    segments = capture.segments(PORT, until=lambda found: len(wire.fins(found)) >= 6)
    assert wire.early_fins(segments, "to_server"), "the end must reach sort before it can answer"
    assert wire.resets(segments) == []


def test_a_box_that_kills_at_the_fin_is_told_of(lab, tmp_path):
    network = network_with_sort(lab, "kill-on-fin")
    finhold = network.finhold("c", f"{SERVER}:{PORT}", fin={"nurse_every": "1s"}, keepalive=LIVES, workers=1)
    direct = sort_through(network, f"{SERVER}:{PORT}", tmp_path)
    tools = [sort_through(network, finhold.address, tmp_path) for _ in range(3)]
    for tool in tools:
        tool.wait(25)
        assert tool.lines == [], tool.output()
    endings = finhold.endings(3)
    assert {(ending["released"], ending["ending"], ending["end_needs"]) for ending in endings} == {("quiet", "server-vanished", "unknown")}, endings
    finhold.wait_for_lines("sessions are lost once an end has been sent on early.*; a pair of finholds carries the end", 5)
    direct.wait(25)
    assert direct.lines == [], "without finhold, the answer was expected to be lost"
