"""Deletes workspaces one after another, behind the builds: twenty deleted at once hold up the twenty that are to begin.

Deleting many files takes the disk as long as writing them, and nobody waits for it.
"""

from __future__ import annotations

import queue
import threading
from pathlib import Path

from torii.worker.build import discard


class Janitor:
    """Deletes what it is left, from `start` until `stop`. Whoever leaves something when `backlog` folders wait deletes it himself."""

    def __init__(self, backlog: int) -> None:
        self._left: queue.Queue[Path | None] = queue.Queue(backlog)
        self._thread = threading.Thread(target=self._run, name="worker-janitor", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def leave(self, folder: Path) -> None:
        """Have `folder` deleted, some time soon."""
        try:
            self._left.put_nowait(folder)
        except queue.Full:
            discard(folder)

    def stop(self, timeout: float) -> None:
        """Delete nothing more; waits up to `timeout` seconds for what is being deleted. The rest stays where it is."""
        while True:
            try:
                self._left.get_nowait()
            except queue.Empty:
                break
        self._left.put(None)
        if self._thread.is_alive():
            self._thread.join(timeout)

    def _run(self) -> None:
        # At everybody's priority: a thread that gives way to others does so with Python's lock in its hands.
        while (folder := self._left.get()) is not None:
            discard(folder)
