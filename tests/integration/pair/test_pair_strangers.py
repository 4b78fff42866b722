"""Who has shown nothing has no place for good: strangers where near ends are known by a token, and by nothing else."""

import contextlib
import socket
import ssl
import subprocess

import pytest
from certificates import FAR
from ends import Server, connect, text_of
from finhold import BINARY, config_text, route_to, wait_until
from name_server import name_server
from pair import far_table, start_pair
from private_network import private_network, with_files
from scripted import ScriptedNear
from traffic import exchange

TOKEN = "a-Secret.of_40~characters+more/0123456789="
REFUSED_STREAM, ENHANCE_YOUR_CALM = 7, 11


def near_end(far, source: str | None = None, over: ssl.SSLContext | None = None, **options) -> ScriptedNear:
    """It is ready."""
    address = far.address("far")
    sock = socket.create_connection(address, source_address=(source, 0)) if source else connect(address)
    near = ScriptedNear(over.wrap_socket(sock, server_hostname=FAR) if over else sock, **options)
    near.wait(lambda: near.ready, "SETTINGS")
    return near


def test_ready_strangers_give_way_to_who_has_the_token(start, server):
    """All places are theirs: HTTP/2 is ready, and nothing was asked. After a second the longest there goes."""
    far = start(far=[far_table([server.address], token=TOKEN, connections=4)], limits={"workers": 1})
    with contextlib.ExitStack() as stack:
        strangers = [stack.enter_context(contextlib.closing(near_end(far))) for _ in range(4)]
        near = ScriptedNear(connect(far.address("far")))
        stack.enter_context(contextlib.closing(near))
        near.open(text_of(server.address), proxy_authorization="Bearer " + TOKEN)
        assert strangers[0].await_over() == "end"
        line = far.await_event("refused a connection")
        assert "token" in line["error"] and line["near"] == text_of(strangers[0].sock.getsockname()), line


def test_who_has_shown_the_token_keeps_its_place(start, server):
    far = start(far=[far_table([server.address], token=TOKEN, connections=2)], limits={"workers": 1})
    with contextlib.ExitStack() as stack:
        near = stack.enter_context(contextlib.closing(near_end(far)))
        near.open(text_of(server.address), proxy_authorization="Bearer " + TOKEN)
        before = stack.enter_context(contextlib.closing(near_end(far)))
        for _ in range(3):
            stranger = ScriptedNear(connect(far.address("far")))
            stack.enter_context(contextlib.closing(stranger))
            stranger.wait(lambda: stranger.ready, "SETTINGS")
            assert before.await_over() == "end"
            before = stranger
        assert near.alive()
        stream = near.open(text_of(server.address), proxy_authorization="Bearer " + TOKEN)
        assert near.streams[stream].headers[":status"] == "200"


def test_a_wrong_token_proves_nothing(start, server):
    far = start(far=[far_table([server.address], token=TOKEN, connections=1)], limits={"workers": 1})
    with contextlib.closing(near_end(far)) as stranger, contextlib.closing(ScriptedNear(connect(far.address("far")))) as near:
        assert stranger.answer(stranger.request(text_of(server.address), proxy_authorization="Bearer x" + TOKEN)) == 407
        near.open(text_of(server.address), proxy_authorization="Bearer " + TOKEN)
        assert stranger.await_over() == "end"


def test_whose_connection_it_is_a_stranger_is_not_asked(start, server):
    """To parse Forwarded costs far more than its bytes, so that follows the token."""
    far = start(far=[far_table([server.address], token=TOKEN)], limits={"workers": 1})
    with contextlib.closing(near_end(far, "127.0.0.2")) as near:
        own = text_of(near.sock.getsockname())
        for token, client in ("x" + TOKEN, own), (TOKEN, "192.0.2.7:40000"):
            near.request("192.0.2.9:7", forwarded='for="192.0.2.7:40000"', proxy_authorization="Bearer " + token)
            assert far.await_event("refused a request", client=client)["near"] == own


