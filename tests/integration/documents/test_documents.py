"""The documents lead somewhere, and leave out no key and no ending."""

import re
import subprocess
from pathlib import Path

from finhold import BINARY, ROOT

# What git would list; there are copies of Debian's own below build.
DOCUMENTS = [path for path in ROOT.rglob("*.md") if "build" not in path.relative_to(ROOT).parts]


def anchors(document: Path) -> set[str]:
    """As GitHub makes them from headings."""
    headings = re.findall(r"^#+ +(.*)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_links_lead_somewhere():
    found = 0
    for document in DOCUMENTS:
        for link in re.findall(r"\]\((?!https?:)([^)\s]+)\)", document.read_text()):
            path, _, anchor = link.partition("#")
            target = document.parent / path if path else document
            assert target.exists(), (document, link)
            assert not anchor or anchor in anchors(target), (document, link)
            found += 1
    assert found > 20


def test_every_word_of_an_ending_line_is_explained():
    first_cells = re.findall(r"^\| (`[^|]*) \|", (ROOT / "deploy" / "log.md").read_text(), re.MULTILINE)
    explained = {word for cell in first_cells for word in re.findall(r"`([a-z-]+)`", cell)}
    core = ROOT / "src" / "core"
    sources = (core / "ending.cc").read_text() + (core / "fin_policy.cc").read_text().split("name(Release ")[1]
    words = re.findall(r'\breturn "([a-z-]+)";', sources)
    assert {"finished", "local-closed", "quiet"} < set(words)
    for word in [*words, "server-ended", "client-ended"]:
        assert word in explained, word


def test_the_reference_of_the_configuration_is_the_programs_own():
    program = Path(BINARY).parent / "toml_manual"
    printed = subprocess.run([program, "--markdown"], capture_output=True, text=True, check=True).stdout
    assert (ROOT / "conf" / "configuration.md").read_text() == printed, f"{program} --markdown > conf/configuration.md"


def test_the_lines_that_the_readme_quotes_are_written():
    """Sources with the strings that stand side by side joined, as the compiler does."""
    sources = "".join(path.read_text() for path in (ROOT / "src").rglob("*.cc"))
    written = re.sub(r'"\s*"', "", sources).replace('\\"', '"')
    section = (ROOT / "README.md").read_text().split("\n## When something is wrong\n")[1].split("\n## ")[0]
    quoted = set(re.findall(r'(?<!`)"([^"`]+)"(?!`)', section)) - {"connection refused"}  # which the client says
    assert len(quoted) > 8
    for line in quoted:
        assert line in written, line
    for word in re.findall(r"`(?:ending|released|gone)=([a-z-]+)`", section):
        assert f'"{word}"' in written, word


def test_each_promise_of_the_readme_names_its_tests():
    tests = ROOT / "tests"
    table = (tests / "README.md").read_text().split("What README.md promises")[1].split("\n\n")[1]
    rows = dict(re.findall(r"^\| ([^|(]+?)(?: \([^|]*\))? \| (.*) \|$", table, re.MULTILINE))
    headings = re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", (ROOT / "README.md").read_text(), flags=re.DOTALL), re.MULTILINE)
    assert set(rows) - {"README.md", "---"} == set(headings)
    for row in rows.values():
        for name in re.findall(r"`([\w/-]+/[\w/-]+)`", row):
            places = [ROOT / name, tests / name, tests / f"{name}.py", tests / "integration" / f"{name}.py"]
            assert any(place.exists() for place in places), name
