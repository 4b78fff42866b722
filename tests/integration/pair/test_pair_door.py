"""Who may come in, and where to: each refusal is a line in the log that names its reason, and no secret."""

import socket
import ssl

import pytest
from certificates import FAR, Authority
from ends import LIMIT, Server, connect, expect_refusal, text_of
from finhold import wait_until
from pair import await_tunnels, far_table, start_pair, through_tunnel, tunnel_table
from private_network import private_network, with_files
from scripted import ScriptedNear
from test_pair import exchange

TOKEN = "a-Secret.of_40~characters+more/0123456789="
OTHER_TOKEN = "an-0ther.Secret_of~40+characters/9876543="


@pytest.fixture
def strangers(public_path):
    return Authority(public_path, "strangers")


def refused_pair(start, server, far, tunnel):
    """A pair that must not come together: both ends, after a client of it was reset."""
    far_end = start(far=[far], limits={"workers": 1})
    near_end = start(through_tunnel(server.address, connect_timeout="700ms"), limits={"workers": 1},
                     tunnel=[{**tunnel, "far": text_of(far_end.address("far"))}])
    expect_refusal(near_end.address())
    near_end.ending(ending="no-tunnel")
    assert not near_end.found("tunnel is open")
    assert not far_end.found("session ended")
    return near_end, far_end


def with_identity(table, identity):
    """Another certificate for one end; None: no certificate."""
    table["tls"].pop("certificate")
    table["tls"].pop("key")
    if identity:
        table["tls"].update(certificate=identity.certificate, key=identity.key)
    return table


# A near end's certificate: what is wrong with it, and what the far end's log says of that.
NEAR_ENDS = {
    "none": "certificate",
    "of another authority": "which the client_ca does not list",
    "expired": "expired",
    "for a server only": "not meant for a client",
}


@pytest.mark.parametrize("wrong", NEAR_ENDS)
def test_a_near_end_without_a_good_certificate_is_refused(start, server, authority, strangers, wrong):
    identity = {"none": lambda: None, "of another authority": lambda: strangers.near,
                "expired": lambda: authority.expired,
                "for a server only": lambda: authority.issue("server-only", usage="serverAuth")}[wrong]()
    near, far = refused_pair(start, server, far_table([server.address], authority),
                             with_identity(tunnel_table(("", 0), authority), identity))
    line = far.await_event("refused")
    assert line.level == "warning" and NEAR_ENDS[wrong] in line.line, line
    # What the far end thinks of it is told after the handshake (TLS 1.3): the near end hears that too.
    assert near.await_event("tunnel cannot be opened")["error"]


# A far end's certificate.
FAR_ENDS = {"of another authority": "which the ca does not list", "expired": "expired", "another name": FAR,
            "for a client only": "not meant for a server"}


@pytest.mark.parametrize("wrong", FAR_ENDS)
def test_a_far_end_without_a_good_certificate_is_refused(start, server, authority, strangers, wrong):
    identity = {"of another authority": lambda: strangers.far, "expired": lambda: authority.expired,
                "another name": lambda: authority.issue("other", names="DNS:other.test"),
                "for a client only": lambda: authority.issue("client-only", usage="clientAuth")}[wrong]()
    near, far = refused_pair(start, server, with_identity(far_table([server.address], authority), identity),
                             tunnel_table(("", 0), authority))
    line = near.await_event("tunnel cannot be opened")
    assert line.level == "warning" and FAR_ENDS[wrong] in line["error"], line
    assert far.await_event("refused").level == "warning"


def test_plain_text_to_a_tls_port(start, server, authority):
    near, far = refused_pair(start, server, far_table([server.address], authority), tunnel_table(("", 0)))
    assert "TLS" in far.await_event("refused").line
    assert near.await_event("tunnel cannot be opened")["error"]


def test_tls_to_a_plain_port(start, server, authority):
    near, far = refused_pair(start, server, far_table([server.address]), tunnel_table(("", 0), authority))
    assert far.await_event("refused").level == "warning"
    assert near.await_event("tunnel cannot be opened")["error"]


