"""CONTRIBUTING.md: what it has one read is there, and what it says to touch is what the last one touched."""

import re
import subprocess

import pytest
from finhold import ROOT

TEXT = (ROOT / "CONTRIBUTING.md").read_text()
FOLDERS = ("src", "conf", "deploy/log.md", "deploy/grafana", "deploy/prometheus", "README.md")
# Where what was added acts, which is a place of its own each time.
ACTS = re.compile(r"src/(core|relay|tunnel|server)/")


def lists() -> dict[str, tuple[str, list[str]]]:
    """What is added: its example, and the files to touch."""
    found = {}
    part = TEXT.split("## To add something")[1].split("\n## ")[0]
    for heading, example, body in re.findall(r"\*\*(?:A|An) ([a-z ]+)\*\*.*?`([^`]+)`:\n((?:- .*\n)+)", part):
        found[heading] = (example, [path for line in body.splitlines() for path in re.findall(r"`([^`]+)`", line.split(": ")[0])])
    return found


def spellings(example: str) -> list[str]:
    """A word of the log is an enumerator in the code."""
    return [example, example.replace("-", "_"), example.removeprefix("finhold_")]


def names_it(text: str, example: str) -> bool:
    return any(re.search(rf"\b{re.escape(one)}\b", text) for one in spellings(example)) or (
        example == "finhold_held_fins" and re.search(r"\bheld_?\b", text) is not None)


def test_what_is_to_be_read_is_there():
    paths = re.findall(r"^\d\. `([^`]+)`", TEXT, re.MULTILINE)
    assert len(paths) == 6
    for path in paths:
        assert (ROOT / path).is_file(), path


def test_there_is_a_list_for_each_kind():
    assert set(lists()) == {"key", "ending", "metric", "closing rule"}


@pytest.mark.parametrize("kind", ["key", "ending", "metric", "closing rule"])
def test_each_file_of_a_list_has_the_example(kind):
    example, paths = lists()[kind]
    assert len(paths) >= 4
    for path in paths:
        assert names_it((ROOT / path).read_text(), example), (path, example)


@pytest.mark.parametrize("kind", ["key", "ending"])
def test_no_other_file_has_the_example_but_where_it_acts(kind):
    example, paths = lists()[kind]
    listed = subprocess.run(["git", "-C", ROOT, "grep", "-lwE", "|".join(spellings(example)), "--", *FOLDERS],
                            capture_output=True, text=True, check=False).stdout.split()
    assert set(paths) & set(listed)
    others = {path for path in listed if path not in paths and not ACTS.match(path)}
    assert others <= {f"conf/{name}.md" for name in ("pair", "proxy-protocol")} | {"deploy/grafana/finhold.json"}, others