def test_one_source_does_not_keep_out_the_others(start, server):
    """It takes every place, and takes again what it has lost: the next one gives way to its own at once, so that who
    comes from elsewhere stays for as long as it needs to show its token."""
    far = start(far=[far_table([server.address], token=TOKEN, connections=40)], limits={"workers": 1})
    with contextlib.ExitStack() as stack:
        for _ in range(40):
            stack.enter_context(contextlib.closing(near_end(far, "127.0.0.2")))
        honest = stack.enter_context(contextlib.closing(near_end(far, "127.0.0.3")))
        for _ in range(120):  # three times as many as there are places
            stack.enter_context(contextlib.closing(near_end(far, "127.0.0.2")))
        assert honest.alive()
        honest.open(text_of(server.address), proxy_authorization="Bearer " + TOKEN)


def test_black_holes_of_one_near_end_take_nothing_from_others(start):
    """A quarter of limits.sessions may wait for its names and servers."""
    with private_network() as network:
        network.ip("link", "add", "silent", "type", "veth", "peer", "name", "nobody")
        network.ip("addr", "add", "192.0.2.9/24", "dev", "silent")
        for device in ("silent", "nobody"):
            network.ip("link", "set", device, "up")
        server = Server()
        to = text_of(server.address)
        far = start(route_to(server.address), far=[far_table([], allow=["192.0.2.0/24:7", to])],
                    limits={"workers": 2, "sessions": 100})
        with contextlib.closing(near_end(far, "127.0.0.2")) as greedy, contextlib.closing(near_end(far, "127.0.0.3")) as other:
            asked = [greedy.request(f"192.0.2.{20 + number % 200}:7") for number in range(150)]
            greedy.wait(lambda: sum(greedy.streams[stream].headers is not None for stream in asked) >= 125, "refusals")
            refused = [stream for stream in asked if greedy.streams[stream].headers is not None]
            assert {greedy.streams[stream].headers[":status"] for stream in refused} == {"503"}
            assert "near end" in far.await_event("refused a request")["reason"]
            other.open(to)
            server.session(far.address()).close()
            for stream in set(asked) - set(refused):
                greedy.reset(stream, 8)
            greedy.wait(lambda: greedy.refusal(greedy.request(to)) == 200, "room again")
        server.close()


def test_what_waits_for_a_name_has_its_place_among_the_sessions_of_all_workers(start, tmp_path):
    """Many ask for a name that is answered late: no more of them become sessions than there may be."""
    with private_network(), name_server() as names:
        server = Server()
        resolv_conf = "nameserver 127.0.0.1\noptions timeout:1 attempts:10\n"
        far = start(far=[far_table([], allow=["127.0.0.1:1-65535"])], limits={"workers": 4, "sessions": 20},
                    prefix=with_files(tmp_path, hosts="", resolv_conf=resolv_conf))
        with contextlib.ExitStack() as stack:
            nears = [stack.enter_context(contextlib.closing(near_end(far, f"127.0.1.{number}"))) for number in range(1, 9)]
            asked = [(near, near.request(f"late.test:{server.address[1]}")) for near in nears for _ in range(10)]
            for near in nears:
                assert near.alive()
            wait_until(lambda: "late.test" in names.asked)
            names.names["late.test"] = "127.0.0.1"
            answers = [near.refusal(stream) for near, stream in asked]
            assert set(answers) == {200, 503}
            # Another worker may take the last place first, so the bound is not exact to the last session.
            assert 20 <= answers.count(200) <= 20 + 4, answers
        server.close()


def test_wrong_tokens_end_the_connection_that_they_come_by(start, server):
    """Each try costs a request, and few are let happen: no token is found so."""
    far = start(far=[far_table([server.address], token=TOKEN)], limits={"workers": 1})
    with contextlib.closing(near_end(far)) as stranger, contextlib.closing(near_end(far)) as other:
        tries = 0
        while stranger.goaway is None and not stranger.over and tries < 2000:
            stream = stranger.request(text_of(server.address), proxy_authorization=f"Bearer {tries:040}")
            tries += 1
            stranger.wait(lambda: stranger.goaway is not None or bool(stranger.over) or stranger.streams[stream].headers is not None, "answer")
        assert stranger.goaway is not None and stranger.goaway.error_code == ENHANCE_YOUR_CALM
        assert tries < 200
        assert "wrong tokens" in far.await_event("near end gone")["error"]
        other.open(text_of(server.address), proxy_authorization="Bearer " + TOKEN)


