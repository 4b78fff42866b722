"""A box that has forgotten a connection drops the reset for it as well: README.md says who learns of that, and how."""

from ends import Server, Session, connect
from finhold import route_to
from places import SERVER, routed_places


def test_the_side_behind_a_box_that_swallows_the_reset_sees_nothing_of_it(start):
    """The client is reset; the server's connection stands, until it sends something or asks by itself."""
    with routed_places() as places:
        with places.server.inside():
            server = Server(SERVER, port=9000)
        with places.client.inside():
            keepalive = {"idle": "1s", "interval": "1s", "probes": 2}
            finhold = start(route_to(server.address, "server", fin={"release_when_quiet": "never"}, keepalive=keepalive))
            session = Session(connect(finhold.address()), server.accept())
        session.client.send(100)
        session.server.receive(100)
        with places.gateway.inside():
            places.gateway.load("table ip box {\nchain passing {\ntype filter hook forward priority 0\n"
                                "tcp dport 9000 drop\ntcp sport 9000 drop\n}\n}\n")
        session.client.expect_reset_not_end()
        finhold.ending(ending="server-vanished")
        session.server.expect_nothing()
        assert 9000 in {own for own, _ in places.server.connections()}
        finhold.stop()
        session.close()
        server.close()
