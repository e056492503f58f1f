"""A build's console log, on its way into the blob store while the build writes it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from torii.errors import OperatorError
from torii.results.ports import Blobs, BlobWriter
from torii.worker.errors import StorageError

T = TypeVar("T")

FLUSH_AFTER = 0.1
"""Seconds that output may wait here before readers can see it."""
_FLUSH_SIZE = 256 * 1024
_NOTE_LIMIT = 4000


class Console:
    """Takes output of any kind and size: at most `limit` bytes of it are kept, and never more than a quarter of a MiB is held here.

    Everything raises `StorageError` where the blob store refuses.
    """

    def __init__(self, blobs: Blobs, key: str, limit: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._left, self._limit, self._clock = limit, limit, clock
        self._waiting = bytearray()
        self._oldest: float | None = None
        self._line_open = False
        self.dropped = 0
        self._writer: BlobWriter = _kept(lambda: blobs.append(key))

    def write(self, data: bytes) -> None:
        """Take output of the build."""
        kept = data[: self._left]
        self._left -= len(kept)
        if kept:
            self._add(kept)
        if len(kept) < len(data):
            if not self.dropped:
                self.note(
                    f"the log has reached its limit of {_size(self._limit)}; the build goes on, but what it writes from here on is not kept"
                )
            self.dropped += len(data) - len(kept)

    def note(self, text: str) -> None:
        """Write a line of the worker's own, which the limit does not hold back."""
        line = " ".join(text.split())[:_NOTE_LIMIT].encode("utf-8", "replace")
        self._add((b"\n" if self._line_open else b"") + b"[torii] " + line + b"\n")

    def due(self) -> float | None:
        """Return in how many seconds `flush` should be called, None where nothing waits."""
        return None if self._oldest is None else max(0.0, self._oldest + FLUSH_AFTER - self._clock())

    def flush(self) -> None:
        """Make all output so far visible to readers."""
        if self._waiting:
            data, self._waiting, self._oldest = bytes(self._waiting), bytearray(), None
            _kept(lambda: self._writer.write(data))

    def close(self) -> None:
        """Write what is left and close the log."""
        try:
            self.flush()
        finally:
            _kept(self._writer.close)

    def _add(self, data: bytes) -> None:
        self._waiting += data
        self._line_open = not data.endswith(b"\n")
        if self._oldest is None:
            self._oldest = self._clock()
        if len(self._waiting) >= _FLUSH_SIZE:
            self.flush()


def _kept(do: Callable[[], T]) -> T:
    try:
        return do()
    except (OperatorError, OSError) as error:
        raise StorageError(f"the build's log cannot be kept: {error}") from error


def _size(count: int) -> str:
    for unit, name in ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")):
        if count >= unit and count % unit == 0:
            return f"{count // unit} {name}"
    return f"{count:,} bytes"