@pytest.mark.parametrize("said", [b"GET / HTTP/1.1\r\nHost: far.test\r\n\r\n", b"SSH-2.0-OpenSSH_9.2\r\n", bytes(100)],
                         ids=["HTTP/1.1", "SSH", "zeros"])
@pytest.mark.parametrize("over", ["tls", "plain"])
def test_what_speaks_something_else_is_refused(start, server, authority, over, said):
    far = start(far=[far_table([server.address], authority if over == "tls" else None)], limits={"workers": 1})
    client = connect(far.address("far"))
    own = text_of(client.getsockname())
    client.sendall(said)
    expect_over(client)
    line = far.await_event("refused")
    assert line.level == "warning" and line["near"] == own, line
    assert not any(word in line.line for word in ("GET", "OpenSSH")), line


def expect_over(sock):
    """The other side closes, or resets."""
    sock.settimeout(LIMIT)
    try:
        while sock.recv(10_000):
            pass
    except (ConnectionResetError, BrokenPipeError):
        pass
    sock.close()


def test_tls_without_http2_is_refused(start, server, authority):
    """ALPN: a client that does not offer "h2", with a certificate that is good."""
    far = start(far=[far_table([server.address], authority)], limits={"workers": 1})
    context = ssl.create_default_context(cafile=authority.certificate)
    context.load_cert_chain(authority.near.certificate, authority.near.key)
    context.set_alpn_protocols(["http/1.1"])
    with pytest.raises((ssl.SSLError, ConnectionError)):
        sock = context.wrap_socket(socket.create_connection(far.address("far")), server_hostname="127.0.0.1")
        assert sock.recv(1) != b""
        raise AssertionError("it was let in")
    assert far.await_event("refused").level == "warning"


def test_tls_1_2_is_refused(start, server, authority):
    far = start(far=[far_table([server.address], authority)], limits={"workers": 1})
    context = ssl.create_default_context(cafile=authority.certificate)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["h2"])
    with pytest.raises((ssl.SSLError, ConnectionError)):
        context.wrap_socket(socket.create_connection(far.address("far")), server_hostname="127.0.0.1")
    assert far.await_event("refused").level == "warning"


def test_a_silent_client_is_dropped(start, server, authority):
    """In clear and over TLS; some say nothing at all, some stop in the middle."""
    far = start(far=[far_table([server.address], name="clear"), far_table([server.address], authority)],
                limits={"workers": 1})
    socks = [connect(far.address(name)) for name in ("clear", "clear", "far", "far")]
    socks[1].sendall(b"PRI * HTTP/2.0\r\n")
    socks[3].sendall(b"\x16\x03\x01\x02\x00\x01")
    for sock in socks:
        expect_over(sock)
    assert len(far.await_events("refused", 4)) == 4


def come_and_go(address, over: ssl.SSLContext | None = None):
    """A near end that is ready, and leaves in order."""
    sock = connect(address)
    near = ScriptedNear(over.wrap_socket(sock, server_hostname=FAR) if over else sock)
    near.wait(lambda: near.ready, "SETTINGS")
    near.go_away(0)
    near.flush()
    assert near.await_over() == "end"
    near.close()


@pytest.mark.parametrize("known", [False, True], ids=["anybody", "by client_ca"])
def test_near_ends_that_anybody_may_be_cannot_fill_the_log(start, server, authority, known):
    """They come and go in order; who has shown a certificate has each of its lines."""
    far = start(far=[far_table([server.address], authority if known else None)], limits={"workers": 1})
    context = None
    if known:
        context = ssl.create_default_context(cafile=authority.certificate)
        context.load_cert_chain(authority.near.certificate, authority.near.key)
        context.set_alpn_protocols(["h2"])
    for _ in range(250):
        come_and_go(far.address("far"), context)
    lines = len(far.found("near end connected")) + len(far.found("near end gone"))
    if known:
        far.await_events("near end gone", 250)
    else:
        assert lines < 500, lines
        wait_until(lambda: not come_and_go(far.address("far")) and any(
            "left_out" in event.fields for event in far.found("near end")), far.log)


# The token.


def assert_no_secret(*finholds):
    for finhold in finholds:
        for event in finhold.events:
            assert TOKEN not in event.line and OTHER_TOKEN not in event.line, event


