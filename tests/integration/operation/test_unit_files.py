"""deploy/systemd: systemd finds nothing wrong there, and little that finhold could be kept from."""

import subprocess
from pathlib import Path

import pytest
from finhold import BINARY, ROOT

UNITS = ROOT / "deploy" / "systemd"


@pytest.fixture
def units(tmp_path) -> Path:
    """A copy of them that starts the binary under test."""
    for each in ("finhold.service", "finhold.socket"):
        text = (UNITS / each).read_text()
        assert each.endswith(".socket") or "/usr/sbin/finhold " in text
        (tmp_path / each).write_text(text.replace("/usr/sbin/finhold ", f"{Path(BINARY).resolve()} "))
    return tmp_path


def with_rules(units: Path) -> None:
    drop_ins = units / "finhold.service.d"
    drop_ins.mkdir()
    text = (UNITS / "apply-rules.conf").read_text()
    (drop_ins / "apply-rules.conf").write_text(text.replace("/usr/sbin/finhold ", f"{Path(BINARY).resolve()} "))


def analyze(*arguments: str) -> str:
    done = subprocess.run(["systemd-analyze", "--no-pager", *arguments], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_systemd_finds_nothing_wrong_in_the_units(units):
    assert analyze("verify", "--man=no", str(units / "finhold.service"), str(units / "finhold.socket")) == ""


def test_systemd_finds_nothing_wrong_in_the_drop_in(units):
    with_rules(units)
    assert analyze("verify", "--man=no", str(units / "finhold.service")) == ""


def test_the_sandbox_is_tight(units):
    """An exposure of 2.0 of 10 at most."""
    report = analyze("security", "--offline=yes", "--threshold=20", str(units / "finhold.service"))
    assert "Overall exposure level" in report


def test_the_sandbox_is_tight_with_rules_too(units):
    with_rules(units)
    analyze("security", "--offline=yes", "--threshold=20", str(units / "finhold.service"))
