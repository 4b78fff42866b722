"""accept_proxy: the clients are proxies, and begin with a PROXY protocol header."""

import select
import signal
import socket

import pytest
from ends import End, background, connect, connect_client, expect_refusal, seconds_of, text_of
from finhold import route_to, wait_until
from proxy_headers import HEADERS, LOCAL, LONGEST, PROXY, SIGNATURE, tlv, v1, v2, v2_block
from test_log import FIELDS

CLIENT = {"IPv4": ("192.0.2.7", 40000), "IPv6": ("2001:db8::7", 40000)}
TARGET = {"IPv4": ("10.0.0.5", 80), "IPv6": ("2001:db8::5", 80)}
GOOD = v1(CLIENT["IPv4"], TARGET["IPv4"])

every_version = pytest.mark.parametrize("version", ["v1", "v2"])
every_family = pytest.mark.parametrize("family", ["IPv4", "IPv6"])
both_versions = pytest.mark.parametrize("header", [GOOD, v2(CLIENT["IPv4"], TARGET["IPv4"])], ids=["v1", "v2"])

HOSTILE = {
    "no header": (b"GET / HTTP/1.1\r\n\r\n", "does not begin with"),
    "LF alone": (GOOD.replace(b"\r", b""), "character"),
    "a zero too many": (GOOD.replace(b" 80", b" 080"), "port"),
    "a port too large": (GOOD.replace(b" 80", b" 65536"), "port"),
    "an address of the other family": (GOOD.replace(b"10.0.0.5", b"::5"), "IPv4"),
    "a word too many": (GOOD.replace(b"\r", b" 1\r"), "four fields"),
    "UDP": (GOOD.replace(b"TCP4", b"UDP4"), "TCP4, TCP6 and UNKNOWN"),
    "a line without an end": (b"PROXY TCP4 " + b"1" * 200, "107 bytes"),
    "an UNKNOWN without an end": (b"PROXY UNKNOWN " + b"\xff" * 200, "107 bytes"),
    "version 1 in binary": (SIGNATURE + b"\x11\x11\0\0", "version"),
    "an unknown command": (SIGNATURE + b"\x2f\x11\0\0", "LOCAL nor PROXY"),
    "an unknown family": (SIGNATURE + b"\x21\x41\0\0", "family"),
    "too short for its addresses": (v2_block(PROXY, 0x21, b"x" * 35), "too short"),
    "too long": (SIGNATURE + b"\x21\x11\xff\xff", "longer than 4096"),
    "a TLV beyond the end": (v2(CLIENT["IPv4"], TARGET["IPv4"], b"\4\0\1"), "TLV"),
    "a wrong checksum": (v2(CLIENT["IPv4"], TARGET["IPv4"], tlv(3, b"none")), "CRC32C"),
}


def accepting(start, server, trusted=("127.0.0.1", "::1"), limits=None, **keys):
    return start(route_to(server.address, accept_proxy=True, trusted=list(trusted), **keys), limits=limits or {})


def expect_no_connection(server, seconds=0.2):
    assert not select.select([server.sock], [], [], seconds)[0], "the server was dialed"


@every_version
@every_family
def test_the_header_names_the_client(start, server, version, family):
    """The bytes behind it come in the same segment, and only they reach the server and are counted."""
    finhold = accepting(start, server, listen="[::]:0")
    port = finhold.address()[1]
    client = connect(("127.0.0.1" if family == "IPv4" else "::1", port))
    own = text_of(client.getsockname())
    client.sendall(HEADERS[version](CLIENT[family], TARGET[family]) + b"hello")
    accepted = server.accept()
    assert accepted.recv(100) == b"hello"
    accepted.sendall(b"welcome")
    assert client.recv(100) == b"welcome"
    client.close()
    assert accepted.recv(100) == b""
    accepted.close()
    ending = finhold.ending(ending="finished", client=text_of(CLIENT[family]))
    assert (ending["to_server"], ending["to_client"]) == ("5", "7")
    assert list(ending.fields) == [*FIELDS, "proxy"] and ending["proxy"] == own


@both_versions
def test_a_header_may_come_byte_by_byte(start, server, header):
    finhold = accepting(start, server)
    client = connect(finhold.address())
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for at in range(len(header) - 1):
        client.sendall(header[at:at + 1])
        select.select([], [], [], 0.002)  # so that many of them are segments of their own
    expect_no_connection(server)
    client.sendall(header[-1:])
    accepted = server.accept()
    client.sendall(b"x")
    assert accepted.recv(10) == b"x"
    client.close()
    accepted.close()
    finhold.ending(client=text_of(CLIENT["IPv4"]))