def test_the_right_token_opens(pair, server):
    ends = pair(far={"token": TOKEN}, tunnel={"token": TOKEN})
    exchange(server.session(ends.address()))
    ends.ending(ending="finished")
    assert_no_secret(ends.near, ends.far)


@pytest.mark.parametrize("token", [None, OTHER_TOKEN, TOKEN[:-2] + "8=", TOKEN[:10]],
                         ids=["missing", "other", "nearly", "beginning"])
def test_a_wrong_token_is_refused(pair, server, token):
    ends = pair(far={"token": TOKEN}, tunnel={"token": token} if token else {})
    expect_refusal(ends.address())
    ends.near.ending(ending="not-allowed")
    line = ends.far.await_event("refused")
    assert line.level == "warning" and "token" in line.line, line
    assert_no_secret(ends.near, ends.far)


@pytest.mark.parametrize("value", ["Basic YTpi", "Bearer", "bearer", "Negotiate " + TOKEN, TOKEN])
def test_other_credentials_are_refused(start, server, value):
    far = start(far=[far_table([server.address], token=TOKEN)], limits={"workers": 1})
    near = ScriptedNear(connect(far.address("far")))
    assert near.answer(near.request(text_of(server.address), proxy_authorization=value)) == 407
    assert "token" in far.await_event("refused").line
    assert near.alive()
    near.close()
    assert_no_secret(far)


# How many.


def test_a_stream_too_many_is_refused_and_told(start, server):
    """It was opened before the far end's limit was known; later ones would break the protocol."""
    far = start(far=[far_table([server.address], streams_per_connection=1)], limits={"workers": 1})
    near = ScriptedNear(connect(far.address("far")))
    first, second = (near.request(text_of(server.address)) for _ in range(2))
    assert near.await_reset(second) == 7  # REFUSED_STREAM
    assert near.answer(first) == 200
    line = far.await_event("refused a request", near=text_of(near.sock.getsockname()))
    assert line.level == "warning" and line["reason"] == "streams_per_connection of [[far]] is reached", line
    near.close()


def test_a_session_too_many_is_refused_and_told(start, server):
    far = start(far=[far_table([server.address])], limits={"workers": 1, "sessions": 1})
    near = ScriptedNear(connect(far.address("far")))
    near.open(text_of(server.address))
    assert near.answer(near.request(text_of(server.address))) == 503
    line = far.await_event("refused a request", near=text_of(near.sock.getsockname()))
    assert line.level == "warning" and line["reason"] == "limits.sessions is reached", line
    near.close()


# Where to.


def statuses(far, authorities):
    """What each is answered, over one connection; 0: a reset, as by the rules of HTTP/2 it cannot be said so."""
    near = ScriptedNear(connect(far.address("far")))
    found = {}
    for authority in authorities:
        found[authority] = near.refusal(near.request(authority))
    near.close()
    return found


def test_destinations_outside_of_the_list_are_refused(start):
    """With entries that are wide, and a server that would answer at all of these addresses."""
    with private_network() as network:
        network.ip("addr", "add", "10.1.2.3/32", "dev", "lo")
        server = Server("0.0.0.0")
        port = server.address[1]
        far = start(far=[far_table([f"10.0.0.0/8:{port}", f"0.0.0.0/0:{port}", f"[::/0]:{port}"])], limits={"workers": 1})
        refused = [
            f"127.0.0.1:{port}", f"127.7.7.7:{port}",      # loopback is opened only by an entry inside of it
            f"[::ffff:127.0.0.1]:{port}", f"[::ffff:7f00:1]:{port}", f"[::127.0.0.1]:{port}", f"[64:ff9b::7f00:1]:{port}",
            f"[::1]:{port}", f"0.0.0.0:{port}", f"[::]:{port}", f"[::ffff:0.0.0.0]:{port}",
            f"10.1.2.3:{port}",                            # the far host's own
            f"[::ffff:10.1.2.3]:{port}",
            f"169.254.169.254:{port}", f"[fe80::1]:{port}", f"[::ffff:169.254.169.254]:{port}",
            f"224.0.0.1:{port}", f"255.255.255.255:{port}", f"[ff02::1]:{port}",
            "10.9.9.9:1", "192.0.2.1:22",                  # another port
        ]
        for authority, status in statuses(far, refused).items():
            assert status == 403, (authority, status)
        lines = far.await_events("refused", len(refused))
        for authority, line in zip(refused, lines):
            assert line.level == "warning" and line["authority"] == authority and line["reason"], line
        server.close()


