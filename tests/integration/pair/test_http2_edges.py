"""The corners of HTTP/2 that decide whether an end stays an end and a reset a reset. One end is a script
(python3-h2, an implementation of its own); the other is finhold.

python3-h2 as an end: it keeps ends, resets, windows, padding and GOAWAY exactly, and sends only what it is told to. It
knows no CONNECT, so its validation of headers must be off, and it gives back no window by itself."""

import pytest
from ends import End, background, connect, connect_client, pattern, text_of, unused_address
from finhold import wait_until
from pair import LOST, await_tunnels, far_table, through_tunnel, tunnel_table
from scripted import ScriptedFar, ScriptedNear

NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, STREAM_CLOSED, REFUSED_STREAM, CANCEL, CONNECT_ERROR, ENHANCE_YOUR_CALM = 0, 1, 2, 5, 7, 8, 10, 11
MEGABYTE = 1_000_000


@pytest.fixture
def far(start, server):
    return start(far=[far_table([server.address])], limits={"workers": 1})


@pytest.fixture
def near(far):
    """A script, connected to the far end."""
    made = []

    def connect_one(**options):
        made.append(ScriptedNear(connect(far.address("far")), **options))
        return made[-1]

    yield connect_one
    for each in made:
        each.close()


def opened(near, server, **options):
    """(script, stream, the server's end) of a session."""
    script = near(**options)
    stream = script.open(text_of(server.address))
    return script, stream, End(server.accept(), "server")


def from_client(start: int, length: int) -> bytes:
    return pattern("client", start, length)


# finhold is the far end.


@pytest.mark.parametrize("alone", [True, False], ids=["END_STREAM alone", "DATA+END_STREAM"])
def test_an_end_reaches_the_server_and_the_answer_comes_after_it(far, near, server, alone):
    script, stream, accepted = opened(near, server)
    if alone:
        script.send(stream, from_client(0, 1000))
        accepted.receive(1000)
        script.end(stream)
    else:
        script.h2.send_data(stream, from_client(0, 1000), end_stream=True)
        script.flush()
    accepted.expect_end(1000)
    accepted.send(MEGABYTE)
    accepted.finish()
    assert script.read(stream, MEGABYTE) == pattern("server", 0, MEGABYTE)
    script.await_end(stream)
    far.ending(ending="finished", first_fin="client", to_server="1000", to_client=str(MEGABYTE))


def test_a_request_that_ends_at_once(far, near, server):
    """END_STREAM on HEADERS: a client that says nothing and reads."""
    script = near()
    stream = script.request(text_of(server.address), end=True)
    accepted = End(server.accept(), "server")
    accepted.expect_end(0)
    accepted.send(10)
    accepted.close()
    assert script.answer(stream) == 200
    script.read(stream, 10)
    script.await_end(stream)
    far.ending(ending="finished", first_fin="client")


def test_bytes_that_follow_the_request_at_once(far, near, server):
    """With the end, before there is an answer, and before the server has taken the connection."""
    script = near()
    stream = script.request(text_of(server.address))
    script.send(stream, from_client(0, 50_000), end=True)
    accepted = End(server.accept(), "server")
    accepted.expect_end(50_000)
    accepted.close()
    script.await_end(stream)
    far.ending(ending="finished")


def test_the_servers_end_comes_first_and_the_client_goes_on(far, near, server):
    script, stream, accepted = opened(near, server)
    accepted.send(1000)
    accepted.finish()
    script.read(stream, 1000)
    script.await_end(stream)
    sending = background(lambda: accepted.expect_end(5 * MEGABYTE))
    script.send(stream, from_client(0, 5 * MEGABYTE), end=True)
    sending.result()
    far.ending(ending="finished", first_fin="server")
    assert script.streams[stream].reset in (None, NO_ERROR)


