"""The rules that divert connections: that the kernel takes them, that loading and removing leave nothing else
changed, and whom they catch. Each test has a network of its own."""

import json
import socket
import subprocess

import pytest
from diverting import GATEWAY, SIDECAR, intercepting, output, run, script, state
from finhold import BINARY, config_text
from private_network import private_network


@pytest.fixture
def network():
    with private_network() as made:
        yield made


GATEWAY4 = intercepting("gw4", "tproxy", 15003, [":80", "0.0.0.0/0:81"], listen="127.0.0.1")
GATEWAY6 = intercepting("gw6", "tproxy", 15004, [":80"], listen="[::1]")
SETS = {"sidecar": [SIDECAR], "gateway": [GATEWAY], "both": [SIDECAR, GATEWAY, GATEWAY4, GATEWAY6],
        "one-family": [intercepting("v6", "redirect", 15001, [":514"], listen="[::1]"), GATEWAY4]}


@pytest.mark.parametrize("name", SETS)
def test_the_rules_load_and_are_removed_exactly_twice_in_a_row(network, tmp_path, name):
    # What is somebody else's stays.
    run("PATH=$PATH:/usr/sbin; nft add table inet other; nft add chain inet other input '{ type filter hook input priority 0; }';"
        "ip rule add fwmark 1 lookup 100; ip -6 rule add fwmark 1 lookup 100; ip route add local default dev lo table 100")
    before = state()
    loads, removes = script(tmp_path, SETS[name]), script(tmp_path, SETS[name], "--remove")
    for _ in range(2):
        run(loads)
        once = state()
        assert "table inet finhold {" in once["nft list ruleset"]
        run(loads)
        assert state() == once
        run(removes)
        assert state() == before
        run(removes)
        assert state() == before


def test_a_set_replaces_another(network, tmp_path):
    run(script(tmp_path, [SIDECAR]))
    alone = state()
    run(script(tmp_path, SETS["both"]))
    assert state() != alone
    run(script(tmp_path, [SIDECAR]))
    assert state() == alone


def test_the_timers_of_conntrack_are_loaded_and_replaced(network, tmp_path):
    run(script(tmp_path, [SIDECAR]))
    listed = output("nft", "list", "table", "inet", "finhold")
    for family in (4, 6):
        assert f'tcp dport 15001 ct timeout set "patient{family}"' in listed
    # As newer nft (Debian 13) writes it.
    assert listed.count("close_wait : 86400") + listed.count("close_wait : 1d") == 2


def test_a_script_fails_at_the_first_command_that_does(network, tmp_path):
    text = script(tmp_path, [GATEWAY]).replace("tcp dport 22 return", "nonsense")
    done = subprocess.run(["sh"], input=text, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "nonsense" in done.stderr
    assert "finhold" not in output("nft", "list", "ruleset")


def test_every_name_of_a_route_is_a_name_for_nft(network, tmp_path):
    names = ["0", "-", ".", "_", "a.b-c_d", "jump", "x" * 64]
    run(script(tmp_path, [intercepting(name, "redirect", 20000 + i, [":514"]) for i, name in enumerate(names)]))
    chains = json.loads(output("nft", "-j", "list", "chains"))["nftables"]
    found = {each["chain"]["name"] for each in chains if "chain" in each}
    assert found >= {f"route_{name}" for name in names}


def test_no_rules_for_a_route_without_catch(tmp_path):
    path = tmp_path / "rules.toml"
    path.write_text(config_text([{**SIDECAR, "catch": [], "spare": []}], {}))
    made = subprocess.run([BINARY, "rules", "--config", str(path)], capture_output=True, text=True, check=False)
    assert (made.returncode, made.stdout) == (2, "")
    assert "needs no rules; write intercept and catch" in made.stderr


CONNECT = """
import socket, sys
host, port, mark = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
sock.settimeout(0.3)
if mark:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, mark)
try:
    sock.connect((host, port))
    print("caught")
except OSError:
    print("not")
"""


def caught(host: str, port: int, uid: int = 0, mark: int = 0) -> bool:
    """Whether a connection to there is diverted to whoever listens here: nobody answers it elsewhere."""
    command = ["setpriv", f"--reuid={uid}", "--clear-groups", "--regid=0", "/usr/bin/python3", "-c", CONNECT]
    return output(*command, host, str(port), str(mark)).strip() == "caught"


def test_who_is_redirected(network, tmp_path):
    """A network that leads nowhere, and a listener that stands for finhold."""
    run("PATH=$PATH:/usr/sbin; ip link add out type veth peer name nowhere; ip link set out up; ip link set nowhere up;"
        "ip address add 10.0.0.1/8 dev out; ip address add fd77::1/64 dev out nodad;"
        "ip address add 10.0.0.9/32 dev lo")
    listener = socket.create_server(("::", 15001), family=socket.AF_INET6, dualstack_ipv6=True, backlog=100)
    run(script(tmp_path, [intercepting("side", "redirect", 15001,
                                       ["10.5.0.0/16:514", "[fd77::/64]:7000-7010", ":21", "127.0.0.1:9000"],
                                       spare=["10.5.9.0/24", "user:990"])]))
    assert caught("10.5.0.5", 514)
    assert caught("fd77::5", 7010)
    assert caught("10.6.0.6", 21) and caught("fd77::5", 21)
    assert caught("10.5.0.5", 514, uid=1000)
    assert not caught("10.5.0.5", 515)
    assert not caught("10.6.0.6", 514)
    assert not caught("10.5.9.1", 514), "spared by its destination"
    assert not caught("10.5.0.5", 514, uid=990), "spared by its user"
    assert not caught("10.5.0.5", 514, mark=0x1F1), "finhold's own"
    assert caught("127.0.0.1", 9000), "loopback, and named"
    assert not caught("127.0.0.1", 21) and not caught("10.0.0.9", 21), "stays on this machine"
    listener.close()


def test_users_narrow_what_is_redirected(network, tmp_path):
    run("PATH=$PATH:/usr/sbin; ip link add out type veth peer name nowhere; ip link set out up; ip link set nowhere up;"
        "ip address add 10.0.0.1/8 dev out; ip address add 10.0.0.2/32 dev lo")
    listener = socket.create_server(("127.0.0.1", 15001), backlog=100)
    run(script(tmp_path, [intercepting("one", "redirect", 15001, [":514", "user:1000", "user:1001"], "127.0.0.1"),
                          intercepting("all", "redirect", 15002, ["user:1002"], "127.0.0.1")]))
    for uid, expected in ((1000, True), (1001, True), (1002, False), (0, False)):
        assert caught("10.5.0.5", 514, uid) == expected
    assert not caught("10.5.0.5", 515, 1000)
    other = socket.create_server(("127.0.0.1", 15002))
    assert caught("10.5.0.5", 514, 1002) and caught("10.5.0.5", 515, 1002)
    other.close()
    listener.close()
