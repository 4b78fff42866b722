"""The lab: networks with a middlebox between a client and a server, and what runs in them.

    with Lab(directory) as lab:
        network = lab.network("strict")
        server = network.listen(7000, ["read-end", "stream:10"])
        finhold = network.finhold("c", "10.77.2.2:7000", crosses="server")
        client = network.connect("c", finhold.address, ["send:100", "end", "read-end"])
        client.result(); finhold.ending(); ...

Every process runs inside a namespace of the lab and is stopped by its id when the lab closes. Should the
tests themselves be killed, the guard of each network (see the script `net`) does that in their place.
"""

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from programs import START_LIMIT, Capture, Finhold, Process, Traffic

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
NET = HERE / "net"
BOXES = ("conntrack", "strict", "strict-reset", "kill-on-fin", "idle")

SERVER = "10.77.2.2"
TUNNEL = 8443  # the port of a far end
LIFE_SIGNS = ('ping_every = "1s"', 'ping_timeout = "3s"')  # below the 5 s of the box "idle"
# A root shell that came from plain `su` does not look there, and nft and sysctl live there.
os.environ["PATH"] += ":/usr/sbin:/sbin"
_numbers = itertools.count(1)


class Network:
    """Client, gateway with a middlebox, server: the namespaces are "c", "gw" and "s". Routed: no NAT, and a
    router "r" beside the client."""

    def __init__(self, box: str, directory: Path, routed: bool = False):
        self.box = box
        self.name = f"finhold-{os.getpid()}-{next(_numbers)}"
        self.directory = directory
        self.processes: list[Process] = []
        # The guard must outlive the tests, and must not keep their output open: ctest waits for that.
        self._guard = subprocess.Popen(["setsid", "--fork", str(NET), "guard", self.name], stdin=subprocess.PIPE,
                                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        command = [str(NET), "up", self.name, box, *(["routed"] if routed else [])]
        made = subprocess.run(command, capture_output=True, text=True, timeout=30)
        if made.returncode != 0:
            self.close()
            raise RuntimeError(f"net up {self.name} {box}: {made.stdout}{made.stderr}")

    def do(self, side: str, command: list[str], **options: Any) -> str:
        """A command that is over soon; what it wrote."""
        return subprocess.run(["ip", "netns", "exec", f"{self.name}-{side}", *command], capture_output=True, text=True,
                              check=True, timeout=30, **options).stdout

    def run(self, side: str, command: list[str], kind: type = Process, **options: Any) -> Any:
        process = kind(f"{self.name}-{side}", command, **options)
        self.processes.append(process)
        return process

    def listen(self, port: int, steps: list[str], address: str = SERVER, side: str = "s", **options: Any) -> Traffic:
        server = self.traffic(side, "listen", address, port, steps, **options)
        server.wait_for_lines("^listening$", START_LIMIT)
        return server

    def connect(self, side: str, address: str, steps: list[str], **options: Any) -> Traffic:
        host, _, port = address.rpartition(":")
        return self.traffic(side, "connect", host.strip("[]"), int(port), steps, **options)

    def traffic(self, side: str, role: str, address: str, port: int, steps: list[str],
                 patience: float = 15, own_port: int = 0) -> Traffic:
        command = [sys.executable, str(HERE / "traffic.py"), role, address, str(port), "--patience", str(patience)]
        command += ["--from", str(own_port)] if own_port else []
        return self.run(side, command + steps, Traffic)

    def finhold(self, side: str, server: str, crosses: str = "server", listen: str = "127.0.0.1:0",
                fin: dict[str, str] | None = None, keepalive: str = "", program: Path | None = None, workers: int = 0) -> Finhold:
        """finhold beside the client ("c") or the server ("s"): by flags, or by a file if flags cannot say it."""
        program = program or finhold_program()
        if not fin and not keepalive:
            command = ["--listen", listen, "--server", server, "--crosses", crosses]
        else:
            file = self.directory / f"{self.name}-{len(self.processes)}.toml"
            lines = ["[[route]]", 'name = "main"', f'listen = "{listen}"', f'server = "{server}"']
            lines += [f'crosses = "{crosses}"']
            lines += [f"keepalive = {keepalive}"] if keepalive else []
            lines += ["[route.fin]", *(f'{key} = "{value}"' for key, value in (fin or {}).items())]
            lines += ["[limits]", f"workers = {workers}"] if workers else []
            file.write_text("\n".join(lines) + "\n")
            command = ["--config", str(file)]
        return self.run(side, [str(program), "run", *command], Finhold)

    def intercept(self, side: str, intercept: str, fin: dict[str, str] | None = None, rules: str = "",
                  keepalive: str = "", catch: str = ":7000-7999", **keys: str) -> Finhold:
        """finhold as a sidecar of the client ("c") or on a router ("r"), with the rules of `finhold rules`, or
        others."""
        program = finhold_program()
        file = self.directory / f"{self.name}-{side}.toml"
        keys = {"name": "main", "listen": "[::]:15001", "intercept": intercept, **keys}
        lines = ["[[route]]", *(f'{key} = "{value}"' for key, value in keys.items()), f'catch = ["{catch}"]']
        lines += [f"keepalive = {keepalive}"] if keepalive else []
        lines += ["[route.fin]", *(f'{key} = "{value}"' for key, value in (fin or {}).items())]
        file.write_text("\n".join(lines) + "\n")
        if rules:
            self.do(side, ["nft", "-f", "-"], input=rules)
        else:
            self.do(side, ["sh"], input=self.do(side, [str(program), "rules", "--config", str(file)]))
        return self.run(side, [str(program), "run", "--config", str(file)], Finhold)

    def far(self, allow: str, program: Path | None = None) -> Finhold:
        """The far end of a pair, beside the server."""
        file = self.directory / f"{self.name}-far.toml"
        file.write_text("\n".join(["[[far]]", f'listen = "{SERVER}:{TUNNEL}"', 'tls = "off"', f'allow = ["{allow}"]',
                                   *LIFE_SIGNS]) + "\n")
        return self.run("s", [str(program or finhold_program()), "run", "--config", str(file)], Finhold)

    def near(self, *routes: dict[str, Any], rules: bool = False, program: Path | None = None) -> Finhold:
        """The near end, beside the client; its tunnel stands. `rules`: what they catch is diverted."""
        file = self.directory / f"{self.name}-near.toml"
        lines = ["[limits]", "workers = 1", "[[tunnel]]", 'name = "tunnel"', f'far = "{SERVER}:{TUNNEL}"', 'tls = "off"',
                 *LIFE_SIGNS]
        for route in routes:
            lines += ["[[route]]", *(f"{key} = {json.dumps(value)}" for key, value in route.items()), 'tunnel = "tunnel"']
        file.write_text("\n".join(lines) + "\n")
        if rules:
            self.do("c", ["sh"], input=self.do("c", [str(finhold_program()), "rules", "--config", str(file)]))
        near = self.run("c", [str(program or finhold_program()), "run", "--config", str(file)], Finhold)
        near.wait_for_lines("tunnel is open", START_LIMIT)
        return near

    def capture(self, interface: str) -> Capture:
        path = self.directory / f"{self.name}-{interface}.pcap"
        namespace = f"{self.name}-gw"
        capture = Capture(namespace, interface, path)
        self.processes.append(capture)
        return capture

    def close(self) -> None:
        problems = []
        # Last started, first stopped: clients before finhold, finhold before servers.
        for process in reversed(self.processes):
            try:
                process.stop()
            except AssertionError as problem:
                problems.append(str(problem))
        subprocess.run([str(NET), "down", self.name], check=True, timeout=30)
        self._guard.stdin.close()
        self._guard.wait(5)
        if problems:
            raise AssertionError("\n".join(problems))


def finhold_program() -> Path:
    program = Path(os.environ.get("FINHOLD") or ROOT / "build/dev/finhold")
    if not os.access(program, os.X_OK):
        raise RuntimeError(f"no finhold at {program}: build it (cmake --preset dev && cmake --build --preset"
                           " dev), or name another in FINHOLD")
    return program


class Lab:
    def __init__(self, directory: Path):
        self.directory = directory
        self.networks: list[Network] = []

    def network(self, box: str, routed: bool = False) -> Network:
        network = Network(box, self.directory, routed)
        self.networks.append(network)
        return network

    def __enter__(self) -> "Lab":
        return self

    def __exit__(self, *_: object) -> None:
        problems = []
        for network in self.networks:
            try:
                network.close()
            except (AssertionError, subprocess.SubprocessError) as problem:
                problems.append(str(problem))
        if problems:
            raise AssertionError("\n".join(problems))
