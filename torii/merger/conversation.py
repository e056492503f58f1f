"""One git command that is kept open and asked again and again, so that a question costs a write and a read and no process."""

from __future__ import annotations

import os
import select
import time

from torii.git.errors import GitError, TimedOutError
from torii.git.mirror import Mirror
from torii.git.process import end

LIMIT = 60.0
"""Seconds for one answer: it comes from a disk next to us."""

_CHUNK = 1 << 16


class EndedError(GitError):
    """The command ended where an answer was due."""


class Conversation:
    """`git <arguments>` in `mirror`, started when first asked. For one thread."""

    def __init__(self, mirror: Mirror, *arguments: str) -> None:
        self._process = mirror.start(*arguments)
        self._name = arguments[0]
        self._read = b""
        self._complaint = b""

    def say(self, question: bytes) -> None:
        """Write `question`; raises GitError where the command has ended."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(question)
            self._process.stdin.flush()
        except (OSError, ValueError) as error:
            raise EndedError(f"git {self._name} has ended: {self._said() or error}") from error

    def line(self) -> bytes:
        """Return the next line of the answer, without its end."""
        return self.until(b"\n")[:-1]

    def until(self, ending: bytes) -> bytes:
        """Return what comes up to and with `ending`."""
        deadline = time.monotonic() + LIMIT
        searched = 0
        while (found := self._read.find(ending, searched)) < 0:
            searched = max(0, len(self._read) - len(ending))
            self._more(deadline)
        return self._take(found + len(ending))

    def exactly(self, size: int) -> bytes:
        """Return the next `size` bytes."""
        deadline = time.monotonic() + LIMIT
        pieces, missing = [self._read], size - len(self._read)
        while missing > 0:
            self._read = b""
            self._more(deadline)
            pieces.append(self._read)
            missing -= len(self._read)
        self._read = b"".join(pieces)
        return self._take(size)

    def close(self) -> None:
        """End the command."""
        end(self._process)

    def _take(self, size: int) -> bytes:
        taken, self._read = self._read[:size], self._read[size:]
        return taken

    def _more(self, deadline: float) -> None:
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        stdout, stderr = self._process.stdout.fileno(), self._process.stderr.fileno()
        pipes = select.poll()  # not select.select: that takes no descriptor above 1023, and a process with many connections has such
        pipes.register(stdout, select.POLLIN)
        pipes.register(stderr, select.POLLIN)
        while True:
            ready = [descriptor for descriptor, _ in pipes.poll(max(0.0, deadline - time.monotonic()) * 1000)]
            if not ready:
                raise TimedOutError(f"git {self._name} did not answer within {LIMIT:g} s")
            if stderr in ready:  # read as it comes: a full pipe would stop the command
                said = os.read(stderr, _CHUNK)
                self._complaint = (self._complaint + said)[-4000:]
                if not said:
                    pipes.unregister(stderr)
            if stdout in ready:
                more = os.read(stdout, _CHUNK)
                if not more:
                    raise EndedError(f"git {self._name} has ended: {self._said() or 'without a word'}")
                self._read += more
                return

    def _said(self) -> str:
        return self._complaint.decode(errors="replace").strip()
