"""`rsh host "sort -n" < file`, the real one, through a router with finhold, where the direct one hangs: the answer comes
6 s after the end, and the NAT box forgets after 3 s. rsh comes from a port below 1024, and in.rshd believes nobody
else, so the router keeps the client's address and port."""

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


def test_rsh_with_a_slow_sort(lab, etc):
    unsorted = etc.parent / "unsorted"
    numbers = list(range(20000))
    random.Random(1).shuffle(numbers)
    unsorted.write_text("".join(f"{number}\n" for number in numbers))
    # setuid root, where everybody may go, and by its true name: another name is taken for that of the host.
    program = Path("/run") / f"finhold-rsh-{os.getpid()}" / "rsh"
    program.parent.mkdir()
    try:
        shutil.copy(RSH / "usr/bin/rsh-redone-rsh", program)
        program.chmod(0o4755)
        check(lab, etc, program, unsorted, [str(number) for number in range(20000)])
    finally:
        shutil.rmtree(program.parent)


def check(lab, etc, program, unsorted, in_order):
    plain, network = lab.network("conntrack", routed=True), lab.network("conntrack", routed=True)
    finhold = network.intercept("r", "tproxy", {"release_when_quiet": "1s", "nurse_every": "1s"}, source="client",
                                catch=":514")
    for each in (plain, network):
        serve(each, etc)

    # The same works at once without a pause: it is the box that stops the slow one.
    fast = {family: rsh(plain, etc, program, family, "sort -n", unsorted) for family in SERVER}
    for family, process in fast.items():
        assert process.wait(15) == 0, (family, process.output())
        assert process.lines == in_order, (family, process.output())

    slow = {family: rsh(plain, etc, program, family, "sleep 6; sort -n", unsorted) for family in SERVER}
    through = {family: rsh(network, etc, program, family, "sleep 6; sort -n", unsorted) for family in SERVER}
    for family, process in through.items():
        assert process.wait(20) == 0, (family, process.output(), finhold.lines)
        assert process.lines == in_order, (family, process.output())
    for family, process in slow.items():
        assert process.wait(20) == HANGS, (family, process.output())
        assert process.lines == [], (family, process.output())

    for ending in finhold.endings(2):
        assert (ending["ending"], ending["released"]) == ("finished", "quiet"), ending
        assert int(ending["client"].rpartition(":")[2]) < 1024, ending
