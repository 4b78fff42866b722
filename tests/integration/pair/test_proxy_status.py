"""Why there is no session: the far end knows, and its near end says the same (Proxy-Status, RFC 9209)."""

import pytest
from ends import connect, connect_client, expect_refusal, text_of, unused_address
from finhold import Finhold
from pair import far_table, start_pair, through_tunnel, tunnel_table
from private_network import private_network, with_files
from scripted import ScriptedFar, ScriptedNear


def both_say(start, to: str, ending: str, allow=None, **far):
    ends = start_pair(start, ("127.0.0.1", 1), None, far={"allow": allow or [to], **far}, server=to)
    expect_refusal(ends.address())
    ends.near.ending(ending=ending)
    return ends


def test_a_server_that_refuses(start):
    both_say(start, text_of(unused_address()), "server-refused").far.ending(ending="server-refused")


def test_a_server_that_is_out_of_reach(start):
    with private_network():
        both_say(start, "192.0.2.1:7", "server-unreachable").far.ending(ending="server-unreachable")


def test_a_server_that_is_silent(start):
    with private_network() as network:
        network.ip("link", "add", "silent", "type", "veth", "peer", "name", "nobody")
        network.ip("addr", "add", "192.0.2.9/24", "dev", "silent")
        for device in ("silent", "nobody"):
            network.ip("link", "set", device, "up")
        ends = both_say(start, "192.0.2.1:7", "server-timeout", connect_timeout="300ms")
        ends.far.ending(ending="server-timeout")


@pytest.mark.parametrize("name", ["unknown.test", "nowhere.test"])
def test_a_name_without_an_address(start, tmp_path, name):
    """Nobody there to ask, or nobody knows it."""
    with private_network():
        ends = both_say(lambda *args, **keys: start(*args, prefix=with_files(tmp_path, hosts="127.0.0.1 localhost\n"), **keys),
                        f"{name}:7", "server-unresolved")
        assert "name" in ends.far.await_event("refused a request")["reason"]


@pytest.mark.parametrize("to,allow", [("192.0.2.1:7", ["192.0.2.2:7"]), ("name.test:7", ["other.test:7"]),
                                      ("127.0.0.1:7", ["0.0.0.0/0:7"])], ids=["address", "name", "own"])
def test_what_is_not_allowed(start, to, allow):
    both_say(start, to, "not-allowed", allow)


def test_what_a_far_end_answers(start):
    refusing = text_of(unused_address())
    far = start(far=[far_table([], allow=[refusing, "127.0.0.2:1"], token="t" * 32)], limits={"workers": 1})
    near = ScriptedNear(connect(far.address("far")))

    def error(authority: str, **headers: str) -> str:
        stream = near.request(authority, **headers)
        near.answer(stream)
        return near.streams[stream].headers["proxy-status"]

    good = {"proxy_authorization": "Bearer " + "t" * 32}
    assert error(refusing, **good) == "finhold; error=connection_refused"
    assert error("127.0.0.3:1", **good) == "finhold; error=destination_ip_prohibited"
    assert error("name.test:2", **good) == "finhold; error=http_request_denied"
    assert error(refusing) == "finhold; error=http_request_denied"
    near.close()


@pytest.mark.parametrize("status,header,ending", [
    (502, "cdn; error=dns_error", "server-unresolved"),
    (502, "cdn; error=destination_ip_unroutable", "server-unreachable"),
    (502, "cdn; error=destination_ip_prohibited", "not-allowed"),
    (502, "cdn; error=connection_timeout, finhold; error=connection_refused", "server-timeout"),
    (503, "cdn; error=destination_unavailable", "server-unreachable"),
    (500, "cdn; error=destination_not_found", "server-unresolved"),
    (502, "cdn; error=of_another_kind", "server-refused"),
    (504, "no list; at all", "server-timeout"),
])
def test_what_a_near_end_understands(start, server, status, header, ending):
    script = ScriptedFar()
    near: Finhold = start(through_tunnel(server.address), limits={"workers": 1}, tunnel=[tunnel_table(script.address)])
    far = script.accept()
    client = connect_client(near.address())
    stream = far.accept()
    far.h2.send_headers(stream, [(":status", str(status)), ("proxy-status", header)], end_stream=True)
    far.flush()
    client.expect_reset()
    near.ending(ending=ending)
    far.close()
    script.close()
