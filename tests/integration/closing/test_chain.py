"""Two finholds in a row that hold towards each other (R11)."""

import pytest
from ends import background
from finhold import route_to

QUIET = {"release_when_quiet": "500ms"}


@pytest.fixture
def chain(start, server):
    """Client, near, far, server; what crosses is the leg between near and far."""
    far = start(route_to(server.address, "client", fin=QUIET))
    near = start(route_to(far.address(), "server", fin=QUIET))
    session = server.session(near.address())
    yield near, far, session
    session.close()


def test_a_chain_that_holds_towards_each_other_ends(chain, flow):
    """One side waits for the end of the other: delayed by the quiet time, never for ever."""
    near, far, session = chain
    source, sink = session.flow(flow)
    source.send(100_000)
    source.finish()
    sink.receive(100_000)
    sink.expect_end()
    sink.send(200_000)
    sink.finish()
    source.receive(200_000)
    source.expect_end()
    session.close()
    for finhold in (near, far):
        finhold.ending(ending="finished")
    holder = near if flow == "to_server" else far
    assert holder.ending()["released"] == "quiet"


def test_a_chain_where_both_ends_are_held_at_once(chain):
    near, far, session = chain
    session.client.finish()
    session.server.finish()
    session.client.expect_end(0)
    session.server.expect_end(0)
    session.close()
    near.ending(ending="finished", first_fin="client")
    far.ending(ending="finished", first_fin="server")


def test_a_chain_keeps_every_byte(chain, flow):
    near, far, session = chain
    source, sink = session.flow(flow)
    source.finish()
    sending = background(lambda: (sink.send(10_000_000), sink.finish()))
    source.receive(10_000_000)
    source.expect_end()
    sending.result()
    sink.expect_end(0)
    session.close()
    near.ending(ending="finished")
    far.ending(ending="finished")


def test_a_reset_goes_through_a_chain(chain, flow):
    near, far, session = chain
    source, sink = session.flow(flow)
    source.send(1000)
    source.finish()
    sink.receive(1000)
    source.reset()
    sink.expect_reset()
    expected = "client-reset" if flow == "to_server" else "server-reset"
    near.ending(ending=expected)
    far.ending(ending=expected)
