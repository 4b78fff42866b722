"""A client on another machine that has closed fully: its FIN is that of one which half-closes, so it is held, until
the client's kernel has forgotten the connection and answers a keepalive with a reset."""

from lab import SERVER

ALIVE, GONE = 7001, 7002  # where the clients connect to
BEHIND = {ALIVE: 8001, GONE: 8002}
FORGETS_AFTER = 2  # seconds: net.ipv4.tcp_fin_timeout
FIN = {"release_when_quiet": "never", "nurse_every": "1s"}


def test_a_remote_client_that_has_closed_is_found_by_keepalive(lab):
    network = lab.network("conntrack")
    timer = network.run("c", ["sysctl", "-qw", f"net.ipv4.tcp_fin_timeout={FORGETS_AFTER}"],)
    assert timer.wait(5) == 0, timer.lines
    steps = {ALIVE: ["read:1000", "wait:8", "send:1000", "end"], GONE: ["read:1000", "wait:20"]}
    servers = {port: network.listen(BEHIND[port], steps[port], address="127.0.0.1") for port in BEHIND}
    finholds = {port: network.finhold("s", f"127.0.0.1:{BEHIND[port]}", crosses="both", listen=f"{SERVER}:{port}",
                                      fin=FIN, keepalive='{ idle = "1s", interval = "1s", probes = 5 }')
                for port in BEHIND}
    alive = network.connect("c", f"{SERVER}:{ALIVE}", ["send:1000", "end", "read-end"])
    network.connect("c", f"{SERVER}:{GONE}", ["send:1000"])

    gone = finholds[GONE].ending()
    assert (gone["ending"], gone["released"], gone["gone"]) == ("client-reset", "source-gone", "keepalive"), gone
    assert FORGETS_AFTER <= float(gone["held"].rstrip("s")) < 8, gone
    assert servers[GONE].result()["outcome"] == "reset", servers[GONE].lines

    # One that only half-closed answers for as long as it likes.
    assert alive.result()["outcome"] == "complete", alive.lines
    ending = finholds[ALIVE].ending()
    assert (ending["ending"], ending["released"], ending["gone"]) == ("finished", "server-ended", "none"), ending
