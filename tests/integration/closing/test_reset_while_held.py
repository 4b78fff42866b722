"""A reset while a FIN is held: it does not wait for the release (R4)."""

from test_reset import expect_reset_ending


def test_a_reset_while_a_fin_is_held_comes_behind_every_byte(relay, flow):
    """The end was real, so the held FIN goes out; its source is gone, so the reset follows."""
    finhold, session = relay("both")
    source, sink = session.flow(flow)
    source.send(300_000)
    source.finish()
    sink.receive(300_000)
    sink.expect_nothing(0.2)
    source.reset()
    sink.expect_reset()
    # recv() after the reset tells of the FIN that came before it.
    assert sink.sock.recv(1) == b""
    expect_reset_ending(finhold, flow)


def test_a_reset_by_the_side_that_does_not_read_while_its_fin_is_held(relay, flow):
    """The waiting answerer is reset while the other's FIN is held and nothing flows."""
    finhold, session = relay("both")
    source, sink = session.flow(flow)
    source.send(100)
    source.finish()
    sink.receive(100)
    sink.expect_nothing(0.1)
    sink.reset()
    source.expect_reset()
    finhold.ending(ending="server-reset" if flow == "to_server" else "client-reset", released="never")
