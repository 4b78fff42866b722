"""SIGHUP: the configuration is read again, and nobody who is connected, or connects, notices."""

import os
import signal
import subprocess
import time
from contextlib import closing, suppress
from pathlib import Path

import pytest
from admin import ON, Admin
from diverting import SIDECAR, state
from ends import Server, Session, connect, connect_client, text_of
from finhold import BINARY, PATIENCE, config_text, route_to, wait_until
from private_network import private_network
from privileges import USER
from reloading import Reloading, free_address, keepalive_of_listeners, listening_inodes
from systemd import Manager, listening, passing
from traffic import exchange


@pytest.fixture
def other():
    """A second server."""
    with closing(Server()) as made:
        yield made


@pytest.fixture
def reloading(start, public_path):
    def make(*routes: dict, **options):
        return Reloading(start, public_path / "reloaded.toml", *routes, **options)
    return make


def serve_all(server: Server) -> int:
    """Whoever comes in half a second; how many that were."""
    server.sock.settimeout(0.5)
    count = 0
    with suppress(TimeoutError):
        while True:
            accepted = server.accept()
            accepted.sendall(b"served")
            accepted.close()
            count += 1
    return count


def test_a_route_is_added(reloading, server, other):
    finhold = reloading(route_to(server.address))
    assert finhold.reload(route_to(server.address), route_to(other.address, name="new"))["added"] == "1"
    exchange(other.session(finhold.finhold.address("new")))
    exchange(server.session(finhold.finhold.address()))


def test_a_route_is_removed_and_its_sessions_go_on(reloading, server, other):
    finhold = reloading(route_to(server.address), route_to(other.address, name="old"))
    address = finhold.finhold.address("old")
    session = other.session(address)
    assert finhold.reload(route_to(server.address))["removed"] == "1"
    with pytest.raises(ConnectionRefusedError):
        connect(address)
    exchange(session)
    assert finhold.finhold.ending(route="old")["to_client"] == "2000"


def test_those_who_wait_at_a_removed_route_are_served(reloading, server, other):
    finhold = reloading(route_to(server.address), route_to(other.address, name="old"))
    finhold.write(route_to(server.address))
    with finhold.finhold.suspended():
        clients = [connect_client(finhold.finhold.address("old")) for _ in range(20)]
        finhold.finhold.signal(signal.SIGHUP)
    finhold.await_next("reloaded")
    assert serve_all(other) == len(clients)
    for client in clients:
        assert client.sock.recv(10) == b"served"
        client.close()
    finhold.finhold.descriptors -= 2


def test_a_changed_server_is_for_new_sessions(reloading, server, other):
    finhold = reloading(route_to(server.address))
    address = finhold.finhold.address()
    old = server.session(address)
    assert finhold.reload(route_to(other.address))["changed"] == "1"
    exchange(other.session(address))
    exchange(old)
    finhold.finhold.ending(server=text_of(other.address))
    finhold.finhold.ending(server=text_of(server.address))


def test_a_running_session_keeps_its_policy(reloading, server):
    """A FIN that is held stays held under a configuration that would let it go, and the other way round."""
    strict = route_to(server.address, "both", fin={"release_when_quiet": "never"})
    finhold = reloading(strict)
    held, flowing = (server.session(finhold.finhold.address()) for _ in range(2))
    held.client.finish()
    held.server.expect_nothing(0.1)
    finhold.reload(route_to(server.address, "none"))
    flowing.client.finish()
    for session in (held, flowing):
        session.server.expect_nothing(0.2)
    fresh = server.session(finhold.finhold.address())
    fresh.client.finish()
    fresh.server.expect_end()
    finhold.reload(strict)
    for session in (held, flowing, fresh):
        session.server.send(10)
        session.server.finish()
        session.client.receive(10)
        session.client.expect_end()
        session.server.expect_end()
        session.close()
    assert len(finhold.finhold.endings(3, ending="finished")) == 3


