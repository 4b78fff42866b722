"""The log: the line that each session leaves is a contract, and the log never stands in the way."""

import contextlib
import fcntl
import os
import re
import signal
import subprocess
from pathlib import Path

import pytest
from ends import background
from finhold import route_to, wait_until

FIELDS = ["session", "route", "client", "server", "ending", "first_fin", "held", "released", "gone", "to_server",
          "to_client", "duration"]


def a_session(finhold, server, session):
    """2000 bytes there, 3000 back, the client ends first, its FIN is held for 0.4 s."""
    client = "127.0.0.1:%d" % session.client.sock.getsockname()[1]
    session.client.send(2000)
    session.client.finish()
    session.server.receive(2000)
    session.server.expect_nothing(0.4)
    session.server.send(3000)
    session.server.finish()
    session.client.receive(3000)
    session.client.expect_end()
    session.server.expect_end()
    session.close()
    return client


def test_the_ending_line_has_its_fields_in_order(relay, server):
    finhold, session = relay("server")
    client = a_session(finhold, server, session)
    line = finhold.ending().line
    port = server.address[1]
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z info session ended session=1 route=main "
        rf"client={client} server=127\.0\.0\.1:{port} ending=finished first_fin=client "
        r"held=\d+\.\ds released=server-ended gone=none to_server=2000 to_client=3000 duration=\d+\.\ds", line), line


def test_json_lines_carry_the_same_fields(relay, server):
    finhold, session = relay("server", tables={"log": {"format": "json"}})
    client = a_session(finhold, server, session)
    ending = finhold.ending()
    assert list(ending.fields) == ["time", "level", "message", *FIELDS]
    expected = {"session": 1, "route": "main", "client": client, "ending": "finished", "first_fin": "client",
                "released": "server-ended", "gone": "none", "to_server": 2000, "to_client": 3000}
    assert {key: ending[key] for key in expected} == expected
    assert 0.3 <= ending["held"] <= ending["duration"] < 10
    assert all(event.line.startswith("{") for event in finhold.events)


def test_levels_leave_out_what_is_less_important(start, server):
    finhold, address = silent(start, server, subprocess.PIPE, "warning")
    many_sessions(server, address, 1)
    finhold.await_nothing_left()
    finhold.signal()
    finhold.await_exit()
    assert not [event for event in finhold.events if event.level == "info"]


def listening_port(pid):
    """Of a finhold that says nothing."""
    text = subprocess.run(["ss", "-Hltnp"], capture_output=True, text=True, check=True).stdout
    found = re.search(rf"127\.0\.0\.1:(\d+) .*pid={pid},", text)
    return int(found[1]) if found else None


def silent(start, server, stderr, level="info", prefix=()):
    """A finhold whose standard error is not read: where it listens has to be looked up."""
    finhold = start(route_to(server.address), popen={"stderr": stderr}, prefix=prefix, wait=False,
                    log={"level": level})
    wait_until(lambda: listening_port(finhold.pid) is not None)
    address = ("127.0.0.1", listening_port(finhold.pid))
    # Once it relays it has all that it needs. A session has two.
    session = server.session(address)
    session.client.send(1)
    session.server.receive(1)
    finhold.descriptors = finhold.settled_descriptors() - 2
    session.close()
    return finhold, address


def many_sessions(server, address, count):
    for number in range(count):
        session = server.session(address)
        session.client.send(100)
        session.server.receive(100)
        session.close()


def test_a_signal_that_comes_amid_the_end_does_not_change_it(start, server):
    """Nobody reads standard error: finhold waits a second for that at its very end, when its loop is gone already."""
    reading, writing = os.pipe()
    finhold, _ = silent(start, server, writing)
    full = os.open(f"/proc/self/fd/{writing}", os.O_WRONLY | os.O_NONBLOCK)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(full, bytes(4096))
    finhold.signal()
    wait_until(lambda: "anon_inode:[eventpoll]" not in descriptors_of(finhold.pid))
    assert finhold.process.poll() is None
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        finhold.signal(number)
    finhold.await_exit()
    for each in (reading, writing, full):
        os.close(each)


def descriptors_of(pid):
    """What they are. Those that are closed meanwhile are not there."""
    found = []
    for name in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):
            found.append(os.readlink(f"/proc/{pid}/fd/{name}"))
    return found


JOURNAL = re.compile(r"<(\d)>(\w+) (.*)")


