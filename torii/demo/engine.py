"""The Torii of the demo: all of it in this process, with the merger held in a hand of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torii.config.settings import ServerConfig
from torii.gearman import load_key
from torii.merger.worker import MergerWorker
from torii.runtime.system import EVERYTHING, STOP_LIMIT, Role, System
from torii.store.store import Store


class Engine:
    """Everything that `config` describes, from `start` until `stop`. While it is `held`, whatever is to be tested waits to be merged."""

    def __init__(self, config: ServerConfig) -> None:
        self.system = System(config, EVERYTHING - {Role.MERGER})
        self._config = config
        self._merger: MergerWorker | None = None

    @property
    def store(self) -> Store:
        """What Torii remembers; there from `start` on."""
        assert self.system.store is not None
        return self.system.store

    def start(self) -> None:
        """Start every part. Raises OperatorError where one cannot start; those that did are stopped again."""
        self.system.start()
        try:
            self._resume()
        except BaseException:
            self.system.stop()
            raise

    def stop(self) -> None:
        """Stop every part."""
        try:
            self._pause()
        finally:
            self.system.stop()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Have no merge begin inside of the `with`: what is asked for waits at the Gearman server, in order."""
        self._pause()
        try:
            yield
        finally:
            self._resume()

    def _pause(self) -> None:
        if self._merger is not None:
            self._merger.stop(STOP_LIMIT)
            self._merger = None

    def _resume(self) -> None:
        key = load_key(self._config.gearman, self._config.state)
        self._merger = MergerWorker(self._config, self.system.gearman, key, max(1, self._config.mergers))
        self._merger.start()
