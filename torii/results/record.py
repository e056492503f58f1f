"""What is written down when a build ends: the file `result.json` beside its log. Written once and last, by whoever ran the build."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from torii.model.build import FileComment, Result, TestSummary

_FORMAT = 1


@dataclass(frozen=True, slots=True)
class BuildRecord:
    """How a build ended. Times are seconds since the epoch, `duration` seconds; `artifacts` are paths below the build's `artifacts/`.

    `url` is the build's page in Jenkins, empty where it ran elsewhere. `linked` are the paths of artifacts that stayed there: see `link`.
    """

    result: Result
    started_at: float | None = None
    ended_at: float | None = None
    duration: float | None = None
    detail: str = ""
    tests: TestSummary | None = None
    artifacts: tuple[str, ...] = ()
    worker: str = ""
    comments: tuple[FileComment, ...] = ()
    url: str = ""
    linked: tuple[str, ...] = ()

    def link(self, path: str) -> str:
        """Return the address of the artifact at `path`, one of `linked`."""
        return f"{self.url.rstrip('/')}/artifact/{quote(path)}"


def encode(record: BuildRecord) -> bytes:
    """Return `record` as JSON in UTF-8; text that is not Unicode (a lone surrogate) is escaped, never an error."""
    tests = record.tests
    fields = {
        "format": _FORMAT,
        "result": record.result.value,
        "started_at": record.started_at,
        "ended_at": record.ended_at,
        "duration": record.duration,
        "detail": record.detail,
        "tests": None
        if tests is None
        else {"total": tests.total, "failed": tests.failed, "skipped": tests.skipped, "failing": list(tests.failing)},
        "artifacts": list(record.artifacts),
        "worker": record.worker,
        "comments": [_plain(comment) for comment in record.comments],
        "url": record.url,
        "linked": list(record.linked),
    }
    return (json.dumps(fields, indent=1) + "\n").encode()


def decode(data: bytes) -> BuildRecord | None:
    """Return the record in `data`, with a default for each key that is missing or strange; None where it tells no result."""
    try:
        fields = json.loads(data)
        result = Result(fields["result"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    return BuildRecord(
        result=result,
        started_at=_number(fields.get("started_at")),
        ended_at=_number(fields.get("ended_at")),
        duration=_number(fields.get("duration")),
        detail=_text(fields.get("detail")),
        tests=_tests(fields.get("tests")),
        artifacts=_texts(fields.get("artifacts")),
        worker=_text(fields.get("worker")),
        comments=_comments(fields.get("comments")),
        url=_text(fields.get("url")),
        linked=_texts(fields.get("linked")),
    )


def _plain(comment: FileComment) -> dict[str, Any]:
    return {"path": comment.path, "line": comment.line, "end_line": comment.end_line, "message": comment.message}


def _comments(value: Any) -> tuple[FileComment, ...]:
    read = [_comment(each) for each in value if isinstance(each, dict)] if isinstance(value, list) else []
    return tuple(comment for comment in read if comment.path and comment.message)


def _comment(fields: dict[str, Any]) -> FileComment:
    line, end_line = (_count(fields.get(key)) or None for key in ("line", "end_line"))
    return FileComment(_text(fields.get("path")), _text(fields.get("message")), line, end_line)


def _tests(value: Any) -> TestSummary | None:
    if not isinstance(value, dict):
        return None
    total, failed, skipped = (_count(value.get(key)) for key in ("total", "failed", "skipped"))
    return TestSummary(total, failed, skipped, _texts(value.get("failing")))


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e15 else None


def _count(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else 0


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(each for each in value if isinstance(each, str)) if isinstance(value, list) else ()
