"""Names that a far end is asked for and that nobody answers for: whoever asks for them holds up nobody else."""

import socket

import pytest
from ends import Server
from name_server import name_server
from pair import far_table
from private_network import private_network, with_files
from scripted import ScriptedNear

CANCEL = 8
QUIET_FOR = 6  # seconds that a look-up waits for the name server; longer than anything here may take


@pytest.fixture
def names():
    with private_network(), name_server(good="127.0.0.1", other="127.0.0.1", third="127.0.0.1") as made:
        yield made


@pytest.fixture
def behind(names):
    made = Server()
    yield made
    made.close()


def start_far(start, tmp_path, port, quiet_for=QUIET_FOR, workers=1):
    resolv_conf = f"nameserver 127.0.0.1\noptions timeout:{quiet_for} attempts:1\n"
    return start(far=[far_table([f"127.0.0.1:{port}", f"192.0.2.0/24:{port}"], connect_timeout="5s")],
                 limits={"workers": workers}, prefix=with_files(tmp_path, hosts="127.0.0.1 localhost\n", resolv_conf=resolv_conf))


def near_end(far, host):
    """One that comes from that address."""
    return ScriptedNear(socket.create_connection(far.address("far"), source_address=(host, 0)))


def take_back(near, stream):
    near.h2.reset_stream(stream, error_code=CANCEL)
    near.flush()


def test_names_that_are_taken_back_hold_up_nobody(start, tmp_path, names, behind):
    """Not other near ends, and not a name of their own that was answered before."""
    port = behind.address[1]
    far = start_far(start, tmp_path, port)
    rude, other = near_end(far, "127.0.0.2"), near_end(far, "127.0.0.3")
    rude.open(f"good.test:{port}")
    for number in range(1500):
        take_back(rude, rude.request(f"silent{number}.test:{port}"))
    assert rude.alive()
    rude.open(f"good.test:{port}")
    other.open(f"other.test:{port}")
    # What nobody waits for was not looked up, but for the few that were under way at once.
    silent = {name for name in names.asked if name.startswith("silent")}
    assert 1 <= len(silent) <= 16, silent
    for near in (rude, other):
        near.close()
    far.endings(3, ending="tunnel-lost")


def test_a_near_end_may_look_up_new_names_again_once_silent_ones_are_over(start, tmp_path, names, behind):
    """A look-up that is under way cannot be stopped, and counts for the one who asked."""
    port = behind.address[1]
    far = start_far(start, tmp_path, port, quiet_for=1)
    near = near_end(far, "127.0.0.2")
    for number in range(1000):
        take_back(near, near.request(f"silent{number}.test:{port}"))
    assert near.alive()
    near.open(f"good.test:{port}")
    near.close()
    far.ending(ending="tunnel-lost")


def test_a_near_end_with_too_many_names_is_refused_and_no_other(start, tmp_path, names, behind):
    port = behind.address[1]
    far = start_far(start, tmp_path, port)
    greedy, other = near_end(far, "127.0.0.2"), near_end(far, "127.0.0.3")
    streams = [greedy.request(f"silent{number}.test:{port}") for number in range(400)]
    assert greedy.answer(streams[-1]) == 503
    assert far.await_event("refused a request", near=f"127.0.0.2:{greedy.sock.getsockname()[1]}")["reason"] == (
        "too many names are being looked up")
    other.open(f"good.test:{port}")
    # Nor is anything else of the greedy one held up.
    greedy.open(f"127.0.0.1:{port}")
    for near in (greedy, other):
        near.close()
    far.endings(2, ending="tunnel-lost")


def test_many_near_ends_with_silent_names_hold_up_no_known_one(start, tmp_path, names, behind):
    port = behind.address[1]
    far = start_far(start, tmp_path, port)
    known = near_end(far, "127.0.0.2")
    for name in ("good", "other"):
        known.open(f"{name}.test:{port}")
    nears = [near_end(far, f"127.0.1.{number}") for number in range(1, 31)]
    for number, near in enumerate(nears):
        for again in range(10):
            near.request(f"silent{number}.{again}.test:{port}")
        assert near.alive()
    for name in ("good", "other"):
        known.open(f"{name}.test:{port}")
    for near in (known, *nears):
        near.close()
    far.endings(4, ending="tunnel-lost")


def test_one_name_is_looked_up_once_at_a_time(start, tmp_path, names, behind):
    """Whoever asks, in whichever worker: all have the one answer."""
    port = behind.address[1]
    far = start_far(start, tmp_path, port, workers=4)
    nears = [near_end(far, f"127.0.1.{number}") for number in range(1, 13)]
    streams = [(near, near.request(f"silent.test:{port}")) for near in nears]
    for near, stream in streams:
        assert near.answer(stream) in (502, 504)
    assert names.asked.count("silent.test") == 1, names.asked
    for near in nears:
        near.close()
