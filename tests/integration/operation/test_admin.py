"""The numbers and the state that finhold tells over HTTP, and what hostile requests can do to it: nothing."""

import http.client
import json
import os
import selectors
import signal
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest
from admin import ON, Admin
from ends import background, expect_refusal, text_of, unused_address
from finhold import BINARY, PATIENCE, ROOT, route_to, wait_until
from pair import far_table, through_tunnel, tunnel_table
from reloading import free_address

PROMTOOL = ROOT / "build" / "unpacked" / "usr" / "bin" / "promtool"  # deploy/packages test puts it there


@pytest.fixture
def observed(start, server):
    """Starts a finhold with [admin] and one crossing route: (finhold, admin)."""

    def start_one(**tables):
        finhold = start(route_to(server.address, "server", fin={"release_when_quiet": "never"}), admin=ON, **tables)
        return finhold, Admin(finhold)

    return start_one


def test_without_admin_nothing_listens(start, server):
    finhold = start(route_to(server.address))
    assert not finhold.found("status page")
    sockets = [os.readlink(f"/proc/{finhold.pid}/fd/{fd}") for fd in os.listdir(f"/proc/{finhold.pid}/fd")]
    listening = Path(f"/proc/{finhold.pid}/net/tcp").read_text().splitlines()[1:]
    ports = {int(line.split()[1].split(":")[1], 16) for line in listening
             if line.split()[3] == "0A" and f"socket:[{line.split()[9]}]" in sockets}
    assert ports == {finhold.address()[1]}


