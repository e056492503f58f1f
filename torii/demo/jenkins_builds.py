"""The Jenkins' part in a demo: builds run there, in jobs of an owner that is this demo's alone.

The jobs are removed when the demo ends, however it ends. What one that was killed has left is removed by the next in the same folder.
"""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from torii.demo.jenkins_check import NoJenkinsError, listens, require_jenkins
from torii.demo.jenkins_sweep import Swept, cut_at, sweep
from torii.demo.jenkins_venue import JenkinsOptions, Venue, shown, venue_of
from torii.errors import OperatorError
from torii.gearman.admin import Address, functions
from torii.gearman.functions import STOP
from torii.jenkins import Controller

PATIENCE = 300.0
"""Seconds that any one thing may take in a Jenkins, where each build waits for an executor, and a saturated one stalls for 5 s."""

CONNECTED = 60.0
"""Seconds in which the Gearman plug-in has to connect; it tries again every few."""

_TIMEOUT = 10.0
_ANSWER = 3.0
_GLANCE = 0.2

_YML = """\
{jenkins}
gearman: {gearman}
web: {{port: 0}}  # any free one
worker: {{executors: 0}}  # no builds of Torii's own: all run in Jenkins
"""


class JobsLeftError(OperatorError):
    """The demo's jobs could not all be removed from Jenkins."""

    exit_code = 1  # as whenever the demo does not come out right


def prepare_jenkins(options: JenkinsOptions, folder: Path, say: Callable[[str], None], stop: threading.Event) -> Venue:
    """Return where the builds are to run, once it is sure that they can. Nothing stays there. Raises UserError, NoJenkinsError."""
    venue = venue_of(options, folder)
    controller = _controller(venue)
    try:
        for note in require_jenkins(controller, venue, stop):
            say(f"Note: {note}")
    finally:
        controller.close()
    return venue


@contextmanager
def swept(venue: Venue, say: Callable[[str], None], stop: threading.Event) -> Iterator[None]:
    """Have none of this demo's jobs at `venue` at the beginning of the `with`, and none again at its end.

    Raises NoJenkinsError where an earlier demo's cannot be removed; JobsLeftError in the end, where nothing worse has happened.
    """
    url = venue.settings.url
    controller = _controller(venue)
    with cut_at(stop, controller):
        before = sweep(controller)
    controller.close()
    if not before.clean:
        raise NoJenkinsError(f"what an earlier demo left in Jenkins could not be removed: {_left(before, url)}")
    if before.removed:
        say(f"Removed {_jobs(before.removed)} that an earlier demo left in the Jenkins at {url}")
    try:
        yield
    except BaseException:
        if words := _leave(venue, say):
            say(words)
        raise
    if words := _leave(venue, say):
        if not stop.is_set():
            raise JobsLeftError(words)
        say(words)


class Builds:
    """Builds at `venue`, as a workshop tells of them."""

    def __init__(self, venue: Venue, stop: threading.Event) -> None:
        self._venue = venue
        self._stop = stop

    def __str__(self) -> str:
        how = "by its REST API" if self._venue.gearman is None else f"by its Gearman plug-in, through {shown(self._venue.gearman)}"
        return f"Builds run in the Jenkins at {self._venue.settings.url}, started {how}"

    def yml(self) -> str:
        """Return the part of `server.yml` that tells of them, and of all that Torii runs itself."""
        return _YML.format(jenkins=self._venue.yml, gearman=self._gearman())

    def ready(self, gearman: Sequence[Address]) -> None:
        """Wait for the Gearman plug-in, where builds are started through it. Raises NoJenkinsError where it does not come."""
        where = self._venue.gearman
        if where is None:
            return
        deadline = time.monotonic() + CONNECTED
        while not any(name.startswith(STOP) for server in gearman for name in functions(server, _ANSWER)):
            if self._stop.wait(_GLANCE) or time.monotonic() > deadline:
                raise NoJenkinsError(
                    f"the Gearman plug-in of the Jenkins has not connected to {shown(where)} within {CONNECTED:.0f} s: under Manage "
                    f"Jenkins, System, Gearman Plugin Config, enable it with the server {where[0]} and the port {where[1]}"
                )

    def invitation(self) -> str:
        """Return where they are to be looked at."""
        settings = self._venue.settings
        folder = "".join(f"/job/{part}" for part in settings.folder.replace(" ", "%20").split("/") if part)
        return f"Its jobs are in {settings.url}{folder}/, and are removed from there in the end."

    def _gearman(self) -> str:
        where = self._venue.gearman
        if where is None:
            return "{port: 0}  # any free one, for Torii's own merges: builds are started by REST"
        if listens(where):
            return f'{{servers: ["{shown(where)}"]}}'
        return f'{{host: "{where[0]}", port: {where[1]}}}  # where the Gearman plug-in of Jenkins connects to'


def _controller(venue: Venue) -> Controller:
    return Controller(dataclasses.replace(venue.settings, timeout=_TIMEOUT), patience=0.3)


def _leave(venue: Venue, say: Callable[[str], None]) -> str:
    """Remove the jobs, and say so; return what is to be said of those that are left, empty where there are none."""
    controller = _controller(venue)
    after = sweep(controller)
    controller.close()
    if after.removed:
        say(f"\nRemoved {_jobs(after.removed)} of the demo's from the Jenkins at {venue.settings.url}")
    return "" if after.clean else _left(after, venue.settings.url)


def _left(found: Swept, url: str) -> str:
    if not found.left:
        return f"the demo's jobs may still be in the Jenkins at {url}, which did not say: {found.reason}"
    more = f" and {len(found.left) - 3} more" if len(found.left) > 3 else ""
    return (
        f"{_jobs(len(found.left))} of the demo's could not be removed from the Jenkins at {url} ({', '.join(found.left[:3])}{more}): "
        f"{found.reason}. Delete them there, or run the demo in the same folder again, which does so first"
    )


def _jobs(count: int) -> str:
    return "1 job" if count == 1 else f"{count} jobs"