def test_the_longest_header_comes_in_pieces(start, server):
    header = v2(CLIENT["IPv4"], TARGET["IPv4"], tlv(0xE0, bytes(LONGEST - 16 - 12 - 3)))
    assert len(header) == LONGEST
    finhold = accepting(start, server)
    client = connect(finhold.address())
    client.sendall(header[:1000])
    expect_no_connection(server, 0.05)
    client.sendall(header[1000:-1])
    expect_no_connection(server, 0.05)
    client.sendall(header[-1:] + b"x")
    accepted = server.accept()
    assert accepted.recv(10) == b"x"
    client.close()
    accepted.close()
    finhold.ending(client=text_of(CLIENT["IPv4"]))


@pytest.mark.parametrize("header", [
    b"PROXY UNKNOWN\r\n", b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", v2_block(LOCAL, 0, b""),
    v2_block(LOCAL, 0x11, bytes(12)), v2_block(PROXY, 0, b""), v2_block(PROXY, 0x31, bytes(216)),
])
def test_a_header_without_a_client_keeps_the_real_address(start, server, header):
    finhold = accepting(start, server)
    client = connect(finhold.address())
    client.sendall(header + b"x")
    accepted = server.accept()
    assert accepted.recv(10) == b"x"
    own = text_of(client.getsockname())
    client.close()
    accepted.close()
    finhold.ending(ending="finished", client=own, proxy=own)


def test_what_is_no_header_is_refused(start, server):
    """And told of in one line, with what was wrong. The server learns nothing."""
    finhold = accepting(start, server)
    for number, (name, (header, words)) in enumerate(HOSTILE.items()):
        client = End(connect(finhold.address()), "client")
        own = text_of(client.sock.getsockname())
        client.sock.sendall(header)
        client.expect_reset()
        client.close()
        warning = finhold.await_event("refused: no valid PROXY header", client=own)
        assert warning.level == "warning" and words in warning["error"], name
        finhold.endings(number + 1, ending="bad-proxy-header", to_server="0", to_client="0")
    assert len(finhold.found("refused")) == len(HOSTILE)
    expect_no_connection(server)


@pytest.mark.parametrize("trusted", [["192.0.2.0/24"], ["127.0.0.2"], ["::/0"]])
def test_nobody_but_the_trusted_may_connect(start, server, trusted):
    finhold = accepting(start, server, trusted)
    expect_refusal(finhold.address())
    warning = finhold.await_event("refused: this address is not in the route's trusted")
    assert warning.level == "warning" and warning["client"].startswith("127.0.0.1:")
    assert finhold.ending(ending="untrusted-proxy")["proxy"] == warning["client"]
    expect_no_connection(server)


def test_strangers_cannot_flood_the_log(start, server):
    """Of their lines some are left out and counted; no ending is."""
    finhold = accepting(start, server, ["192.0.2.0/24"], limits={"workers": 1})
    refused = 200
    for _ in range(refused):
        expect_refusal(finhold.address())
    assert len(finhold.endings(refused, ending="untrusted-proxy")) == refused
    assert len(finhold.found("refused: this address")) < refused

    def told() -> int:
        lines = finhold.found("refused: this address")
        return len(lines) + sum(int(line.fields.get("left_out", 0)) for line in lines)

    def another_is_told() -> bool:
        nonlocal refused
        expect_refusal(finhold.address())
        refused += 1
        finhold.endings(refused, ending="untrusted-proxy")
        return told() == refused

    wait_until(another_is_told)


def test_the_trusted_are_known_also_by_their_mapped_address(start, server):
    finhold = accepting(start, server, ["127.0.0.0/8"], listen="[::]:0")
    client = connect(("127.0.0.1", finhold.address()[1]))
    client.sendall(GOOD)
    server.accept().close()
    client.close()
    finhold.ending(client=text_of(CLIENT["IPv4"]))


@pytest.mark.parametrize("sent", [b"", GOOD[:-1]], ids=["silent", "almost whole"])
def test_a_header_that_is_late_is_refused(start, server, sent):
    """After 3 seconds at the earliest, so that a segment may be lost (proxy-protocol.txt, section 2)."""
    finhold = accepting(start, server)
    client = connect_client(finhold.address())
    client.sock.sendall(sent)
    assert seconds_of(client.expect_reset) > 3
    client.close()
    assert "within" in finhold.await_event("refused: no valid PROXY header")["error"]
    finhold.ending(ending="bad-proxy-header")
    expect_no_connection(server)


@pytest.mark.parametrize("sent", [b"", GOOD[:1], GOOD[:-1], SIGNATURE], ids=["0", "1", "almost", "signature"])
def test_an_end_before_the_header_is_whole_is_no_session(start, server, sent):
    finhold = accepting(start, server)
    client = connect_client(finhold.address())
    client.sock.sendall(sent)
    client.finish()
    client.expect_reset()
    client.close()
    assert "ended before" in finhold.await_event("refused: no valid PROXY header")["error"]
    finhold.ending(ending="bad-proxy-header", first_fin="none")
    expect_no_connection(server)


