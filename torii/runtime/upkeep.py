"""Deletes what is too old to be of use, a little at a time and on a thread of its own: the gate's thread never waits for it long."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import structlog

from torii.errors import OperatorError
from torii.results.layout import folder, is_build_id
from torii.store.store import Retention, Store

log = structlog.get_logger()

EVERY = 300.0
"""Seconds between two looks."""

AT_ONCE = 500
"""Rows of a kind deleted at a look, at most: the store is locked meanwhile, for milliseconds. It also bounds what a wrong clock can do."""


RETENTION = Retention()


class StoreUpkeep:
    """Keeps `store` to its `retention` from `start` to `stop`. `clock` gives seconds since the epoch."""

    def __init__(
        self, store: Store, clock: Callable[[], float] = time.time, retention: Retention = RETENTION, every: float = EVERY
    ) -> None:
        self._store = store
        self._clock = clock
        self._retention = retention
        self._every = every
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="store-upkeep", daemon=True)

    def start(self) -> None:
        """Begin to look, the first time after a while."""
        self._thread.start()

    def stop(self, timeout: float) -> None:
        """Begin nothing more, and wait up to `timeout` seconds for what is under way."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout)

    def look(self) -> int:
        """Delete some of what is too old; return how many rows went. Raises `OperatorError` where the store or the blobs refuse.

        Logs and artifacts go before the rows that lead to them: what a crash leaves half done is found again by its row.
        """
        now = self._clock()
        for build in self._store.outdated_builds(now, self._retention, AT_ONCE):
            if self._stopping.is_set():
                return 0
            if is_build_id(build):
                self._store.blobs.delete(folder(build))
        return self._store.prune(now, self._retention, AT_ONCE)

    def _run(self) -> None:
        while not self._stopping.wait(self._every):
            try:
                gone = self.look()
            except OperatorError as error:
                log.warning("store.not_pruned", reason=str(error))
            except Exception:
                log.exception("store.not_pruned")
            else:
                if gone:
                    log.info("store.pruned", rows=gone)
