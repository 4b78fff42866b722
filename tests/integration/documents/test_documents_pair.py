"""The pair of conf/pair.md: its commands are run as they are written, and its files are right and do what it says."""

import subprocess
from pathlib import Path

from ends import text_of
from finhold import BINARY, ROOT, Finhold


def block(begin: str, end: str) -> str:
    """That page from the line that begins so, up to one that does, without the indentation."""
    text = (ROOT / "conf" / "pair.md").read_text().split("    " + begin)[1].split("\n" + end)[0]
    return "\n".join(line.removeprefix("    ") for line in (begin + text).splitlines()) + "\n"


def make_files(directory: Path) -> tuple[str, str]:
    commands = block('key="-newkey', "\n`extendedKeyUsage`")
    subprocess.run(["sh", "-ec", commands], cwd=directory, check=True, capture_output=True)
    return block("# far.toml", "\n    # near.toml"), block("# near.toml", "\nAn authority")


def test_the_pair_of_the_documents_is_right(tmp_path):
    for text, count in zip(make_files(tmp_path), ("1 far end", "1 route and 1 tunnel")):
        (tmp_path / "c.toml").write_text(text)
        checked = subprocess.run([BINARY, "check", "--config", "c.toml"], cwd=tmp_path, capture_output=True, text=True)
        assert checked.stderr == ""
        assert checked.stdout == f"c.toml: ok, {count}\n"


def test_the_certificates_of_the_documents_are_of_today(tmp_path):
    """Version 3, and each for what it is used for, and for nothing else (RFC 5280 section 4.2.1)."""
    make_files(tmp_path)

    def shown(name: str) -> str:
        return subprocess.run(["openssl", "x509", "-in", f"{name}.pem", "-noout", "-text"], cwd=tmp_path, check=True,
                              capture_output=True, text=True).stdout

    for name, usage, of in (("ca", "Certificate Sign, CRL Sign", "CA:TRUE"), ("far", "Digital Signature", "CA:FALSE"),
                            ("near", "Digital Signature", "CA:FALSE")):
        text = " ".join(shown(name).split())
        assert "Version: 3 (0x2)" in text
        assert f"X509v3 Basic Constraints: critical {of}" in text
        assert f"X509v3 Key Usage: critical {usage} " in text
        assert "Public-Key: (256 bit)" in text
    assert "Extended Key Usage: TLS Web Server Authentication X509v3" in " ".join(shown("far").split())
    assert "Extended Key Usage: TLS Web Client Authentication X509v3" in " ".join(shown("near").split())
    assert "DNS:far.example.net" in shown("far")
    assert "X509v3 Subject Alternative Name" in shown("near")


def test_the_list_of_revoked_certificates_of_the_documents_is_right(tmp_path):
    far_text, _ = make_files(tmp_path)
    subprocess.run(["sh", "-ec", block("printf '%s", "\nWith few near ends")], cwd=tmp_path, check=True, capture_output=True)
    (tmp_path / "c.toml").write_text(far_text.replace('client_ca = "ca.pem"', 'client_ca = "ca.pem", crl = "ca.crl"'))
    checked = subprocess.run([BINARY, "check", "--config", "c.toml"], cwd=tmp_path, capture_output=True, text=True)
    assert (checked.stdout, checked.stderr) == ("c.toml: ok, 1 far end\n", "")
    judged = subprocess.run(["openssl", "verify", "-CAfile", "ca.pem", "-CRLfile", "ca.crl", "-crl_check", "far.pem", "near.pem"],
                            cwd=tmp_path, capture_output=True, text=True)
    assert "far.pem: OK" in judged.stdout
    assert "near.pem: verification failed" in judged.stderr and "certificate revoked" in judged.stderr


def test_the_pair_of_the_documents_works(tmp_path, server):
    """With addresses of this machine, and the name that its certificate has."""
    far_text, near_text = make_files(tmp_path)
    (tmp_path / "far.toml").write_text(
        far_text.replace("0.0.0.0:8443", "127.0.0.1:0").replace("10.0.0.0/8:514", text_of(server.address)))
    far = Finhold(["run", "--config", "far.toml"], cwd=tmp_path)
    address = far.await_event("listening", far="far")["address"]
    (tmp_path / "near.toml").write_text(
        near_text.replace('"far.example.net:8443"', f'"{address}"')
        .replace("tls  = {", 'tls  = { server_name = "far.example.net",')
        .replace('"127.0.0.1:5432"', '"127.0.0.1:0"').replace("db.internal:5432", text_of(server.address)))
    near = Finhold(["run", "--config", "near.toml"], cwd=tmp_path)
    session = server.session(near.address("db"))
    session.client.send(100_000)
    session.client.finish()
    session.server.receive(100_000)
    session.server.expect_end(100_000)
    session.server.send(50_000)
    session.server.finish()
    session.client.expect_end(50_000)
    for finhold in (near, far):
        assert finhold.ending()["ending"] == "finished"
        assert not [event for event in finhold.events if event.level in ("warning", "error")], finhold.log()
        finhold.process.terminate()
        assert finhold.process.wait(20) == 0
