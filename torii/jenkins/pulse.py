"""Whether a Jenkins answers, as all who ask it find out together: no request is made for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from torii.jenkins.errors import JenkinsUnavailableError

_SURE = 2
"""Failures in a row that count: one alone may be a connection that was ended just then."""


class Pulse:
    """What became of the last requests to a Jenkins. Safe to use from any thread. `clock` gives seconds since the epoch."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._failures = 0
        self._since = 0.0
        self._error = ""

    def answered(self) -> None:
        """It has answered, whatever it said."""
        with self._lock:
            self._failures = 0

    def failed(self, error: JenkinsUnavailableError) -> None:
        """It has not."""
        with self._lock:
            self._since = self._since if self._failures else self._clock()
            self._failures += 1
            self._error = str(error)

    def health(self) -> str:
        """Return `ok`, or in words since when it does not answer, and why."""
        with self._lock:
            if self._failures < _SURE:
                return "ok"
            since = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(self._since))
            return f"it does not answer, since {since}: {self._error}"