def test_a_reset_before_the_header_is_whole_is_no_session(start, server):
    finhold = accepting(start, server)
    client = connect_client(finhold.address())
    client.sock.sendall(GOOD[:-1])
    client.reset()
    finhold.ending(ending="client-reset")
    expect_no_connection(server)


@both_versions
def test_a_header_with_an_end_right_behind_it_is_a_session(start, server, header):
    finhold = accepting(start, server)
    client = connect(finhold.address())
    client.sendall(header)
    client.shutdown(socket.SHUT_WR)
    accepted = server.accept()
    assert accepted.recv(10) == b""
    accepted.sendall(b"answer")
    accepted.close()
    assert client.recv(10) == b"answer" and client.recv(10) == b""
    client.close()
    finhold.ending(ending="finished", first_fin="client", client=text_of(CLIENT["IPv4"]))


def test_stopping_does_not_wait_for_a_header(start, server):
    finhold = start(route_to(server.address, accept_proxy=True, trusted=["127.0.0.1"]), limits={"drain": "100ms"})
    client = connect_client(finhold.address())
    client.sock.sendall(GOOD[:5])
    select.select([], [], [], 0.1)
    finhold.signal(signal.SIGTERM)
    client.expect_reset()
    client.close()
    finhold.ending(ending="drain-limit")
    finhold.await_exit()


def test_a_dead_server_resets_an_announced_client(start, server):
    """R5, after the header was taken."""
    finhold = accepting(start, server)
    server.close()
    client = connect_client(finhold.address())
    client.sock.sendall(GOOD + b"bytes")
    client.expect_reset()
    client.close()
    finhold.ending(ending="server-refused", client=text_of(CLIENT["IPv4"]))


def test_an_urgent_byte_in_the_header_does_no_harm(start, server):
    """Nobody honest sends one. What comes is a refusal, at the latest when the time is over."""
    finhold = accepting(start, server)
    client = connect_client(finhold.address())
    client.sock.sendall(GOOD[:5])
    client.sock.send(GOOD[5:6], socket.MSG_OOB)
    client.sock.sendall(GOOD[6:-2])
    client.expect_reset()
    client.close()
    finhold.ending(ending="bad-proxy-header")


@both_versions
@pytest.mark.parametrize("crosses", ["none", "both"])
def test_half_close_works_behind_a_header(start, server, header, crosses):
    """The client ends early; the server goes on, then ends. Every byte is checked by its place."""
    finhold = accepting(start, server, crosses=crosses, fin={"release_when_quiet": "100ms"})
    sock = connect(finhold.address())
    sock.sendall(header)
    client, accepted = End(sock, "client"), End(server.accept(), "server")
    sending = background(lambda: (client.send(3_000_000), client.finish()))
    accepted.receive(3_000_000)
    sending.result()
    accepted.expect_end(3_000_000)
    sending = background(lambda: (accepted.send(5_000_000), accepted.close()))
    client.receive(5_000_000)
    sending.result()
    client.expect_end(5_000_000)
    client.close()
    ending = finhold.ending(ending="finished", first_fin="client")
    assert (ending["to_server"], ending["to_client"]) == ("3000000", "5000000")


def test_a_reset_stays_a_reset_behind_a_header(start, server, flow):
    finhold = accepting(start, server)
    sock = connect(finhold.address())
    sock.sendall(GOOD)
    ends = {"client": End(sock, "client"), "server": End(server.accept(), "server")}
    ends["client"].send(100)
    ends["server"].receive(100)
    source, sink = ("client", "server") if flow == "to_server" else ("server", "client")
    ends[source].reset()
    ends[sink].expect_reset()
    ends[sink].close()
    finhold.ending(ending=f"{source}-reset")


def test_a_hundred_clients_that_say_nothing_hold_up_nobody(start, server):
    finhold = accepting(start, server)
    silent = [connect(finhold.address()) for _ in range(100)]
    client = connect(finhold.address())
    client.sendall(GOOD + b"x")
    accepted = server.accept()
    assert accepted.recv(10) == b"x"
    for sock in (*silent, client, accepted):
        sock.close()
    finhold.endings(100, ending="bad-proxy-header")
    finhold.ending(ending="finished")


@both_versions
def test_a_reset_right_behind_the_header_and_bytes_takes_neither_back(start, server, header):
    """R4: all three stand in the kernel when finhold looks."""
    finhold = accepting(start, server)
    with finhold.suspended():
        client = connect_client(finhold.address())
        client.sock.sendall(header + b"x" * 100)
        client.reset()
    accepted = End(server.accept(), "server")
    with pytest.raises(ConnectionResetError):
        while accepted.sock.recv(1000):
            accepted.received += 100
    assert accepted.received == 100
    finhold.ending(ending="client-reset", client="192.0.2.7:40000", to_server="100")
