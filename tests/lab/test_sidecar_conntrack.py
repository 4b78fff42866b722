"""Redirection is a NAT inside the client's own machine, whose conntrack forgets a half-closed connection as any other
box does (after 60 s; here 18): the answer to a client that waits longer is lost on the way from the relay to the
client, however well the rest goes (Istio's issue 43297). finhold's leg has a keepalive before that, whatever is
configured; a plain relay in its place shows what happens without."""

from transparent import SERVERS, text_of

FORGETS_AFTER = 18  # seconds; more than the 15 of finhold's keepalive
LATE = 22
PLAIN = {"v4": 15004, "v6": 15006}  # where the plain relays listen
RULES = """
table inet sidecar {
  chain output {
    type nat hook output priority -100
    meta mark 0x1f1 return
    oif "lo" return
    tcp dport 7001-7002 redirect to :15001
    ip daddr 10.77.2.2 tcp dport 8001 redirect to :15004
    ip6 daddr fd77:2::2 tcp dport 8001 redirect to :15006
  }
}
"""
KEEPALIVE = '{ idle = "2h", interval = "75s", probes = 9 }'


def test_an_answer_later_than_conntrack_remembers(lab):
    network = lab.network("none")
    finhold = network.intercept("c", "redirect", {"release_when_quiet": "1s"}, rules=RULES, keepalive=KEEPALIVE)
    timers = [f"net.netfilter.nf_conntrack_tcp_timeout_{state}={FORGETS_AFTER}" for state in ("fin_wait", "close_wait")]
    network.do("c", ["sysctl", "-q", "-w", *timers])

    through, without, servers = {}, {}, {}
    for family, address in SERVERS.items():
        for port in (7001, 9001):
            steps = ["read-end", f"wait:{LATE}", "send:1000", "wait:1"]
            servers[family, port] = network.listen(port, steps, address=address, patience=LATE + 15)
        number = family[1]
        listen = f"TCP{number}-LISTEN:{PLAIN[family]},reuseaddr"
        # -t: by default socat gives up half a second after the first end.
        relay = ["socat", "-d", "-d", "-t", "60", listen, f"TCP{number}:{text_of(address, 9001)}"]
        network.run("c", relay).wait_for_lines("listening on", 15)
        steps = ["send:1000", "end", "read-end"]
        through[family] = network.connect("c", text_of(address, 7001), steps, patience=LATE + 10)
        without[family] = network.connect("c", text_of(address, 8001), steps, patience=LATE + 4)

    for family in SERVERS:
        lost = without[family].result()
        assert (lost["outcome"], lost["received"]) == ("silence", 0), (family, lost)
        # It was sent: the relay had it.
        assert servers[family, 9001].result()["sent"] == 1000, servers[family, 9001].lines
        whole = through[family].result()
        assert (whole["outcome"], whole["received"]) == ("complete", 1000), (family, whole, finhold.lines)
    assert {ending["ending"] for ending in finhold.endings(2)} == {"finished"}
