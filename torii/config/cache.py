"""Remember what files say: a configuration is a pure function of its bytes, and most changes leave `torii.yml` as it is."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict

from torii.config.project import parse_torii_yml
from torii.model.job import ConfigProblem, ProjectConfig


class ConfigCache:
    """The last `size` files read, by digest. May be used from any thread."""

    def __init__(self, size: int = 256) -> None:
        self._size = size
        self._lock = threading.Lock()
        self._known: OrderedDict[tuple[str, str], ProjectConfig | tuple[ConfigProblem, ...]] = OrderedDict()

    def parse(self, data: bytes, file: str = "torii.yml") -> ProjectConfig | tuple[ConfigProblem, ...]:
        """Return what `parse_torii_yml` returns. Two threads may read a new file at once; both get equal answers."""
        key = (hashlib.sha256(data).hexdigest(), file)
        with self._lock:
            if key in self._known:
                self._known.move_to_end(key)
                return self._known[key]
        parsed = parse_torii_yml(data, file)
        with self._lock:
            self._known[key] = parsed
            self._known.move_to_end(key)
            while len(self._known) > self._size:
                self._known.popitem(last=False)
        return parsed

    def __len__(self) -> int:
        with self._lock:
            return len(self._known)
