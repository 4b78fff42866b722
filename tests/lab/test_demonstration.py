"""What deploy/quickstart shows, with the program that is tested here."""

import subprocess

from lab import ROOT, finhold_program


def test_it_comes_out_as_expected():
    shown = subprocess.run([ROOT / "deploy" / "demonstration" / "demonstrate.py", finhold_program()], capture_output=True, text=True, timeout=70)
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert "without finhold" in shown.stdout
