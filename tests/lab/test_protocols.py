"""What README.md's table of protocols says to write: each row, beside what happens without it.

finhold stands on a router: the client is on another machine, whose kernel it cannot ask, and a connection that
was closed looks like one that was half-closed."""

import os
import sys
import tempfile
from pathlib import Path

import pytest
from lab import HERE, ROOT, SERVER, finhold_program
from programs import START_LIMIT, Finhold, Process

ROUTER = "10.77.3.1"
BEFORE, ADVISED = 7001, 7002  # where clients connect to: without what the table says, and with it
PROTOCOLS = [sys.executable, str(HERE / "protocols.py")]
MILLION = 1_000_000


def relay(network, crosses: str, before: str, advised: str) -> Finhold:
    """Two routes, to two servers of the same kind. "": the default."""
    lines = []
    for port, quiet in ((BEFORE, before), (ADVISED, advised)):
        lines += ["[[route]]", f'name = "port-{port}"', f'listen = "{ROUTER}:{port}"', f'server = "{SERVER}:{port}"',
                  f'crosses = "{crosses}"', "[route.fin]", *([f"release_when_quiet = {quiet}"] if quiet else [])]
    file = network.directory / "protocols.toml"
    file.write_text("\n".join(lines) + "\n")
    return network.run("r", [str(finhold_program()), "run", "--config", str(file)], Finhold)


def serve(network, role: str) -> dict[int, Process]:
    servers = {port: network.run("s", [*PROTOCOLS, role, SERVER, str(port)]) for port in (BEFORE, ADVISED)}
    for server in servers.values():
        server.wait_until_ready("^listening$")
    return servers


def endings(finhold: Finhold, count: int, port: int) -> list[dict[str, str]]:
    lines = finhold.wait_for_lines(rf"\bsession=\d+ route=port-{port} .*", 40, count)
    return [dict(pair.split("=", 1) for pair in line[0].split()) for line in lines]


def assert_held(ending: dict[str, str], flow: str) -> None:
    assert ending["first_fin"] == ("client" if flow == "to_server" else "server"), ending
    assert ending["ending"] == "finished" and ending["held"] != "0.0s", ending


def assert_not_held(ending: dict[str, str], flow: str) -> None:
    assert ending["first_fin"] == ("client" if flow == "to_server" else "server"), ending
    assert ending["ending"] == "finished" and ending["released"] == "quiet" and ending["held"] == "0.0s", ending


@pytest.fixture
def network(lab):
    return lab.network("none", routed=True)


def test_a_modbus_device_that_serves_one_connection_at_a_time(network):
    finhold = relay(network, "server", "", '"0s"')
    serve(network, "modbus")

    def poll(port: int) -> int:
        """mbpoll -1: one register, and the connection is closed."""
        return network.run("c", ["mbpoll", "-m", "tcp", "-p", str(port), "-a", "1", "-t", "4", "-r", "1", "-c", "1",
                                 "-o", "1", "-1", ROUTER]).wait(20)

    assert poll(BEFORE) == 0
    assert poll(BEFORE) != 0, "the device was free, so this test shows nothing"
    # The second one is answered, too late, when the first one is over: it may even be the first to end.
    first, _ = sorted(endings(finhold, 2, BEFORE), key=lambda ending: int(ending["session"]))
    assert_held(first, "to_server")
    for _ in range(4):
        assert poll(ADVISED) == 0
    for ending in endings(finhold, 4, ADVISED):
        assert_not_held(ending, "to_server")


def test_a_printer_at_port_9100(network):
    finhold = relay(network, "server", "", '"0s"')
    printers = serve(network, "printer")
    job = network.directory / "job"
    job.write_bytes(b"x" * MILLION)
    for port, count in ((BEFORE, 1), (ADVISED, 3)):
        for _ in range(count):
            with job.open() as file:
                # Without -N nc would not say that the job has ended.
                assert network.run("c", ["nc", "-N", ROUTER, str(port)], stdin=file).wait(30) == 0
        printers[port].wait_for_lines(f"^printed {MILLION}$", 30, count)
    assert_held(endings(finhold, 1, BEFORE)[0], "to_server")
    for ending in endings(finhold, 3, ADVISED):
        assert_not_held(ending, "to_server")


def test_lpd_units(network):
    finhold = relay(network, "server", "", '"0s"')
    units = serve(network, "lpd")
    for port in (BEFORE, ADVISED):
        client = network.run("c", [*PROTOCOLS, "lpr", ROUTER, str(port)])
        assert client.wait(40) == 0, client.output()
        units[port].wait_for_lines("^received 03 1000$", 30, 3)
    for ending in endings(finhold, 3, BEFORE):
        assert_held(ending, "to_server")
    for ending in endings(finhold, 3, ADVISED):
        assert_not_held(ending, "to_server")


