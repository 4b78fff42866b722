"""SIGHUP closes the far end's door: whoever has a connection from before is judged by what is written now."""

import ssl

import pytest
from certificates import Authority
from ends import End, Server, connect, text_of
from finhold import config_text, wait_until
from name_server import name_server
from pair import far_table
from private_network import private_network, with_files
from reloading import Reloading, free_address
from scripted import ScriptedNear

TOKEN = "a-Secret.of_40~characters+more/0123456789="
OTHER_TOKEN = "an-0ther.Secret_of~40+characters/9876543="
LAST_OF_ALL = 2**31 - 1
REFUSED_STREAM = 7
CONNECT_ERROR = 10


class Door:
    """A far end with a file, and near ends that are scripted and answer no PING."""

    def __init__(self, start, directory, server: Server, prefix: tuple[str, ...] = ()):
        self.server = server
        self.prefix = prefix
        self.to = text_of(server.address)
        self.listen = text_of(free_address())
        self.path = directory / "far.toml"
        self.keys: dict = {"ping_every": "1h", "ping_timeout": "1h"}
        self.nears: list[ScriptedNear] = []
        self._start = start
        self.far: Reloading | None = None

    def write(self, authority: Authority | None = None, **keys) -> None:
        self.keys.update(keys)
        far = far_table([self.server.address], authority, listen=self.listen, **self.keys)
        self.path.write_text(config_text([], {"limits": {"workers": 1}, "far": [far]}))

    def open(self, authority: Authority | None = None, **keys) -> None:
        self.write(authority, **keys)
        self.far = Reloading(self._start, self.path, prefix=self.prefix)

    def reload(self, authority: Authority | None = None, **keys) -> None:
        self.write(authority, **keys)
        self.reread()

    def reread(self) -> None:
        event = self.far.signal()
        assert event.message == "reloaded", self.far.finhold.log()

    def near(self, over: ssl.SSLContext | None = None, **options) -> ScriptedNear:
        host, _, port = self.listen.rpartition(":")
        sock = connect((host, int(port)))
        near = ScriptedNear(over.wrap_socket(sock) if over else sock, **{"answers_pings": False, **options})
        near.wait(lambda: near.ready, "SETTINGS")
        assert near.alive(), "far has not read its SETTINGS"  # a far end cuts one that is not ready
        self.nears.append(near)
        return near

    def session(self, near: ScriptedNear, **headers: str) -> tuple[int, End]:
        stream = near.open(self.to, **headers)
        return stream, End(self.server.accept(), "server")


def with_token(token: str) -> dict[str, str]:
    return {"proxy_authorization": "Bearer " + token}


def context_of(authority: Authority) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=authority.certificate)
    context.check_hostname = False
    context.load_cert_chain(authority.near.certificate, authority.near.key)
    context.set_alpn_protocols(["h2"])
    return context


def goes_on(near: ScriptedNear, stream: int, end: End) -> None:
    near.send(stream, b"still", end=True)
    assert end.sock.recv(100) == b"still"
    end.send(5)
    end.close()
    near.read(stream, 5)
    near.await_end(stream)


def opens_nothing_more(near: ScriptedNear, door: Door, last: int) -> None:
    """Its second GOAWAY comes without an answer to the PING, and what was asked before it was seen is not processed."""
    late = near.request(door.to)
    near.wait(lambda: near.goaway is not None and near.goaway.last_stream_id != LAST_OF_ALL, "second GOAWAY")
    near.answers_pings = True
    assert near.alive()
    asked = near.streams[late]
    assert near.goaway.last_stream_id == last or asked.reset == REFUSED_STREAM or asked.headers[":status"] == "403"
    assert asked.headers is None or asked.headers[":status"] != "200"


@pytest.fixture
def door(start, public_path, server):
    made = Door(start, public_path, server)
    yield made
    for near in made.nears:
        near.close()


def test_the_ping_follows_the_first_goaway(door):
    """Its answer is to mean that the near end has seen that: so it must not go ahead (nghttp2 sends PING first)."""
    door.open()
    near = door.near()
    door.reload(connect_timeout="9s")
    near.wait(lambda: "PING" in near.said, "PING")
    assert near.said == ["GOAWAY", "PING"]


