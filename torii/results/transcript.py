"""A build's console log on its way from a Jenkins into the blob store: each byte once, whatever dies in between.

What is written for a run is a pure function of the run and of its log in Jenkins: a line that names the run, then the log, up to a limit.
So after a crash it is enough to know where in the blob it begins (written down before anything else is) and how much of it is there: the
log is read again from the last place that was written down, and what the blob has already is passed over.
"""

from __future__ import annotations

import json
from typing import Any

from torii.jenkins import LogPiece
from torii.results import layout
from torii.results.ports import Blobs
from torii.results.run import Run

CHECKPOINT = 4 * 1024 * 1024
"""So many bytes more are written before the place in the log is written down again."""
NOTE_LIMIT = 4000
_FORMAT = 1


class Transcript:
    """The log of `run`, of which `limit` bytes are kept. For one thread at a time. Everything raises OperatorError where the blobs refuse.

    `offset` is where Jenkins is to be asked to go on; `full` says that nothing more is kept, so that it need not be asked.
    """

    def __init__(self, blobs: Blobs, run: Run, limit: int) -> None:
        self._blobs, self._run, self._limit = blobs, run, limit
        self._key = layout.console(run.build)
        self._place = layout.place(run.build)
        self.offset = 0
        self.full = False
        self._head = self._waiting = b""
        self._start = 0
        self._skip = 0
        self._at = 0
        self._taken = 0
        self._line_open = False
        self._noted = 0
        self._resume()

    def take(self, piece: LogPiece) -> bool:
        """Keep `piece`, the answer to a question for what stands from `offset` on; return whether it has anything new."""
        self._introduce(with_it=bool(piece.data))
        kept = piece.data[: max(0, self._limit - self._taken)]
        self._write(kept)
        self._taken += len(kept)
        self.offset = piece.next
        if len(kept) < len(piece.data) and not self.full:
            self.full = True
            text = f"the log has reached its limit of {_size(self._limit)}; what follows is to be seen in Jenkins alone"
            self._write(self._line(text))
        elif self._at - self._noted >= CHECKPOINT:
            self._write_down()
        return bool(piece.data)

    def tail(self, count: int) -> bytes:
        """Return the last `count` bytes that were kept of the log, or fewer."""
        end = self._start + self._at
        return self._blobs.read(self._key, max(self._start + len(self._head), end - count), end)

    def head(self, count: int) -> bytes:
        """Return the first `count` bytes of the log, or fewer."""
        begin = self._start + len(self._head)
        return self._blobs.read(self._key, begin, min(begin + count, self._start + self._at))

    def close(self, notes: list[str]) -> None:
        """Write `notes` below the log, as lines of Torii's own. Where an earlier life wrote the same, they are not written again."""
        self._introduce(with_it=False)
        block = bytearray()
        for note in notes:
            block += self._line(note)
            self._line_open = False
        end = self._start + self._at
        there = self._blobs.read(self._key, end, end + self._skip)
        if not block.startswith(there):
            self._at, self._skip = self._at + len(there), 0
            if not there.endswith(b"\n"):
                block[:0] = b"\n"
        self._write(bytes(block))

    def _resume(self) -> None:
        size = self._blobs.size(self._key) or 0
        said = self._read_down()
        if said is None or tuple(said["run"]) != self._run.identity or not self._goes_on(said, size):
            self._begin(size, said)

    def _goes_on(self, said: dict[str, Any], size: int) -> bool:
        """Take up what was written down; return whether the blob bears it out."""
        self._start, self._head = said["start"], said["head"].encode()
        self._at, self.offset, self._taken, self._line_open = said["at"], said["offset"], said["taken"], said["open"]
        self._noted = self._at
        self._skip = size - self._start - self._at
        if self._skip < 0 and size >= self._start:  # less has reached the disk than was written down: from its beginning
            self._at = self.offset = self._taken = self._noted = 0
            self._skip = size - self._start
        return self._skip >= 0

    def _begin(self, size: int, said: dict[str, Any] | None) -> None:
        self._start, self._skip = size, 0
        self._at = self._taken = self._noted = self.offset = 0
        self._line_open = size > 0 and self._blobs.read(self._key, size - 1, size) != b"\n"
        self._head = b""
        if size:
            before = _named(said["run"]) if said is not None else "an earlier attempt"
            self._head += self._line(f"what stands above is of {before}, which was lost; here it begins anew")
            self._line_open = False
        where = f": {self._run.url}" if self._run.url else ""
        self._head += self._line(f"{self._run}{where}")
        self._write_down()

    def _introduce(self, with_it: bool) -> None:
        """Write the line that names the run, if that is not there yet; `with_it`: together with what is written next."""
        if self._at == 0 and not self._waiting:
            self._waiting = self._head
            if not with_it:
                self._write(b"")

    def _line(self, text: str) -> bytes:
        line = " ".join(text.split())[:NOTE_LIMIT].encode("utf-8", "replace")
        return (b"\n" if self._line_open else b"") + b"[torii] " + line + b"\n"

    def _write(self, data: bytes) -> None:
        """Append what of `data` is not there yet."""
        data, self._waiting = self._waiting + data, b""
        if not data:
            return
        new = data[self._skip :] if self._skip < len(data) else b""
        if new:
            writer = self._blobs.append(self._key)
            try:
                writer.write(new)
            finally:
                writer.close()
        self._skip = max(0, self._skip - len(data))
        self._at += len(data)
        self._line_open = not data.endswith(b"\n")

    def _write_down(self) -> None:
        """Write down where in the log, and where in the blob, this is."""
        self._noted = self._at
        said = {
            "format": _FORMAT,
            "run": self._run.identity,
            "start": self._start,
            "head": self._head.decode(),
            "at": self._at,
            "offset": self.offset,
            "taken": self._taken,
            "open": self._line_open,
        }
        self._blobs.put(self._place, json.dumps(said).encode())

    def _read_down(self) -> dict[str, Any] | None:
        """Return what was written down, None where nothing was, or nothing that makes sense."""
        if self._blobs.size(self._place) is None:
            return None
        try:
            said = json.loads(self._blobs.read(self._place))
            controller, job, number = said["run"]
            fit = isinstance(controller, str) and isinstance(job, str) and isinstance(number, int) and isinstance(said["head"], str)
            fit = fit and all(isinstance(said[name], int) and said[name] >= 0 for name in ("start", "at", "offset", "taken", "open"))
        except (ValueError, TypeError, KeyError, RecursionError):
            return None
        return said if fit else None


def _named(run: list[Any]) -> str:
    controller, job, number = run
    return f"{job} #{number} in the Jenkins {controller}"


def _size(count: int) -> str:
    for unit, name in ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")):
        if count >= unit and count % unit == 0:
            return f"{count // unit} {name}"
    return f"{count:,} bytes"
