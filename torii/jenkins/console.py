"""Console logs, read from where the last piece ended, with no more of them in memory than was asked for.

Jenkins' progressiveText takes an offset into the log as it lies on disk, where it has hidden notes that the answer leaves out and where
lines end with one character, not two: only Jenkins can say where an answer ended, in X-Text-Size. And it answers with all that there is
from the offset on. So a log that is longer than a piece is read on from the same answer, which is held open meanwhile; where that got
lost, the answer is asked for again and what was seen of it skipped. See LargeText in Stapler (doProgressText) for the protocol.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

from torii.jenkins.api import LOG, Api
from torii.jenkins.values import LogPiece
from torii.jenkins.wire import Stream

_HELD = 8
"""Answers held open at once; another one more costs a reading over."""

_HOLD = 20.0
"""Seconds for which one is held: Jenkins itself gives up after 30."""

_SEEN = 1 << 44
"""An offset in the middle of an answer is the answer's own plus this many for each byte that was seen of it."""


@dataclass(eq=False)
class _Reading:
    """An answer that has been begun: from `start` on the log, up to `size`, of which `seen` bytes were handed out."""

    stream: Stream
    start: int
    size: int
    more: bool
    seen: int = 0
    left: bytes = b""
    held_at: float = 0.0

    def read(self, largest: int) -> bytes:
        """Return the next bytes, `largest` at most and with `\\n` ends; fewer only at the end."""
        found = bytearray(self.left)
        ended = False
        while len(found) <= largest and not ended:
            wanted = largest + 1 - len(found)
            piece = self.stream.read(wanted)
            ended = len(piece) < wanted
            # A line's end may lie across two pieces.
            joined = found[-1:] + piece
            del found[-1:]
            found += joined.replace(b"\r\n", b"\n")
        self.left = bytes(found[largest:])
        data = bytes(found[:largest])
        self.seen += len(data)
        return data


class Console:
    """The logs of one Jenkins' builds, for any number of threads."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._lock = threading.Lock()
        self._held: dict[tuple[str, int, int], _Reading] = {}

    def read(self, job: str, number: int, start: int, largest: int) -> LogPiece:
        """Return the log from `start` on, 0 or what an earlier piece said. Raises JenkinsMissingError where the build is gone."""
        reading = self._resume(job, number, start) or self._begin(job, number, start)
        if reading.size < reading.start:
            # It has become shorter, and what Jenkins gives is all of it: we have seen that.
            reading.stream.close()
            return LogPiece(b"", reading.size, reading.more)
        data = reading.read(max(1, largest))
        if not reading.left:
            reading.stream.close()
            return LogPiece(data, reading.size, reading.more)
        following = reading.start + _SEEN * reading.seen
        self._hold((job, number, following), reading)
        return LogPiece(data, following, more=True)

    def close(self) -> None:
        """Let go of all that is held open."""
        with self._lock:
            held, self._held = list(self._held.values()), {}
        for reading in held:
            reading.stream.close()

    def _begin(self, job: str, number: int, start: int) -> _Reading:
        seen, offset = divmod(start, _SEEN)
        stream = self._api.stream(LOG, job, {"start": str(offset)}, number=number)
        try:
            size = int(stream.headers["X-Text-Size"])
        except (KeyError, ValueError):
            raise stream.not_jenkins("log") from None
        reading = _Reading(stream, offset, size, more=stream.headers.get("X-More-Data", "").lower() == "true")
        while size >= offset and reading.seen < seen and reading.read(min(seen - reading.seen, 1 << 20)):
            pass
        return reading

    def _resume(self, job: str, number: int, start: int) -> _Reading | None:
        self._let_go(time.monotonic() - _HOLD)
        with self._lock:
            return self._held.pop((job, number, start), None)

    def _hold(self, key: tuple[str, int, int], reading: _Reading) -> None:
        reading.held_at = time.monotonic()
        with self._lock:
            self._held[key] = reading
            oldest = sorted(self._held.values(), key=lambda each: each.held_at)[:-_HELD]
        for each in oldest:
            self._let_go(each.held_at)

    def _let_go(self, until: float) -> None:
        """Close what is held since `until` or longer."""
        with self._lock:
            gone = [key for key, reading in self._held.items() if reading.held_at <= until]
            closing = [self._held.pop(key) for key in gone]
        for reading in closing:
            reading.stream.close()
