"""Reads test reports in JUnit's XML, as pytest, Maven's Surefire, go-junit-report, jest-junit, GoogleTest and Gradle write it.

There is no one standard: https://github.com/testmoapp/junitxml describes what is common. A report is a stranger's file: nothing in it
is expanded, followed or waited for, and whatever is wrong with it becomes a note, never an exception.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO, Any
from xml.etree.ElementTree import Element, ParseError

from defusedxml.common import DefusedXmlException, EntitiesForbidden
from defusedxml.ElementTree import iterparse

from torii.model.build import TestSummary
from torii.results.text import clean_line

REPORT_LIMIT = 64 * 1024 * 1024
"""Bytes read of one report."""
FILES_LIMIT = 2000
"""Reports read of one build."""
TOTAL_LIMIT = 256 * 1024 * 1024
"""Bytes read of all reports of one build."""
FAILING_LIMIT = 20
"""Names of failing tests kept; the counts are always whole."""
_NAME_LIMIT = 240
_DEPTH_LIMIT = 200

# ElementTree stops at the control characters that XML forbids, yet test tools copy them from a test's output into their reports.
_FORBIDDEN = bytes(range(0x09)) + b"\x0b\x0c" + bytes(range(0x0E, 0x20))
_WITHOUT_FORBIDDEN = bytes.maketrans(_FORBIDDEN, b" " * len(_FORBIDDEN))


def parse_reports(paths: Iterable[Path], note: Callable[[str], None] = lambda _: None) -> TestSummary:
    """Return the counts of all reports at `paths` together, and the first failing tests as `classname.name`.

    `failed` counts failures and errors. What could not be read is told to `note` in a sentence; tests read before a
    report broke off count. Raises nothing for what the files hold.
    """
    tally = _Tally()
    left = TOTAL_LIMIT
    for number, path in enumerate(paths):
        if number >= FILES_LIMIT:
            note(f"test reports: only the first {FILES_LIMIT} files were read")
            break
        if left <= 0:
            note(f"test reports: only the first {TOTAL_LIMIT >> 20} MiB were read")
            break
        try:
            left -= _read(path, min(left, REPORT_LIMIT), tally)
        except (_UnreadableError, DefusedXmlException, ParseError, ValueError, LookupError, OSError) as error:
            note(f"test report {clean_line(path.name, 120)}: {_why(error)}")
    return tally.summary()


class _UnreadableError(Exception):
    """The report is not a file that can be read as one."""


class _Tally:
    def __init__(self) -> None:
        self.total = self.failed = self.skipped = 0
        self.failing: list[str] = []

    def failure(self, name: str) -> None:
        self.failed += 1
        if len(self.failing) < FAILING_LIMIT and name not in self.failing:
            self.failing.append(name)

    def summary(self) -> TestSummary:
        return TestSummary(self.total, self.failed, self.skipped, tuple(self.failing))


class _Bounded:
    """A report's bytes, no more than `limit` of them, without the characters that would end the reading."""

    def __init__(self, stream: IO[bytes], limit: int) -> None:
        self._stream, self._limit = stream, limit
        self.size = 0
        self._wide: bool | None = None

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(min(size, 1 << 16) if size >= 0 else 1 << 16)
        self.size += len(data)
        if self.size > self._limit:
            raise _UnreadableError(f"it is larger than {self._limit >> 20} MiB")
        if self._wide is None:
            self._wide = data[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\x00" in data[:4]
        return data if self._wide else data.translate(_WITHOUT_FORBIDDEN)


def _read(path: Path, limit: int, tally: _Tally) -> int:
    """Add the tests of one report to `tally` and return the bytes read."""
    # A build may leave a link to a file of the machine, or a pipe that nobody ever writes to.
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as stream:
        status = os.fstat(stream.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise _UnreadableError("it is not a plain file")
        if status.st_size == 0:
            raise _UnreadableError("it is empty")
        bounded = _Bounded(stream, limit)
        _walk(bounded, tally)
        return bounded.size


def _walk(source: _Bounded, tally: _Tally) -> None:
    depth, suites = 0, [""]
    root = ""
    parents: list[Any] = []
    for event, element in iterparse(source, events=("start", "end")):
        tag = _tag(element)
        if event == "start":
            depth += 1
            root = root or tag
            if root not in ("testsuites", "testsuite"):
                raise _UnreadableError(f"it is XML, but no test report: its first element is <{clean_line(root, 40)}>")
            if depth > _DEPTH_LIMIT:
                raise _UnreadableError(f"its elements are nested deeper than {_DEPTH_LIMIT}")
            if tag == "testsuite":
                suites.append(element.get("name", ""))
            parents.append(element)
            continue
        depth -= 1
        parents.pop()
        if tag == "testcase":
            _count(element, suites[-1], tally)
        elif tag == "testsuite":
            suites.pop()
        elif tag in ("error", "failure") and parents and _tag(parents[-1]) == "testsuite":
            tally.total += 1  # the suite itself broke, outside of any test
            tally.failure(clean_line(suites[-1], _NAME_LIMIT) or "(test suite)")
        if parents and _tag(parents[-1]) != "testcase":
            parents[-1].remove(element)  # keeps memory flat: what was counted is let go
        elif parents:
            element.text = None


def _count(case: Element, suite: str, tally: _Tally) -> None:
    tags = {_tag(child) for child in case}
    tally.total += 1
    if tags & {"failure", "error"}:
        tally.failure(_name(case, suite))
    elif "skipped" in tags or case.get("status") in ("notrun", "disabled", "skipped") or case.get("result") in ("suppressed", "skipped"):
        tally.skipped += 1


def _name(case: Element, suite: str) -> str:
    name = clean_line(case.get("name", ""), _NAME_LIMIT)
    where = clean_line(case.get("classname") or case.get("class") or suite, _NAME_LIMIT)
    # jest-junit gives both the same text by default, and some tools repeat the class in the name.
    if not where or name == where or name.startswith((f"{where}.", f"{where} ")):
        return name or where or "(unnamed test)"
    return clean_line(f"{where}.{name}", _NAME_LIMIT) if name else where


def _tag(element: Element) -> str:
    return str(element.tag).rpartition("}")[2]


def _why(error: Exception) -> str:
    match error:
        case EntitiesForbidden():
            return "it declares XML entities, which are refused"
        case DefusedXmlException():
            return "it refers to things outside of itself, which is refused"
        case ParseError():
            return f"it is not well-formed XML ({clean_line(str(error), 120)})"
        case OSError():
            return f"it cannot be opened ({error.strerror or 'unreadable'})"
    return clean_line(str(error), 200)
