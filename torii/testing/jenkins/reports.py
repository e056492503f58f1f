"""A build's JUnit files as Jenkins' junit plug-in shows them in `testReport/api/json`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring


def report(paths: Iterable[Path]) -> dict[str, object] | None:
    """Return the report of all the files that can be read, None where no file holds a test."""
    suites = [suite for path in paths for suite in _suites(path)]
    cases = [case for suite in suites for case in suite["cases"]]
    if not cases:
        return None
    counts = {name: sum(case["status"] in words for case in cases) for name, words in _COUNTED.items()}
    return {
        "_class": "hudson.tasks.junit.TestResult",
        "testActions": [],
        "duration": round(sum(suite["duration"] for suite in suites), 3),
        "empty": False,
        **counts,
        "suites": suites,
    }


_COUNTED = {"failCount": ("FAILED", "REGRESSION"), "passCount": ("PASSED", "FIXED"), "skipCount": ("SKIPPED",)}


def _suites(path: Path) -> list[dict[str, Any]]:
    try:
        root = fromstring(path.read_bytes())
    except (OSError, ParseError, DefusedXmlException, ValueError):
        return []
    return [_suite(element) for element in root.iter("testsuite")]


def _suite(suite: Element) -> dict[str, Any]:
    cases = [_case(case, suite.get("name", "")) for case in suite.findall("testcase")]
    return {
        "cases": cases,
        "duration": round(sum(case["duration"] for case in cases), 3),
        "enclosingBlockNames": [],
        "enclosingBlocks": [],
        "id": None,
        "name": suite.get("name", ""),
        "nodeId": None,
        "stderr": None,
        "stdout": None,
        "timestamp": suite.get("timestamp"),
    }


def _case(case: Element, suite: str) -> dict[str, Any]:
    problem = next((found for tag in ("failure", "error") if (found := case.find(tag)) is not None), None)
    skipped = case.find("skipped")
    return {
        "testActions": [],
        "age": 0 if problem is None else 1,
        "className": case.get("classname") or suite,
        "duration": _seconds(case.get("time")),
        "errorDetails": None if problem is None else problem.get("message"),
        "errorStackTrace": None if problem is None else problem.text or "",
        "failedSince": 0,
        "name": case.get("name", ""),
        "skipped": skipped is not None,
        "skippedMessage": None if skipped is None else skipped.get("message", ""),
        "status": "SKIPPED" if skipped is not None else "PASSED" if problem is None else "FAILED",
        "stderr": None,
        "stdout": None,
    }


def _seconds(text: str | None) -> float:
    try:
        return float(text or 0)
    except ValueError:
        return 0.0