@pytest.mark.parametrize("crosses", ["server", "client", "both"])
def test_smtp_which_says_goodbye(network, crosses):
    """Nothing is to be written for it: who ends first does not matter, the other one ends too, and nothing is waited for."""
    finhold = relay(network, crosses, "", '"never"')
    servers = serve(network, "smtp")
    for port in (BEFORE, ADVISED):
        client = network.run("c", [*PROTOCOLS, "mail", ROUTER, str(port)])
        assert client.wait(40) == 0, client.output()
        servers[port].wait_for_lines("^received$", 30, 3)
        for ending in endings(finhold, 3, port):
            assert ending["ending"] == "finished", ending
            assert ending["released"] != "quiet" or ending["held"] == "0.0s", ending


@pytest.mark.parametrize("crosses", ["client", "both"])
def test_fastcgi_as_php_fpm_ends_it(network, crosses):
    """The answer's end is what a client waits for that does not read FCGI_END_REQUEST."""
    finhold = relay(network, crosses, '"5s"', "")
    serve(network, "fastcgi")
    request = network.directory / "request"
    request.write_bytes(bytes.fromhex("0101000100080000" "0001000000000000" "0104000100000000" "0105000100000000"))
    for port in (BEFORE, ADVISED):
        with request.open() as file:
            assert network.run("c", ["nc", ROUTER, str(port)], stdin=file).wait(30) == 0
    assert_held(endings(finhold, 1, BEFORE)[0], "to_client")
    assert_not_held(endings(finhold, 1, ADVISED)[0], "to_client")


@pytest.mark.parametrize("crosses", ["client", "both"])
def test_a_pool_sees_that_its_server_has_closed(network, crosses):
    finhold = relay(network, crosses, '"5s"', "")
    servers = serve(network, "webserver")
    said = {}
    for port, server in servers.items():
        read_end, write_end = os.pipe()
        client = network.run("c", [*PROTOCOLS, "pool", ROUTER, str(port)], stdin=read_end)
        server.wait_for_lines("^closed$", START_LIMIT)
        os.write(write_end, b"\n")
        assert client.wait(30) == 0, client.output()
        os.close(read_end)
        os.close(write_end)
        said[port] = client.lines
    assert said[BEFORE] == ["200", "unseen", "ProtocolError"], said
    assert said[ADVISED] == ["200", "seen", "200"], said
    assert_not_held(endings(finhold, 1, ADVISED)[0], "to_client")


VSFTPD = ROOT / "build" / "unpacked" / "usr" / "sbin" / "vsftpd"
VSFTPD_CONF = """
listen=YES
background=NO
listen_port=7021
anonymous_enable=YES
no_anon_password=YES
ftp_username=daemon
anon_root={root}
secure_chroot_dir={root}/empty
write_enable=YES
anon_upload_enable=YES
pasv_min_port=7100
pasv_max_port=7110
seccomp_sandbox=NO
"""


@pytest.mark.parametrize("fin", [None, {"release_when_quiet": "0s"}], ids=["before", "advised"])
def test_ftp_data(network, fin):
    """The end of a file that is stored is the client's end of the data connection, and the answer "226" awaits it."""
    finhold = network.intercept("r", "tproxy", fin, catch=":7100-7110", source="client")
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        root.chmod(0o755)
        (root / "empty").mkdir(mode=0o555)
        (root / "in").mkdir(mode=0o777)
        (root / "in").chmod(0o777)
        file = root / "file"
        file.write_bytes(b"x" * MILLION)
        file.chmod(0o644)
        config = root / "vsftpd.conf"
        config.write_text(VSFTPD_CONF.format(root=root))
        network.run("s", [str(VSFTPD), str(config)])
        url = f"ftp://{SERVER}:7021"
        curl = ["curl", "-sS", "--retry-connrefused", "--retry", "20", "--retry-delay", "1", "--disable-epsv"]
        fetch = network.run("c", [*curl, "-o", str(root / "fetched"), f"{url}/file"])
        assert fetch.wait(30) == 0, fetch.output()
        assert (root / "fetched").read_bytes() == file.read_bytes()
        store = network.run("c", [*curl, "-T", str(file), f"{url}/in/stored"])
        assert store.wait(30) == 0, store.output()
        assert (root / "in" / "stored").read_bytes() == file.read_bytes()
    fetched, stored = finhold.endings(2)
    assert fetched["first_fin"] == "server" and fetched["held"] == "0.0s", fetched
    (assert_not_held if fin else assert_held)(stored, "to_server")
