"""Remembers on disk what jobs came to, so that a command that finds nothing to do need not have Jenkins Job Builder make them again."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import json
import threading
from functools import cache
from pathlib import Path

from torii.jobs.definition import JobSource
from torii.jobs.whole import write_whole

_KEPT = 20_000
_VERSION = 1


class Memo:
    """Digests of jobs' XML by all that they are made of, in the file at `path` (None: only here). Losing it costs time, nothing else."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._known: dict[str, str] | None = None

    def get(self, key: str) -> str | None:
        """Return the digest that `put` was given for `key`, None where nobody knows."""
        with self._lock:
            return self._all().get(key)

    def put(self, found: dict[str, str]) -> None:
        """Remember `found`, key -> digest."""
        if not found:
            return
        with self._lock:
            known = self._all()
            for key in found:
                known.pop(key, None)
            known.update(found)
            for key in list(known)[: max(0, len(known) - _KEPT)]:
                del known[key]
            self._save(known)

    def _all(self) -> dict[str, str]:
        if self._known is None:
            self._known = self._load()
        return self._known

    def _load(self) -> dict[str, str]:
        with contextlib.suppress(OSError, ValueError, RecursionError):
            said = json.loads(self._path.read_bytes()) if self._path else None
            if isinstance(said, dict) and said.get("version") == _VERSION and isinstance(said.get("digests"), dict):
                return {key: digest for key, digest in said["digests"].items() if isinstance(digest, str)}
        return {}

    def _save(self, known: dict[str, str]) -> None:
        if self._path is None:
            return
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(self._path, json.dumps({"version": _VERSION, "digests": known}))


def key_of(source: JobSource, plugins: tuple[str, ...], files: str, url: str | None) -> str:
    """Return what stands for all that a job is made of; `files` is the digest of the templates and macros."""
    return hashlib.sha256(repr((source, plugins, files, url, _code())).encode("utf-8", "surrogatepass")).hexdigest()[:32]


@cache
def _code() -> str:
    """Return a digest of what makes jobs of all this: this package, and Jenkins Job Builder's version."""
    hashed = hashlib.sha256(importlib.metadata.version("jenkins-job-builder").encode())
    for path in sorted(Path(__file__).parent.glob("*.py")):
        hashed.update(path.read_bytes())
    return hashed.hexdigest()
