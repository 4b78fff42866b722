"""What was acknowledged is delivered (R1, R4): the sender of 3 MB resets, or closes and is forgotten by its own kernel, while
megabytes wait in finhold for a reader. Client, finhold and server in networks of their own, so that to finhold they are
other machines, but for a sidecar's clients.

Every combination of flow, `crosses` and reader runs side by side, for each way through finhold."""

import itertools

import pytest
from delivery import NEVER, READERS, SMALL, SOON, Transfer, expect_all, reads_little, run, tune
from ends import Server, Session, connect, text_of
from finhold import Event, Finhold, config_text, route_to
from pair import Pair, await_tunnels, far_table, tunnel_table
from places import GATEWAY, SERVER, Place, Places, routed_places

PORT = 9000  # of the first server; each `crosses` has one
DIRECT = 9100
CROSSES = ("none", "server", "client", "both")
FLOWS = ("to_server", "to_client")
WAYS = ("copied", "spliced", "redirect", "tproxy", "pair", "pair over TLS")
through_every_way = pytest.mark.parametrize("way", WAYS)


@pytest.fixture
def places():
    with routed_places() as made:
        for place in made.all():
            tune(place)
        yield made


class Way:
    """A finhold with one route for each `crosses`, and a server behind each."""

    def __init__(self, places: Places, crosses: tuple[str, ...], keepalive: dict):
        self.places = places
        self.keepalive = keepalive
        self.crosses = crosses
        with places.server.inside():
            self.servers = {each: Server(SERVER, port=PORT + at) for at, each in enumerate(crosses)}
        self.at: Place = places.gateway  # where finhold is
        self.finhold: Finhold | Pair = None
        self.diverts = False

    def session(self, crosses: str, flow: str, reader: str) -> Transfer:
        server = self.servers[crosses]
        target = server.address if self.diverts else self.finhold.address(crosses)
        with self.places.client.inside():
            client = connect(target, receive_buffer=SMALL if reader != "fast" and flow == "to_client" else 0, own_port=True)
        session = Session(client, server.accept())
        if reader != "fast" and flow == "to_server":
            reads_little(session.server.sock)
        return Transfer(f"crosses {crosses}", session, flow, reader)

    def ending(self, transfer: Transfer, **fields: str) -> Event:
        return self.finhold.ending(client=text_of(transfer.client), **fields)

    def close(self) -> None:
        for server in self.servers.values():
            server.close()


@pytest.fixture
def start_way(places, start, authority, public_path):
    made: list[Way] = []

    def route(crosses: str, way: Way) -> dict:
        return {**route_to(way.servers[crosses].address, crosses, name=crosses, listen=f"{GATEWAY['client']}:0"),
                "keepalive": way.keepalive, "fin": {"release_when_quiet": "never"}}

    def diverted(way: Way, intercept: str, **keys: object) -> Finhold:
        routes = []
        for at, crosses in enumerate(way.crosses):
            routes.append({**route(crosses, way), "listen": f"0.0.0.0:{15001 + at}", "intercept": intercept,
                           "catch": [text_of(way.servers[crosses].address)], **keys})
            del routes[-1]["server"]
        file = public_path / f"{intercept}.toml"
        file.write_text(config_text(routes, {}))
        way.diverts = True
        with way.at.inside():
            return start(arguments=("--config", str(file), "--apply-rules"))

    def start_one(name: str, keepalive: dict = SOON) -> Way:
        over = {"pair": None, "pair over TLS": authority}
        way = Way(places, ("none", "client") if name in over else CROSSES, keepalive)
        made.append(way)
        routes = [route(crosses, way) for crosses in way.crosses]
        if name in ("copied", "spliced"):
            with way.at.inside():
                way.finhold = start(*routes, limits={"splice": {"copied": "never", "spliced": "always"}[name]})
        elif name == "redirect":
            way.at = places.client  # a sidecar
            way.finhold = diverted(way, "redirect")
        elif name == "tproxy":
            way.finhold = diverted(way, "tproxy", source="client")
        else:
            limits = {"workers": 1}
            with way.at.inside():
                to = [server.address for server in way.servers.values()]
                far = start(far=[far_table(to, over[name], keepalive=keepalive)], limits=limits)
                near = start(*({**each, "tunnel": "tunnel"} for each in routes), limits=limits,
                             tunnel=[tunnel_table(far.address("far"), over[name])])
                await_tunnels(near, 1, far)
            way.finhold = Pair(near, far)
        return way

    yield start_one
    for way in made:
        way.close()


def transfers_of(way: Way) -> list[Transfer]:
    return [way.session(crosses, flow, reader) for crosses, flow, reader in itertools.product(way.crosses, FLOWS, READERS)]


def close_all(transfers: list[Transfer]) -> None:
    for each in transfers:
        each.session.close()


def side_of(flow: str) -> str:
    return "client" if flow == "to_server" else "server"


@through_every_way
def test_a_reset_comes_behind_every_byte(start_way, way):
    through = start_way(way)
    transfers = transfers_of(through)
    run(transfers, "reset", [through.at])
    close_all(transfers)
    expect_all(transfers, "reset")
    for each in transfers:
        through.ending(each, ending=f"{side_of(each.flow)}-reset", first_fin="none", **{each.flow: str(each.length)})


@through_every_way
def test_a_reset_after_an_end_takes_nothing_back(start_way, way):
    """The sender's kernel has forgotten the connection: the end was real, and comes behind every byte. The other way was
    open, and is reset."""
    through = start_way(way)
    transfers = transfers_of(through)
    run(transfers, "close", [through.at])
    close_all(transfers)
    expect_all(transfers, "end and reset")
    for each in transfers:
        through.ending(each, first_fin=side_of(each.flow), **{each.flow: str(each.length)})


@through_every_way
def test_when_both_have_ended_a_reset_is_no_news(start_way, places, way):
    """As above, but it is the reader's own end that draws the reset: both ends are clean."""
    through = start_way(way, NEVER)
    transfers = transfers_of(through)
    run(transfers, "close", [through.at], [places.client, places.server], after_end=False)
    close_all(transfers)
    expect_all(transfers, "end")
    for each in transfers:
        through.ending(each, ending="finished", first_fin=side_of(each.flow), **{each.flow: str(each.length)})


def test_a_direct_connection_delivers_what_was_acknowledged(places):
    """What the others are measured by."""
    with places.server.inside():
        server = Server(SERVER, port=DIRECT)
    for last, verdict in (("reset", "reset"), ("close", "end")):
        transfers = []
        for flow, reader in itertools.product(FLOWS, READERS):
            with places.client.inside():
                client = connect(server.address)
            transfers.append(Transfer("direct", Session(client, server.accept()), flow, reader))
        run(transfers, last, [], after_end=False)
        close_all(transfers)
        expect_all(transfers, verdict)
    server.close()
