"""What the machine has only so much of is used up: ports, memory, entries of a connection tracking, places in the queue of a listener. What
becomes of whom is in deploy/operating.md; here it is seen, and that all is well once there is more again. (Descriptors: test_limits.py
and test_shortage.py; a log that nobody reads, a full disk: test_log.py.)"""

import multiprocessing
import os
import select
import signal
import socket
import time
from pathlib import Path

import pytest
from admin import ON, Admin
from ends import End, Server, Session, connect, connect_client, expect_refusal, pattern
from finhold import PATIENCE, lean_environment, route_to, wait_until
from private_network import private_network

MIB = 1 << 20


@pytest.fixture
def network():
    with private_network() as made:
        yield made


@pytest.fixture
def local_server(network):
    made = Server()
    yield made
    made.close()


def use(session):
    for source, sink in (session.flow("to_server"), session.flow("to_client")):
        source.send(100)
        sink.receive(100)


def close_all(finhold, sessions):
    for session in sessions:
        session.close()
    assert {line["ending"] for line in finhold.endings(len(sessions))} == {"finished"}


# Ports.

FEW = 4


def client_with_port(address, number):
    """Not one of those that the kernel gives away."""
    sock = socket.socket()
    sock.bind(("127.0.0.1", 2000 + number))
    sock.connect(address)
    return End(sock, "client")


def test_without_ports_a_dial_waits_for_one(network, start, local_server):
    finhold = start(route_to(local_server.address, connect_timeout="15s"), limits={"workers": 1})
    network.set("net.ipv4.ip_local_port_range", f"40000 {40000 + FEW - 1}")
    clients = [client_with_port(finhold.address(), number) for number in range(2 * FEW)]
    ends = [End(local_server.accept(), "server") for _ in range(FEW)]
    for client in clients:
        client.send(100)
    local_server.sock.settimeout(0.5)
    with pytest.raises(TimeoutError):
        local_server.accept()
    assert not finhold.found("session ended")
    local_server.sock.settimeout(PATIENCE)
    for number in range(2 * FEW):
        ends[number].receive(100)
        ends[number].close()  # who closes first keeps the port for a minute, and that is the server here
        [ended], _, _ = select.select([client.sock for client in clients], [], [], PATIENCE)
        client = next(client for client in clients if client.sock is ended)
        client.expect_end(0)
        client.close()
        clients.remove(client)
        if number < FEW:
            ends.append(End(local_server.accept(), "server"))
    finhold.endings(2 * FEW, ending="finished")
    assert not finhold.found("cannot connect")


def test_a_dial_that_gets_no_port_is_refused_and_says_why(network, start, local_server):
    finhold = start(route_to(local_server.address, connect_timeout="400ms"), limits={"workers": 1})
    network.set("net.ipv4.ip_local_port_range", f"40000 {40000 + FEW - 1}")
    sessions = [Session(client_with_port(finhold.address(), number).sock, local_server.accept()) for number in range(FEW)]
    client = client_with_port(finhold.address(), FEW)
    client.expect_reset()
    client.close()
    finhold.ending(ending="local-error")
    assert "Cannot assign requested address" in finhold.await_event("cannot connect to the server").line
    for session in sessions:
        use(session)
    for session in sessions:
        session.close()
    finhold.endings(len(sessions), ending="finished")


# Memory.


class MemoryGroup:
    """A control group with so much memory, of version 1 or 2, for one process."""

    def __init__(self, name: str):
        first, second = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")
        self.is_first = (first / "memory.limit_in_bytes").exists()
        if not self.is_first and not (second / "cgroup.subtree_control").exists():
            pytest.skip("no control groups here")
        self.path = (first if self.is_first else second) / name
        try:
            if not self.is_first:
                (second / "cgroup.subtree_control").write_text("+memory")
            self.path.mkdir()
        except OSError as error:
            pytest.skip(f"no control group may be made here: {error}")

    def enter(self) -> None:
        (self.path / "cgroup.procs").write_text(str(os.getpid()))

    def used(self) -> int:
        return int((self.path / ("memory.usage_in_bytes" if self.is_first else "memory.current")).read_text())

    def limit(self, most: int) -> None:
        (self.path / ("memory.limit_in_bytes" if self.is_first else "memory.max")).write_text(str(most))

    def killed(self) -> int:
        text = (self.path / ("memory.oom_control" if self.is_first else "memory.events")).read_text()
        return int(dict(line.split() for line in text.splitlines())["oom_kill"])

    def close(self) -> None:
        wait_until(lambda: not (self.path / "cgroup.procs").read_text())
        self.path.rmdir()


@pytest.fixture
def group(tmp_path):
    made = MemoryGroup(f"finhold-{os.getpid()}-{tmp_path.name}")
    yield made
    made.close()


