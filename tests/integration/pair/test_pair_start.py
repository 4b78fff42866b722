"""A pair's certificates at the start, and how the far end stops when a near end does not part."""

import socket
import subprocess
import time

import pytest
from ends import text_of
from finhold import Finhold
from privileges import USER

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"  # and empty SETTINGS

FAR = """
[[far]]
listen = "127.0.0.1:0"
tls = { certificate = "far.pem", key = "far.key" }
allow = ["127.0.0.1:1-65535"]
"""


@pytest.fixture
def certificate(tmp_path):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                    "-subj", "/CN=far", "-addext", "subjectAltName=DNS:far.test", "-keyout", "far.key", "-out", "far.pem"],
                   cwd=tmp_path, check=True, capture_output=True)
    (tmp_path / "far.key").chmod(0o600)


def run(directory, text: str, wait: bool = True) -> Finhold:
    (directory / "c.toml").write_text(text)
    return Finhold(["run", "--config", "c.toml", "--workers", "1"], cwd=directory, wait=wait)


def test_a_certificate_that_cannot_be_read_keeps_the_far_end_from_starting(tmp_path):
    finhold = run(tmp_path, FAR, wait=False)
    finhold.await_exit(1)
    lines = finhold.await_events("cannot use the certificates of a pair", 2, far="far")
    for line, file in zip(lines, (r'certificate \"far.pem\"', r'key \"far.key\"'), strict=True):
        assert line.level == "error"
        assert line["error"].startswith(f"{file} cannot be read: No such file or directory")
        assert f'finhold was started in \\"{tmp_path}\\", write the whole path' in line["error"]


def test_a_far_end_that_stays_away_is_warned_of_once_not_at_every_attempt(tmp_path):
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and does not listen: every attempt is refused
        near = run(tmp_path, f"""
[[tunnel]]
name = "t"
far = "127.0.0.1:{nobody.getsockname()[1]}"
tls = "off"
[[route]]
name = "main"
listen = "127.0.0.1:0"
server = "127.0.0.1:9"
tunnel = "t"
connect_timeout = "2s"
""")
        with socket.create_connection(near.address()):
            near.ending(ending="no-tunnel")  # after several attempts: the pauses begin at 100 ms, and double
        assert len(near.found("tunnel cannot be opened")) == 1
        # Another failure is told at once.
        nobody.listen()
        peer, _ = nobody.accept()
        peer.close()
        near.await_events("tunnel cannot be opened", 2)
    near.stop()


def test_the_keys_are_read_before_the_user_is_changed(tmp_path, certificate, server):
    """Which one may not read them."""
    far = run(tmp_path, f'user = "{USER}"\n' + FAR)
    address = far.await_event("listening", far="far")["address"]
    near = run(tmp_path, f"""
[[tunnel]]
name = "t"
far = "{address}"
tls = {{ ca = "far.pem", server_name = "far.test" }}
[[route]]
name = "main"
listen = "127.0.0.1:0"
server = "{text_of(server.address)}"
tunnel = "t"
""")
    session = server.session(near.address())
    session.client.send(10)
    session.client.finish()
    session.server.expect_end(10)
    session.close()
    for finhold in (near, far):
        finhold.ending(ending="finished")
        finhold.process.terminate()
        assert finhold.process.wait(20) == 0


def test_a_near_end_that_does_not_part_delays_the_stop_by_seconds_only(tmp_path):
    """It has no session, and answers nothing: neither the first GOAWAY nor the end."""
    far = run(tmp_path, FAR.replace('{ certificate = "far.pem", key = "far.key" }', '"off"'))
    host, _, port = far.await_event("listening", far="far")["address"].rpartition(":")
    with socket.create_connection((host, int(port))) as near:
        near.sendall(PREFACE)
        far.await_event("near end connected")
        far.process.terminate()
        begin = time.monotonic()
        assert far.process.wait(20) == 0
        assert time.monotonic() - begin < 10
