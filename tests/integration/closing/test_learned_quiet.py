"""R3c with release_when_quiet = "auto": an end is held for 5 s for whom nobody knows, and goes soon to who has shown twice that it waits
for it; who talks on has its 5 s again."""

import subprocess
import time

from admin import ON, Admin
from ends import text_of
from finhold import BINARY, config_text, route_to
from reloading import Reloading
from test_holding import crossing, seconds

ONE_WORKER = {"limits": {"workers": 1}}


def auto(address, flow, **keys):
    return route_to(address, crossing(flow), fin={"release_when_quiet": "auto"}, **keys)


def ends_early(session, flow):
    source, sink = session.flow(flow)
    source.send(10)
    source.finish()
    sink.receive(10)
    return source, sink


def answers_at_the_end(session, flow):
    """Whoever gets the end has waited for it."""
    source, sink = session.flow(flow)
    sink.expect_end()
    sink.send(20)
    sink.finish()
    source.receive(20)
    source.expect_end()
    session.close()


def teach(finhold, server, flow, count=2):
    """So many at once, of which each waits for the end."""
    before = len(finhold.found("session ended"))
    sessions = [server.session(finhold.address()) for _ in range(count)]
    for session in sessions:
        ends_early(session, flow)
    for session in sessions:
        answers_at_the_end(session, flow)
    lines = finhold.endings(before + count)[before:]
    for line in lines:
        assert (line["released"], line["end_needs"], line["quiet"]) == ("quiet", "unknown", "5.0s"), line.line
        assert seconds(line, "held") >= 4.9


def expect_it_soon(finhold, server, flow):
    session = server.session(finhold.address())
    ends_early(session, flow)
    answers_at_the_end(session, flow)
    line = finhold.ending(end_needs="waits")
    assert (line["ending"], line["released"]) == ("finished", "quiet")
    assert 0.1 <= seconds(line, "quiet") <= 0.5 and 0.1 <= seconds(line, "held") < 3, line.line


def expect_it_held(finhold, server, flow, needs):
    before = len(finhold.found("session ended"))
    session = server.session(finhold.address())
    _, sink = ends_early(session, flow)
    sink.expect_nothing(1.5)
    session.close()
    assert finhold.endings(before + 1)[before]["end_needs"] == needs


def test_an_end_goes_soon_to_who_has_waited_for_it_twice(start, server, flow):
    finhold = start(auto(server.address, flow), **ONE_WORKER)
    teach(finhold, server, flow)
    expect_it_soon(finhold, server, flow)


def test_once_is_not_enough(start, server, flow):
    finhold = start(auto(server.address, flow), **ONE_WORKER)
    teach(finhold, server, flow, 1)
    expect_it_held(finhold, server, flow, "unknown")


def test_who_talks_on_has_its_5_s_again(start, server, flow):
    """Whatever it does later."""
    finhold = start(auto(server.address, flow), **ONE_WORKER)
    session = server.session(finhold.address())
    source, sink = ends_early(session, flow)
    sink.expect_nothing(1)
    sink.send(10)
    source.receive(10)
    sink.finish()
    source.expect_end()
    sink.expect_end()
    session.close()
    assert finhold.ending()["end_needs"] == "unknown"
    sessions = [server.session(finhold.address()) for _ in range(2)]
    for session in sessions:
        ends_early(session, flow)
    for session in sessions:
        answers_at_the_end(session, flow)
    assert {line["end_needs"] for line in finhold.endings(3)[1:]} == {"talks-on"}
    expect_it_held(finhold, server, flow, "talks-on")


def test_who_has_waited_and_then_talks_on_has_its_5_s_again(start, server, flow):
    """The end has gone to it early once more; what it says behind that shows that it did not wait for the end."""
    finhold = start(auto(server.address, flow), **ONE_WORKER)
    teach(finhold, server, flow)
    session = server.session(finhold.address())
    source, sink = ends_early(session, flow)
    sink.expect_end()
    for _ in range(3):
        sink.send(10)
        source.receive(10)
        time.sleep(0.4)  # longer than a short wait
    sink.finish()
    source.expect_end()
    session.close()
    assert finhold.endings(3)[2]["end_needs"] == "waits"
    expect_it_held(finhold, server, flow, "talks-on")


def test_what_was_learned_survives_a_reload(start, server, tmp_path):
    path = tmp_path / "learned.toml"

    def write(timeout):
        path.write_text(config_text([auto(server.address, "to_server", connect_timeout=timeout)], ONE_WORKER))

    write("10s")
    finhold = Reloading(start, path)
    teach(finhold.finhold, server, "to_server")
    write("9s")
    assert finhold.signal().message == "reloaded"
    expect_it_soon(finhold.finhold, server, "to_server")


def test_a_time_of_ones_own_is_that_time(start, server, flow):
    finhold = start(route_to(server.address, crossing(flow), fin={"release_when_quiet": "1s"}), **ONE_WORKER)
    for _ in range(3):
        session = server.session(finhold.address())
        ends_early(session, flow)
        answers_at_the_end(session, flow)
    for line in finhold.endings(3):
        assert "end_needs" not in line.fields and "quiet" not in line.fields, line.line
        assert 0.9 <= seconds(line, "held")


def test_the_status_shows_what_is_known(start, server):
    finhold = start(auto(server.address, "to_server"), **ONE_WORKER, admin=ON)
    session = server.session(finhold.address())
    ends_early(session, "to_server")
    admin = Admin(finhold)
    (state,) = admin.status()["sessions_listed"]
    assert (state["to_server"]["quiet_seconds"], state["to_server"]["end_needs"]) == (5.0, "unknown")
    shown = subprocess.run([BINARY, "status", "--admin", text_of(admin.address)], capture_output=True, text=True, timeout=20, check=True).stdout
    assert "until 5.0s of silence (unknown)" in shown, shown
    session.close()


def test_a_long_hold_is_told_once(start, server, clocks):
    """Bytes come the other way for ten minutes: whoever waits for the end may never get it."""
    finhold = start(route_to(server.address, "server", fin={"release_when_quiet": "never"}), **ONE_WORKER, popen=clocks.popen())
    session = server.session(finhold.address())
    source, sink = ends_early(session, "to_server")
    for _ in range(3):
        sink.send(10)
        source.receive(10)
        clocks.time_passes(700)
        sink.send(10)
        source.receive(10)
    line = finhold.await_event("the client's end is held")
    assert "release_when_quiet" in line.line and "hold_at_most" in line.line and line.level == "warning"
    sink.finish()
    source.expect_end()
    session.close()
    finhold.ending()
    assert len(finhold.found("the client's end is held")) == 1