def test_the_second_goaway_does_not_wait_for_an_answer_for_ever(door):
    """ping_timeout at the latest; what comes then is not processed, what was open goes on."""
    door.open(ping_timeout="700ms")
    near = door.near()
    stream, end = door.session(near)
    door.reload(connect_timeout="9s")
    near.wait(lambda: near.goaway is not None, "GOAWAY")
    assert near.goaway.last_stream_id == LAST_OF_ALL
    near.wait(lambda: near.goaway.last_stream_id == stream, "second GOAWAY")
    late = near.request(door.to)
    near.answers_pings = True
    assert near.alive() and near.streams[late].headers is None
    goes_on(near, stream, end)
    assert near.await_over() == "end"


def test_a_stop_too_says_the_second_goaway_by_itself(door):
    door.open(ping_timeout="700ms")
    near = door.near()
    stream, end = door.session(near)
    door.far.finhold.signal()
    near.wait(lambda: near.goaway is not None and near.goaway.last_stream_id == stream, "second GOAWAY")
    goes_on(near, stream, end)
    assert near.await_over() == "end"


def test_a_request_on_an_old_connection_needs_the_token_of_now(door):
    door.open(token=TOKEN)
    near = door.near()
    stream, end = door.session(near, **with_token(TOKEN))
    door.reload(token=OTHER_TOKEN)
    assert near.answer(near.request(door.to, **with_token(TOKEN))) == 407
    assert near.answer(near.request(door.to)) == 407
    other, other_end = door.session(near, **with_token(OTHER_TOKEN))
    goes_on(near, other, other_end)
    goes_on(near, stream, end)


def test_a_request_on_an_old_connection_is_judged_by_the_newest_of_many(door):
    """Not by the one that followed its own."""
    door.open(token=TOKEN)
    near = door.near()
    for token in (OTHER_TOKEN, "3" + TOKEN, "4" + TOKEN):
        door.reload(token=token)
    for token in (TOKEN, OTHER_TOKEN, "3" + TOKEN):
        assert near.answer(near.request(door.to, **with_token(token))) == 407
    goes_on(near, *door.session(near, **with_token("4" + TOKEN)))


def test_a_request_on_an_old_connection_opens_what_is_allowed_now(door):
    door.open()
    near = door.near()
    stream, end = door.session(near)
    door.reload(allow=["192.0.2.1:1"])
    assert near.answer(near.request(door.to)) == 403
    goes_on(near, stream, end)
    door.reload(allow=[door.to])
    goes_on(near, *door.session(near))


def test_a_name_that_was_being_looked_up_is_to_be_asked_for_again(start, public_path, tmp_path):
    """By the new file it might be looked up otherwise, or not at all: it was not processed, and a near end asks again."""
    with private_network(), name_server() as names:
        server = Server()
        resolv_conf = "nameserver 127.0.0.1\noptions timeout:1 attempts:10\n"
        door = Door(start, public_path, server, with_files(tmp_path, hosts="", resolv_conf=resolv_conf))
        door.open(allow=["127.0.0.1:1-65535"])
        near = door.near()
        waiting = near.request(f"slow.test:{server.address[1]}")
        wait_until(lambda: "slow.test" in names.asked)
        door.reload(allow=[door.to])
        names.names["slow.test"] = "127.0.0.1"
        assert near.await_reset(waiting) == REFUSED_STREAM
        goes_on(near, *door.session(near))
        near.close()
        server.close()


def test_a_request_on_an_old_connection_needs_a_certificate_of_the_authority_of_now(door, authority, public_path):
    strangers = Authority(public_path, "strangers")
    door.open(authority)
    near = door.near(context_of(authority))
    stream, end = door.session(near)
    door.keys["tls"] = {"certificate": authority.far.certificate, "key": authority.far.key, "client_ca": strangers.certificate}
    door.reload(authority)
    opens_nothing_more(near, door, stream)
    goes_on(near, stream, end)


