"""Ends what takes too long: one thread for all requests of the process, since a timer each costs as much as a third of a request."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_IDLE = 5.0
"""Seconds without anything to watch, after which the thread ends."""


class Limits:
    """Calls what it is given, on a thread of its own, where a limit is passed. What is called must not take long."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._watched: dict[object, tuple[float, Callable[[], None]]] = {}
        self._thread: threading.Thread | None = None
        self._wakes_at = 0.0

    @contextmanager
    def after(self, seconds: float, end: Callable[[], None]) -> Iterator[None]:
        """Call `end` where the block still goes on after `seconds`; once it is left, `end` has been called or never is."""
        key, deadline = object(), time.monotonic() + seconds
        with self._changed:
            self._watched[key] = (deadline, end)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="http-limits", daemon=True)
                self._thread.start()
            elif deadline < self._wakes_at:
                self._changed.notify()
        try:
            yield
        finally:
            with self._changed:
                self._watched.pop(key, None)

    def _run(self) -> None:
        idle_since = time.monotonic()
        while True:
            with self._changed:
                now = time.monotonic()
                if self._watched:
                    idle_since = now
                elif now - idle_since >= _IDLE:
                    self._thread = None
                    return
                for key, (deadline, end) in list(self._watched.items()):
                    if deadline <= now:
                        del self._watched[key]
                        # With the lock held: who leaves the block then knows that nothing of his will be ended any more.
                        with contextlib.suppress(Exception):  # whatever it is, the next one is ended all the same
                            end()
                next_one = min((deadline for deadline, _ in self._watched.values()), default=idle_since + _IDLE)
                self._wakes_at = next_one
                self._changed.wait(max(0.0, next_one - time.monotonic()))


LIMITS = Limits()
"""Those of this process."""