@pytest.mark.parametrize("end", ["far", "tunnel"])
@pytest.mark.parametrize("length,warned", [(31, True), (32, False)])
def test_check_warns_of_a_short_token(public_path, end, length, warned):
    errors = checked(public_path, end, "t" * length, 0o600)
    assert warned == any("31 characters" in line and "openssl rand" in line for line in errors), errors
    if warned:
        place = next(line for line in errors if "31 characters" in line)
        number, column = (int(part) for part in place.split(":")[1:3])
        text = (public_path / "checked.toml").read_text().splitlines()[number - 1]
        assert text[column - 1:].startswith('"ttt'), (place, text)


@pytest.mark.parametrize("end", ["far", "tunnel"])
@pytest.mark.parametrize("mode,warned", [(0o600, False), (0o640, False), (0o644, True), (0o604, True), (0o400, False)])
def test_check_warns_of_a_file_with_a_token_that_others_can_read(public_path, end, mode, warned):
    errors = checked(public_path, end, TOKEN, mode)
    assert warned == any(f"mode {mode:04o}" in line and "chmod" in line for line in errors), errors
    assert not [line for line in checked(public_path, end, "", 0o644) if "mode" in line]


def checked(directory, end: str, token: str, mode: int) -> list[str]:
    keys = {"token": token} if token else {}
    far = far_table([("127.0.0.1", 7000)], listen="127.0.0.1:8443", **(keys if end == "far" else {}))
    tunnel = {"name": "dc", "far": "127.0.0.1:8443", "tls": "off", **(keys if end == "tunnel" else {})}
    route = {"name": "main", "listen": "127.0.0.1:7001", "server": "127.0.0.1:7000", "tunnel": "dc"}
    path = directory / "checked.toml"
    path.write_text(config_text([route], {"far": [far], "tunnel": [tunnel]}))
    path.chmod(mode)
    made = subprocess.run([BINARY, "check", "--config", str(path)], capture_output=True, text=True, timeout=20)
    assert made.returncode == 0, made.stderr
    return made.stderr.splitlines()


def test_a_near_end_does_not_keep_out_the_others(start, server):
    """It is let in, and has every place: those of its connections that no session uses go when others come, one by one."""
    far = start(far=[far_table([server.address], token=TOKEN, connections=40)], limits={"workers": 1})
    with contextlib.ExitStack() as stack:
        busy, *unused = [stack.enter_context(contextlib.closing(near_end(far, "127.0.0.2"))) for _ in range(40)]
        busy.open(text_of(server.address), proxy_authorization="Bearer " + TOKEN)
        for near in unused:  # none is a stranger
            assert near.answer(near.request("192.0.2.1:9", proxy_authorization="Bearer " + TOKEN)) == 403
        for _ in range(3):
            other = stack.enter_context(contextlib.closing(near_end(far, "127.0.0.3")))
            other.open(text_of(server.address), proxy_authorization="Bearer " + TOKEN)
        assert busy.alive()
        assert len(far.found("refused a connection")) == 3


def test_a_near_end_does_not_use_every_place(start, server):
    """A session on each connection, and none of them gives way: the last eighth is for others."""
    far = start(far=[far_table([server.address], token=TOKEN, connections=40)], limits={"workers": 1})
    with contextlib.ExitStack() as stack:
        many = [stack.enter_context(contextlib.closing(near_end(far, "127.0.0.2"))) for _ in range(40)]
        to, token = text_of(server.address), {"proxy_authorization": "Bearer " + TOKEN}
        asked = [(near, near.request(to, **token), near.request(to, **token)) for near in many]  # two at once
        answers = [(near.refusal(first), near.refusal(second)) for near, first, second in asked]
        assert sorted(answers) == [(0, 0)] * 5 + [(200, 200)] * 35
        refused = next(near for near, answer in zip(many, answers) if answer[0] == 0)
        assert {stream.reset for stream in refused.streams.values()} == {REFUSED_STREAM}
        assert "for others" in far.await_event("refused a request")["reason"]
        used = [near for near, answer in zip(many, answers) if answer[0] == 200]
        assert used[0].answer(used[0].request(to, **token)) == 200
        others = [stack.enter_context(contextlib.closing(near_end(far, f"127.0.0.{source}"))) for source in (3, 4, 5)]
        for other in others:
            other.open(to, **token)
        assert all(near.alive() for near in used)


def used_by(far, stack, sources, each: int, to: str) -> list[int]:
    """The answers to a first session on so many connections of each source, which all stay; 0: REFUSED_STREAM."""
    nears = [stack.enter_context(contextlib.closing(near_end(far, source))) for _ in range(each) for source in sources]
    return [near.refusal(near.request(to, proxy_authorization="Bearer " + TOKEN)) for near in nears]


