"""Remember on this disk which patch sets Torii itself merged, and as what commits.

A rebased or squashed change cannot be found in its branch by its own commit. Written before the push, read by the poller: whatever it
sees of the push, it knows a merge from an abandoned change, after a `kill -9` between the two as well.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
from pathlib import Path
from urllib.parse import quote

import structlog

from torii.model.ids import ProjectName, Sha
from torii.sources.git.derive import Landing

log = structlog.get_logger()

KEPT = 1000
"""Merges of a project that are remembered: the poller needs one for as long as it takes to look again."""


class LandingBook:
    """Landings by project and change name, one JSON file a project in `folder`. Thread-safe."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._known: dict[ProjectName, dict[str, Landing]] = {}

    def of(self, project: ProjectName) -> dict[str, Landing]:
        """Return the landings of `project`, by `<branch>/<name>`."""
        with self._lock:
            return dict(self._read(project))

    def record(self, project: ProjectName, name: str, landing: Landing) -> None:
        """Remember `landing` of the change `name`. Raises OSError where the disk does not take it."""
        with self._lock:
            known = self._read(project)
            if known.get(name) == landing:
                return
            known.pop(name, None)
            known[name] = landing
            while len(known) > KEPT:
                del known[next(iter(known))]
            path = self._path(project)
            path.parent.mkdir(parents=True, exist_ok=True)
            draft = path.with_suffix(".new")
            draft.write_text(json.dumps({key: [value.patchset, value.commit] for key, value in known.items()}))
            os.replace(draft, path)  # noqa: PTH105  # says that it is atomic

    def _read(self, project: ProjectName) -> dict[str, Landing]:
        if project not in self._known:
            self._known[project] = {}
            path = self._path(project)
            try:
                with contextlib.suppress(FileNotFoundError):
                    document = json.loads(path.read_text())
                    self._known[project] = {name: Landing(Sha(pair[0]), Sha(pair[1])) for name, pair in document.items()}
            except (OSError, ValueError, TypeError, AttributeError, LookupError) as error:
                log.warning("source.landings_unreadable", file=str(path), error=repr(error))
        return self._known[project]

    def _path(self, project: ProjectName) -> Path:
        return self._folder / f"{quote(project, safe='')}.json"
