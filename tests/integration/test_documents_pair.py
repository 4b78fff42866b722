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
    commands = block('key="-newkey', "\n`finhold check`")
    subprocess.run(["sh", "-ec", commands], cwd=directory, check=True, capture_output=True)
    return block("# far.toml", "\n    # near.toml"), block("# near.toml", "\nAn authority")


def test_the_pair_of_the_documents_is_right(tmp_path):
    for text, count in zip(make_files(tmp_path), ("1 far end", "1 route and 1 tunnel")):
        (tmp_path / "c.toml").write_text(text)
        checked = subprocess.run([BINARY, "check", "--config", "c.toml"], cwd=tmp_path, capture_output=True, text=True)
        assert checked.stderr == ""
        assert checked.stdout == f"c.toml: ok, {count}\n"


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
