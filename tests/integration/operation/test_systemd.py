"""What systemd and finhold say to each other: notices (sd_notify), and sockets that systemd keeps."""

import signal
import socket
import threading
import time
from contextlib import closing

import pytest
from ends import End, Server, background, connect, connect_client, text_of
from finhold import ROOT, Finhold, route_to
from systemd import Manager, hanging_workers, listening, passing


@pytest.fixture
def manager(request, public_path):
    """Its NOTIFY_SOCKET is a path; with "@" as parameter, an abstract address."""
    made = Manager(getattr(request, "param", "") + str(public_path / "notify"))
    yield made
    made.close()


@pytest.fixture
def passed():
    """A listening socket of systemd's, and its address."""
    with closing(listening()) as made:
        yield made


def address_of(sock):
    return sock.getsockname()[:2]


@pytest.mark.parametrize("manager", ["", "@"], indirect=True)
def test_it_tells_that_it_is_ready_and_that_it_stops(manager, start, server):
    finhold = start(route_to(server.address), popen=manager.environment(), wait=False)
    assert manager.await_line("READY=1") == ["READY=1", "STATUS=0 sessions"]
    session = server.session(finhold.address())  # its listeners stand
    finhold.signal()
    notice = manager.await_line("STOPPING=1")
    assert "STATUS=1 session left, stopping" in notice
    assert "EXTEND_TIMEOUT_USEC=90000000" in notice  # limits.drain, and what comes after it
    session.close()
    finhold.await_exit()


def test_it_tells_how_many_sessions_there_are(manager, start, server):
    finhold = start(route_to(server.address), popen=manager.environment(WATCHDOG_USEC="400000"))
    sessions = [server.session(finhold.address()) for _ in range(12)]
    manager.await_line("STATUS=12 sessions")
    for session in sessions:
        session.close()
    manager.await_line("STATUS=0 sessions", times=2)


def test_it_never_becomes_ready_if_it_cannot_listen(manager, server):
    with closing(manager):
        failing = Finhold(["run", "--listen", text_of(server.address), "--server", "127.0.0.1:9"], wait=False,
                          **manager.environment())
        failing.await_exit(1)
        manager.sock.setblocking(False)
        with pytest.raises(BlockingIOError):
            manager.sock.recv(4096)


def test_the_watchdog_is_fed(manager, start, server):
    start(route_to(server.address), limits={"workers": 3}, popen=manager.environment(WATCHDOG_USEC="400000"))
    manager.await_line("WATCHDOG=1", times=5)


def test_the_watchdog_of_another_process_is_not_fed(manager, start, server):
    finhold = start(route_to(server.address), popen=manager.environment(WATCHDOG_USEC="100000", WATCHDOG_PID="1"))
    time.sleep(0.5)
    finhold.signal()
    manager.await_line("STOPPING=1")
    finhold.await_exit()
    assert "WATCHDOG=1" not in manager.seen


def test_the_watchdog_is_not_fed_while_a_worker_hangs(manager, start, server):
    finhold = start(route_to(server.address), limits={"workers": 1},
                    popen=manager.environment(WATCHDOG_USEC="400000"))
    manager.await_line("WATCHDOG=1")
    with hanging_workers(finhold.pid):
        manager.sock.settimeout(1.5)
        with pytest.raises(TimeoutError):
            manager.await_line("WATCHDOG=1", times=20)
        assert manager.seen.count("WATCHDOG=1") <= 3  # those that were on their way
    manager.await_line("WATCHDOG=1", times=manager.seen.count("WATCHDOG=1") + 2)


def test_the_signal_of_the_watchdog_ends_it(manager, start, server):
    """Otherwise TimeoutAbortSec= goes by before SIGKILL does."""
    finhold = start(route_to(server.address), popen=manager.environment(WATCHDOG_USEC="400000"))
    session = server.session(finhold.address())
    finhold.signal(signal.SIGABRT)
    finhold.await_exit(-signal.SIGABRT)
    session.client.expect_reset()
    session.server.expect_reset()
    session.close()


@pytest.mark.parametrize("workers", [1, 3])
def test_a_passed_socket_is_found_by_name(start, server, passed, workers):
    finhold = start(route_to(server.address, name="orders"), limits={"workers": workers},
                    **passing((passed, "orders")))
    assert finhold.address("orders") == address_of(passed)
    assert finhold.await_event("listening")["socket"] == "orders"
    for _ in range(20):
        session = server.session(address_of(passed))
        session.client.send(1000)
        session.client.finish()
        session.server.expect_end(1000)
        session.close()
    finhold.endings(20, ending="finished")


def test_a_passed_socket_is_found_by_address(start, server, passed):
    finhold = start(route_to(server.address, listen=text_of(address_of(passed))),
                    **passing((passed, "finhold.socket")))
    server.session(address_of(passed)).close()
    finhold.ending(ending="finished")


def test_a_name_counts_more_than_an_address(start, passed):
    """Two routes have swapped addresses, and each its own socket by name."""
    with closing(listening()) as other, closing(Server()) as one, closing(Server()) as two:
        start(route_to(one.address, name="one", listen=text_of(address_of(other))),
              route_to(two.address, name="two", listen=text_of(address_of(passed))),
              **passing((passed, "one"), (other, "two")))
        one.session(address_of(passed)).close()
        two.session(address_of(other)).close()


