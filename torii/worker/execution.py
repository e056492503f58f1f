"""Runs one launched process to its end: output to the log as it comes, a time limit, a way to stop it, and nothing left of it after."""

from __future__ import annotations

import contextlib
import math
import os
import select
import subprocess
import threading
import time
from dataclasses import dataclass
from enum import Enum

from torii.worker.confinement import Confinement, memory_file
from torii.worker.console import Console
from torii.worker.place import Launch

GRACE = 2.0
"""Seconds between asking a build to end and ending it."""
_DRAIN = 2.0
_PIECE = 64 * 1024


class Ending(Enum):
    """Why a process ended: by itself, at its time limit, or because somebody asked for it."""

    EXITED = "exited"
    TIMED_OUT = "timed out"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Ended:
    """How a process ended; `status` is its exit status, 128 + n where signal n ended it."""

    how: Ending
    status: int


class StopRequest:
    """Somebody's wish that a build end: may be made at any time, from any thread, also before the build has begun."""

    def __init__(self) -> None:
        self.reason = ""
        self.shutdown = False
        """Whether it is the worker that ends, so that nothing may be concluded about the build."""
        self._asked = threading.Event()
        self.descriptor = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._lock = threading.Lock()

    def ask(self, reason: str, *, shutdown: bool = False) -> None:
        """Ask for the end; the first reason stays."""
        with self._lock:
            if not self._asked.is_set():
                self.reason, self.shutdown = reason, shutdown
                self._asked.set()
                if self.descriptor >= 0:
                    os.eventfd_write(self.descriptor, 1)

    @property
    def asked(self) -> bool:
        return self._asked.is_set()

    def close(self) -> None:
        """Let go of the descriptor; asking does nothing any more."""
        with self._lock:
            if self.descriptor >= 0:
                os.close(self.descriptor)
                self.descriptor = -1


def execute(launch: Launch, confinement: Confinement, console: Console, limit: float, stop: StopRequest) -> Ended:
    """Run `launch` and return how it ended, once nothing of it is left. Raises OSError where it cannot be started, `StorageError`.

    After `limit` seconds, or when `stop` is asked for, all of it is asked to end, and `GRACE` seconds later ended.
    """
    process = _start(launch)
    try:
        return _Watch(process, confinement, console, limit, stop).run()
    finally:
        if process.poll() is None:
            confinement.kill(process)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_DRAIN)
        if process.poll() is None:
            process.kill()
            process.wait(_DRAIN)
        if process.stdout is not None:
            process.stdout.close()


def _start(launch: Launch) -> subprocess.Popen[bytes]:
    given = memory_file(launch.given)
    arguments = memory_file(launch.arguments) if launch.arguments is not None else -1
    try:
        return subprocess.Popen(
            [str(arguments) if word == "{args}" else word for word in launch.argv],
            env=dict(launch.env),
            cwd=launch.cwd,
            stdin=given,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            bufsize=0,
            pass_fds=[arguments] if arguments >= 0 else [],
            start_new_session=True,
        )
    finally:
        os.close(given)
        if arguments >= 0:
            os.close(arguments)


class _Watch:
    """Watches one process: its output, its end, the wish to end it, and the clock."""

    def __init__(
        self, process: subprocess.Popen[bytes], confinement: Confinement, console: Console, limit: float, stop: StopRequest
    ) -> None:
        assert process.stdout is not None
        self._process, self._confinement, self._console, self._stop = process, confinement, console, stop
        self._output = process.stdout.fileno()
        self._how = Ending.EXITED
        self._urged = 0
        self._urge_at = time.monotonic() + limit
        self._poll = select.poll()

    def run(self) -> Ended:
        """Return when the process has ended and its output is read, or when it would not end at all."""
        exited = os.pidfd_open(self._process.pid)
        watched = {self._output, exited, self._stop.descriptor}
        for descriptor in watched:
            self._poll.register(descriptor, select.POLLIN)
        give_up_at = math.inf
        try:
            while exited in watched or (self._output in watched and time.monotonic() < give_up_at):
                ready = {descriptor for descriptor, _ in self._poll.poll(self._patience(give_up_at))}
                over = ready - {self._output} if self._output not in ready or self._read() else ready
                for descriptor in over:
                    self._poll.unregister(descriptor)
                    watched.discard(descriptor)
                if exited in over:
                    give_up_at = time.monotonic() + _DRAIN
                if self._console.due() == 0:
                    self._console.flush()
                if self._stop.descriptor in over:
                    self._urge(Ending.STOPPED)
                elif time.monotonic() >= self._urge_at and not self._urge(Ending.TIMED_OUT):
                    break
        finally:
            os.close(exited)
        return Ended(self._how, self._process.poll() or 0)

    def _patience(self, give_up_at: float) -> float:
        """Return for how many milliseconds there is nothing to do unless something happens."""
        due = self._console.due()
        seconds = min(self._urge_at, give_up_at) - time.monotonic()
        return max(0.0, seconds if due is None else min(seconds, due)) * 1000 + 1

    def _read(self) -> bool:
        data = os.read(self._output, _PIECE)
        if data:
            self._console.write(data)
        return bool(data)

    def _urge(self, why: Ending) -> bool:
        """Press the process to end, harder each time; return whether there is still something to wait for."""
        if self._how is Ending.EXITED:
            self._how = why
        self._urged += 1
        self._urge_at = time.monotonic() + GRACE
        match self._urged:
            case 1:
                self._confinement.terminate(self._process)
            case 2:
                self._confinement.kill(self._process)
            case 3:
                self._process.kill()
            case _:
                return False
        return True