def test_a_listener_that_stays_keeps_those_who_wait(reloading, server, other):
    """Connections that the kernel has completed are in the queue of the old listener; they are not lost, and
    are the first sessions of the new configuration."""
    finhold = reloading(route_to(server.address))
    finhold.write(route_to(other.address))
    with finhold.finhold.suspended():
        clients = [connect_client(finhold.finhold.address()) for _ in range(100)]
        finhold.finhold.signal(signal.SIGHUP)
    finhold.await_next("reloaded")
    # Whether a worker looks at its listener or at the order first is open.
    assert serve_all(server) + serve_all(other) == len(clients)
    for client in clients:
        assert client.sock.recv(10) == b"served"
        client.close()


def test_a_renamed_route_keeps_its_listener(reloading, server):
    listen = text_of(free_address())
    finhold = reloading(route_to(server.address, listen=listen, name="one"))
    inodes = listening_inodes(finhold.finhold.pid)
    finhold.reload(route_to(server.address, listen=listen, name="two"))
    assert listening_inodes(finhold.finhold.pid) == inodes
    exchange(server.session(finhold.finhold.address("one")))
    finhold.finhold.ending(route="two")


def test_a_listener_moves_to_an_address_that_includes_its_own(reloading, server):
    host, port = free_address()
    finhold = reloading(route_to(server.address, listen=f"127.0.0.1:{port}"))
    finhold.reload(route_to(server.address, listen=f"0.0.0.0:{port}"))
    exchange(server.session(("127.0.0.1", port)))
    exchange(server.session(("127.0.0.2", port)))
    finhold.reload(route_to(server.address, listen=f"127.0.0.1:{port}"))
    exchange(server.session(("127.0.0.1", port)))
    with pytest.raises(ConnectionRefusedError):
        connect(("127.0.0.2", port))


def test_a_wrong_file_changes_nothing_and_every_mistake_is_told(reloading, server):
    finhold = reloading(route_to(server.address))
    finhold.path.write_text('[[route]]\nname = "main"\nlisten = "127.0.0.1:0"\nserver = "nowhere"\n'
                            'crosses = "sever"\n[limits]\nsesions = 5\n')
    reasons = finhold.fail()
    places = [reason.removeprefix(str(finhold.path)).split(": ")[0] for reason in reasons]
    assert places[:3] == [":4:10", ":5:11", ":7:1"], reasons
    exchange(server.session(finhold.finhold.address()))
    finhold.reload(route_to(server.address))


def test_a_file_that_is_gone_changes_nothing(reloading, server):
    finhold = reloading(route_to(server.address))
    finhold.path.unlink()
    assert "cannot be opened" in finhold.fail()[0]
    exchange(server.session(finhold.finhold.address()))


def test_an_address_in_use_fails_the_whole_reload(reloading, server, other):
    """The other route, whose change alone would be right, is not changed either."""
    finhold = reloading(route_to(server.address))
    finhold.write(route_to(other.address), route_to(other.address, listen=text_of(server.address), name="new"))
    assert "in use" in finhold.fail()[0]
    exchange(server.session(finhold.finhold.address()))


@pytest.mark.parametrize("table, key, value", [("limits", "workers", 3), ("limits", "buffer_per_flow", "1MiB"),
                                               ("log", "format", "json")])
def test_what_lasts_as_long_as_the_process_is_told(reloading, server, table, key, value):
    finhold = reloading(route_to(server.address))
    for _ in range(2):
        finhold.reload(route_to(server.address), **{table: {key: value}})
    assert len(finhold.finhold.found("not changed by a reload; restart", key=f"{table}.{key}")) == 2
    exchange(server.session(finhold.finhold.address()))


