"""Byte ranges as HTTP asks for them (RFC 9110, section 14). Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

_SINGLE = re.compile(r"(\d{0,18})-(\d{0,18})")


class Unsatisfiable(Enum):
    """The range asked for lies outside of the content: answered with 416."""

    UNSATISFIABLE = "unsatisfiable"


@dataclass(frozen=True, slots=True)
class Range:
    """Bytes `start` up to, not with, `end`."""

    start: int
    end: int

    def content_range(self, size: int) -> str:
        return f"bytes {self.start}-{self.end - 1}/{size}"


def parse(header: str | None, size: int) -> Range | Unsatisfiable | None:
    """Return the one range that `header` asks of content of `size` bytes; None where all of it is to be sent.

    A header that is malformed, of another unit, or asks for several ranges is ignored, as the RFC allows.
    """
    unit, _, wanted = (header or "").strip().partition("=")
    match = _SINGLE.fullmatch(wanted.strip())
    if unit.strip().lower() != "bytes" or match is None:
        return None
    first, last = match.groups()
    if not first and not last:
        return None
    if not first:
        length = min(int(last), size)
        return Range(size - length, size) if length else Unsatisfiable.UNSATISFIABLE
    start = int(first)
    if last and int(last) < start:
        return None
    if start >= size:
        return Unsatisfiable.UNSATISFIABLE
    return Range(start, min(int(last) + 1, size) if last else size)
