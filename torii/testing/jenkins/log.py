"""A build's console log, as the file on Jenkins' disk: it grows, and its notes (`ESC[8mha:...ESC[0m`) count in its size unseen."""

from __future__ import annotations

import base64
import re
import threading
from collections.abc import Iterator
from typing import Protocol

_NOTE = re.compile(rb"\x1b\[8mha:[^\x1b]*\x1b\[0m")
_OPEN = b"\x1b[8mha:"
_LONGEST = 64 * 1024


class LogSource(Protocol):
    """Bytes that can be read from any place. They may be made only when they are asked for."""

    @property
    def size(self) -> int: ...

    def read(self, start: int, end: int) -> bytes:
        """Return the bytes from `start` up to, without, `end`."""


class Log:
    """A log in memory. Thread-safe."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._lock = threading.Lock()
        self._sealed = False

    @property
    def size(self) -> int:
        return len(self._data)

    def read(self, start: int, end: int) -> bytes:
        with self._lock:
            return bytes(self._data[start:end])

    def write(self, data: bytes) -> None:
        """Append `data`."""
        with self._lock:
            if not self._sealed:
                self._data += data

    def seal(self) -> None:
        """Take nothing more: whoever wrote it is gone."""
        with self._lock:
            self._sealed = True


class HugeLog:
    """`size` bytes of numbered lines, none of which is kept anywhere; what `tail` holds comes last."""

    _LINE = 64

    def __init__(self, size: int, tail: bytes = b"\nFinished: SUCCESS\n") -> None:
        self.size = size
        self._tail = tail

    def read(self, start: int, end: int) -> bytes:
        end = min(end, self.size)
        border = self.size - len(self._tail)
        first = start // self._LINE
        lines = b"".join(self._line(number) for number in range(first, -(-min(end, border) // self._LINE)))
        found = lines[start - first * self._LINE :][: max(0, min(end, border) - start)] if start < border else b""
        return found + (self._tail[max(0, start - border) : end - border] if end > border else b"")

    def write(self, data: bytes) -> None:
        """Whatever else is said is not kept."""

    def seal(self) -> None:
        """Nothing is taken anyway."""

    def _line(self, number: int) -> bytes:
        return b"%012d " % number + b"x" * (self._LINE - 14) + b"\n"


def note(kind: str) -> bytes:
    """Return a console note as Jenkins writes one before a text that its pages make a link of."""
    return b"\x1b[8mha:" + base64.b64encode(f"a serialized {kind}".encode() * 4) + b"\x1b[0m"


def shown(data: bytes) -> bytes:
    """Return `data` as Jenkins shows it in plain text: without its notes."""
    return _NOTE.sub(b"", data)


def pieces(log: LogSource, start: int, end: int, crlf: bool, piece: int = 1 << 20) -> Iterator[bytes]:
    """Yield the bytes from `start` to `end` as text for a reader: no notes, and for progressive reading with the line ends of the net."""
    held = b""
    while start < end:
        until = min(end, start + piece)
        data = shown(held + log.read(start, until))
        start = until
        cut = _begun(data) if start < end else len(data)
        data, held = data[:cut], data[cut:]
        if data:
            yield data.replace(b"\n", b"\r\n") if crlf else data


def _begun(data: bytes) -> int:
    """Return where a note begins whose end is not there yet; the end of `data` where there is none."""
    at = data.rfind(_OPEN)
    if at >= 0 and len(data) - at < _LONGEST:
        return at
    return next((len(data) - size for size in range(len(_OPEN) - 1, 0, -1) if data.endswith(_OPEN[:size])), len(data))