def test_a_listener_that_stays_has_the_keepalive_of_its_new_route(reloading):
    """A redirected leg has 15 s at most (the sidecar's conntrack), others what the file says; also where a socket goes
    from a route to a far end and back."""
    with private_network(), closing(Server()) as server:
        at = {"listen": "127.0.0.1:15001", "name": "main"}
        keepalive = {"keepalive": {"idle": "2h", "interval": "75s", "probes": 9}}
        redirect = {"intercept": "redirect", "crosses": "none", "name": "other", "listen": "127.0.0.1:15002"}
        finhold = reloading(route_to(server.address, **at, **keepalive), redirect)

        def idle() -> set[int]:
            return keepalive_of_listeners(finhold.finhold.pid, 15001)

        assert idle() == {7200}
        finhold.reload({**redirect, **at, **keepalive}, redirect)
        assert idle() == {15}
        far = {**at, "name": "far", "tls": "off", "allow": [text_of(server.address)]}
        finhold.reload(redirect, far=[far])
        assert idle() == {30}
        finhold.reload(redirect, far=[{**far, "keepalive": {"idle": "10s", "interval": "3s"}}])
        assert idle() == {10}
        finhold.reload(route_to(server.address, **at, **keepalive), redirect)
        assert idle() == {7200}


def test_a_reload_that_fails_has_opened_nothing(reloading, server, other):
    """A socket at 127.0.0.1 would have had the clients of the one at 0.0.0.0 at once, and gone with them."""
    port = free_address()[1]
    finhold = reloading(route_to(server.address, listen=f"0.0.0.0:{port}"))
    finhold.write(route_to(server.address, listen=f"127.0.0.1:{port}"),
                  route_to(server.address, listen=text_of(other.address), name="busy"))
    assert "in use" in finhold.fail()[0]
    assert len(finhold.finhold.found("listening")) == 1
    exchange(server.session(("127.0.0.1", port)))


def test_a_port_that_the_kernel_chose_is_asked_for_by_its_number(reloading, server):
    finhold = reloading(route_to(server.address))
    address = finhold.finhold.address()
    finhold.reload(route_to(server.address, listen=text_of(address)))
    exchange(server.session(address))


def test_a_signal_before_finhold_is_ready_is_not_lost(public_path, server):
    path = public_path / "many.toml"
    path.write_text(config_text([route_to(server.address, name=f"route{i}") for i in range(300)], {}))
    with subprocess.Popen([BINARY, "run", "--config", path], stderr=subprocess.PIPE, text=True) as process:
        try:
            for line in process.stderr:
                if " listening " in line:
                    process.send_signal(signal.SIGHUP)
                    break
            assert any(" reloaded " in line for line in process.stderr)
            process.terminate()
            process.stderr.read()
            assert process.wait() == 0
        finally:
            process.kill()


def test_a_signal_to_stop_goes_before_a_reload(reloading, server):
    """However many reloads are asked for, and however long each takes, finhold stops."""
    finhold = reloading(route_to(server.address))
    finhold.path.write_text("nonsense")
    with finhold.finhold.suspended():
        finhold.finhold.signal(signal.SIGHUP)
        finhold.finhold.signal(signal.SIGTERM)
    finhold.finhold.await_exit()
    assert not finhold.finhold.found("nothing was reloaded")


def test_the_limit_of_sessions_changes(reloading, server):
    finhold = reloading(route_to(server.address), limits={"sessions": 1})
    first = server.session(finhold.finhold.address())
    waiting = connect_client(finhold.finhold.address())
    finhold.finhold.await_event("accepting is paused")
    finhold.reload(route_to(server.address), limits={"sessions": 10})
    exchange(Session(waiting.sock, server.accept()))
    exchange(first)


READ = "finhold_config_last_reload_success_timestamp_seconds"


