"""A plugin of pytest: one test of ctest is all that pytest makes of a function, by its parameters. It has failed if one of them
has, it is skipped if one of them is, and none has failed, and then its exit code is that of SKIP_RETURN_CODE (python_tests.cmake)."""

import pytest

SKIPPED = 77


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if exitstatus == pytest.ExitCode.OK and reporter.stats.get("skipped"):
        session.exitstatus = SKIPPED
