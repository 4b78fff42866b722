"""What was accepted on a stream is delivered before its RST_STREAM, or behind the end that came before (R4), with one end of
the tunnel a script. In a network where megabytes fit into a socket."""

import pytest
from delivery import LENGTH, PAUSE, SMALL, await_acknowledged, expect_no_word, reads_little, roomy_network
from ends import End, connect, pattern, text_of
from pair import await_tunnels, far_table, through_tunnel, tunnel_table
from scripted import ScriptedFar, ScriptedNear

NO_ERROR, CANCEL, CONNECT_ERROR = 0, 8, 10


@pytest.fixture
def network():
    with roomy_network() as made:
        yield made


@pytest.fixture
def far(network, start, server):
    return start(far=[far_table([server.address])], limits={"workers": 1, "tunnel_window": "4MiB"})


@pytest.fixture
def near(far, server):
    """(script, stream, the server's end) of a session at a real far end."""
    made = []

    def open_one(**options):
        script = ScriptedNear(connect(far.address("far")), **options)
        made.append(script)
        script.wait(lambda: script.ready, "settings")
        stream = script.open(text_of(server.address))
        made.append(End(server.accept(), "server"))
        return script, stream, made[-1]

    yield open_one
    for each in made:
        each.close()


@pytest.fixture
def opened(near):
    """The server reads little."""
    script, stream, accepted = near()
    reads_little(accepted.sock)
    return script, stream, accepted


def handed_over(script: ScriptedNear) -> None:
    """Far has taken everything: it answers what came behind."""
    assert script.alive()


@pytest.mark.parametrize("code", [CONNECT_ERROR, CANCEL])
def test_data_before_a_reset_reaches_a_slow_server(far, opened, code):
    script, stream, accepted = opened
    script.send(stream, pattern("client", 0, LENGTH))
    script.reset(stream, code)
    handed_over(script)
    expect_no_word(accepted)
    assert accepted.expect_reset_not_end() == LENGTH
    far.ending(ending="client-reset", first_fin="none", to_server=str(LENGTH))
    assert script.alive()


@pytest.mark.parametrize("code", [CONNECT_ERROR, NO_ERROR])  # the latter: no more is wanted, which no reader need know
def test_a_reset_after_an_end_leaves_a_slow_server_the_end(far, opened, code):
    script, stream, accepted = opened
    script.send(stream, pattern("client", 0, LENGTH), end=True)
    script.reset(stream, code)
    handed_over(script)
    expect_no_word(accepted)
    while accepted._read(1 << 20):
        pass
    assert accepted.received == LENGTH
    if code == NO_ERROR:
        accepted.close()
    else:
        accepted.expect_reset()
    far.ending(first_fin="client", to_server=str(LENGTH))


@pytest.mark.parametrize("ended", [False, True])
def test_data_before_the_loss_of_the_tunnel_reaches_a_slow_server(far, opened, ended):
    script, stream, accepted = opened
    script.send(stream, pattern("client", 0, LENGTH), end=ended)
    handed_over(script)
    script.close()
    far.await_event("near end gone")
    expect_no_word(accepted)
    if ended:
        while accepted._read(1 << 20):
            pass
        assert accepted.received == LENGTH
        accepted.expect_reset()
    else:
        assert accepted.expect_reset_not_end() == LENGTH
    far.ending(ending="tunnel-lost", to_server=str(LENGTH))


@pytest.mark.parametrize("last", ["reset", "close with bytes unread", "end and reset"])
def test_a_servers_last_bytes_come_before_the_reset_of_the_stream(far, near, last):
    """A near end whose window is small: most of it waits in far, and in its kernel, when the server resets."""
    script, stream, accepted = near(give_back=False)
    script.send(stream, pattern("client", 0, 10))
    accepted.receive(1)
    accepted.send(LENGTH)
    if last == "end and reset":
        accepted.finish()
    await_acknowledged(accepted)
    accepted.close() if last == "close with bytes unread" else accepted.reset()
    assert not script.step(PAUSE) or script.streams[stream].reset is None
    while script.streams[stream].received < LENGTH and script.streams[stream].reset is None:
        script.give(stream)
        assert script.step(), f"nothing more after {script.streams[stream].received} bytes"
    assert bytes(script.streams[stream].data) == pattern("server", 0, LENGTH), f"{script.streams[stream].received} bytes"
    script.wait(lambda: script.streams[stream].reset is not None, "reset")
    assert script.streams[stream].reset == CONNECT_ERROR
    assert script.streams[stream].ended == (last == "end and reset")
    far.ending(ending="server-reset", to_client=str(LENGTH))


@pytest.mark.parametrize("code, ended", [(CONNECT_ERROR, False), (CANCEL, False), (CONNECT_ERROR, True)])
def test_data_before_a_reset_reaches_a_slow_client(network, start, code, ended):
    """finhold is the near end."""
    far = ScriptedFar()
    near = start(through_tunnel("server.example:7000"), tunnel=[tunnel_table(far.address)],
                 limits={"workers": 1, "tunnel_window": "4MiB"})
    script = far.accept()
    script.wait(lambda: script.ready, "settings")
    await_tunnels(near)
    client = End(connect(near.address(), receive_buffer=SMALL), "client")
    stream = script.accept()
    script.respond(stream)
    script.send(stream, pattern("server", 0, LENGTH), end=ended)
    script.reset(stream, code)
    assert script.alive()
    expect_no_word(client)
    if ended:
        while client._read(1 << 20):
            pass
        assert client.received == LENGTH
        client.expect_reset()
    else:
        assert client.expect_reset_not_end() == LENGTH
    near.ending(to_client=str(LENGTH))
    client.close()
    script.close()
    far.close()