def test_the_servers_reset_is_connect_error(far, near, server):
    """RFC 9113 section 8.5, with an end before it or not."""
    script, stream, accepted = opened(near, server)
    accepted.reset()
    assert script.await_reset(stream) == CONNECT_ERROR
    assert not script.streams[stream].ended
    stream = script.open(text_of(server.address))
    accepted = End(server.accept(), "server")
    script.end(stream)
    accepted.expect_end(0)
    accepted.send(1000)
    script.read(stream, 1000)
    accepted.reset()
    assert script.await_reset(stream) == CONNECT_ERROR
    assert script.alive()
    far.endings(2, ending="server-reset")


@pytest.mark.parametrize("code, ended", [
    (NO_ERROR, False), *((code, ended) for code in (PROTOCOL_ERROR, CANCEL, CONNECT_ERROR, 4711) for ended in (False, True))])
def test_a_reset_of_any_code_resets_the_server(far, near, server, code, ended):
    """Also NO_ERROR, which is no end: only END_STREAM is. (After that it is the next test's.)"""
    script, stream, accepted = opened(near, server)
    script.send(stream, from_client(0, 100), end=ended)
    accepted.receive(100)
    if ended:
        accepted.expect_end()
    script.reset(stream, code)
    accepted.expect_reset(LOST)
    assert script.alive()
    far.ending(ending="client-reset")


def test_no_answer_is_read_after_an_end_and_no_error(far, near, server):
    """A near end that has ended and then resets with NO_ERROR wants no more: the server learns that its bytes are not
    taken, as it would of a close()."""
    script, stream, accepted = opened(near, server)
    script.send(stream, from_client(0, 100), end=True)
    accepted.expect_end(100)
    script.reset(stream, NO_ERROR)
    with pytest.raises((ConnectionResetError, BrokenPipeError)):
        for _ in range(100):
            accepted.send(100_000)


def test_after_an_end_and_no_error_a_silent_server_is_reset_in_the_time_of_keepalive(start, server):
    """As it would be by a keepalive that a client which has closed does not know any more."""
    far = start(far=[far_table([server.address], keepalive={"idle": "1s", "interval": "1s", "probes": 1})],
                limits={"workers": 1})
    script = ScriptedNear(connect(far.address("far")))
    stream = script.open(text_of(server.address))
    accepted = End(server.accept(), "server")
    script.send(stream, from_client(0, 100), end=True)
    script.reset(stream, NO_ERROR)
    accepted.expect_end(100)
    accepted.expect_reset()
    far.ending(ending="client-reset", first_fin="client", to_server="100")
    assert script.alive()
    script.close()


def test_padding_is_not_content(far, near, server):
    """And counts for the windows: without them given back, a few of these would fill them."""
    script, stream, accepted = opened(near, server)
    for number in range(300):
        script.wait(lambda: script.h2.local_flow_control_window(stream) > 1000, "window")
        script.h2.send_data(stream, from_client(number * 100, 100), pad_length=255)
        script.flush()
        script.step(0)
    accepted.receive(30_000)
    script.h2.send_data(stream, b"", pad_length=200, end_stream=True)
    script.flush()
    accepted.expect_end(30_000)
    accepted.finish()
    script.await_end(stream)
    far.ending(ending="finished", to_server="30000")


def test_trailers_are_an_error_and_no_end(far, near, server):
    """RFC 9113 section 8.5: nothing but DATA belongs on a connected stream. They must not pass for an end."""
    script, stream, accepted = opened(near, server)
    script.send(stream, from_client(0, 100))
    accepted.receive(100)
    script.h2.send_headers(stream, [("x-checksum", "4711")], end_stream=True)
    script.flush()
    assert script.await_reset(stream) == PROTOCOL_ERROR
    accepted.expect_reset(LOST)
    assert script.alive()
    far.ending(ending="client-reset")


