"""What the demonstration shows: the services, and which tool asks which of them through which box."""

import random
from dataclasses import dataclass

_shuffled = [str(number) for number in range(2000)]
random.Random(1).shuffle(_shuffled)

# What a tool sends before it ends its side.
INPUTS = {"numbers": _shuffled, "request": ["please"], "nothing": []}

# name: the script behind socat, and the lines that it answers.
SERVICES = {
    "slow-sort": (
        "#!/bin/sh\n"
        "# It has all its input, works for 5 s, and answers.\n"
        'sort -n | { read -r first; sleep 5; echo "$first"; cat; }\n',
        [str(number) for number in range(2000)],
    ),
    "sort": ("#!/bin/sh\nexec sort -n\n", [str(number) for number in range(2000)]),
    "stream": (
        "#!/bin/sh\n"
        "# It does not wait for the end of its input.\n"
        'for tick in $(seq 80); do echo "tick $tick"; sleep 0.1; done\n',
        [f"tick {tick}" for tick in range(1, 81)],
    ),
}

# finhold's settings for a service, where it is not the default ones. The times are shortened as the boxes' are.
FIN = {"slow-sort": {"release_when_quiet": "1s", "nurse_every": "1s"}}
# So is the time after which a side that does not answer is given up: 7 s instead of 90 s.
KEEPALIVE = '{ idle = "1s", interval = "1s", probes = 6 }'

BOXES = {
    "conntrack": "plain Linux NAT; forgets a half-closed connection 3 s after its last packet (Linux: 60 s)",
    "strict": "drops all packets of a connection 3 s after its first FIN, busy or not (real ones: 0, 30 or 120 s)",
}


@dataclass(frozen=True)
class Row:
    box: str
    tool: str
    command: list[str]
    input: str
    service: str
    task: str
    why: str  # why it fails without finhold: stands below the row
    rescued: bool = True  # what is expected with finhold: whole, or (False) reset instead of left to hang
    pair: bool = False  # with one finhold beside the client and one beside the server


NC = ["nc", "-N", "{host}", "{port}"]
SOCAT = ["socat", "-t", "600", "-", "TCP:{host}:{port}"]
NCAT = ["ncat", "{host}", "{port}"]

_forgotten = "{tool} ended its side; after 3 s of silence the NAT forgot the connection; the answer of sort was lost"
_cut = "3 s after the end of the request the box dropped the rest of the stream"

ROWS = [
    *(
        Row("conntrack", tool, command, "numbers", "slow-sort", "sort, answers after 5 s", _forgotten.format(tool=tool))
        for tool, command in (("nc -N", NC), ("socat", SOCAT), ("ncat", NCAT))
    ),
    *(
        Row("strict", tool, command, "request", "stream", "stream of 8 s", _cut)
        for tool, command in (("nc -N", NC), ("socat", SOCAT), ("ncat", NCAT))
    ),
    Row("strict", "like ByteBlower", NC, "nothing", "stream", "ends at once, 8 s stream",
        "the client ended at once; 3 s later the box dropped the rest of the stream"),
    Row("strict", "nc -N", NC, "numbers", "slow-sort", "sort, answers after 5 s",
        "sort waits for the end, and the end starts the box's 3 s: one finhold cannot cure this, but tells nc",
        rescued=False),
    Row("strict", "nc -N, a pair", NC, "numbers", "slow-sort", "sort, answers after 5 s",
        "as above; with one finhold on each side of the box no end crosses it", pair=True),
]
