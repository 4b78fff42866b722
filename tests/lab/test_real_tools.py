"""nc -N, socat and ncat fetch a 6 s stream through the strict box: hang without finhold, whole with it."""

from lab import SERVER

TOOLS = {
    "nc": ["nc", "-N", "{host}", "{port}"],
    "socat": ["socat", "-t", "30", "-", "TCP:{host}:{port}"],
    "ncat": ["ncat", "{host}", "{port}"],
}
STREAM = """#!/bin/sh
# One line is asked for; it does not wait for the end of what is asked.
read -r request
for line in $(seq 60); do echo "$request $line"; sleep 0.1; done
"""
HANGS = 124  # what timeout(1) says


def test_tools_that_half_close(lab, tmp_path):
    script = tmp_path / "stream"
    script.write_text(STREAM)
    script.chmod(0o755)
    request = tmp_path / "request"
    request.write_text("report\n")

    network = lab.network("strict")
    listen = f"TCP-LISTEN:7000,bind={SERVER},reuseaddr,fork"
    network.run("s", ["socat", "-d", "-d", "-t", "30", listen, f"EXEC:{script}"]).wait_for_lines("listening on", 15)
    finhold = network.finhold("c", f"{SERVER}:7000")

    def fetch(tool: str, address: str):
        host, port = address.split(":")
        command = [word.format(host=host, port=port) for word in TOOLS[tool]]
        with request.open() as file:
            return network.run("c", ["timeout", "9", *command], stdin=file)

    direct = {tool: fetch(tool, f"{SERVER}:7000") for tool in TOOLS}
    through = {tool: fetch(tool, finhold.address) for tool in TOOLS}

    whole = [f"report {line}" for line in range(1, 61)]
    for tool in TOOLS:
        assert through[tool].wait(20) == 0, (tool, through[tool].output())
        assert through[tool].lines == whole, (tool, through[tool].output())
        assert direct[tool].wait(20) == HANGS, (tool, direct[tool].output())
        assert 0 < len(direct[tool].lines) < 60, (tool, direct[tool].output())
    for ending in finhold.endings(len(TOOLS)):
        assert ending["ending"] == "finished", ending
        assert ending["released"] == "server-ended", ending
