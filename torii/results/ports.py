"""What Torii's worker and the gatherer, who bring what builds leave, ask of where it is kept; `torii.store.blobs` has it."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol


class BlobWriter(Protocol):
    """A blob that grows; what was written can be read at once."""

    def write(self, data: bytes) -> None:
        """Append all of `data`, or raise OperatorError: then some of it may be there."""

    def close(self) -> None:
        """Make what was written last. A second call does nothing."""


class Blobs(Protocol):
    """Keeps bytes by key. All of it raises `torii.errors.OperatorError` where the backend refuses (its disk is full, say)."""

    def put(self, key: str, content: bytes | Path) -> None:
        """Keep `content` (or that of a regular file) as `key`, whole, in place of what was there."""

    def append(self, key: str) -> BlobWriter:
        """Return a writer at the end of `key`, which is made where it is not there."""

    def read(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        """Return the bytes from `start` up to, without, `end`. Raises OperatorError where there is no such blob."""

    def size(self, key: str) -> int | None:
        """Return how many bytes there are, None where there is no such blob."""