def test_admin_shows_what_runs(reloading, server, other):
    """The new routes, and whether the last file could be used."""
    finhold = reloading(route_to(server.address), admin=ON)
    admin = Admin(finhold.finhold)
    read = admin.metrics()[READ]
    finhold.reload(route_to(server.address), route_to(other.address, name="new"), limits={"sessions": 77}, admin=ON)
    assert [route["name"] for route in admin.status()["routes"]] == ["main", "new"]
    assert admin.status()["routes"][1]["listen"] == text_of(finhold.finhold.address("new"))
    metrics = admin.metrics()
    assert metrics[READ] > read and metrics["finhold_sessions_limit"] == 77
    assert metrics["finhold_config_last_reload_successful"] == 1
    exchange(other.session(finhold.finhold.address("new")))
    admin.await_metric('finhold_bytes_total{route="new",flow="to_client"}', 2000)
    finhold.path.write_text("nonsense")
    finhold.fail()
    assert admin.metrics()["finhold_config_last_reload_successful"] == 0
    finhold.write(route_to(server.address), admin={"listen": "127.0.0.1:1"})
    finhold.signal()
    finhold.finhold.await_event("not changed by a reload; restart", key="admin.listen")
    metrics = admin.metrics()
    assert metrics["finhold_config_last_reload_successful"] == 1
    assert 'finhold_sessions{route="new"}' not in metrics
    finhold.finhold.descriptors -= 2  # the listeners of "new"


def test_admin_shows_a_removed_route_as_long_as_it_has_sessions(reloading, server, other):
    finhold = reloading(route_to(server.address), route_to(other.address, name="old"), admin=ON)
    admin = Admin(finhold.finhold)
    session = other.session(finhold.finhold.address("old"))
    finhold.reload(route_to(server.address), admin=ON)
    admin.await_metric('finhold_sessions{route="old"}', 1)
    assert [(one["name"], one["removed"]) for one in admin.status()["routes"]] == [("main", False), ("old", True)]
    shown = subprocess.run([BINARY, "status", "--admin", "%s:%d" % admin.address], capture_output=True, text=True,
                           timeout=PATIENCE, check=True).stdout
    assert "old (removed)" in shown
    exchange(session)
    wait_until(lambda: 'finhold_sessions{route="old"}' not in admin.metrics())
    assert [one["name"] for one in admin.status()["routes"]] == ["main"]


def test_the_level_of_the_log_changes(reloading, server):
    """The log does not say any more that it is done: [admin] does."""
    finhold = reloading(route_to(server.address), log={"level": "info"}, admin=ON)
    admin = Admin(finhold.finhold)
    read = admin.metrics()[READ]
    finhold.write(route_to(server.address), log={"level": "error"}, admin=ON)
    finhold.finhold.signal(signal.SIGHUP)
    wait_until(lambda: admin.metrics()[READ] > read)
    exchange(server.session(finhold.finhold.address()))
    finhold.finhold.await_nothing_left()
    assert not finhold.finhold.found("session ended")


def test_flags_win_over_the_file_again(reloading, server):
    finhold = reloading(route_to(server.address), arguments=("--log-level", "debug"))
    finhold.reload(route_to(server.address), log={"level": "error"})


def test_without_a_file_there_is_nothing_to_read(start, server):
    finhold = start(arguments=("--listen", "127.0.0.1:0", "--server", text_of(server.address), "--crosses", "none"))
    finhold.signal(signal.SIGHUP)
    assert "without a file" in finhold.await_event("cannot reload")["error"]
    exchange(server.session(finhold.address()))


def test_systemd_is_told(reloading, server, public_path):
    """Type=notify: between these two, systemctl reload waits."""
    with closing(Manager(str(public_path / "notify"))) as manager:
        finhold = reloading(route_to(server.address), popen=manager.environment())
        manager.await_line("READY=1")
        finhold.reload(route_to(server.address))
        notice = manager.await_line("RELOADING=1")
        (clock,) = [line for line in notice if line.startswith("MONOTONIC_USEC=")]
        assert abs(int(clock.partition("=")[2]) / 1e6 - time.clock_gettime(time.CLOCK_MONOTONIC)) < 20
        manager.await_line("READY=1", 2)
        finhold.path.write_text("nonsense")
        finhold.fail()
        manager.await_line("RELOADING=1", 2)
        manager.await_line("READY=1", 3)