@pytest.mark.parametrize("is_journal", [True, False], ids=["the journal", "another file"])
def test_the_journal_gets_priorities_and_no_second_time(start, server, public_path, is_journal):
    """JOURNAL_STREAM names standard error, or something else that finhold was not given (systemd.exec(5))."""
    path = public_path / "log"
    with path.open("wb") as file:
        named = os.stat(file.fileno() if is_journal else public_path)
        environment = {**os.environ, "JOURNAL_STREAM": f"{named.st_dev}:{named.st_ino}"}
        finhold = start(route_to(server.address), popen={"stderr": file, "env": environment}, wait=False)
    wait_until(lambda: " ready " in path.read_text())
    finhold.descriptors = finhold.settled_descriptors()
    (public_path / "finhold1.toml").write_text("[")
    finhold.signal(signal.SIGHUP)  # for lines of another level
    wait_until(lambda: "error nothing was reloaded" in path.read_text(), path.read_text)
    finhold.signal()
    finhold.await_exit()
    lines = path.read_text().splitlines()
    assert any("stopped" in line for line in lines)
    for line in lines:
        found = JOURNAL.fullmatch(line)
        if not is_journal:
            assert not found and re.match(r"\d{4}-\d\d-\d\dT", line), line
            continue
        assert found and found[1] == {"info": "6", "warning": "4", "error": "3"}[found[2]], line


def test_a_blocked_standard_error_does_not_stop_the_relay(start, server):
    """A pipe that nobody reads holds 4 KiB here, about 20 lines."""
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    finhold, address = silent(start, server, writing)
    os.close(writing)
    many_sessions(server, address, 200)
    finhold.await_nothing_left()
    finhold.signal()
    drained = background(lambda: [None for _ in iter(lambda: os.read(reading, 65536), b"")])
    finhold.await_exit()
    drained.result()
    os.close(reading)


def test_a_blocked_standard_error_does_not_stop_the_end(start, server):
    """SIGTERM ends it although nobody will ever read its last lines: it waits once for a reader, not at each of them."""
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    finhold, address = silent(start, server, writing)
    os.close(writing)
    many_sessions(server, address, 600)
    finhold.await_nothing_left()
    finhold.signal()
    try:
        finhold.process.wait(8)
    except subprocess.TimeoutExpired:
        finhold.kill()
        raise AssertionError("it waits for ever to write its last lines") from None
    finally:
        os.close(reading)
    finhold.await_exit()


def test_a_broken_standard_error_does_not_stop_the_relay(start, server):
    """Its reader is gone: a write there would be SIGPIPE."""
    reading, writing = os.pipe()
    finhold, address = silent(start, server, writing)
    os.close(writing)
    os.close(reading)
    many_sessions(server, address, 50)
    finhold.await_nothing_left()
    finhold.signal()
    finhold.await_exit()


def test_standard_streams_that_are_closed_do_not_become_something_else(start, server):
    """Started with 0, 1 and 2 closed, the next things that are opened get these numbers; a log line
    must not be written into one of them."""
    finhold, address = silent(start, server, subprocess.DEVNULL,
                              prefix=("sh", "-c", 'exec "$0" "$@" 0<&- 1>&- 2>&-'))
    assert all(os.readlink(f"/proc/{finhold.pid}/fd/{number}") == "/dev/null" for number in (0, 1, 2)
               if os.path.exists(f"/proc/{finhold.pid}/fd/{number}"))
    many_sessions(server, address, 20)
    finhold.await_nothing_left()
    finhold.signal()
    finhold.await_exit()


def test_a_full_disk_does_not_stop_the_relay(start, server, public_path):
    """Lines are lost while it is full; the next that finds room is whole, and in a line of its own."""
    disk = public_path / "disk"
    disk.mkdir()
    script = f'mount -t tmpfs -o size=16k none {disk} && head -c 12288 /dev/zero > {disk}/large && exec "$0" "$@" 2>> {disk}/log'
    finhold, address = silent(start, server, subprocess.DEVNULL, prefix=("unshare", "-m", "sh", "-c", script))
    seen = Path(f"/proc/{finhold.pid}/root/{disk}")  # nobody else has it
    many_sessions(server, address, 100)
    finhold.await_nothing_left()
    assert os.statvfs(seen).f_bavail == 0
    (seen / "large").unlink()
    many_sessions(server, address, 1)
    wait_until(lambda: "session=102 " in (seen / "log").read_text())
    assert "session=101 " not in (seen / "log").read_text()  # they were lost
    cut = [line for line in (seen / "log").read_text().splitlines() if line.count("Z info ") != 1]
    assert not [line for line in cut if "Z info " in line[10:]], cut
    finhold.signal()
    finhold.await_exit()


def test_a_log_that_takes_nothing_does_not_stop_the_relay(start, server):
    full = os.open("/dev/full", os.O_WRONLY)
    finhold, address = silent(start, server, full)
    os.close(full)
    many_sessions(server, address, 50)
    finhold.await_nothing_left()
    finhold.signal()
    finhold.await_exit()
