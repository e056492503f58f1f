"""What stands in a log, and what never does."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import sys
import structlog
from torii.cli.logs import set_up_logging

if {terminal}:
    sys.stderr.isatty = lambda: True
set_up_logging()

def take(secret):
    raise ValueError("no event")

try:
    take("".join(["open", "-", "sesame"]))
except ValueError:
    structlog.get_logger("torii.web").exception("webhook-failed")
"""


@pytest.mark.parametrize("terminal", [True, False], ids=["terminal", "file"])
def test_an_exception_is_logged_with_its_place_and_without_the_variables(terminal: bool) -> None:
    command = [sys.executable, "-c", PROGRAM.format(terminal=terminal)]
    log = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stderr
    for shown in ("webhook-failed", "Traceback", "in take", "ValueError", "no event"):
        assert shown in log
    assert "open-sesame" not in log
