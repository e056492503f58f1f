"""Results of builds, read from the blob store: Torii's own worker wrote them there, or the gatherer for a build in a Jenkins."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import structlog

from torii.errors import OperatorError
from torii.model.ids import BuildId
from torii.results import layout
from torii.results.record import BuildRecord, decode
from torii.runtime.ports import Outcome

RECORD_LIMIT = 4 * 1024 * 1024
"""Bytes a record may have: many times what a build with 10,000 artifacts needs."""

_log = structlog.get_logger(__name__)


class RecordBlobs(Protocol):
    """What is asked of the blob store (`torii.store.blobs.Blobs`)."""

    def size(self, key: str) -> int | None:
        """Return how many bytes there are, None where there is no such blob."""

    def read(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        """Return the bytes from `start` up to, without, `end`."""


class StoredResults:
    """The `Results` port over a blob store. `base_url` is how users reach the pages; give a function where it is known only later."""

    def __init__(self, blobs: RecordBlobs, base_url: Callable[[], str] | str) -> None:
        self._blobs = blobs
        self._base_url = base_url

    def outcome(self, build: BuildId) -> Outcome | None:
        """Return how `build` ended; None while it has no record, or one that cannot be read (which is logged)."""
        record = self.record(build)
        if record is None:
            return None
        return Outcome(
            result=record.result,
            duration=record.duration,
            detail=record.detail,
            tests=record.tests,
            artifacts=record.artifacts,
            url=self.url(build),
            comments=record.comments,
        )

    def record(self, build: BuildId) -> BuildRecord | None:
        """Return all that was written down of `build` when it ended, None where nothing readable was."""
        try:
            return read_record(self._blobs, build)
        except (OperatorError, layout.UnfitNameError) as error:
            _log.warning("build-record-unreadable", build=build, error=str(error))
            return None

    def url(self, build: BuildId) -> str:
        """Return the address of the build's page."""
        base = self._base_url if isinstance(self._base_url, str) else self._base_url()
        return f"{base.rstrip('/')}/builds/{build}"


def read_record(blobs: RecordBlobs, build: BuildId) -> BuildRecord | None:
    """Return the record of `build`, None where there is none yet. Raises OperatorError where it is there and cannot be read."""
    key = layout.record(build)
    size = blobs.size(key)
    if size is None:
        return None
    record = decode(blobs.read(key, 0, RECORD_LIMIT)) if size <= RECORD_LIMIT else None
    if record is None:
        raise OperatorError(f"the blob {key} is no record of a build; it was damaged or written by something else")
    return record