def test_both_windows_exhausted_both_ways(far, near, server):
    """Nobody reads, until everything is full; then both read, and no byte is missing."""
    script, stream, accepted = opened(near, server, give_back=False)
    filled = accepted.send_while_it_goes()
    script.wait(lambda: script.streams[stream].received >= 65535, "full window")
    assert script.streams[stream].received == 65535, "more than was promised"
    sent = 0
    while (room := script.h2.local_flow_control_window(stream)) > 0 or script.step(0.5):
        size = min(room, script.h2.max_outbound_frame_size)
        if size > 0:
            script.h2.send_data(stream, from_client(sent, size))
            script.flush()
            sent += size
    assert filled > 65535 and sent > 65535
    receiving = background(lambda: accepted.receive(sent))
    finishing = background(accepted.finish)
    script.give_back = True
    script.give(stream)
    assert script.read(stream, filled) == pattern("server", 0, filled)
    script.await_end(stream)
    receiving.result()
    finishing.result()
    script.end(stream)
    accepted.expect_end(sent)
    far.ending(ending="finished", to_server=str(sent), to_client=str(filled))


def test_a_window_that_shrinks_below_nothing(far, near, server):
    """SETTINGS may make a stream's window negative (RFC 9113 section 6.9.2)."""
    script, stream, accepted = opened(near, server, give_back=False)
    accepted.send(200_000)
    script.wait(lambda: script.streams[stream].received >= 65535, "full window")
    script.h2.update_settings({4: 1000})
    script.flush()
    script.give(stream)
    before = script.streams[stream].received
    script.give_back = True
    script.read(stream, 200_000)
    assert before == 65535
    accepted.close()
    script.await_end(stream)
    script.end(stream)
    far.ending(ending="finished")


def test_a_goaway_of_the_near_end_lets_its_streams_go_on(far, near, server):
    script, stream, accepted = opened(near, server)
    script.go_away(0)
    script.send(stream, from_client(0, 1000), end=True)
    accepted.expect_end(1000)
    accepted.send(500)
    accepted.close()
    script.read(stream, 500)
    script.await_end(stream)
    far.ending(ending="finished", to_client="500")


def test_a_goaway_of_far_comes_in_two_steps(far, near, server):
    """RFC 9113 section 6.8: a request that was on its way is still served."""
    script, stream, accepted = opened(near, server)
    with far.suspended():
        far.signal()
        late = script.request(text_of(server.address))
    script.wait(lambda: script.goaway is not None, "GOAWAY")
    assert script.goaway.error_code == NO_ERROR
    after = End(server.accept(), "server")
    assert script.answer(late) == 200
    script.wait(lambda: script.goaway.last_stream_id == late, "second GOAWAY")
    for each, end in ((stream, accepted), (late, after)):
        end.send(10)
        end.close()
        script.read(each, 10)
        script.await_end(each)
        script.end(each)
    assert script.await_over() == "end"
    far.await_exit()
    far.endings(2, ending="finished")


def test_other_methods_are_refused(far, near, server):
    script = near()
    for method, fields in (("GET", [(":scheme", "http"), (":path", "/")]), ("POST", [(":scheme", "http"), (":path", "/")])):
        stream = script.h2.get_next_available_stream_id()
        script.h2.send_headers(stream, [(":method", method), (":authority", text_of(server.address)), *fields], end_stream=True)
        script.flush()
        script.wait(lambda: stream in script.streams and script.streams[stream].headers, "refusal")
        headers = script.streams[stream].headers
        assert (headers[":status"], headers["allow"]) == ("405", "CONNECT")  # RFC 9110 section 15.5.6
    assert script.alive()
    assert far.await_event("refused a request")["reason"].startswith("it is no CONNECT")


def request_with_headers(script, server, count):
    """Each has 1000 bytes; far takes 8 KiB."""
    stream = script.h2.get_next_available_stream_id()
    fields = [(":method", "CONNECT"), (":authority", text_of(server.address))]
    script.h2.send_headers(stream, fields + [(f"x-{number}", "v" * 1000) for number in range(count)])
    script.flush()
    return stream


def test_a_request_with_too_many_headers_is_refused(far, near, server):
    script = near()
    stream = request_with_headers(script, server, 12)
    script.wait(lambda: stream in script.streams, "answer")
    assert script.answer(stream) == 431
    assert script.alive()
    assert far.await_event("refused a request")["reason"] == "its header fields are too large"