def test_a_request_on_an_old_connection_needs_a_certificate_that_was_not_revoked(door, authority):
    """The list of revoked ones is new; the one of the authority, and the far end's own, are the same."""
    door.open(authority)
    near = door.near(context_of(authority))
    stream, end = door.session(near)
    tls = {"certificate": authority.far.certificate, "key": authority.far.key, "client_ca": authority.certificate}
    door.keys["tls"] = {**tls, "crl": authority.revocations()}
    door.reload(authority)
    other, other_end = door.session(near)
    authority.revocations(authority.near)
    door.reread()
    opens_nothing_more(near, door, other)
    goes_on(near, other, other_end)
    goes_on(near, stream, end)


def test_a_connection_in_clear_opens_nothing_where_tls_is_asked_for_now(door, authority):
    door.open()
    near = door.near()
    stream, end = door.session(near)
    door.reload(authority)
    opens_nothing_more(near, door, stream)
    goes_on(near, stream, end)


def test_a_far_end_that_is_gone_opens_nothing(door, server):
    """What comes on an old connection was not processed, and may be asked elsewhere."""
    door.open()
    near = door.near()
    stream, end = door.session(near)
    door.path.write_text(config_text([{"name": "plain", "listen": door.listen, "server": door.to, "crosses": "none"}],
                                     {"limits": {"workers": 1}}))
    door.reread()
    opens_nothing_more(near, door, stream)
    goes_on(near, stream, end)


def revoke_by_token(door, authority, strangers):
    door.reload(token=OTHER_TOKEN)


def revoke_by_authority(door, authority, strangers):
    door.keys["tls"] = {"certificate": authority.far.certificate, "key": authority.far.key, "client_ca": strangers.certificate}
    door.reload(authority)


def revoke_by_allow(door, authority, strangers):
    door.reload(allow=["192.0.2.1:1"])


def revoke_by_removal(door, authority, strangers):
    door.path.write_text(config_text([{"name": "plain", "listen": door.listen, "server": door.to, "crosses": "none"}],
                                     {"limits": {"workers": 1}}))
    door.reread()


REVOCATIONS = {"token": revoke_by_token, "client_ca": revoke_by_authority, "allow": revoke_by_allow, "removal": revoke_by_removal}


@pytest.mark.parametrize("how", REVOCATIONS)
def test_what_would_not_be_let_in_any_more_is_cut_where_that_is_wanted(door, authority, public_path, how):
    strangers = Authority(public_path, "strangers")
    by_authority = authority if how == "client_ca" else None
    door.open(by_authority, token=TOKEN, revoked="cut")
    near = door.near(context_of(authority) if by_authority else None)
    stream, end = door.session(near, **with_token(TOKEN))
    REVOCATIONS[how](door, authority, strangers)
    assert near.await_reset(stream) == CONNECT_ERROR
    end.expect_reset_not_end()
    door.far.finhold.ending(ending="not-allowed")
    if how in ("client_ca", "removal"):  # any other may still ask for something else
        near.wait(lambda: near.goaway is not None and near.goaway.last_stream_id == stream, "second GOAWAY")


def test_what_would_be_let_in_is_not_cut(door, authority):
    """Another certificate of the far end, another limit, a wider list: all that has nothing to do with the near end."""
    door.open(authority, token=TOKEN, revoked="cut")
    near = door.near(context_of(authority))
    stream, end = door.session(near, **with_token(TOKEN))
    renewed = authority.issue("renewed")
    door.keys["tls"] = {"certificate": renewed.certificate, "key": renewed.key, "client_ca": authority.certificate}
    door.reload(authority, allow=[door.to, "192.0.2.1:1"], connect_timeout="9s")
    goes_on(near, *door.session(near, **with_token(TOKEN)))
    goes_on(near, stream, end)


def test_a_session_that_showed_the_token_of_now_on_an_old_connection_is_not_cut(door):
    door.open(token=TOKEN, revoked="cut")
    near = door.near()
    first, first_end = door.session(near, **with_token(TOKEN))
    door.reload(token=OTHER_TOKEN, revoked="drain")
    second, second_end = door.session(near, **with_token(OTHER_TOKEN))
    door.reload(revoked="cut")
    assert near.await_reset(first) == CONNECT_ERROR
    first_end.expect_reset_not_end()
    goes_on(near, second, second_end)
