"""What every test gets: an environment that is nobody's, the marker `needs`, and waiting with a limit."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import settings

from tests.support import gerrit as gerrit_lab
from tests.support import parts, waiting
from tests.support.gerrit import boot_gerrit, gerrit, gerrit_project, gerrit_site  # noqa: F401 - fixtures for all

Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)
TESTS = Path(__file__).resolve().parent
IN_CI = os.environ.get("CI", "").lower() in {"1", "true", "yes"}

# Examples that a loaded machine makes slow are no failures. CI runs the same examples each time, and more of them.
settings.register_profile("torii", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, max_examples=200, print_blob=True)
settings.load_profile("ci" if IN_CI else "torii")

# What git, Python and the XDG rules read from the caller's environment: a test must not depend on whose machine it is.
LEAKS = [
    *("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_SSH", "GIT_SSH_COMMAND", "GIT_ASKPASS"),
    *("GIT_EDITOR", "SSH_AUTH_SOCK", "SSH_ASKPASS", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"),
]


def pytest_addoption(parser: pytest.Parser) -> None:
    text = f"the Gerrit that tests of Gerrit run on: {gerrit_lab.NEWEST} (the default), {gerrit_lab.OLDEST}, or any other release"
    parser.addoption("--gerrit", metavar="VERSION", default=gerrit_lab.NEWEST, help=text)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "needs(*parts): parts that pip cannot install: " + ", ".join(parts.BINARIES))
    config.addinivalue_line("markers", "gerrit: what needs a Gerrit, for -m gerrit; set by itself")
    gerrit_lab.use(config.getoption("--gerrit"))


# What takes long goes first, so that two processes end at the same time (`./run tests` keeps this order).
LONGEST_FIRST = ("unit/test_house_rules.py", "system", "ui", "scenario", "contract", "property", "unit")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=_place)
    for item in items:
        unknown = [part for mark in item.iter_markers("needs") for part in mark.args if part not in parts.BINARIES]
        if unknown:
            raise pytest.UsageError(f"{item.nodeid} needs {unknown}, which tests/support/parts.py does not know")
        if _needs_gerrit(item):
            item.add_marker("gerrit")
            if item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(300))  # the boot of the shared one is in the first test's time


def pytest_collection_finish(session: pytest.Session) -> None:
    # Now, since fetching and initialising a Gerrit may take longer than a test may.
    if not session.config.getoption("collectonly") and any(map(_needs_gerrit, session.items)):
        parts.missing("gerrit")


def _needs_gerrit(item: pytest.Item) -> bool:
    return any("gerrit" in mark.args for mark in item.iter_markers("needs"))


def _place(item: pytest.Item) -> int:
    path = item.path.relative_to(TESTS).as_posix() if item.path.is_relative_to(TESTS) else ""
    return next((place for place, start in enumerate(LONGEST_FIRST) if path.startswith(start)), len(LONGEST_FIRST))


def pytest_runtest_setup(item: pytest.Item) -> None:
    wanted = [part for mark in item.iter_markers("needs") for part in mark.args]
    reasons = [reason for reason in map(parts.missing, wanted) if reason]
    if reasons:
        pytest.skip("; ".join(reasons))  # in CI a failure, as every skip is


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    return _unskipped(report)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    return _unskipped(report)


def _unskipped(report: Report) -> Report:
    """In CI nothing is skipped: what would be is a failure that says why."""
    if IN_CI and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"{reason}\nIn CI (CI=true) nothing may be skipped."
    return report


@pytest.fixture(scope="session", autouse=True)
def nobodys_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An empty home, no git configuration but ours, no ssh-agent, no locale: the same on every machine. Yields the home."""
    home = tmp_path_factory.mktemp("home")
    gitconfig = home / ".gitconfig"
    gitconfig.write_text("[init]\n\tdefaultBranch = main\n[gc]\n\tauto = 0\n")
    env = {
        "HOME": str(home),
        "GIT_CONFIG_GLOBAL": str(gitconfig),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_AUTHOR_NAME": "A Developer",
        "GIT_AUTHOR_EMAIL": "dev@example.com",
        "GIT_COMMITTER_NAME": "A Developer",
        "GIT_COMMITTER_EMAIL": "dev@example.com",
        "LC_ALL": "C.UTF-8",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name in LEAKS:
            patch.delenv(name, raising=False)
        for name, value in env.items():
            patch.setenv(name, value)
        yield home


@pytest.fixture
def wait_until() -> Callable[..., Any]:
    """`wait_until(condition, limit=10.0)`: its first true answer, or `TimeoutError`."""
    return waiting.wait_until


@pytest.fixture
def free_port() -> int:
    """A loopback port that nothing listens on. For several, call `tests.support.waiting.free_port()`."""
    return waiting.free_port()