def test_who_sends_more_headers_than_anybody_would_is_sent_away(far, near, server):
    script = near()
    request_with_headers(script, server, 20)
    script.wait(lambda: script.goaway is not None, "GOAWAY")
    assert script.goaway.error_code == ENHANCE_YOUR_CALM
    assert script.await_over() == "end"
    # Which of the two limits is met first depends on how the bytes come.
    error = far.await_event("near end gone")["error"]
    assert error in ("HTTP/2: a header block that is too long", "HTTP/2: a header list that is too long")
    assert not far.found("session ended")


def test_dial_failures_have_their_status(start, near, server):
    refusing = unused_address()
    far = start(far=[far_table([text_of(refusing)])], limits={"workers": 1})
    script = ScriptedNear(connect(far.address("far")))
    assert script.answer(script.request(text_of(refusing))) == 502
    far.ending(ending="server-refused")
    script.close()


# finhold is the near end.


@pytest.fixture
def scripted(start, server):
    """(near, script): a near end whose far end is the script. Its server is never connected to."""
    made = []

    def start_one(tunnel=None, **route):
        listening = ScriptedFar()
        accepting = background(listening.accept)
        near = start(through_tunnel(server.address, **{"connect_timeout": "2s", **route}), limits={"workers": 1},
                     tunnel=[tunnel_table(listening.address, **(tunnel or {}))])
        script = accepting.result()
        made.extend((script, listening))
        script.wait(lambda: script.ready, "SETTINGS")
        await_tunnels(near)
        return near, script

    yield start_one
    for each in made:
        each.close()


def session_of(near, script):
    """(client's end, stream) of a session that is answered by 200."""
    client = connect_client(near.address())
    stream = script.accept()
    script.respond(stream)
    return client, stream


def from_server(length: int) -> bytes:
    return pattern("server", 0, length)


def test_the_request_says_who_and_where_to(scripted, server):
    near, script = scripted(tunnel={"token": "s3cret.Token=="})
    client, stream = session_of(near, script)
    assert script.streams[stream].headers == {
        ":method": "CONNECT", ":authority": text_of(server.address), "proxy-authorization": "Bearer s3cret.Token==",
        "forwarded": f'for="{text_of(client.sock.getsockname())}"'}
    assert "s3cret" not in near.log()
    client.close()
    script.await_end(stream)
    script.end(stream)


@pytest.mark.parametrize("alone", [True, False], ids=["END_STREAM alone", "DATA+END_STREAM"])
def test_an_end_reaches_the_client_which_goes_on(scripted, alone):
    near, script = scripted()
    client, stream = session_of(near, script)
    if alone:
        script.send(stream, from_server(1000))
        client.receive(1000)
        script.end(stream)
    else:
        script.h2.send_data(stream, from_server(1000), end_stream=True)
        script.flush()
    client.expect_end(1000)
    sending = background(lambda: (client.send(MEGABYTE), client.finish()))
    assert script.read(stream, MEGABYTE) == from_client(0, MEGABYTE)
    script.await_end(stream)
    sending.result()
    near.ending(ending="finished", first_fin="server", to_server=str(MEGABYTE))


def test_an_answer_that_ends_at_once(scripted):
    """END_STREAM on the HEADERS of the answer."""
    near, script = scripted()
    client = connect_client(near.address())
    stream = script.accept()
    script.respond(stream, end=True)
    client.expect_end(0)
    client.send(100)
    client.finish()
    assert script.read(stream, 100) == from_client(0, 100)
    script.await_end(stream)
    near.ending(ending="finished", first_fin="server")


@pytest.mark.parametrize("length", [0, 100, 3 * MEGABYTE])
def test_an_end_and_then_no_error_is_an_end(scripted, length):
    """RFC 9113 section 8.1: what Go's server does when its handler returns. All that was sent, and the end, are
    delivered; what the client sends on meets what a closed socket gives."""
    near, script = scripted()
    client, stream = session_of(near, script)
    client.send(10)
    script.read(stream, 10)
    receiving = background(lambda: client.expect_end(length))
    script.send(stream, from_server(length), end=True)
    script.reset(stream, NO_ERROR)
    receiving.result()
    with pytest.raises((ConnectionResetError, BrokenPipeError)):
        for _ in range(100):
            client.send(100_000)
    near.ending(ending="server-reset", first_fin="server", to_client=str(length))


