"""Fixtures of the lab's tests. Run them as root:  /usr/bin/python3 -m pytest tests/lab"""

import os
import signal

import pytest
from lab import Lab

LIMIT = 75  # seconds for one test; those that really wait 10 s take about 20


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if os.geteuid() != 0:
        for item in items:
            item.add_marker(pytest.mark.skip(reason="the lab makes network namespaces, which needs root"))


@pytest.fixture(autouse=True)
def limit():
    """Ends a test that hangs in such a way that its fixtures still clean up."""

    def too_long(*_: object) -> None:
        raise TimeoutError(f"this test took longer than {LIMIT} s")

    before = signal.signal(signal.SIGALRM, too_long)
    signal.alarm(LIMIT)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def lab(tmp_path):
    with Lab(tmp_path) as made:
        yield made
