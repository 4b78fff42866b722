"""A pair, near beside the client and far beside the server: every half-close works through every box, at once and to
the last byte, those that kill on the first FIN too. No FIN crosses while a session is open."""

import random
import re

import wire
from lab import BOXES, SERVER, TUNNEL

# workload: port, what the client does, what the server does.
WORKLOADS = {
    # The answer is later than any box waits, and the server begins it at the end only, as sort does.
    "late answer": (7001, ["send:100000", "end", "read-end"], ["read-end", "wait:6", "send:100000", "wait:0.2"]),
    "download after the client's end": (7002, ["send:1000", "end", "read-end"], ["read-end", "stream:6"]),
    "upload after the server's end": (7003, ["read-end", "stream:6", "end"], ["send:1000", "end", "read-end"]),
    "both end at once": (7004, ["send:1000", "end", "read-end"], ["send:1000", "end", "read-end"]),
    # Nothing waits for a quiet time (release_when_quiet is 5 s).
    "answer at once": (7005, ["send:1000", "end", "read-end"], ["read-end", "send:1000"]),
}
DIRECT, SORT = 7000, 7010
CLIENT, SERVING = WORKLOADS["late answer"][1:]
CUT = {"strict-reset": "reset"}  # the others: silence
TOOLS = {"nc": ["nc", "-N"], "socat": ["socat", "-t", "30", "-"], "ncat": ["ncat"]}
SLOW_SORT = """#!/bin/sh
# The pause begins with the first line of the result, which is after the end of the input.
sort -n | { read -r first; sleep 6; echo "$first"; cat; }
"""


def run_tool(network, tool: str, address: str, unsorted):
    host, _, port = address.rpartition(":")
    where = [f"TCP:{host}:{port}"] if tool == "socat" else [host, port]
    with unsorted.open() as file:
        return network.run("c", ["timeout", "20", *TOOLS[tool], *where], stdin=file)


def test_every_half_close_through_every_box(lab, tmp_path):
    script = tmp_path / "slow-sort"
    script.write_text(SLOW_SORT)
    script.chmod(0o755)
    numbers = list(range(20000))
    random.Random(1).shuffle(numbers)
    unsorted = tmp_path / "unsorted"
    unsorted.write_text("".join(f"{number}\n" for number in numbers))

    started = []
    for box in BOXES:
        network = lab.network(box)
        captures = [network.capture(interface) for interface in ("gc", "gs")]
        far = network.far(f"{SERVER}:7000-7999")
        ports = {name: port for name, (port, _, _) in WORKLOADS.items()} | {"sort": SORT}
        near = network.near(*({"name": f"to-{port}", "listen": "127.0.0.1:0", "server": f"{SERVER}:{port}"}
                              for port in ports.values()))
        addresses = near.addresses(len(ports))
        servers = {name: network.listen(port, steps) for name, (port, _, steps) in WORKLOADS.items()}
        network.listen(DIRECT, SERVING, patience=8)
        listen = f"TCP-LISTEN:{SORT},bind={SERVER},reuseaddr,fork"
        network.run("s", ["socat", "-d", "-d", "-t", "60", listen, f"EXEC:{script}"]).wait_for_lines("listening on", 15)

        clients = {name: network.connect("c", addresses[f"to-{port}"], steps)
                   for name, (port, steps, _) in WORKLOADS.items()}
        tools = {tool: run_tool(network, tool, addresses[f"to-{SORT}"], unsorted) for tool in TOOLS}
        direct = network.connect("c", f"{SERVER}:{DIRECT}", CLIENT, patience=8)
        started.append((box, captures, near, far, servers, clients, tools, direct))

    for box, captures, near, far, servers, clients, tools, direct in started:
        assert direct.result()["outcome"] == CUT.get(box, "silence"), (box, direct.lines)
        for name, client in clients.items():
            at_client, at_server = client.result(), servers[name].result()
            assert at_client["outcome"] == at_server["outcome"] == "complete", (box, name, at_client, at_server)
            assert at_client["received"] == at_server["sent"] >= 1000, (box, name, at_client, at_server)
            assert at_server["received"] == at_client["sent"], (box, name, at_client, at_server)
        assert clients["answer at once"].result()["seconds"] < 3, (box, clients["answer at once"].lines)
        for tool, process in tools.items():
            assert process.wait(25) == 0, (box, tool, process.output(), near.lines)
            assert process.lines == [str(number) for number in range(20000)], (box, tool)
        for finhold in (near, far):
            for ending in finhold.endings(len(clients) + len(tools)):
                assert (ending["ending"], ending["released"]) == ("finished", "not-held"), (box, ending)
        for capture in captures:
            segments = capture.segments(TUNNEL)
            assert len(segments) > 100, (box, segments)
            assert wire.fins(segments) == [] and wire.resets(segments) == [], (box, segments)
        assert not [line for line in near.lines + far.lines if re.search("lost|error", line)], (box, near.lines, far.lines)
