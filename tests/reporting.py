"""A pytest plugin: it starts slow files first, reports each error once and shortens long output."""

import functools
import os
from collections.abc import Generator

import pytest

MAX_OUTPUT = 6000  # characters of one failure, and of each of its captured outputs

# The tests that wait for Terraform. Each folder of them is one long chain for one worker.
CHAINS = ("test_deployed", "test_whole_life")
# The slowest files, in this order. A slow file that starts last would prolong the run.
LONGEST = (*CHAINS, "test_terraform", "test_faults", "test_lint", "test_oidc", "test_local", "test_settings")

_first_tests: dict[tuple[type[BaseException], str], str] = {}  # an error and its text => the first test with it


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort the tests so that the slowest files start first."""
    items.sort(key=rank)


def rank(item: pytest.Item) -> int:
    """Return the position of a test's file in LONGEST. All other files come last."""
    return next((place for place, name in enumerate(LONGEST) if item.path.stem.startswith(name)), len(LONGEST))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Let the chains go first on a busy machine: they decide how long the run takes."""
    if "PYTEST_XDIST_WORKER" in os.environ and not item.path.stem.startswith(CHAINS):
        give_way()


@functools.cache
def give_way() -> None:
    """Lower the priority of this worker, once."""
    os.nice(5)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Report each error in full only once. Skip a test if its fixture fails with an error that is already reported."""
    report = yield
    if report.failed:
        report.sections = [(name, cut(text)) for name, text in report.sections]
        if len(str(report.longrepr)) > MAX_OUTPUT:
            report.longrepr = cut(str(report.longrepr))
    if report.failed and call.excinfo is not None and not call.excinfo.errisinstance(AssertionError):
        error = (call.excinfo.type, str(call.excinfo.value))
        first = _first_tests.setdefault(error, item.nodeid)
        if first != item.nodeid and call.when == "setup":
            report.outcome = "skipped"
            report.longrepr = (str(item.path), None, f"A fixture failed, as {first} reports.")
        elif first != item.nodeid:
            report.longrepr = f"The error that {first} reports."
    return report


def cut(text: str) -> str:
    """Return the beginning and the end of a long text."""
    if len(text) <= MAX_OUTPUT:
        return text
    left_out = text[MAX_OUTPUT // 2 : -MAX_OUTPUT // 2].count("\n")
    return f"{text[: MAX_OUTPUT // 2]}\n... {left_out} lines left out ...\n{text[-MAX_OUTPUT // 2 :]}"