def test_what_the_kernel_would_deliver_here_is_the_far_hosts_own(start):
    """Not only addresses of interfaces: also those of local routes (AnyIP); and as things are now."""
    with private_network() as network:
        network.ip("route", "add", "local", "10.9.0.0/16", "dev", "lo")
        network.ip("-6", "route", "add", "local", "2001:db8:9::/64", "dev", "lo")
        network.ip("addr", "add", "10.5.0.1/24", "brd", "10.5.0.255", "dev", "lo")
        network.ip("rule", "add", "ipproto", "tcp", "fwmark", "0", "lookup", "77")
        network.ip("route", "add", "local", "10.7.0.0/16", "dev", "lo", "table", "77")
        server = Server("::")  # IPv4 too
        port = server.address[1]
        far = start(far=[far_table([f"10.0.0.0/8:{port}", f"[2001:db8::/32]:{port}", f"10.9.8.8:{port}",
                                    f"[2001:db8:9::8]:{port}", f"[2002::/16]:{port}"])], limits={"workers": 1})
        refused = [f"10.9.1.2:{port}", f"[2001:db8:9::7]:{port}", f"[::ffff:10.9.1.2]:{port}", f"[64:ff9b::10.9.1.2]:{port}",
                   f"[2002:a09:102::]:{port}", f"10.5.0.1:{port}", f"10.7.0.1:{port}",
                   f"10.5.0.255:{port}"]  # a broadcast address of this network
        assert statuses(far, refused) == dict.fromkeys(refused, 403)
        reasons = [line["reason"] for line in far.await_events("refused", len(refused))]
        assert all("is an address of this host" in reason for reason in reasons[:-1]), reasons
        assert "no address of a server" in reasons[-1], reasons
        for authority in (f"10.9.8.8:{port}", f"[2001:db8:9::8]:{port}"):
            exchange_with(far, server, authority)
        # Nothing of it is remembered.
        elsewhere = f"10.8.0.1:{port}"
        assert statuses(far, [elsewhere]) == {elsewhere: 502}
        network.ip("route", "add", "local", "10.8.0.0/16", "dev", "lo")
        assert statuses(far, [elsewhere]) == {elsewhere: 403}
        server.close()


def test_addresses_that_are_not_written_in_full_are_refused(start, server):
    """As inet_aton would read them: decimal, octal, hexadecimal, short. 127.0.0.1 itself is listed here."""
    port = server.address[1]
    far = start(far=[far_table([server.address])], limits={"workers": 1})
    odd = ["2130706433", "0177.0.0.1", "0x7f.0.0.1", "0x7f000001", "127.1", "127.0.1", "127.0.0.01", "127.0.0.1.", "127.000.000.001",
           "[::ffff:127.0.0.1%lo]", "[::1", "127.0.0.1 ", " 127.0.0.1", "@127.0.0.1", "a@127.0.0.1", "127.0.0.1/8"]
    found = statuses(far, [f"{host}:{port}" for host in odd])
    # nghttp2 itself resets what can be no authority; that of Debian 13 "@" too.
    wrong = {host: status for host, status in found.items() if status not in (400, 403) and not (set(" /@") & set(host) and status == 0)}
    assert not wrong, wrong
    for authority in (f"127.0.0.1:{port + 65536}", "127.0.0.1:0", "127.0.0.1", "127.0.0.1:", ":1", "127.0.0.1:+1", "127.0.0.1:1:2", f"127.0.0.1:0{port}",
                      f"127.0.0.1:000{port}"):
        near = ScriptedNear(connect(far.address("far")))
        status = near.refusal(near.request(authority))
        assert status in (0, 400, 403), (authority, status)
        near.close()
    exchange_with(far, server, f"127.0.0.1:{port}")
    exchange_with(far, server, f"[::ffff:127.0.0.1]:{port}")