def test_near_ends_of_several_addresses_leave_places_to_others(start, server):
    """None of the four has more than a quarter, and together they are not to have all."""
    far = start(far=[far_table([server.address], token=TOKEN, connections=60)], limits={"workers": 1})
    with contextlib.ExitStack() as stack:
        to = text_of(server.address)
        answers = used_by(far, stack, [f"127.0.0.{source}" for source in (2, 3, 4, 5)], 15, to)
        assert answers.count(200) >= 52 and answers.count(0) == 60 - answers.count(200) > 1, answers
        assert used_by(far, stack, ["127.0.0.6", "127.0.0.7"], 1, to) == [200, 200]


def test_unused_connections_of_several_addresses_go_for_others(start, server):
    """None of the four has more than a quarter of the places, and no session."""
    far = start(far=[far_table([server.address], token=TOKEN, connections=60)], limits={"workers": 1})
    with contextlib.ExitStack() as stack:
        for source in (2, 3, 4, 5):
            known_and_unused(far, stack, 15, f"127.0.0.{source}")
        assert used_by(far, stack, ["127.0.0.6", "127.0.0.7"], 1, text_of(server.address)) == [200, 200]


def test_a_near_end_that_has_its_part_goes_on_with_what_it_uses(start, server):
    """Eight connections, and seven are its part: each session finds room on one of these."""
    pair = start_pair(start, server.address, None, tunnel={"connections": 8, "streams_per_connection": 2}, far={"connections": 8})
    pair.far.await_events("near end connected", 8)
    sessions = [server.session(pair.address()) for _ in range(14)]
    for session in sessions:
        exchange(session)
    assert {line["ending"] for line in pair.near.endings(14)} == {"finished"}


def test_a_certificate_counts_wherever_it_comes_from(start, server, authority):
    """One near end from twelve addresses: what it leaves is for another certificate, and for that alone."""
    far = start(far=[far_table([server.address], authority, token=TOKEN, connections=24)], limits={"workers": 1})
    other = authority.issue("other", names="")
    with contextlib.ExitStack() as stack:

        def answer(identity, source: int) -> int:
            over = ssl.create_default_context(cafile=authority.certificate)
            over.load_cert_chain(identity.certificate, identity.key)
            over.set_alpn_protocols(["h2"])
            near = stack.enter_context(contextlib.closing(near_end(far, f"127.0.0.{source}", over)))
            return near.refusal(near.request(text_of(server.address), proxy_authorization="Bearer " + TOKEN))

        answers = [answer(authority.near, 2 + i % 12) for i in range(24)]
        assert answers == [200] * 21 + [0] * 3, answers
        assert answer(other, 2) == 200


def known_and_unused(far, stack, count: int, source: str = "127.0.0.2") -> list[ScriptedNear]:
    known = [stack.enter_context(contextlib.closing(near_end(far, source))) for _ in range(count)]
    for near in known:
        assert near.answer(near.request("192.0.2.1:9", proxy_authorization="Bearer " + TOKEN)) == 403
    return known


def test_strangers_throw_out_few_who_are_known(start, server):
    """Once they have a quarter of the places, others wait for their second."""
    far = start(far=[far_table([server.address], token=TOKEN, connections=40)], limits={"workers": 1})
    with contextlib.ExitStack() as stack:
        known = known_and_unused(far, stack, 39)
        for source in range(3, 18):
            stack.enter_context(contextlib.closing(near_end(far, f"127.0.0.{source}")))
        assert sum(near.alive() for near in known) == 30


def test_a_stranger_keeps_nobody_from_places_that_are_not_used(start, server):
    """One near end has them all, and does not use them: those go, before the stranger has had its second."""
    far = start(far=[far_table([server.address], token=TOKEN, connections=40)], limits={"workers": 1})
    with contextlib.ExitStack() as stack:
        known_and_unused(far, stack, 39)
        strangers = [stack.enter_context(contextlib.closing(near_end(far, f"127.0.0.{source}"))) for source in (3, 4, 5)]
        other = stack.enter_context(contextlib.closing(near_end(far, "127.0.0.6")))
        other.open(text_of(server.address), proxy_authorization="Bearer " + TOKEN)
        assert all(stranger.alive() for stranger in strangers)