def small_buffers(network):
    """The kernel's: so that finhold's own matter."""
    network.set("net.ipv4.tcp_rmem", "4096 16384 32768")
    network.set("net.ipv4.tcp_wmem", "4096 16384 32768")


def stall(ends):
    """Each sends until nothing more goes in, for as long as it takes whoever is between them and the paused readers to be at rest."""
    poll = select.poll()
    of = {end.sock.fileno(): end for end in ends}
    rest = dict.fromkeys(of, b"")
    for end in ends:
        end.sock.setblocking(False)
        poll.register(end.sock, select.POLLOUT)
    since = time.monotonic(), time.thread_time()
    while time.monotonic() - since[0] < 0.5 or time.thread_time() - since[1] < 0.05:
        for descriptor, _ in poll.poll(0):
            end = of[descriptor]
            with_room = True
            while with_room:
                rest[descriptor] = rest[descriptor] or pattern(end.side, end.sent, 16384)
                try:
                    count = end.sock.send(rest[descriptor])
                    end.sent, rest[descriptor] = end.sent + count, rest[descriptor][count:]
                    since = time.monotonic(), time.thread_time()
                except BlockingIOError:
                    with_room = False
    for end in ends:
        end.sock.settimeout(PATIENCE)


def in_group(group):
    return {**lean_environment(), "preexec_fn": group.enter}


def sessions_with_full_buffers(network, finhold, server, count):
    """What finhold keeps for a reader is what it has read at once and the reader did not take: much has come, readers take little."""
    network.set("net.ipv4.tcp_rmem", f"4096 {MIB} {MIB}")
    network.set("net.ipv4.tcp_wmem", "4096 16384 16384")
    server.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sessions = [Session(connect(finhold.address(), receive_buffer=4096), server.accept()) for _ in range(count)]
    for session in sessions:
        use(session)
    with finhold.suspended():
        stall([end for session in sessions for end in (session.client, session.server)])
    return sessions


def test_sessions_with_room_for_their_buffers_stay_alive_in_a_memory_limit(network, group, start, local_server):
    """The limit is what deploy/operating.md says: what finhold has at first, and two buffers a session."""
    finhold = start(route_to(local_server.address), limits={"workers": 1, "splice": "never"}, popen=in_group(group))
    first = local_server.session(finhold.address())
    use(first)
    count, before = 60, group.used()
    group.limit(before + (count * 2 * 256 * 1024 + 16 * MIB) * finhold.memory_factor())
    sessions = sessions_with_full_buffers(network, finhold, local_server, count)
    wait_until(lambda: group.used() > before + count * 256 * 1024, lambda: f"{group.used()} bytes, {before} at first")
    use(first)
    for session in sessions:
        for source, sink in (session.flow("to_server"), session.flow("to_client")):
            sink.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, MIB)  # with little room it comes by kilobytes
            sink.receive_until(source.sent)
    close_all(finhold, [first, *sessions])
    assert group.killed() == 0


def test_who_is_killed_for_its_memory_resets_its_sessions(network, group, start, local_server):
    """The group has far less than the buffers need, also if its kernel takes from it what it has of files. It is that kernel that ends
    finhold, and no side takes that for an end."""
    finhold = start(route_to(local_server.address), limits={"workers": 1, "splice": "never", "buffer_per_flow": "1MiB"},
                    popen=in_group(group))
    idle = local_server.session(finhold.address())
    use(idle)
    group.limit(group.used() + 4 * MIB)
    sessions = sessions_with_full_buffers(network, finhold, local_server, 60)
    assert finhold.process.wait(PATIENCE) == -signal.SIGKILL and group.killed() == 1
    finhold.stopped = True
    for session in [idle, *sessions]:
        for end in (session.client, session.server):
            end.expect_reset_not_end()
        session.close()


# Connection tracking. Its size, net.netfilter.nf_conntrack_max, is the whole machine's, which a test must not touch; so a rule does here
# what a full table does: what belongs to no entry is dropped, without a word.


def test_a_full_connection_tracking_lets_sessions_live_and_new_ones_wait(network, start, local_server):
    finhold = start(route_to(local_server.address, connect_timeout="1500ms"), route_to(local_server.address, name="patient"),
                    limits={"workers": 1})
    network.load("table ip tracking { chain every { type filter hook output priority 0; ct state new accept; }; }")
    session = local_server.session(finhold.address())
    use(session)
    port = local_server.address[1]
    network.filter(f"tcp dport {port} ct state new drop")
    use(session)
    expect_refusal(finhold.address())
    finhold.ending(ending="server-timeout")
    patient = connect_client(finhold.address("patient"))
    use(session)
    network.load("delete table inet box")
    patient = Session(patient.sock, local_server.accept())
    for each in (session, patient):
        use(each)
        each.close()
    finhold.endings(2, ending="finished")