def exchange_with(far, server, authority):
    near = ScriptedNear(connect(far.address("far")))
    stream = near.open(authority)
    accepted = server.accept()
    near.send(stream, b"question", end=True)
    assert accepted.recv(100) == b"question"
    accepted.close()
    near.await_end(stream)
    near.close()


def test_names_open_no_more_than_their_addresses(start, tmp_path):
    """A listed name opens what it resolves to, but not this host; another name only what a network lists."""
    with private_network() as network:
        network.ip("addr", "add", "10.1.2.3/32", "dev", "lo")
        server = Server("0.0.0.0")
        port = server.address[1]
        hosts = ("127.0.0.1 inside.test localhost\n127.0.0.1 listed.test\n10.1.2.3 own.test\n169.254.169.254 meta.test\n"
                 "127.0.0.2 by-address.test\n::ffff:127.0.0.1 mapped.test\n")
        far = start(far=[far_table([f"listed.test:{port}", f"own.test:{port}", f"mapped.test:{port}", f"meta.test:{port}",
                                    f"10.0.0.0/8:{port}", f"127.0.0.2:{port}"])],
                    limits={"workers": 1}, prefix=with_files(tmp_path, hosts=hosts))
        refused = [f"{name}.test:{port}" for name in ("inside", "listed", "own", "mapped", "meta", "nowhere")]
        refused += [f"localhost:{port}", f"by-address.test:{port + 1}"]
        found = statuses(far, refused)
        assert found.pop(f"nowhere.test:{port}") in (403, 502)
        assert set(found.values()) == {403}, found
        lines = far.await_events("refused", len(found))
        assert all(line["reason"] for line in lines)
        exchange_with(far, server, f"by-address.test:{port}")
        far.ending(ending="finished", server=f"127.0.0.2:{port}")
        server.close()


def test_a_refused_destination_resets_the_near_ends_client(start, server):
    ends = start_pair(start, server.address, None, server="10.9.9.9:22")
    expect_refusal(ends.address())
    ends.near.ending(ending="not-allowed")
    line = ends.far.await_event("refused")
    assert line["authority"] == "10.9.9.9:22" and line["near"].startswith("127.0.0.1:") and line["client"], line


def test_a_tunnel_in_clear_beyond_this_machine_warns(start, server):
    """It must be written, and is told at the start; not so on loopback."""
    with private_network() as network:
        network.ip("addr", "add", "10.1.2.3/32", "dev", "lo")
        far = start(far=[far_table([server.address], listen="10.1.2.3:0", token=TOKEN)], limits={"workers": 1})
        near = start(through_tunnel(server.address), limits={"workers": 1},
                     tunnel=[tunnel_table(far.address("far"), token=TOKEN)])
        await_tunnels(near)
        for finhold in (far, near):
            assert any(event.level == "warning" and "clear" in event.line for event in finhold.events), finhold.log()
        assert_no_secret(near, far)
    ends = start_pair(start, server.address, None)
    for finhold in (ends.near, ends.far):
        assert not [event for event in finhold.events if event.level == "warning"], finhold.log()


def test_more_near_ends_than_connections_wait(start, server):
    """[[far]].connections: at the bound the next waits in the kernel's queue, and those that are there go on."""
    far = start(far=[far_table([server.address], connections=2)], limits={"workers": 1})
    first, second = (ScriptedNear(connect(far.address("far"))) for _ in range(2))
    assert first.alive() and second.alive()
    third = ScriptedNear(connect(far.address("far")))
    assert "connections" in far.await_event("accepting is paused", far="far")["reason"]
    assert not third.step(0.3) and first.alive() and second.alive()
    first.close()
    assert third.alive()
    for near in (second, third):
        near.close()


def test_more_sessions_than_the_limit_are_answered_503(start, server):
    """limits.sessions counts streams too; what is open goes on."""
    far = start(far=[far_table([server.address])], limits={"workers": 1, "sessions": 3})
    near = ScriptedNear(connect(far.address("far")))
    streams = [near.open(text_of(server.address)) for _ in range(3)]
    accepted = [server.accept() for _ in streams]
    assert near.answer(near.request(text_of(server.address))) == 503
    near.end(streams[0])
    accepted[0].close()
    near.await_end(streams[0])
    near.close()
    for sock in accepted:
        sock.close()
