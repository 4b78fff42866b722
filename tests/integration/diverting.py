"""The rules that divert connections: as finhold makes them, and what is in the kernel."""

import subprocess
from pathlib import Path

from finhold import BINARY, config_text

PORT = 15001
MARK = 0x1F1
SERVER = {"v4": "127.0.0.2", "v6": "fd77::2"}
# What finhold's own connections come from where no mark spares them.
OWN = {"v4": "127.0.0.3", "v6": "fd77::3"}
# Connections of this very machine come around again over lo, where tproxy takes them.
TPROXY = f"""
table inet finhold {{
  chain output {{
    type route hook output priority mangle
    ip saddr {OWN["v4"]} return
    ip6 saddr {OWN["v6"]} return
    tcp dport 9000 meta mark set 1
  }}
  chain prerouting {{
    type filter hook prerouting priority mangle
    meta mark 1 meta l4proto tcp tproxy to :{PORT} accept
  }}
}}
"""


def intercepting(name: str, kind: str, port: int, catch: list[str], listen: str = "[::]", **keys: object) -> dict:
    return {"name": name, "listen": f"{listen}:{port}", "intercept": kind, "catch": catch, **keys}


SIDECAR = intercepting("side", "redirect", 15001,
                       ["10.0.0.0/8:514", "[2001:db8::/32]:7000-7010", ":21", "127.0.0.1:9000", "user:1000"],
                       spare=["10.9.0.0/16", "user:nobody"])
GATEWAY = intercepting("gw", "tproxy", 15002, ["10.0.0.0/8", "[2001:db8::/32]:514", ":7000-7010"], spare=[":22"])


def output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def state() -> dict[str, str]:
    """All that rules could have changed in this network."""
    return {" ".join(command): output(*command) for command in (
        ("nft", "list", "ruleset"), ("ip", "rule"), ("ip", "-6", "rule"),
        ("ip", "route", "show", "table", "5382"), ("ip", "-6", "route", "show", "table", "5382"),
        ("ip", "route", "show", "table", "all"), ("ip", "-6", "route", "show", "table", "all"))}


def script(tmp_path: Path, routes: list[dict], *arguments: str) -> str:
    path = tmp_path / "rules.toml"
    path.write_text(config_text(routes, {}))
    made = subprocess.run([BINARY, "rules", "--config", str(path), *arguments], capture_output=True, text=True, check=False)
    assert made.returncode == 0 and made.stderr == "", made.stderr
    return made.stdout


def run(text: str) -> None:
    done = subprocess.run(["sh"], input=text, capture_output=True, text=True, check=False, env={"PATH": "/usr/bin:/bin"})
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def divert_to_tproxy(network):
    network.load(TPROXY)
    for version in ("-4", "-6"):
        network.ip(version, "rule", "add", "fwmark", "1", "lookup", "100")
        network.ip(version, "route", "add", "local", "default", "dev", "lo", "table", "100")
