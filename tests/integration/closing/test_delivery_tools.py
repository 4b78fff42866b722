"""Programs that lost bytes to a reset which came behind them, each beside its direct connection: curl with a limit, from a
server that is done long before; an answer that comes before the request is over; a printer whose client does not read.

A machine of its own for each of client, gateway and server; finhold, or both ends of a pair, are on the gateway."""

import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass

import pytest
from delivery import LENGTH, PACE, SOON, await_acknowledged, reads_little, tune
from ends import Address, End, Server, background, connect, pattern, text_of
from finhold import config_text, route_to, wait_until
from pair import await_tunnels, far_table, tunnel_table
from places import GATEWAY, SERVER, Places, routed_places

DIRECT, DIVERTED = 9000, 9001  # ports of the server; tproxy takes the second
NEVER_HELD = {"crosses": "none", "keepalive": SOON}
RUNS = 6


@dataclass
class Ways:
    """Where a client connects to."""

    places: Places
    addresses: dict[str, Address]

    def __iter__(self):
        return iter(self.addresses.items())


@pytest.fixture
def ways(start, public_path):
    """Directly, through one finhold (asked for, and as a gateway), and through a pair."""
    with routed_places() as places:
        for place in places.all():
            tune(place)
        # What the client's kernel takes, curl has not yet.
        places.client.set("net.ipv4.tcp_rmem", "4096 65536 65536")
        to, diverted = (SERVER, DIRECT), (SERVER, DIVERTED)
        listen = f"{GATEWAY['client']}:0"
        with places.gateway.inside():
            file = public_path / "ways.toml"
            file.write_text(config_text([
                route_to(to, listen=listen, name="single", keepalive=SOON),
                {"name": "tproxy", "listen": "0.0.0.0:15001", "intercept": "tproxy", "source": "client",
                 "catch": [text_of(diverted)], **NEVER_HELD}], {}))
            single = start(arguments=("--config", str(file), "--apply-rules"))
            far = start(far=[far_table([to], keepalive=SOON)], limits={"workers": 1})
            near = start(route_to(to, listen=listen, tunnel="tunnel", keepalive=SOON), limits={"workers": 1},
                         tunnel=[tunnel_table(far.address("far"))])
            await_tunnels(near, 1, far)
        yield Ways(places, {"direct": to, "single": single.address("single"), "tproxy": diverted, "pair": near.address()})


def curl(ways: Ways, address: Address, output, *options: str) -> subprocess.Popen:
    with ways.places.client.inside():
        return subprocess.Popen(["curl", "-sS", "--max-time", "30", "-o", str(output), *options,
                                 f"http://{text_of(address)}/file"], stderr=subprocess.PIPE, text=True)


def results_of(curls: dict[str, subprocess.Popen]) -> dict[str, str]:
    """What each wrote to standard error, and its exit code."""
    return {name: f"{process.communicate(timeout=35)[1]}exit code {process.returncode}" for name, process in curls.items()}


def expect_whole(tmp_path, results: dict[str, str], whole: bytes) -> None:
    got = {name: (tmp_path / name).read_bytes() if (tmp_path / name).exists() else b"" for name in results}
    bad = [f"{name}: {len(got[name])} of {len(whole)} bytes: {result}" for name, result in results.items()
           if result != "exit code 0" or got[name] != whole]
    assert not bad, "\n".join([f"{len(bad)} of {len(results)} are not whole", *sorted(bad)])