def test_an_end_and_no_error_for_a_client_that_has_ended_is_finished(scripted):
    near, script = scripted()
    client, stream = session_of(near, script)
    client.send(10)
    client.finish()
    script.await_end(stream)
    script.send(stream, from_server(1000), end=True)
    script.reset(stream, NO_ERROR)
    client.expect_end(1000)
    client.close()
    near.ending(ending="finished")


def test_an_end_and_no_error_while_bytes_wait_is_not_finished(scripted):
    """What the client has sent, and far has given no window for, is lost: the ending says so. The answer is not."""
    near, script = scripted()
    script.give_back = False
    client, stream = session_of(near, script)
    client.send(100_000)
    client.finish()
    assert script.read(stream, 65_535) == from_client(0, 65_535)
    script.send(stream, from_server(1000), end=True)
    script.reset(stream, NO_ERROR)
    client.receive(1000)
    client.close()
    near.ending(ending="server-reset")


@pytest.mark.parametrize("code", [NO_ERROR, INTERNAL_ERROR, CANCEL, CONNECT_ERROR, 4711])
@pytest.mark.parametrize("ended", [False, True], ids=["open", "ended"])
def test_a_reset_of_any_code_resets_the_client(scripted, code, ended):
    """`ended`: the client has, and waits for its answer. NO_ERROR without END_STREAM is no end either."""
    near, script = scripted()
    client, stream = session_of(near, script)
    client.send(100)
    script.read(stream, 100)
    if ended:
        client.finish()
        script.await_end(stream)
    script.send(stream, from_server(100))
    client.receive(100)
    script.reset(stream, code)
    client.expect_reset(LOST)
    assert script.alive()
    near.ending(ending="server-reset")


@pytest.mark.parametrize("status, ending", [
    (400, "not-allowed"), (403, "not-allowed"), (404, "not-allowed"), (407, "not-allowed"), (500, "far-busy"),
    (502, "server-refused"), (503, "far-busy"), (504, "server-timeout"), (302, "not-allowed")])
@pytest.mark.parametrize("ended", [True, False], ids=["with END_STREAM", "without"])
def test_an_answer_that_is_no_success_resets_the_client(scripted, status, ending, ended):
    """What it has sent meanwhile is dropped: no server has seen it."""
    near, script = scripted()
    client = connect_client(near.address())
    client.send(1000)
    stream = script.accept()
    script.respond(stream, status, end=ended)
    client.expect_reset(LOST)
    near.ending(ending=ending)
    assert script.alive()


def test_informational_answers_are_not_the_answer(scripted):
    near, script = scripted()
    client = connect_client(near.address())
    stream = script.accept()
    for status in (100, 103):
        script.h2.send_headers(stream, [(":status", str(status))])
    script.respond(stream, 200)
    script.send(stream, from_server(100), end=True)
    client.expect_end(100)
    client.close()
    script.await_end(stream)
    near.ending(ending="finished")


@pytest.mark.parametrize("status", [201, 299])
def test_any_2xx_is_a_success(scripted, status):
    """But for 204, of which nghttp2 believes that no content can follow: DATA after it makes a reset."""
    near, script = scripted()
    client = connect_client(near.address())
    stream = script.accept()
    script.respond(stream, status)
    script.send(stream, from_server(100), end=True)
    client.expect_end(100)
    client.close()
    script.await_end(stream)
    near.ending(ending="finished")


def test_no_answer_within_connect_timeout(scripted):
    near, script = scripted(connect_timeout="500ms")
    client = connect_client(near.address())
    stream = script.accept()
    client.expect_reset(LOST)
    assert script.await_reset(stream) in (CANCEL, CONNECT_ERROR)
    near.ending(ending="server-timeout")


