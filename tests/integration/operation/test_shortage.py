"""The machine has not enough: descriptors, threads, memory of the kernel, memory. That is no bug, so nothing aborts: a
start or a reload says what is missing, and a session that cannot be had is reset."""

import contextlib
import mmap
import os
import select
import shutil
import signal
import struct
import subprocess

import pytest
from ends import Server, Session, connect_client, text_of
from finhold import PATIENCE, config_text, route_to, wait_until
from private_network import private_network, with_files
from starting import ENVIRONMENT, Attempt, refusing

MOST_CALLS = 40


@pytest.fixture
def config(public_path):
    path = public_path / "start.toml"
    path.write_text(config_text([route_to("127.0.0.1:9")],
                                {"limits": {"workers": 1}, "admin": {"listen": "127.0.0.1:0"}}))
    return path


@pytest.mark.parametrize("call,error", [
    ("epoll_create1", "EMFILE"), ("eventfd2", "ENFILE"), ("pipe2", "EMFILE"), ("signalfd4", "ENOMEM"),
    ("epoll_ctl", "ENOSPC"), ("clone3", "EAGAIN"), ("socket", "ENFILE"), ("socket", "EACCES"), ("listen", "ENOBUFS"),
    ("bind", "EINVAL"),
])
def test_a_start_that_the_kernel_refuses_something_ends_with_a_reason(config, tmp_path, call, error):
    """Each such call of the start, one after the other, until the start has no more of them."""
    refused = 0
    for when in range(1, MOST_CALLS):
        log = tmp_path / f"strace{when}"
        attempt = Attempt(config, refusing(call, error, when, log))
        assert attempt.is_orderly(), (when, attempt.code, attempt.lines, log.read_text())
        if "(INJECTED)" not in log.read_text():
            break
        assert not any("1024" in line for line in attempt.lines), attempt.lines  # which is no matter of socket()
        refused += not attempt.ready
    assert refused > 0 and when < MOST_CALLS - 1


def test_a_sandbox_that_keeps_the_limit_of_descriptors_low_is_told_of(config, tmp_path):
    """The hard limit allows more, but to take it is refused: what is left is what sessions are reckoned with."""
    for when in range(1, MOST_CALLS):
        log = tmp_path / f"strace{when}"
        attempt = Attempt(config, ("prlimit", "--nofile=80:", *refusing("prlimit64", "EPERM", when, log)))
        refused = [line for line in log.read_text().splitlines() if "(INJECTED)" in line]
        if any("RLIMIT_NOFILE, {" in line for line in refused):
            break
        assert refused, "it does not raise the limit"
    [line] = [line for line in attempt.lines if "allows fewer sessions" in line]
    assert attempt.ready and "descriptors=80 " in line, attempt.lines


def test_a_start_with_few_descriptors_ends_with_a_reason(config):
    """From fewer than a program needs to load its libraries, to enough."""
    outcomes = []
    for descriptors in range(6, 64):
        attempt = Attempt(config, descriptors=descriptors)
        assert attempt.is_orderly(), (descriptors, attempt.code, attempt.lines)
        outcomes.append(attempt.ready)
        if outcomes[-3:] == [True] * 3:
            break
    assert not outcomes[0] and outcomes[-1]


def test_more_workers_than_descriptors_allow_end_with_a_reason(config):
    config.write_text(config_text([route_to("127.0.0.1:9")], {"limits": {"workers": 60}}))
    attempt = Attempt(config, descriptors=256)
    assert attempt.is_orderly() and not attempt.ready, (attempt.code, attempt.lines)
    assert "limits.workers" in attempt.lines[-1]


def test_a_reload_that_cannot_register_a_listener_changes_nothing(start, server, public_path):
    first, second = route_to(server.address), route_to(server.address, name="second")
    finhold = start(first, second, limits={"workers": 2})
    path = next(public_path.glob("finhold*.toml"))
    path.write_text(config_text([first, second, route_to(server.address, name="third")], {"limits": {"workers": 2}}))
    # Threads have each a count of their own: of those that do not register anything none comes so far.
    tracer = subprocess.Popen(["strace", "-f", "-o", str(public_path / "strace"), "-p", str(finhold.pid), "-e", "trace=epoll_ctl",
                               "-e", "inject=epoll_ctl:error=ENOSPC:when=1"], stderr=subprocess.PIPE, text=True)
    try:
        for line in tracer.stderr:
            if "attached" in line:
                break
        finhold.signal(signal.SIGHUP)
        finhold.await_event("nothing was reloaded")
    finally:
        tracer.send_signal(signal.SIGINT)
        tracer.wait(PATIENCE)
        tracer.stderr.close()
    assert "fs.epoll.max_user_watches" in finhold.found("cannot reload")[0].line
    for route in ("main", "second"):
        session = server.session(finhold.address(route))
        session.client.send(100)
        session.server.receive(100)
        session.close()
    finhold.endings(2, ending="finished")
    finhold.await_nothing_left()  # the third one's sockets are closed
    finhold.signal(signal.SIGHUP)
    finhold.await_event("reloaded")
    session = server.session(finhold.address("third"))
    session.close()
    finhold.endings(3, ending="finished")
    finhold.descriptors += 2  # it listens at one more


