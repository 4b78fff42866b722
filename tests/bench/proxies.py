"""What is measured: `direct` (no proxy at all), finhold in any number of builds and switches, and the
peers, each as its own documentation recommends for throughput. README.md says where each comes from."""

import os
import re
import resource
import shutil
import subprocess
import time
from pathlib import Path
from typing import Callable

import machine

HERE = Path(__file__).resolve().parent
# Below the range of local ports; every proxy has a namespace of its own.
LISTEN, SERVER, FAR, ADMIN = 900, 901, 903, 904


class Proxy:
    """One row of the table. `write` puts its files into a folder and returns its command.

    far: the same for the other end of a pair, which listens on FAR and is started first. descriptors: that an
    idle session costs it; most_idle: sessions of its idle test, if less are wanted. scraped: it has metrics
    on ADMIN, which are asked for while it is measured."""

    def __init__(self, name: str, write: Callable[[Path], list[str]], version: Callable[[], str], *,
                 peer: bool = True, far: Callable[[Path], list[str]] | None = None, descriptors: float = 2,
                 most_idle: int = 10_000, environment: dict[str, str] | None = None,
                 cpus: set[int] | None = None, scraped: bool = False):
        self.name, self.version, self.peer, self.scraped = name, version, peer, scraped
        self._ends = [(far, FAR)] if far else []
        self._ends.append((write, LISTEN))
        self._environment = environment or {}
        self._cpus = cpus or {machine.PROXY_CPU}
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        self.idle = min(most_idle, int((limit - 200) / max(2, descriptors)) // 100 * 100)
        self.network: machine.Network | None = None
        self._folder: Path | None = None
        self.processes: list[subprocess.Popen] = []  # of a pair far, near

    @property
    def is_direct(self) -> bool:
        return self.name == "direct"

    @property
    def target(self) -> str:
        return f"127.0.0.1:{SERVER if self.is_direct else LISTEN}"

    def prepare(self, folder: Path, mtu: int) -> None:
        self.network = machine.Network(mtu)
        self._folder = folder / self.name
        self._folder.mkdir(parents=True)

    def start(self, prefix: tuple[str, ...] = ()) -> None:
        """Starts it, or lets it be if it runs. `prefix`: a command that starts it."""
        if self.is_direct or (self.processes and all(each.poll() is None for each in self.processes)):
            return
        self.stop()
        for write, port in self._ends:
            self._start([*prefix, *write(self._folder)], port)

    def _start(self, command: list[str], port: int) -> None:
        with self.network.inside(), open(self._folder / "log", "ab") as log:
            process = machine.start(
                command, self._cpus, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self._folder,
                env={**os.environ, **self._environment})
        self.processes.append(process)
        stop = time.monotonic() + 10
        while not self.network.listens(port):
            if process.poll() is not None or time.monotonic() > stop:
                raise machine.Failure(f"{self.name} does not start: {' '.join(command)}\n{self.log()}")
            time.sleep(0.02)
        machine.guard(*machine.tree(process.pid))

    def stop(self) -> None:
        while self.processes:
            machine.end(self.processes.pop())

    def forget(self) -> None:
        self.stop()
        if self.network:
            self.network.close()
            self.network = None

    def log(self) -> str:
        return (self._folder / "log").read_text(errors="replace")[-2000:]

    def cpu(self) -> float:
        return sum(machine.cpu_seconds(each.pid) for each in self.processes)

    def memory(self) -> int:
        return sum(machine.user_memory(each.pid) for each in self.processes)

    def descriptors(self) -> int:
        return sum(machine.descriptors(each.pid) for each in self.processes)


def first(pattern: str, *command: str) -> str:
    """What `pattern` finds in what the command says about itself."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    match = re.search(pattern, done.stdout + done.stderr)
    return match[1] if match else "unknown"


def direct() -> Proxy:
    return Proxy("direct", lambda folder: [], lambda: "no proxy", peer=False)


class Finhold:
    """From NAME=PATH[,ITEM]...; an ITEM is ENVIRONMENT=VALUE, or TABLE.KEY=VALUE of the configuration (for
    [log], [limits], [admin], [route], and of a pair [tunnel], [far]), or cpus=0+1."""

    def __init__(self, text: str):
        self.name, _, rest = text.partition("=")
        path, *items = rest.split(",")
        self.binary = Path(path).resolve()
        if not self.name or not self.binary.is_file():
            raise machine.Failure(f"--finhold {text}: there is no file '{path}'")
        self.environment: dict[str, str] = {}
        self.cpus: set[int] | None = None
        self.tables: dict[str, dict[str, str]] = {}
        for item in items:
            key, _, value = item.partition("=")
            if key == "cpus":
                self.cpus = {int(cpu) for cpu in value.split("+")}
            elif "." in key:
                table, _, key = key.rpartition(".")
                if table not in ("log", "limits", "admin", "route", "route.fin", "tunnel", "far"):
                    raise machine.Failure(f"--finhold {text}: there is no table [{table}]")
                plain = re.fullmatch(r'-?\d+|true|false|".*"|\{.*\}|\[.*\]', value)
                self.tables.setdefault(table, {})[key] = value if plain else f'"{value}"'
            else:
                self.environment[key] = value

    def version(self) -> str:
        return first(r"(\d\S*)", str(self.binary), "--version")

    def command(self, file: Path, tables: dict[str, dict[str, str]]) -> list[str]:
        """Writes these tables with what the items say of them; who has a [[route]] has [admin] too."""
        merged = {"log": {"level": '"warning"'}, "limits": {"workers": "1", "sessions": "20000"}, **tables}
        for name, keys in self.tables.items():
            if name in merged or ("route" in tables and name in ("admin", "route.fin")):
                merged[name] = {**merged.get(name, {}), **keys}
        file.write_text("\n".join(
            "\n".join([f"[[{name}]]" if name in ("route", "tunnel", "far") else f"[{name}]",
                       *(f"{key} = {value}" for key, value in keys.items())])
            for name, keys in merged.items()) + "\n")
        return [str(self.binary), "run", "--config", str(file)]

    def proxy(self, write: Callable[[Path], list[str]], **more) -> Proxy:
        return Proxy(self.name, write, self.version, peer=False, environment=self.environment, cpus=self.cpus,
                     **more)


ROUTE = {"name": '"bench"', "listen": f'"127.0.0.1:{LISTEN}"', "server": f'"127.0.0.1:{SERVER}"'}


def finhold(text: str) -> Proxy:
    """One instance. Without [admin] nobody asks; with it, metrics are scraped while it is measured."""
    build = Finhold(text)
    return build.proxy(lambda folder: build.command(folder / "finhold.toml", {"route": {**ROUTE, "crosses": '"none"'}}),
                       scraped="admin" in build.tables)


def _haproxy(splice: str) -> Callable[[Path], list[str]]:
    def write(folder: Path) -> list[str]:
        config = folder / "haproxy.cfg"
        config.write_text(f"""
global
  nbthread 1
  maxconn 8900
  {'maxpipes 512' if splice else ''}
  {'tune.pipesize 1048576' if splice == '1m' else ''}
defaults
  mode tcp
  {'option splice-request' if splice else ''}
  {'option splice-response' if splice else ''}
  timeout connect 10s
  timeout client 1h
  timeout server 1h
listen bench
  bind 127.0.0.1:{LISTEN}
  server one 127.0.0.1:{SERVER}
""")
        return ["haproxy", "-db", "-f", str(config)]
    return write


def _nginx(folder: Path) -> list[str]:
    config = folder / "nginx.conf"
    config.write_text(f"""
load_module /usr/lib/nginx/modules/ngx_stream_module.so;
user root;
daemon off;
pid {folder}/pid;
worker_processes 1;
worker_rlimit_nofile {resource.getrlimit(resource.RLIMIT_NOFILE)[1]};
events {{ worker_connections {resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 100}; }}
stream {{
  server {{
    listen 127.0.0.1:{LISTEN} backlog=4096;
    proxy_pass 127.0.0.1:{SERVER};
    proxy_buffer_size 64k;
    proxy_half_close on;
    proxy_timeout 1h;
  }}
}}
""")
    return ["nginx", "-p", str(folder), "-e", "stderr", "-c", str(config)]


def _rinetd(folder: Path) -> list[str]:
    (folder / "rinetd.conf").write_text(f"127.0.0.1 {LISTEN} 127.0.0.1 {SERVER}\n")
    return ["rinetd", "-f", "-c", str(folder / "rinetd.conf")]


def _go(folder: Path) -> list[str]:
    program = folder / "go_copy"
    if not program.exists():
        subprocess.run(
            ["go", "build", "-o", str(program), str(HERE / "peers" / "go_copy.go")], check=True, timeout=300,
            cwd=folder, env={**os.environ, "GOCACHE": str(folder / "cache"), "GOFLAGS": "", "GO111MODULE": "off"})
        shutil.rmtree(folder / "cache", ignore_errors=True)
    return [str(program), f"127.0.0.1:{LISTEN}", f"127.0.0.1:{SERVER}"]


def peers() -> list[Proxy]:
    def haproxy_version() -> str:
        return first(r"version (\S+)", "haproxy", "-v")

    return [
        Proxy("haproxy", _haproxy(""), haproxy_version, most_idle=8_500),
        Proxy("haproxy-splice", _haproxy("64k"), haproxy_version, most_idle=8_500),
        Proxy("haproxy-splice-1m", _haproxy("1m"), haproxy_version, most_idle=8_500),
        Proxy("nginx", _nginx, lambda: first(r"nginx/(\S+)", "nginx", "-v")),
        Proxy("socket-proxyd", lambda folder: [
            "systemd-socket-activate", "-l", f"127.0.0.1:{LISTEN}", "/lib/systemd/systemd-socket-proxyd",
            "--connections-max=20000", f"127.0.0.1:{SERVER}"],
            lambda: first(r"systemd \d+ \((\S+)\)", "systemd-socket-activate", "--version"), descriptors=6),
        Proxy("go", _go, lambda: first(r"go(\d\S+)", "go", "version"), descriptors=6,
              environment={"GOMAXPROCS": "1"}),
        Proxy("rinetd", _rinetd, lambda: first(r"rinetd (\S+)", "rinetd", "-v"), most_idle=2_000),
        Proxy("socat", lambda folder: [
            "socat", "-b", "65536", "-t", "60",
            f"TCP-LISTEN:{LISTEN},bind=127.0.0.1,reuseaddr,fork,backlog=4096", f"TCP:127.0.0.1:{SERVER}"],
            lambda: first(r"socat version (\S+)", "socat", "-V"), most_idle=500),
    ]