def test_without_optimistic_data_nothing_is_sent_before_the_answer(scripted):
    near, script = scripted(tunnel={"optimistic_data": False})
    client = connect_client(near.address())
    client.send(1000)
    stream = script.accept()
    script.step(0.3)
    assert script.streams[stream].received == 0
    script.respond(stream)
    assert script.read(stream, 1000) == from_client(0, 1000)
    client.reset()
    assert script.await_reset(stream) == CONNECT_ERROR


def test_trailers_of_far_are_no_end(scripted):
    near, script = scripted()
    client, stream = session_of(near, script)
    script.send(stream, from_server(100))
    client.receive(100)
    script.h2.send_headers(stream, [("x-checksum", "4711")], end_stream=True)
    script.flush()
    client.expect_reset(LOST)
    near.ending(ending="server-reset")


def test_padding_of_far_is_not_content(scripted):
    near, script = scripted()
    client, stream = session_of(near, script)
    receiving = background(lambda: client.expect_end(30_000))
    for number in range(300):
        script.wait(lambda: script.h2.local_flow_control_window(stream) > 1000, "window")
        script.h2.send_data(stream, pattern("server", number * 100, 100), pad_length=255, end_stream=number == 299)
        script.flush()
        script.step(0)
    receiving.result()
    client.finish()
    script.await_end(stream)
    near.ending(ending="finished", to_client="30000")


@pytest.mark.parametrize("ended", [False, True])
def test_a_refused_stream_is_asked_for_again(scripted, ended):
    """RFC 9113 section 8.7: nothing of it was processed. All that the client has sent comes again, its end too."""
    near, script = scripted()
    client = connect_client(near.address())
    client.send(20_000)
    if ended:
        client.finish()
    first = script.accept()
    assert script.read(first, 20_000) == from_client(0, 20_000)
    if ended:
        script.await_end(first)
    script.reset(first, REFUSED_STREAM)
    second = script.accept()
    assert script.read(second, 20_000) == from_client(0, 20_000)
    script.respond(second)
    if not ended:
        sending = background(lambda: client.send(MEGABYTE))
        assert script.read(second, MEGABYTE) == from_client(20_000, MEGABYTE)
        sending.result()
        client.finish()
    script.await_end(second)
    script.send(second, from_server(100), end=True)
    client.expect_end(100)
    near.ending(ending="finished")


def test_a_far_end_that_refuses_every_stream_is_busy(scripted):
    near, script = scripted()
    client = connect_client(near.address())
    client.send(100)
    for _ in range(6):
        stream = script.accept()
        assert script.read(stream, 100) == from_client(0, 100)
        script.reset(stream, REFUSED_STREAM)
    client.expect_reset(LOST)
    near.ending(ending="far-busy")
    assert script.alive()


def test_fewer_streams_than_finhold_wants(scripted, server):
    """SETTINGS_MAX_CONCURRENT_STREAMS of the far end is kept: the next session waits for a stream."""
    near, script = scripted(connect_timeout="5s")
    script.h2.update_settings({3: 1})
    script.flush()
    script.wait(lambda: script.settings_acknowledged >= 2, "acknowledgement")
    first, stream = session_of(near, script)
    second = connect_client(near.address())
    second.send(10)
    script.step(0.3)
    assert len([each for each in script.streams.values() if each.headers]) == 1
    first.close()
    script.await_end(stream)
    script.end(stream)
    another = script.accept()
    script.respond(another)
    assert script.read(another, 10) == from_client(0, 10)
    second.close()
    script.await_end(another)
    script.end(another)
    wait_until(lambda: len(near.found("session ended")) == 2)


def test_a_protocol_error_is_a_loss_and_no_end(scripted):
    near, script = scripted()
    client, stream = session_of(near, script)
    script.raw(b"\x00\x00\x00" + b"\x09" + b"\x04" + stream.to_bytes(4, "big"))  # CONTINUATION out of place
    client.expect_reset(LOST)
    near.ending(ending="tunnel-lost")

