"""Each middlebox does to direct connections what it is said to do. There is no finhold here."""

from lab import SERVER

# workload: port, what the client does, what the server does. The first two never half-close early.
WORKLOADS = {
    "plain stream": (7001, ["send:1000", "read-end", "end"], ["read:1000", "stream:5", "end", "wait:1"]),
    "plain pause": (7002, ["send:1000", "read:1000", "end"], ["read:1000", "wait:6", "send:1000", "wait:1"]),
    "half-closed stream": (7003, ["send:1000", "end", "read-end"], ["read-end", "stream:5"]),
    "half-closed pause": (7004, ["send:1000", "end", "read-end"], ["read-end", "wait:6", "send:1000", "wait:1"]),
}

# What becomes of the client. "silence" is a wait that would never end.
EXPECTED = {
    #               plain stream  plain pause  half-closed stream  half-closed pause
    "none":         ("complete", "complete", "complete", "complete"),
    "conntrack":    ("complete", "complete", "complete", "silence"),
    "strict":       ("complete", "complete", "silence", "silence"),
    "strict-reset": ("complete", "complete", "reset", "reset"),
    "kill-on-fin":  ("complete", "complete", "silence", "silence"),
    "idle":         ("complete", "silence", "complete", "silence"),
}

# The server is told only by these; elsewhere it believes that all went well, or that the client is slow.
SERVER_IS_RESET = {
    ("conntrack", "half-closed pause"),
    ("strict-reset", "half-closed stream"),
    ("strict-reset", "half-closed pause"),
}


def test_what_each_box_does_to_direct_connections(lab):
    running = []
    for box, outcomes in EXPECTED.items():
        network = lab.network(box)
        for (workload, (port, client_steps, server_steps)), outcome in zip(WORKLOADS.items(), outcomes):
            # Longer than the longest pause, so that only a real silence ends it.
            patience = 8 if "pause" in workload else 4
            server = network.listen(port, server_steps, patience=patience)
            client = network.connect("c", f"{SERVER}:{port}", client_steps, patience=patience)
            running.append((box, workload, outcome, client, server))

    surprises = []
    for box, workload, outcome, client, server in running:
        at_client, at_server = client.result(), server.result()
        good = at_client["outcome"] == outcome
        if outcome == "complete":
            good = good and at_server["outcome"] == "complete" and at_client["received"] == at_server["sent"]
        else:
            good = good and at_client["received"] < at_server["sent"]
            good = good and (at_server["outcome"] == "reset") == ((box, workload) in SERVER_IS_RESET)
        if not good:
            surprises.append(f"{box}, {workload}: expected '{outcome}'\n  client {at_client}\n  server {at_server}")
    assert not surprises, "\n".join(surprises)