def test_every_endpoint_answers(observed):
    _, admin = observed()
    assert admin.ask("/healthz")[:2] == (200, "alive\n")
    assert admin.ask("/readyz")[:2] == (200, "ready\n")
    code, page, headers = admin.ask("/")
    assert (code, headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "<title>finhold</title>" in page and "default-src 'none'" in headers["content-security-policy"]
    assert admin.ask("/metrics")[2]["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert admin.ask("/status.json")[2]["content-type"] == "application/json"
    assert admin.status()["routes"][0]["name"] == "main"
    assert admin.ask("/favicon.ico")[0] == 404
    code, text, headers = admin.ask("/status.json", "HEAD")
    assert (code, text) == (200, "") and int(headers["content-length"]) > 100


def test_a_held_fin_appears_and_goes(observed, server):
    finhold, admin = observed()
    session = server.session(finhold.address())
    session.client.send(5000)
    session.server.receive(5000)
    session.client.finish()
    held = 'finhold_held_fins{route="main",leg="server"}'
    admin.await_metric(held, 1)
    admin.await_metric('finhold_half_closed_sessions{route="main"}', 1)
    one, = admin.status()["sessions_listed"]
    assert one["to_server"]["state"] == "held" and one["to_server"]["bytes"] == 5000
    assert one["to_client"] == {"state": "flowing", "bytes": 0, "blocked": False}
    assert one["half_closed"] and one["to_server"]["held_seconds"] >= 0
    assert one["client"] == "127.0.0.1:%d" % session.client.sock.getsockname()[1]
    session.server.send(100)
    session.client.receive(100)
    session.server.finish()
    session.client.expect_end()
    session.server.expect_end()
    session.close()
    admin.await_metric(held, 0)
    metrics = admin.metrics()
    assert metrics['finhold_sessions{route="main"}'] == 0
    assert metrics['finhold_sessions_total{route="main",ending="finished"}'] == 1
    assert metrics['finhold_bytes_total{route="main",flow="to_server"}'] == 5000
    assert metrics['finhold_bytes_total{route="main",flow="to_client"}'] == 100
    assert metrics['finhold_fins_released_total{route="main",reason="server-ended"}'] == 1
    assert metrics['finhold_fin_hold_seconds_count{route="main"}'] == 1
    assert metrics['finhold_dial_seconds_count{route="main"}'] == 1


def test_bytes_of_open_sessions_count(observed, server):
    finhold, admin = observed()
    session = server.session(finhold.address())
    name = 'finhold_bytes_total{route="main",flow="to_client"}'
    for total in (1000, 3_000_000):
        session.server.send(total - session.server.sent)
        session.client.receive_until(total)
        admin.await_metric(name, total)
    session.close()
    finhold.ending(ending="finished")
    admin.await_metric('finhold_sessions{route="main"}', 0)
    assert admin.metrics()[name] == 3_000_000


def test_every_ending_is_counted_by_its_cause(start, server):
    finhold = start(route_to(server.address), route_to(unused_address(), name="dead"), admin=ON)
    admin = Admin(finhold)
    for _ in range(3):
        session = server.session(finhold.address())
        session.client.reset()
        session.server.expect_reset()
        session.close()
    expect_refusal(finhold.address("dead"))  # which connect() itself may see
    finhold.endings(3, ending="client-reset", route="main")
    finhold.ending(ending="server-refused", route="dead")
    admin.await_route(endings={"client-reset": 3})
    admin.await_route("dead", endings={"server-refused": 1})
    metrics = admin.metrics()
    assert metrics['finhold_sessions_total{route="main",ending="client-reset"}'] == 3
    assert metrics['finhold_sessions_total{route="dead",ending="server-refused"}'] == 1
    assert metrics['finhold_dial_seconds_count{route="dead"}'] == 1


def test_what_several_workers_count_is_added_up(observed, server):
    finhold, admin = observed(limits={"workers": 3})
    sessions = [server.session(finhold.address()) for _ in range(24)]
    for session in sessions:
        session.client.send(100)
        session.server.receive(100)
    admin.await_route(sessions=24, bytes={"to_server": 2400, "to_client": 0})
    status = admin.status()
    assert status["workers"] == 3 and status["sessions"] == 24
    assert [one["id"] for one in status["sessions_listed"]] == list(range(1, 25))
    for session in sessions:
        session.close()
    finhold.endings(24, ending="finished")
    admin.await_route(sessions=0, endings={"finished": 24}, bytes={"to_server": 2400, "to_client": 0})


def test_half_closed_sessions_are_listed_first_and_all_are_counted(observed, server):
    finhold, admin = observed(limits={"workers": 1})
    sessions = [server.session(finhold.address()) for _ in range(520)]
    sessions[-1].client.finish()
    admin.await_route(sessions=520, half_closed=1)
    status = admin.status()
    assert len(status["sessions_listed"]) == 501 and status["sessions"] == 520
    assert status["sessions_listed"][0]["half_closed"]
    for session in sessions:
        session.close()
    finhold.endings(520, ending="finished")


def test_a_pair_is_counted_at_both_ends(start, server, public_path):
    def run(name, text):
        path = public_path / name
        path.write_text('[admin]\nlisten = "127.0.0.1:0"\n[limits]\nworkers = 1\n' + text)
        return start(arguments=("--config", str(path)))

    far = run("far.toml", f"""
        [[far]]
        name = "there"
        listen = "127.0.0.1:0"
        tls = "off"
        allow = ["{text_of(server.address)}"]""")
    door = far.await_event("listening")["address"]
    near = run("near.toml", f"""
        [[tunnel]]
        name = "dc"
        far = "{door}"
        tls = "off"
        [[route]]
        name = "main"
        listen = "127.0.0.1:0"
        server = "{text_of(server.address)}"
        tunnel = "dc\"""")
    session = server.session(near.address())
    session.client.send(1000)
    session.server.receive(1000)
    session.client.finish()
    session.server.expect_end()
    at_near, at_far = Admin(near), Admin(far)
    at_near.await_metric('finhold_tunnel_streams{tunnel="dc"}', 1)
    assert at_near.metrics()['finhold_tunnel_connections{tunnel="dc"}'] >= 1
    at_near.await_route(half_closed=1, tunnel="dc", bytes={"to_server": 1000, "to_client": 0})
    at_far.await_route("there", half_closed=1, is_far=True, bytes={"to_server": 1000, "to_client": 0})
    at_far.await_metric('finhold_far_streams{far="there"}', 1)
    one, = at_far.status()["sessions_listed"]
    assert one["client"] == "127.0.0.1:%d" % session.client.sock.getsockname()[1]
    session.server.finish()
    session.client.expect_end()
    session.close()
    at_near.await_metric('finhold_tunnel_streams{tunnel="dc"}', 0)
    at_far.await_route("there", sessions=0, endings={"finished": 1})
    near.signal()
    near.await_exit()
    far.signal()
    far.await_exit()


def test_promtool_finds_nothing_wrong(observed, server):
    finhold, admin = observed()
    session = server.session(finhold.address())
    text = admin.ask("/metrics")[1]
    session.close()
    done = subprocess.run([PROMTOOL, "check", "metrics"], input=text, capture_output=True, text=True, timeout=PATIENCE)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_readyz_says_no_while_finhold_stops_and_numbers_stay(observed, server):
    finhold, admin = observed(limits={"workers": 2})
    session = server.session(finhold.address())
    session.client.send(10)
    session.server.receive(10)
    finhold.signal()
    finhold.await_event("stopping")
    assert admin.ask("/readyz")[:2] == (503, "stopping\n")
    assert admin.ask("/healthz")[0] == 200  # one of the workers is over already
    assert admin.status()["state"] == "stopping"
    admin.await_route(sessions=1, bytes={"to_server": 10, "to_client": 0})
    session.close()
    finhold.await_exit()


def status_command(*arguments):
    return subprocess.run([BINARY, "status", *arguments], capture_output=True, text=True, timeout=PATIENCE)


def test_finhold_status_shows_it_in_the_terminal(observed, server):
    finhold, admin = observed()
    session = server.session(finhold.address())
    session.client.finish()
    admin.await_route(half_closed=1)
    address = "%s:%d" % admin.address
    done = status_command("--admin", address)
    assert done.returncode == 0 and done.stderr == ""
    assert "ready" in done.stdout and "FIN held" in done.stdout and "127.0.0.1:" in done.stdout
    assert json.loads(status_command("--admin", address, "--json").stdout)["sessions"] == 1
    session.close()


def test_finhold_status_goes_by_a_configuration_and_sees_every_address(start, server, tmp_path):
    finhold = start(route_to(server.address), admin={"listen": "0.0.0.0:0"})
    port = Admin(finhold).address[1]
    path = tmp_path / "f.toml"
    path.write_text(f'[admin]\nlisten = "0.0.0.0:{port}"\n[[route]]\nname = "a"\nlisten = "127.0.0.1:1"\nserver = "a:2"\n')
    done = status_command("--config", str(path))
    assert done.returncode == 0, done.stderr
    path.write_text('[[route]]\nname = "a"\nlisten = "127.0.0.1:1"\nserver = "a:2"\n')
    done = status_command("--config", str(path))
    assert done.returncode == 2 and "[admin]" in done.stderr


def test_finhold_status_watches(observed):
    _, admin = observed()
    with subprocess.Popen([BINARY, "status", "--watch", "--json", "--admin", "%s:%d" % admin.address],
                          stdout=subprocess.PIPE) as watching:
        looks = [json.loads(watching.stdout.readline()) for _ in range(2)]
        watching.terminate()
    assert looks[0]["uptime_seconds"] < looks[1]["uptime_seconds"]


def test_finhold_status_tells_what_is_wrong():
    host, port = unused_address()
    done = status_command("--admin", f"{host}:{port}")
    assert done.returncode == 1 and done.stdout == ""
    assert f"{host}:{port}" in done.stderr and "[admin]" in done.stderr
    with socket.create_server(("127.0.0.1", 0)) as other:
        child = subprocess.Popen([BINARY, "status", "--admin", "127.0.0.1:%d" % other.getsockname()[1]],
                                 stderr=subprocess.PIPE, text=True)
        sock, _ = other.accept()
        sock.recv(1000)
        sock.sendall(b"SSH-2.0-x\r\n")
        sock.close()
        assert "is not finhold's status page" in child.communicate(timeout=PATIENCE)[1]
        assert child.returncode == 1


# Hostile requests.


def test_methods_bodies_and_foreign_hosts_are_refused(observed):
    _, admin = observed()
    code, _, headers = admin.ask("/", "POST", body=b"x" * 100_000)
    assert (code, headers["allow"]) == (405, "GET, HEAD")
    assert admin.ask("/", "DELETE")[0] == 405
    assert admin.ask("/status.json", headers={"Host": "evil.example"})[0] == 403
    for name in ("localhost", "LOCALHOST", "LocalHost:9464", "localhost."):
        assert admin.ask("/status.json", headers={"Host": name})[0] == 200
    for name in ("localhost.evil.example", "xlocalhost", "localhost..", "."):
        assert admin.ask("/status.json", headers={"Host": name})[0] == 403


@pytest.mark.parametrize("listen", ["127.0.0.1:0", "127.1.2.3:0", "[::1]:0", "[::ffff:127.0.0.1]:0"])
def test_a_foreign_host_is_refused_on_every_loopback_address(start, server, listen):
    """By DNS rebinding any page may ask there in a browser's name."""
    admin = Admin(start(route_to(server.address), admin={"listen": listen}))
    for path in ("/", "/status.json", "/metrics"):
        assert admin.ask(path)[0] == 200  # http.client names the address
        assert admin.ask(path, headers={"Host": "evil.example"})[0] == 403


@pytest.mark.parametrize("listen", ["0.0.0.0:0", "[::]:0"])
def test_where_others_may_ask_any_host_will_do(start, server, listen):
    admin = Admin(start(route_to(server.address), admin={"listen": listen}))
    assert admin.ask("/metrics", headers={"Host": "finhold.monitoring.svc"})[0] == 200


@pytest.mark.parametrize("data, code", [
    (b"GET / HTTP/1.1\r\nX: " + b"a" * 9000 + b"\r\n\r\n", b"431"),
    (b"GET /" + b"a" * 20_000, b"431"),
    (b"X: y\r\n" * 5000, b"431"),
    (b"\x16\x03\x01\x02\x00\x01\r\n\r\n", b"400"),
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"400"),
    (b"GET / HTTP/1.0\n\n", b"200"),
    (b"GET / HTTP/1.1\nHost: localhost\r\n\n", b"200"),
    (b"nothing that\nis one\n\n", b"400"),
    (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\nGET / HTTP/1.1\r\nHost: localhost\r\n\r\n", b"200"),
])
def test_what_is_too_large_or_no_request_is_answered_and_closed(observed, data, code):
    _, admin = observed()
    answer = admin.raw(data)
    assert answer.split(b" ")[:2] == [b"HTTP/1.1", code]
    assert answer.count(b"HTTP/1.1 ") == 1


def test_readyz_says_no_while_a_tunnel_has_no_connection(start, server):
    """Clients of its route would wait, and then be reset. A key says otherwise."""
    far_address = free_address()
    tunnel = tunnel_table(far_address)
    routes = [through_tunnel(server.address), route_to(server.address, name="other")]
    near = start(*routes, admin=ON, tunnel=[tunnel])
    patient = start(*routes, admin={**ON, "ready_with_tunnels": False}, tunnel=[tunnel])
    admin = Admin(near)
    assert admin.ask("/readyz")[:2] == (503, "tunnel tunnel of route main has no connection\n")
    assert admin.ask("/healthz")[0] == 200 and Admin(patient).ask("/readyz")[:2] == (200, "ready\n")
    far = start(far=[far_table([server.address], listen=text_of(far_address))])
    wait_until(lambda: admin.ask("/readyz")[:2] == (200, "ready\n"))
    far.kill()
    wait_until(lambda: admin.ask("/readyz")[0] == 503)


def test_who_is_slow_with_a_request_is_dropped(observed):
    """Drop by drop: it is the whole request that has 5 s."""
    _, admin = observed()
    with socket.create_connection(admin.address, timeout=PATIENCE) as sock:
        started = time.monotonic()
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            for _ in range(60):
                sock.sendall(b"X")
                time.sleep(0.2)
        assert 3 < time.monotonic() - started < 11


def test_who_holds_all_connections_holds_up_nobody_for_long_and_no_session(observed, server):
    finhold, admin = observed()
    crowd = [socket.create_connection(admin.address, timeout=PATIENCE) for _ in range(250)]
    finhold.await_event("status page: more connections wait")
    session = server.session(finhold.address())
    session.client.send(1000)
    session.server.receive(1000)
    assert admin.ask("/healthz")[0] == 200  # once the crowd was dropped
    for one in crowd:
        one.close()
    session.close()


class Crowd:
    """Connections that say nothing, and come back as soon as they are dropped."""

    def __init__(self, address, size: int):
        self.address = address
        self.returned = 0
        self.over = False
        self.selector = selectors.DefaultSelector()
        for _ in range(size):
            self._connect()
        self.thread = background(self._run)

    def _connect(self) -> None:
        sock = socket.socket()
        sock.setblocking(False)
        sock.connect_ex(self.address)
        self.selector.register(sock, selectors.EVENT_READ)

    def _run(self) -> None:
        while not self.over:
            for key, _ in self.selector.select(0.05):
                with suppress(ConnectionError):
                    key.fileobj.recv(100)
                self.selector.unregister(key.fileobj)
                key.fileobj.close()
                self.returned += 1
                self._connect()
        for key in list(self.selector.get_map().values()):
            key.fileobj.close()
        self.selector.close()

    def end(self) -> None:
        self.over = True
        self.thread.result()


def test_a_crowd_that_comes_back_keeps_no_probe_from_its_answer(observed):
    """As many as systemd, kubelet or Prometheus would have to stand behind; each is patient for less than the 5 s that
    a request may take."""
    finhold, admin = observed()
    crowd = Crowd(admin.address, 400)
    try:
        wait_until(lambda: crowd.returned > 400)
        for _ in range(20):
            connection = http.client.HTTPConnection(*admin.address, timeout=4)
            connection.request("GET", "/healthz")
            assert connection.getresponse().status == 200
            connection.close()
    finally:
        crowd.end()


def test_who_does_not_read_the_answer_costs_a_connection_and_no_more(observed, server):
    finhold, admin = observed()
    sessions = [server.session(finhold.address()) for _ in range(200)]
    lazy = []
    for _ in range(20):
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        sock.connect(admin.address)
        sock.sendall(b"GET /status.json HTTP/1.1\r\nHost: localhost\r\n\r\n")
        lazy.append(sock)
    assert admin.ask("/healthz")[0] == 200
    for session in sessions:
        session.client.send(10)
        session.server.receive(10)
    for sock in lazy:
        sock.close()
    for session in sessions:
        session.close()
    finhold.endings(200, ending="finished")


def test_a_stopped_worker_is_told_of(observed, server):
    """Its thread is stuck in the kernel's hands; the status page's is not."""
    finhold, admin = observed(limits={"workers": 1})
    tracer = subprocess.Popen(["/usr/bin/python3", "-c", STOP_ONE_THREAD, str(worker_thread(finhold))],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert tracer.stdout.readline() == "stopped\n"
        assert admin.ask("/healthz")[:2] == (503, "a worker does not answer within a second\n")
        assert admin.ask("/metrics")[0] == 503
        done = status_command("--admin", "%s:%d" % admin.address)
        assert done.returncode == 1 and "not well" in done.stderr
        assert admin.ask("/readyz")[0] == 200
    finally:
        tracer.communicate("go on\n", timeout=PATIENCE)
    wait_until(lambda: admin.ask("/healthz")[0] == 200)


# PTRACE_SEIZE and PTRACE_INTERRUPT stop one thread, and only that.
STOP_ONE_THREAD = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
thread = int(sys.argv[1])
assert libc.ptrace(0x4206, thread, None, None) == 0, ctypes.get_errno()
assert libc.ptrace(0x4207, thread, None, None) == 0, ctypes.get_errno()
os.waitpid(thread, 0x40000000)
print("stopped", flush=True)
sys.stdin.readline()
"""


def worker_thread(finhold):
    """The one that is not the main thread and waits for its sockets."""
    for thread in Path(f"/proc/{finhold.pid}/task").iterdir():
        if int(thread.name) != finhold.pid and (thread / "wchan").exists() and \
                (thread / "comm").read_text().strip() == "worker":
            return int(thread.name)
    raise AssertionError("no worker's thread")
