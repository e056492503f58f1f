"""Keeps mirrors small on a thread of its own, so that no merge waits for it."""

from __future__ import annotations

import threading
from collections.abc import Mapping

import structlog

from torii.git import GitError
from torii.merger.places import Place
from torii.model.ids import ProjectName

log = structlog.get_logger()

EVERY = 200
"""Stages of a project between two looks at whether its mirror wants packing."""


class Upkeep:
    """Looks after the mirrors of `places` from `start` to `stop`."""

    def __init__(self, places: Mapping[ProjectName, Place]) -> None:
        self._places = places
        self._used: dict[ProjectName, int] = {}
        self._wake = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="merger-upkeep", daemon=True)

    def start(self) -> None:
        """Begin to wait for use."""
        self._thread.start()

    def used(self, project: ProjectName) -> None:
        """Say that a stage of `project` was made. Returns at once."""
        with self._wake:
            self._used[project] = self._used.get(project, 0) + 1
            if self._used[project] >= EVERY:
                self._wake.notify()

    def stop(self) -> None:
        """Begin nothing more. A mirror being packed is left to its time limit, or to the end of the process; neither harms it."""
        with self._wake:
            self._stopping = True
            self._wake.notify()

    def _run(self) -> None:
        while (project := self._next()) is not None:
            try:
                self._places[project].mirror.maintain()
            except (GitError, OSError) as error:
                log.warning("merger.upkeep_failed", project=project, reason=str(error))

    def _next(self) -> ProjectName | None:
        with self._wake:
            while not self._stopping:
                due = next((project for project, stages in self._used.items() if stages >= EVERY and project in self._places), None)
                if due is not None:
                    self._used[due] = 0
                    return due
                self._wake.wait()
        return None