# Connections.

BURST, ADDRESSES = 20_000, 4


def echo_at_the_end(listening):
    """A server: each client gets what it has sent once it has ended."""
    listening.setblocking(False)
    poll = select.epoll()
    poll.register(listening, select.EPOLLIN)
    socks = {}
    while True:
        for descriptor, _ in poll.poll():
            if descriptor == listening.fileno():
                try:
                    while True:
                        sock = listening.accept()[0]
                        sock.setblocking(False)
                        socks[sock.fileno()] = [sock, b""]
                        poll.register(sock, select.EPOLLIN)
                except BlockingIOError:
                    continue
            one = socks[descriptor]
            try:
                data = one[0].recv(100)
            except ConnectionError:
                data = None
            if data:
                one[1] += data
                continue
            if data is not None:
                one[0].send(one[1])
            one[0].close()
            del socks[descriptor]


def burst(address, source, count, results):
    """Clients from one address, all at once. What became of them: ends with the right answer, and all others in words."""
    poll, socks, outcomes = select.epoll(), {}, {}
    for number in range(count):
        sock = socket.socket()
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_IP, 24, 1)  # IP_BIND_ADDRESS_NO_PORT
        sock.bind((source, 0))
        sock.connect_ex(address)
        socks[sock.fileno()] = [sock, f"{source} {number}".encode(), b"", False]
        poll.register(sock, select.EPOLLOUT)
    while socks:
        ready = poll.poll(60)
        if not ready:
            outcomes["silence"] = len(socks)
            break
        for descriptor, events in ready:
            one = socks[descriptor]
            try:
                if not one[3]:
                    one[0].send(one[1])
                    one[0].shutdown(socket.SHUT_WR)
                    one[3] = True
                    poll.modify(descriptor, select.EPOLLIN)
                    continue
                data = one[0].recv(100)
                one[2] += data
                if data:
                    continue
                outcome = "whole" if one[2] == one[1] else f"false end after {one[2]}"
            except OSError as error:
                outcome = error.strerror
            outcomes[outcome] = outcomes.get(outcome, 0) + 1
            one[0].close()
            del socks[descriptor]
    results.put(outcomes)


def test_twenty_thousand_clients_at_once_are_all_served(network, start, local_server):
    """More than fit: those wait in the listeners' queues, and who finds these full is asked by its own kernel to try again."""
    network.set("net.ipv4.ip_local_port_range", "10000 65000")
    finhold = start(route_to(local_server.address), limits={"workers": 2, "sessions": 1000}, admin=ON)
    admin = Admin(finhold)
    fork = multiprocessing.get_context("fork")
    results = fork.Queue()
    serving = fork.Process(target=echo_at_the_end, args=(local_server.sock,), daemon=True)
    clients = [fork.Process(target=burst, args=(finhold.address(), f"127.0.1.{number + 1}", BURST // ADDRESSES, results), daemon=True)
               for number in range(ADDRESSES)]
    try:
        for process in [serving, *clients]:
            process.start()
        found = [results.get(timeout=80) for _ in clients]
        assert found == [{"whole": BURST // ADDRESSES}] * ADDRESSES
        admin.await_metric('finhold_sessions_total{route="main",ending="finished"}', BURST)
        assert admin.metrics()['finhold_sessions{route="main"}'] == 0
        burst(finhold.address(), "127.0.1.9", 1, results)  # as ever
        assert results.get() == {"whole": 1}
    finally:
        for process in [serving, *clients]:
            process.kill()
            process.join()
    assert len(finhold.found("accepting is paused")) <= 2  # each worker's listener says so


# Readers.

STALLED = 2000


def test_thousands_of_readers_that_stall_at_once(network, start, local_server, clocks):
    """Each session waits with what it has, in bounded memory, and nothing spins; a new one is served as ever. When they go on, they get
    everything."""
    small_buffers(network)
    finhold = start(route_to(local_server.address), limits={"workers": 1, "splice": "never", "buffer_per_flow": "16KiB"},
                    popen=clocks.popen())
    sessions = [local_server.session(finhold.address()) for _ in range(STALLED)]
    stall([session.flow("to_server" if number % 2 else "to_client")[0] for number, session in enumerate(sessions)])
    before = clocks.asked()
    another = local_server.session(finhold.address())
    use(another)
    time.sleep(0.5)
    assert clocks.asked() - before < 2000
    for session in sessions:
        for source, sink in (session.flow("to_server"), session.flow("to_client")):
            sink.receive(source.sent)
    close_all(finhold, [another, *sessions])
