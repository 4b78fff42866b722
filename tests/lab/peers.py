"""finhold, a pair, and other TCP proxies, each beside the client and as its documentation says. All of them relay the same
ports of the server; `short` are those where the proxy's own timers are cut to a second."""

import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Callable

from lab import ROOT, SERVER, TUNNEL, Network, finhold_program
from programs import START_LIMIT, Process

SSHD = ROOT / "build" / "unpacked" / "usr" / "sbin" / "sshd"  # deploy/packages test puts it there
SSH_PORT = 2222
USER = 6000


class Peer:
    """A running proxy. `crosses`: the server port of a connection of its own that crosses the box in place of sessions."""

    def __init__(self, network: Network, folder: Path, ports: list[int], short: int):
        self.network, self.folder, self.short = network, folder, short
        self.crosses: int | None = None
        # Of its own among those that share the client's namespace, and below the range of local ports.
        self.addresses = {port: f"127.0.0.1:{port + 3000}" for port in ports}
        self.processes: list[Process] = []  # those that hold connections of clients

    def write(self, name: str, *lines: str) -> str:
        file = self.folder / name
        file.write_text("\n".join(lines) + "\n")
        return str(file)

    def run(self, side: str, *command: str) -> Process:
        return self.network.run(side, list(command))

    def serve(self, *command: str) -> None:
        self.processes.append(self.run("c", *command))

    def kill(self) -> None:
        """With its children, where those serve the connections."""
        for process in self.processes:
            pid = process.process.pid
            for one in [*Path(f"/proc/{pid}/task/{pid}/children").read_text().split(), pid]:
                os.kill(int(one), 9)


def wait_until_it_listens(process: Process, ports: set[int]) -> None:
    limit = time.monotonic() + START_LIMIT
    table = Path(f"/proc/{process.process.pid}/net/tcp")  # of its namespace
    while time.monotonic() < limit and process.process.poll() is None:
        lines = [line.split() for line in table.read_text().splitlines()[1:]]
        if {int(line[1].rpartition(":")[2], 16) for line in lines if line[3] == "0A"} >= ports:
            return
        time.sleep(0.02)
    raise AssertionError(f"{process.name} does not listen on {ports}; it wrote:\n{process.output()}")


def routes(peer: Peer, *more: str) -> list[str]:
    lines: list[str] = []
    for port, address in peer.addresses.items():
        lines += ["[[route]]", f'name = "port{port}"', f'listen = "{address}"', f'server = "{SERVER}:{port}"', *more]
        if port == peer.short and not more:
            lines += ['keepalive = { idle = "1s", interval = "1s", probes = 2 }',
                      '[route.fin]', 'release_when_quiet = "1s"', 'nurse_every = "1s"']
    return lines


def finhold(peer: Peer) -> None:
    peer.serve(str(finhold_program()), "run", "--config", peer.write("finhold.toml", *routes(peer)))


def pair(peer: Peer) -> None:
    peer.crosses = TUNNEL
    peer.network.far(f"{SERVER}:7000-7999")
    config = peer.write("near.toml", "[[tunnel]]", 'name = "dc"', f'far = "{SERVER}:{TUNNEL}"', 'tls = "off"',
                        *routes(peer, 'tunnel = "dc"'))
    peer.serve(str(finhold_program()), "run", "--config", config)


def haproxy(peer: Peer) -> None:
    """The timeouts of Debian's haproxy.cfg."""
    lines = ["defaults", "mode tcp", "timeout connect 5s", "timeout client 50s", "timeout server 50s"]
    for port, address in peer.addresses.items():
        lines += [f"listen port{port}", f"bind {address}", f"server one {SERVER}:{port}"]
        lines += ["timeout client 1s", "timeout server 1s"] if port == peer.short else []
    peer.serve("haproxy", "-db", "-f", peer.write("haproxy.cfg", *lines))


def nginx(*more: str) -> Callable[[Peer], None]:
    def start(peer: Peer) -> None:
        servers = [f"server {{ listen {address}; proxy_pass {SERVER}:{port}; {' '.join(more)}"
                   f" {'proxy_timeout 1s;' if port == peer.short else ''} }}" for port, address in peer.addresses.items()]
        config = peer.write(
            "nginx.conf", "load_module /usr/lib/nginx/modules/ngx_stream_module.so;", "daemon off;", "master_process off;",
            f"pid {peer.folder}/nginx.pid;", "error_log stderr warn;", "events { }", "stream {", *servers, "}")
        peer.serve("nginx", "-p", str(peer.folder), "-e", "stderr", "-c", config)

    return start


def socat(*more: str) -> Callable[[Peer], None]:
    def start(peer: Peer) -> None:
        for port, address in peer.addresses.items():
            host, _, own = address.rpartition(":")
            timer = ["-t", "1"] if more and port == peer.short else more
            peer.serve("socat", *timer, f"TCP-LISTEN:{own},bind={host},reuseaddr,fork", f"TCP:{SERVER}:{port}")

    return start


def parts_of_sshd(folder: Path) -> list[str]:
    """What sshd starts since OpenSSH 9.8 (Debian 13), which it looks for where the package would be installed: copies, since the
    user whom it runs as may not see the checkout."""
    parts = {"SshdSessionPath": "sshd-session", "SshdAuthPath": "sshd-auth"}
    there = SSHD.parents[1] / "lib" / "openssh"
    return [f"{key} {shutil.copy(there / part, folder)}" for key, part in parts.items() if (there / part).exists()]


def ssh(peer: Peer) -> None:
    """With sshd beside the server. Both as a user whom only their own /etc/passwd has: the machine's stays as it is."""
    peer.crosses = SSH_PORT
    folder = peer.folder
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True, timeout=30)
    peer.write("known", f"[{SERVER}]:{SSH_PORT} {(folder / 'host.pub').read_text()}")
    passwd = peer.write("passwd", f"rider:*:{USER}:{USER}::/:/bin/sh")
    config = peer.write("sshd_config", f"ListenAddress {SERVER}:{SSH_PORT}", f"HostKey {folder}/host", "UsePAM no",
                        f"AuthorizedKeysFile {folder}/user.pub", "PidFile none", "StrictModes no",
                        *parts_of_sshd(folder))
    for file in (folder, *folder.iterdir()):
        os.chown(file, USER, USER)
    as_rider = ["unshare", "-m", "sh", "-c", 'mount --bind "$0" /etc/passwd && exec "$@"', passwd,
                "setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups"]
    wait_until_it_listens(peer.run("s", *as_rider, str(SSHD), "-D", "-e", "-f", config), {SSH_PORT})
    forwards = [word for port, address in peer.addresses.items() for word in ("-L", f"{address}:{SERVER}:{port}")]
    peer.serve(*as_rider, "ssh", "-F", "none", "-N", "-p", str(SSH_PORT), "-i", str(folder / "user"),
               "-o", f"UserKnownHostsFile={folder}/known", "-o", "ExitOnForwardFailure=yes", *forwards, f"rider@{SERVER}")
