"""What a process may do, as the kernel says; and commands that start one with less."""

import re
from pathlib import Path

CAPABILITIES = {"NET_BIND_SERVICE": 10, "NET_ADMIN": 12, "NET_RAW": 13}
USER, UID, GID = "nobody", 65534, 65534


def mask(*names: str) -> int:
    return sum(1 << CAPABILITIES[name] for name in names)


def statuses(pid: int) -> list[dict[str, str]]:
    """Of every thread; that of ThreadSanitizer itself is not finhold's."""
    threads = sorted(Path(f"/proc/{pid}/task").iterdir(), key=lambda path: int(path.name))
    found = [dict(re.findall(r"^(\w+):\s*(.*)$", (path / "status").read_text(), re.M)) for path in threads]
    if "libtsan" in Path(f"/proc/{pid}/maps").read_text():
        del found[1]
    return found


def expect_only(pid: int, allowed: int, uid: int, gid: int, threads: int = 1) -> None:
    """Each thread has exactly these capabilities, and can get no other."""
    found = statuses(pid)
    assert len(found) >= threads, f"{len(found)} threads"
    for status in found:
        assert status["Uid"].split() == [str(uid)] * 4
        assert status["Gid"].split() == [str(gid)] * 4
        assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == allowed, status
        assert int(status["CapInh"], 16) == int(status["CapAmb"], 16) == 0, status
        assert status["NoNewPrivs"] == "1"


def unprivileged(*capabilities: str, uid: int = UID) -> tuple[str, ...]:
    """A command that starts another as a user with these ambient capabilities only, as systemd does."""
    names = ",".join(f"+{name.lower()}" for name in capabilities)
    return ("setpriv", f"--reuid={uid}", f"--regid={GID}", "--clear-groups",
            *((f"--inh-caps={names}", f"--ambient-caps={names}") if names else ()))