def test_names_are_looked_up_where_no_thread_can_be_had_any_more(start, tmp_path):
    """A limit of processes that the application of the same pod, or the same user, has used up."""
    hosts = "".join(f"127.0.0.1 name{number}.test\n" for number in range(12))
    with private_network():
        local = Server("127.0.0.1")
        routes = [route_to(f"name{number}.test:{local.address[1]}", name=f"r{number}") for number in range(12)]
        finhold = start(*routes, prefix=with_files(tmp_path, hosts=hosts), user="daemon",
                        popen={"env": ENVIRONMENT})
        # It is a user's without capabilities, for whom the limit holds, and whom alone another one of his may give it.
        subprocess.run(["setpriv", "--reuid=daemon", "--regid=daemon", "--clear-groups", "prlimit", f"--pid={finhold.pid}", "--nproc=1:1"],
                       check=True)
        clients = [connect_client(finhold.address(f"r{number}")) for number in range(12)]
        for client in clients:
            local.accept().close()
        for client in clients:
            client.expect_end()
            client.close()
        finhold.endings(12, ending="finished")
        local.close()


FAILING_NEW = r"""
#include <cstdint>
#include <cstdlib>
#include <fcntl.h>
#include <new>
#include <sys/mman.h>

// The number in the file is counted down by each allocation; that which makes it 0 fails.
static std::int64_t* countdown() {
  static auto* const made = static_cast<std::int64_t*>(mmap(nullptr, 8, PROT_READ | PROT_WRITE, MAP_SHARED,
                                                            open(getenv("FINHOLD_COUNTDOWN"), O_RDWR), 0));
  return made;
}

void* operator new(std::size_t size) {
  std::int64_t* const left = countdown();
  if (__atomic_load_n(left, __ATOMIC_SEQ_CST) > 0 && __atomic_sub_fetch(left, 1, __ATOMIC_SEQ_CST) == 0) throw std::bad_alloc();
  if (void* const made = std::malloc(size)) return made;
  throw std::bad_alloc();
}
"""


@pytest.fixture(scope="module")
def failing_new(tmp_path_factory):
    folder = tmp_path_factory.mktemp("new")
    (folder / "new.cc").write_text(FAILING_NEW)
    subprocess.run(["g++", "-shared", "-fPIC", "-O1", "-o", folder / "new.so", folder / "new.cc"], check=True)
    yield folder / "new.so"
    shutil.rmtree(folder)


@pytest.mark.parametrize("nth", range(1, 9))
def test_without_memory_a_session_is_reset_or_finhold_says_why_it_ends(start, server, tmp_path, failing_new, nth):
    """The nth allocation from now on fails, while sessions begin."""
    file = tmp_path / "countdown"
    file.write_bytes(bytes(8))
    options = ENVIRONMENT["ASAN_OPTIONS"] + ":verify_asan_link_order=0:alloc_dealloc_mismatch=0"
    finhold = start(route_to(server.address), limits={"workers": 1},
                    popen={"env": {**os.environ, "ASAN_OPTIONS": options, "LD_PRELOAD": str(failing_new),
                                   "FINHOLD_COUNTDOWN": str(file)}})
    sessions = [server.session(finhold.address())]
    with file.open("r+b") as opened, mmap.mmap(opened.fileno(), 8) as countdown:
        countdown[:] = struct.pack("q", nth)
        for _ in range(nth):
            with contextlib.suppress(ConnectionResetError):
                client = connect_client(finhold.address())
                wait_until(lambda: not any(countdown[:]) or select.select([server.sock], [], [], 0)[0])
                if any(countdown[:]):
                    sessions.append(Session(client.sock, server.accept()))
            if not any(countdown[:]):
                break
    wait_until(lambda: finhold.process.poll() is not None or finhold.found("session ended", ending="local-error") or
               finhold.found("refused a connection: there is no memory"))
    if finhold.process.poll() is None:
        reset = {ending["client"] for ending in finhold.found("session ended", ending="local-error")}
        for session in sessions:
            if text_of(session.client.sock.getsockname()) in reset:
                session.client.expect_reset_not_end()
            else:  # it goes on
                session.client.send(100)
                session.server.receive(100)
            session.close()
        assert {ending["ending"] for ending in finhold.endings(len(sessions))} <= {"finished", "local-error"}
    else:
        for session in sessions:  # the kernel resets them
            session.client.expect_reset()
            session.server.expect_reset()
        finhold.await_exit(1)
        assert "no memory" in finhold.log()
