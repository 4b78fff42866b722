"""finhold(8) leaves nothing out that the help knows."""

import re
import subprocess

from finhold import BINARY, ROOT

PAGE = (ROOT / "deploy" / "package" / "finhold.8").read_text().replace("\\-", "-")


def help_of(*command: str) -> str:
    return subprocess.run([BINARY, *command, "--help"], capture_output=True, text=True, check=True).stdout


def commands() -> list[str]:
    found = re.findall(r"^  ([a-z]+) ", help_of().split("Subcommands:")[1].split("Example:")[0], re.MULTILINE)
    assert "run" in found
    return found


def test_every_command_stands_in_the_manual():
    for command in commands():
        assert f"\n.TP\n.B {command}\n" in PAGE, command


def test_every_flag_stands_in_the_manual():
    for command in [(), *((each,) for each in commands())]:
        flags = re.findall(r"^ +(?:-h,)?(--[a-z-]+)", help_of(*command), re.MULTILINE)
        assert "--help" in flags
        for flag in flags:
            assert re.search(rf"^\.B[IR]? .*{flag}(\s|$)", PAGE, re.MULTILINE), (command, flag)
