"""`rsh host "sort -n" < file`, the real one, where the direct one hangs: the answer comes 6 s after the end, and the box
forgets after 3 s, or at once. rsh comes from a port below 1024, and in.rshd believes nobody else: a router keeps the
client's address and port; for a pair a rule beside the far end does."""

import os
import random
import shutil
from pathlib import Path

import pytest
from lab import ROOT, Network

RSH = ROOT / "build" / "unpacked"  # deploy/packages test puts it there
CLIENT, SERVER = {"v4": "10.77.3.2", "v6": "fd77:3::2"}, {"v4": "10.77.2.2", "v6": "fd77:2::2"}
USER = 6000
HANGS = 124  # what timeout(1) says


@pytest.fixture
def etc(tmp_path):
    """An /etc with a user of our own, for a mount namespace: the machine's own stays as it is."""
    made = tmp_path / "etc"
    shutil.copytree("/etc", made, symlinks=True)
    with (made / "passwd").open("a") as file:
        file.write(f"rider:x:{USER}:{USER}::/:/bin/sh\n")
    with (made / "shadow").open("a") as file:
        file.write("rider:*:19000::::::\n")
    (made / "hosts.equiv").write_text("+ +\n")
    (made / "hosts").write_text("".join(f"{CLIENT[family]} client{family}\n{SERVER[family]} server{family}\n"
                                        for family in CLIENT))
    (made / "pam.d" / "rsh").write_text((RSH / "etc/pam.d/rsh").read_text())
    return made


def with_etc(etc: Path, *command: str) -> list[str]:
    return ["unshare", "-m", "sh", "-c", 'mount --bind "$0" /etc && exec "$@"', str(etc), *command]


def serve(network: Network, etc: Path) -> None:
    """What inetd does: in.rshd has the connection as its standard input and output."""
    for version in "46":
        listen = f"TCP{version}-LISTEN:514,reuseaddr,fork" + (",ipv6only=1" if version == "6" else "")
        socat = ["socat", "-d", "-d", listen, f"EXEC:{RSH}/usr/sbin/in.rshd,nofork"]
        network.run("s", with_etc(etc, *socat)).wait_for_lines("listening on", 15)


def rsh(network: Network, etc: Path, program: Path, family: str, command: str, unsorted: Path):
    as_user = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups"]
    with unsorted.open() as file:
        return network.run("c", with_etc(etc, "timeout", "12", *as_user, str(program), f"server{family}", command),
                           stdin=file)


IN_ORDER = [str(number) for number in range(20000)]


@pytest.fixture
def unsorted(tmp_path):
    path = tmp_path / "unsorted"
    numbers = list(range(20000))
    random.Random(1).shuffle(numbers)
    path.write_text("".join(f"{number}\n" for number in numbers))
    return path


@pytest.fixture
def program():
    """setuid root, where everybody may go, and by its true name: another name is taken for that of the host."""
    made = Path("/run") / f"finhold-rsh-{os.getpid()}" / "rsh"
    made.parent.mkdir()
    try:
        shutil.copy(RSH / "usr/bin/rsh-redone-rsh", made)
        made.chmod(0o4755)
        yield made
    finally:
        shutil.rmtree(made.parent)


def test_rsh_with_a_slow_sort(lab, etc, program, unsorted):
    plain, network = lab.network("conntrack", routed=True), lab.network("conntrack", routed=True)
    finhold = network.intercept("r", "tproxy", {"release_when_quiet": "1s", "nurse_every": "1s"}, source="client",
                                catch=":514")
    for each in (plain, network):
        serve(each, etc)

    # The same works at once without a pause: it is the box that stops the slow one.
    fast = {family: rsh(plain, etc, program, family, "sort -n", unsorted) for family in SERVER}
    for family, process in fast.items():
        assert process.wait(15) == 0, (family, process.output())
        assert process.lines == IN_ORDER, (family, process.output())

    slow = {family: rsh(plain, etc, program, family, "sleep 6; sort -n", unsorted) for family in SERVER}
    through = {family: rsh(network, etc, program, family, "sleep 6; sort -n", unsorted) for family in SERVER}
    for family, process in through.items():
        assert process.wait(20) == 0, (family, process.output(), finhold.lines)
        assert process.lines == IN_ORDER, (family, process.output())
    for family, process in slow.items():
        assert process.wait(20) == HANGS, (family, process.output())
        assert process.lines == [], (family, process.output())

    for ending in finhold.endings(2):
        assert (ending["ending"], ending["released"]) == ("finished", "quiet"), ending
        assert int(ending["client"].rpartition(":")[2]) < 1024, ending


# The far end dials in.rshd from a port of its own. Beside it, the kernel makes of that an address which in.rshd believes:
# the client's, so that its second connection, for standard error, finds the client by itself.
BELIEVED = f"""
table ip rsh {{
  chain postrouting {{
    type nat hook postrouting priority srcnat
    oifname "lo" ip daddr {SERVER["v4"]} tcp dport 514 snat to {CLIENT["v4"]}:600-1023
  }}
}}
"""


def test_rsh_through_a_pair(lab, etc, program, unsorted):
    """Through a box that kills on the first FIN, the near end as a sidecar of the client, which knows of nothing."""
    plain, network = lab.network("kill-on-fin", routed=True), lab.network("kill-on-fin", routed=True)
    for each in (plain, network):
        serve(each, etc)
    network.do("s", ["nft", "-f", "-"], input=BELIEVED)
    far = network.far(f"{SERVER['v4']}:514")
    near = network.near({"name": "rsh", "listen": "127.0.0.1:15001", "intercept": "redirect", "catch": [":514"]}, rules=True)

    direct = rsh(plain, etc, program, "v4", "sleep 6; sort -n", unsorted)
    through = rsh(network, etc, program, "v4", "sleep 6; sort -n", unsorted)
    assert through.wait(20) == 0, (through.output(), near.lines, far.lines)
    assert through.lines == IN_ORDER, through.output()
    assert direct.wait(20) == HANGS, direct.output()
    assert direct.lines == [], direct.output()
    for finhold in (near, far):
        ending = finhold.ending()
        assert (ending["ending"], ending["first_fin"], ending["released"]) == ("finished", "client", "not-held"), ending