def test_a_socket_of_systemd_stays(reloading, server, other):
    with closing(listening()) as passed:
        address = passed.getsockname()
        finhold = reloading(route_to(server.address, listen=text_of(address), name="main"),
                            **passing((passed, "main")))
        finhold.reload(route_to(other.address, listen=text_of(address), name="main"))
        exchange(other.session(address))
        finhold.reload(route_to(server.address, listen=text_of(address), name="renamed"))
        exchange(server.session(address))


def test_a_socket_of_systemd_whose_route_goes_is_told_of(reloading, server, other):
    with closing(listening()) as passed:
        kept = route_to(server.address, listen=text_of(passed.getsockname()), name="main")
        finhold = reloading(kept, route_to(other.address, name="other"), **passing((passed, "main")))
        finhold.reload(route_to(other.address, name="other"))
        finhold.finhold.await_event("systemd still listens", route="main")


def test_a_reload_while_stopping_is_of_no_account(reloading, server):
    finhold = reloading(route_to(server.address))
    session = server.session(finhold.finhold.address())
    finhold.finhold.signal()
    finhold.finhold.await_event("stopping")
    finhold.finhold.signal(signal.SIGHUP)
    exchange(session)
    finhold.finhold.await_exit()


def resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


def test_memory_does_not_grow_with_reloads(reloading, server):
    """Generations are freed, though a session of the first one is still there. Each is some hundred KB."""
    routes = [route_to(server.address, name=f"route{i}", fin={"half_closed_idle": "1h"}) for i in range(60)]
    environment = {**os.environ, "ASAN_OPTIONS": "quarantine_size_mb=1:thread_local_quarantine_size_kb=64"}
    finhold = reloading(*routes, popen={"env": environment})
    session = server.session(finhold.finhold.address("route0"))
    for _ in range(240):  # until AddressSanitizer's allocator has what it needs: gcc 14's takes its time
        finhold.reload(*routes)
    before = resident(finhold.finhold.pid)
    for _ in range(180):
        finhold.reload(*routes)
    grown = resident(finhold.finhold.pid) - before
    assert grown < 6 * 2**20 * finhold.finhold.memory_factor(), f"{grown} bytes more"
    exchange(session)


def test_a_port_that_needs_a_privilege_fails_the_reload(reloading):
    """It was given up when the user was changed."""
    with private_network(), closing(Server()) as server:
        finhold = reloading(route_to(server.address), user=USER)
        finhold.write(route_to(server.address), route_to(server.address, listen="127.0.0.1:514", name="low"), user=USER)
        finhold.fail()
        assert "CAP_NET_BIND_SERVICE" in finhold.finhold.await_event("cannot listen", route="low").line
        exchange(server.session(finhold.finhold.address()))


def test_a_listener_of_root_cannot_move_for_another_user(reloading):
    """Sockets of one port may be several only for one user."""
    with private_network(), closing(Server()) as server:
        finhold = reloading(route_to(server.address, listen="0.0.0.0:7007"), user=USER)
        finhold.write(route_to(server.address, listen="127.0.0.1:7007"), user=USER)
        finhold.fail()
        assert "since before it became `user`" in finhold.finhold.await_event("cannot listen").line
        exchange(server.session(("127.0.0.1", 7007)))


def test_rules_that_finhold_has_loaded_do_not_change(reloading):
    with private_network():
        finhold = reloading(SIDECAR, arguments=("--apply-rules",))
        loaded = state()
        finhold.reload({**SIDECAR, "connect_timeout": "3s"})
        finhold.write({**SIDECAR, "catch": [":9"]})
        assert "restart finhold for that" in finhold.fail()[0]
        assert state() == loaded


def test_rules_that_somebody_else_loads_are_told_of(reloading):
    with private_network():
        finhold = reloading(SIDECAR)
        finhold.reload({**SIDECAR, "catch": [":9"]})
        warning = finhold.finhold.await_event("the rules of this configuration are others")
        assert warning["command"] == f"finhold rules --config {finhold.path} | sh"
