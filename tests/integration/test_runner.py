"""How ctest counts what pytest makes of one function, which may be many tests by its parameters."""

import subprocess
import sys
import xml.etree.ElementTree as xml

from finhold import ROOT

TESTS = '''
import pytest

def make(*outcomes):
    return pytest.mark.parametrize("outcome", outcomes)

@pytest.fixture
def fixture(outcome):
    if outcome == "skip late":
        pytest.skip("not here")
    yield
    assert outcome != "fail late"

def do(outcome):
    if outcome == "skip":
        pytest.skip("not here")
    assert outcome != "fail"
'''
# name: the outcomes of its parameters, what ctest is to make of them
CASES = {
    "all_pass": (["pass", "pass"], "run"),
    "one_is_skipped": (["pass", "skip"], "notrun"),
    "all_are_skipped": (["skip", "skip late"], "notrun"),
    "one_fails": (["pass", "fail"], "fail"),
    "a_skip_and_a_failure": (["skip", "fail"], "fail"),
    "a_failure_and_a_skip": (["fail late", "pass", "skip late"], "fail"),
}


def test_a_failure_beside_a_skip_is_a_failure(tmp_path):
    file = tmp_path / "test_cases.py"
    file.write_text(TESTS + "".join(f"\n@make(*{outcomes})\ndef test_{name}(fixture, outcome):\n    do(outcome)\n"
                                    for name, (outcomes, _) in CASES.items()))
    (tmp_path / "CMakeLists.txt").write_text(f"""
        cmake_minimum_required(VERSION 3.22)
        project(runner NONE)
        enable_testing()
        set(Python3_EXECUTABLE {sys.executable})
        add_executable(finhold IMPORTED)
        set_target_properties(finhold PROPERTIES IMPORTED_LOCATION /usr/bin/false)
        include({ROOT}/tests/python_tests.cmake)
        finhold_python_file(label runner 60 {file} "")
        """)
    build = tmp_path / "build"
    subprocess.run(["cmake", "-G", "Ninja", "-S", str(tmp_path), "-B", str(build)], check=True, capture_output=True)
    done = subprocess.run(["ctest", "--test-dir", str(build), "--output-junit", "results.xml"], capture_output=True, text=True)
    cases = xml.parse(build / "results.xml").getroot().iter("testcase")
    found = {case.get("name").removeprefix("runner.cases."): case.get("status") for case in cases}
    assert found == {name: wanted for name, (_, wanted) in CASES.items()}, done.stdout