def test_a_route_may_have_several_passed_sockets(start, server, passed):
    with closing(listening("::1")) as other:
        finhold = start(route_to(server.address, name="orders"), limits={"workers": 2},
                        **passing((passed, "orders"), (other, "orders")))
        for sock in (passed, other):
            server.session(address_of(sock)).close()
        finhold.endings(2, ending="finished")


def test_a_far_end_takes_a_passed_socket_and_may_be_restarted(start, server, passed, public_path):
    """The near end finds the next one behind the same address."""
    far_file, near_file = public_path / "far.toml", public_path / "near.toml"
    far_file.write_text(f'[[far]]\nname = "pair"\nlisten = "127.0.0.1:1"\ntls = "off"\n'
                        f'allow = ["{text_of(server.address)}"]\n')
    near_file.write_text(f'[[tunnel]]\nname = "dc"\nfar = "{text_of(address_of(passed))}"\ntls = "off"\n'
                         f'[[route]]\nname = "main"\nlisten = "127.0.0.1:0"\ntunnel = "dc"\n'
                         f'server = "{text_of(server.address)}"\n')
    far_options = {"arguments": ("--config", str(far_file)), **passing((passed, "pair"))}
    far = start(**far_options)
    near = start(arguments=("--config", str(near_file)))
    for _ in range(2):
        session = server.session(near.address())
        session.client.send(1000)
        session.client.finish()
        session.server.expect_end(1000)
        session.close()
        far.ending(ending="finished")
        far.signal()
        far.await_exit()
        far = start(**far_options)
    near.signal()
    near.await_exit()


def test_routes_without_a_passed_socket_have_their_own(start, server, passed):
    finhold = start(route_to(server.address, name="one"), route_to(server.address, name="two"),
                    **passing((passed, "one")))
    assert finhold.address("two") != address_of(passed)
    server.session(finhold.address("two")).close()
    finhold.ending(route="two", ending="finished")


def refuses(start, route, sockets, *expected):
    finhold = start(route, wait=False, **passing(*sockets))
    finhold.await_exit(1)
    error = finhold.found("cannot use the sockets that systemd has passed")[0]["error"]
    for each in expected:
        assert each in error.replace("\\", ""), error


def test_a_passed_socket_that_no_route_wants_is_named(start, server, passed):
    refuses(start, route_to(server.address), [(passed, "ordres")], '"ordres"', text_of(address_of(passed)))


def test_a_passed_socket_that_does_not_listen_for_tcp_is_named(start, server):
    with closing(listening(kind=socket.SOCK_DGRAM)) as datagrams:
        refuses(start, route_to(server.address), [(datagrams, "main")], '"main"', "ListenStream=")


def test_accepted_clients_of_a_passed_socket_are_reset_when_finhold_dies(start, server, passed):
    """They inherit that from it, as from one of our own."""
    finhold = start(route_to(server.address, name="orders"), **passing((passed, "orders")))
    session = server.session(address_of(passed))
    finhold.kill()
    session.client.expect_reset()
    session.server.expect_reset()


def test_who_comes_while_no_finhold_runs_is_served_by_the_next(start, server, passed):
    route = route_to(server.address, name="orders")
    start(route, **passing((passed, "orders"))).stop()
    client = connect_client(address_of(passed))
    client.send(1000)
    client.finish()
    finhold = start(route, **passing((passed, "orders")))
    end = End(server.accept(), "server")
    end.expect_end(1000)
    end.close()
    client.close()
    finhold.ending(ending="finished")


@pytest.mark.parametrize("workers", [1, 3])
def test_a_restart_under_socket_activation_loses_no_connection(start, server, passed, workers):
    """Clients come without a pause while finhold is stopped and started five times: each is answered in full."""
    stop = threading.Event()
    over = threading.Event()

    def serve() -> None:
        while not over.is_set():
            sock = server.accept()
            background(lambda sock=sock: answer(sock))

    def answer(sock) -> None:
        with sock:
            while data := sock.recv(4096):
                sock.sendall(data)

    def ask() -> int:
        count = 0
        while not stop.is_set():
            with connect(address_of(passed)) as sock:
                sock.sendall(b"question")
                sock.shutdown(1)
                received = b""
                while data := sock.recv(4096):
                    received += data
                assert received == b"question", received
            count += 1
        return count

    def one_more():
        return start(route_to(server.address, name="orders"), limits={"workers": workers},
                     **passing((passed, "orders")))

    serving = background(serve)
    finhold = one_more()
    asking = [background(ask) for _ in range(4)]
    for _ in range(5):
        finhold.endings(10, ending="finished")
        finhold.signal()
        finhold.await_exit()
        finhold = one_more()
    finhold.endings(10, ending="finished")
    stop.set()
    counts = [each.result(20) for each in asking]
    over.set()
    connect(server.address).close()  # lets serve() see it
    serving.result(20)
    assert sum(counts) >= 60, counts
