"""Whom the ends of a pair believe while certificates come, go and are revoked: by SIGHUP, without a restart."""

import os
import shutil
import ssl
from pathlib import Path

import pytest
from certificates import FAR
from ends import connect, text_of
from pair import far_table
from reloading import WORKERS, Reloading
from test_pair_door import strangers  # noqa: F401, pylint: disable=unused-import
from test_reload_pair import LOG, World, reloaded, table, world  # noqa: F401, pylint: disable=unused-import
from traffic import exchange


def with_lists(made: World, end: str, crl: str) -> None:
    tls = {**made.tls(end), "crl": crl}
    if end == "far":
        made.write_far(tls={**tls, "client_ca": made.authority.certificate})
    else:
        made.write_near(tls={**tls, "ca": made.authority.certificate, "server_name": FAR})


def test_a_near_end_that_was_revoked_is_refused_after_a_reload(world, server):  # noqa: F811
    exchange(world.session(server))
    with_lists(world, "far", world.authority.revocations(world.authority.far))
    reloaded(world.far)
    world.far.finhold.await_events("near end connected", 2 * WORKERS)
    assert not world.far.finhold.found("refused a connection")
    reloaded(world.far)  # nothing has changed
    world.authority.revocations(world.authority.near)
    reloaded(world.far)
    line = world.far.finhold.await_event("refused a connection")["error"]
    assert 'TLS: the client\'s certificate is refused: \\"CN=near\\" was revoked by \\"CN=test authority\\" on ' in line
    assert len(world.far.finhold.found("near end connected")) == 2 * WORKERS
    told = world.near.finhold.await_event("tunnel cannot be opened")["error"]
    assert told == "TLS: the other side refused: our certificate was revoked"
    world.authority.revocations()
    reloaded(world.far)
    world.far.finhold.await_events("near end connected", 3 * WORKERS)
    exchange(world.session(server))


def test_a_far_end_that_was_revoked_is_refused_after_a_reload(world, server):  # noqa: F811
    exchange(world.session(server))
    with_lists(world, "near", world.authority.revocations(world.authority.far))
    reloaded(world.near)
    line = world.near.finhold.await_event("tunnel cannot be opened")["error"]
    assert "TLS: the far end's certificate is refused: \\\"CN=far\\\" was revoked" in line
    world.authority.revocations()
    reloaded(world.near)
    exchange(world.session(server))


@pytest.fixture
def believer(start, public_path, server, authority):
    """A far end of `authority`, and a near end without ca, for which the file system.pem is the system's authorities."""
    system = public_path / "system.pem"
    far = start(far=[{**far_table([server.address]),
                      "tls": {"certificate": authority.far.certificate, "key": authority.far.key}}], limits={"workers": 1})

    def begin(first: str) -> Reloading:
        shutil.copy(first, system)
        (public_path / "near.toml").write_text(
            LOG + table("route", name="main", listen="127.0.0.1:0", server=text_of(server.address), tunnel="dc")
            + table("tunnel", name="dc", far=text_of(far.address("far")), tls={"server_name": FAR}))
        environment = {**os.environ, "SSL_CERT_FILE": str(system), "SSL_CERT_DIR": str(public_path / "none")}
        near = Reloading(start, public_path / "near.toml", popen={"env": environment})
        near.finhold.descriptors += 3 * WORKERS  # its connections, the last ones among them
        return near

    return begin, system, far


UNKNOWN = "is none of the authorities that this system knows; if it is your own, write ca = "


def test_a_reload_believes_an_authority_that_the_system_has_learned(believer, authority, strangers):  # noqa: F811
    begin, system, _ = believer
    near = begin(strangers.certificate)
    assert UNKNOWN in near.finhold.await_event("tunnel cannot be opened")["error"]
    shutil.copy(authority.certificate, system)
    reloaded(near)
    near.finhold.await_events("tunnel is open", WORKERS)


def test_a_reload_does_not_believe_an_authority_that_the_system_has_dropped(believer, authority, strangers):  # noqa: F811
    begin, system, far = believer
    near = begin(authority.certificate)
    near.finhold.await_events("tunnel is open", WORKERS)
    reloaded(near)  # the same: its connections stay
    shutil.copy(strangers.certificate, system)
    reloaded(near)
    assert UNKNOWN in near.finhold.await_event("tunnel cannot be opened")["error"]
    far.await_events("near end gone", WORKERS)
    assert len(far.found("near end connected")) == WORKERS


def test_a_chain_of_certificates_is_bounded(start, server, authority, public_path):
    """Each costs the far end time before it knows whom it talks to."""
    far = start(far=[far_table([server.address], authority)], limits={"workers": 1})
    many = public_path / "many.pem"
    many.write_text(Path(authority.near.certificate).read_text() * 40)
    context = ssl.create_default_context(cafile=authority.certificate)
    context.check_hostname = False
    context.load_cert_chain(str(many), authority.near.key)
    context.set_alpn_protocols(["h2"])
    with connect(far.address("far")) as sock, pytest.raises((ssl.SSLError, ConnectionError)):
        with context.wrap_socket(sock) as over:
            over.recv(1)
    assert "chain of certificates is too long: 8 KiB" in far.await_event("refused a connection")["error"]
