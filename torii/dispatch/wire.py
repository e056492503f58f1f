"""What a worker says of a build, read with care: anything may come from a worker, and nonsense is taken for silence."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from torii.model.build import Result

_DETAIL_LIMIT = 1000
_FROM_WORKERS = (
    Result.SUCCESS,
    Result.FAILURE,
    Result.UNSTABLE,
    Result.ABORTED,
    Result.NOT_BUILT,
    Result.TIMED_OUT,
    Result.LOST,
)
"""The rest of the results are for Torii to give."""


@dataclass(frozen=True, slots=True)
class Running:
    """A build as its worker's WORK_DATA names it: what `stop:<manager>` wants to be told."""

    name: str
    number: int
    manager: str
    worker: str = ""
    url: str | None = None

    @property
    def identity(self) -> tuple[str, str, int]:
        """What tells this run from every other."""
        return self.manager, self.name, self.number

    def same(self, other: Running) -> bool:
        """Whether `other` may be the same run: of one that was not heard of on the wire the manager is not known."""
        return self.identity == (other.manager if self.manager else "", other.name, other.number)


def running(data: bytes) -> Running | None:
    """Return the build that `data` (WORK_DATA or WORK_COMPLETE) speaks of, or None where it does not."""
    said = _object(data)
    name, number, manager = said.get("name"), _number(said.get("number")), said.get("manager")
    if not isinstance(name, str) or number is None or not isinstance(manager, str):
        return None
    url = said.get("url")
    if not isinstance(url, str) or not url.startswith(("http://", "https://")):
        url = None
    return Running(name, number, manager, str(said.get("worker") or said.get("node_name") or ""), url)


def result(data: bytes) -> Result | None:
    """Return the result in `data` (WORK_COMPLETE), or None where it has none that means anything."""
    said = _object(data).get("result")
    return next((result for result in _FROM_WORKERS if result.value == said), None)


def detail(data: bytes) -> str:
    """Return the first line of an exception, fit to be shown."""
    lines = data.decode("utf-8", "replace").strip().splitlines()
    text = "".join(letter if letter.isprintable() else " " for letter in lines[0]) if lines else ""
    return text[:_DETAIL_LIMIT]


def _object(data: bytes) -> dict[str, Any]:
    try:
        said: Any = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def _number(said: object) -> int | None:
    if isinstance(said, bool):
        return None
    if isinstance(said, int):
        return said
    return int(said) if isinstance(said, str) and said.isascii() and said.isdigit() and len(said) < 10 else None
