"""Sweeps the demo's jobs out of a Jenkins: those that carry its owner's mark, and no others."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import structlog

from torii.jenkins import Controller, JenkinsError, JenkinsRefusedError, Job
from torii.jobs.marks import read_mark

log = structlog.get_logger()

LIMIT = 30.0
"""Seconds in which the jobs have to go; a build that is stopped takes some of them to end."""

_AGAIN = 0.5


@dataclass(frozen=True, slots=True)
class Swept:
    """How many jobs were `removed`, which are `left`, and why; a `reason` alone means that it could not be seen which are there."""

    removed: int = 0
    left: tuple[str, ...] = ()
    reason: str = ""

    @property
    def clean(self) -> bool:
        return not self.left and not self.reason


def owner_in(job: Job) -> str | None:
    """Return whose `job` is by its mark, None where it is nobody's (any more)."""
    mark = read_mark(job.description)
    return mark.owner if mark is not None and mark.belongs_to(job.name) else None


def sweep(controller: Controller, limit: float = LIMIT) -> Swept:
    """Stop what runs of the jobs of the controller's owner, remove them, and look again until there are none. Raises nothing.

    Gives up where Jenkins refuses, cannot be reached, or has not let go of them within `limit` seconds.
    """
    deadline = time.monotonic() + limit
    pause = threading.Event()
    removed: set[str] = set()
    mine: list[str] = []
    reason = ""
    try:
        while mine := _mine(controller):
            if time.monotonic() > deadline:
                return Swept(len(removed.difference(mine)), tuple(mine), reason or "they are there again each time they are removed")
            if reason:
                pause.wait(_AGAIN)
            _stop_builds(controller, set(mine))
            for name in mine:
                if time.monotonic() > deadline:
                    break
                try:
                    controller.delete(name)
                    removed.add(name)
                except JenkinsRefusedError:
                    raise
                except JenkinsError as error:
                    reason = str(error)
    except JenkinsError as error:
        return Swept(len(removed), tuple(name for name in mine if name not in removed), str(error))
    log.info("demo.jobs_removed", jobs=sorted(removed))
    return Swept(len(removed))


@contextmanager
def cut_at(stop: threading.Event, controller: Controller) -> Iterator[None]:
    """Break off what `controller` is asked inside of the `with` when `stop` is set: nobody who wants the end waits for a slow Jenkins."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.1):
            if stop.is_set():
                controller.close()
                return

    watcher = threading.Thread(target=watch, name="demo-jenkins-cut", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()


def _mine(controller: Controller) -> list[str]:
    owner = controller.settings.owner
    return sorted(job.name for job in controller.jobs().values() if owner_in(job) == owner)


def _stop_builds(controller: Controller, jobs: set[str]) -> None:
    """Ask for the end of what waits or runs. What does not end by that, Jenkins itself ends when its job goes."""
    with suppress(JenkinsError):
        for item in controller.queue():
            if item.job in jobs:
                controller.cancel(item.id)
        for build in controller.running().values():
            if build.job in jobs:
                controller.stop(build.job, build.number)