def test_curl_with_a_limit_gets_all_from_a_server_that_is_done(ways, tmp_path):
    """python's http.server closes as soon as it has sent all; its kernel has forgotten the connection long before curl has
    taken a half."""
    whole = pattern("server", 0, 12_000_000)  # it takes up to 100 buffers before it looks at its limit
    (tmp_path / "file").write_bytes(whole)
    with ways.places.server.inside():
        servers = [subprocess.Popen([sys.executable, "-m", "http.server", "--bind", SERVER, "--directory", str(tmp_path),
                                     str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                   for port in (DIRECT, DIVERTED)]
    try:
        wait_until(lambda: all(listens(ways, port) for port in (DIRECT, DIVERTED)))
        expect_whole(tmp_path, results_of({name: curl(ways, address, tmp_path / name, "--limit-rate", "3000k")
                                           for name, address in ways}), whole)
    finally:
        for server in servers:
            server.kill()
            server.wait()


def listens(ways: Ways, port: int) -> bool:
    with ways.places.server.inside():
        return bool(subprocess.run(["ss", "-Htln", "sport", "=", f":{port}"], capture_output=True, check=True).stdout)


class Refuses(Server):
    """An HTTP server that answers as soon as it knows the length of what it will not take, and closes: the bytes that it has
    not read make a reset of that, when all of the answer is acknowledged."""

    ANSWER = pattern("server", 0, 400_000)

    def __init__(self, port: int):
        super().__init__(SERVER, port=port)
        self.answered: list[Future] = []
        background(self._serve)

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                sock = self.sock.accept()[0]
                self.answered.append(background(lambda sock=sock: self._answer(sock)))

    def _answer(self, sock) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            head += sock.recv(4096)
        sock.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(self.ANSWER))
        sock.sendall(self.ANSWER)
        await_acknowledged(End(sock, "server"))
        sock.close()


def test_an_answer_before_the_request_is_over_arrives_whole(ways, tmp_path):
    upload = tmp_path / "upload"
    with upload.open("wb") as file:
        file.truncate(100_000_000)
    with ways.places.server.inside():
        servers = [Refuses(port) for port in (DIRECT, DIVERTED)]
    curls = {f"{name} {number}": curl(ways, address, tmp_path / f"{name} {number}", "-H", "Expect:", "-T", str(upload))
             for number in range(RUNS) for name, address in ways}
    results = results_of(curls)
    for server in servers:
        server.close()
    expect_whole(tmp_path, results, Refuses.ANSWER)


class Printer(Server):
    """It tells its status at once, and prints slowly."""

    def __init__(self, port: int):
        super().__init__(SERVER, port=port)

    def take_job(self) -> End:
        accepted = self.accept()
        reads_little(accepted)
        accepted.sendall(b"@PJL INFO STATUS\r\nCODE=10001\r\n")
        return End(accepted, "server")


def print_slowly(printer: End, closed: threading.Event) -> int:
    """It needs longer than its client stays. What was printed; then a reset must come."""
    with suppress(ConnectionResetError):
        printer.receive(LENGTH // 3)
        assert closed.wait(15)
        while printer._read(20_000):
            time.sleep(PACE)
        raise AssertionError(f"a clean end after {printer.received} bytes")
    return printer.received


def test_a_printer_prints_what_its_client_sent(ways):
    """Port 9100: the client closes and has not read the status, which makes a reset of its close()."""
    with ways.places.server.inside():
        printers = {port: Printer(port) for port in (DIRECT, DIVERTED)}
    closed = threading.Event()
    jobs = {}
    for name, address in ways:
        with ways.places.client.inside():
            client = End(connect(address), "client")
        printer = printers[DIVERTED if name == "tproxy" else DIRECT].take_job()
        jobs[name] = (client, printer, background(lambda printer=printer: print_slowly(printer, closed)))
    # The direct one is acknowledged as it is printed.
    direct = jobs["direct"][0]
    sending = background(lambda: direct.send(LENGTH))
    for client, *_ in jobs.values():
        assert client.sock.recv(1, socket.MSG_PEEK)  # and it stays there
        if client is not direct:
            client.send(LENGTH)
            await_acknowledged(client)
            client.close()
    closed.set()
    sending.result()
    await_acknowledged(direct)
    direct.close()
    printed = {name: printing.result() for name, (_, _, printing) in jobs.items()}
    for _, printer, _ in jobs.values():
        printer.close()
    for printer in printers.values():
        printer.close()
    assert printed == dict.fromkeys(jobs, LENGTH)
