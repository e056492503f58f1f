"""The story's place on plain git, with a Jenkins in which the builds run: they fetch from a git server of the demo's own.

Jobs are made there under an owner that is this demo's alone, and are removed when the demo ends, however it ends. What one that was killed
has left is removed by the next in the same folder.
"""

from __future__ import annotations

import dataclasses
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from torii.demo.git_http import USER, GitHttp
from torii.demo.jenkins_check import NoJenkinsError, listens, require_jenkins
from torii.demo.jenkins_sweep import Swept, cut_at, sweep
from torii.demo.jenkins_venue import JenkinsOptions, Venue, shown, venue_of
from torii.demo.place import Place
from torii.demo.plain import PlainWorkshop
from torii.demo.workshop import Customs
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

_SERVER_YML = """\
# Made by `torii demo --jenkins`. The git server of its staging refs, and its jobs in Jenkins, are there only while that runs.
state: state

connections:
  here:
    url: repositories  # beside this file
    poll: 1s
    user: {user}
    password: file:{password}  # for the demo's git server

# Torii pushes what is to be tested to `staging`, and builds fetch it from there: a Jenkins takes no path of this machine.
projects:
  app: {{path: app.git, staging: "{app}"}}
  library: {{path: library.git, staging: "{library}"}}

{jenkins}
gearman: {gearman}
web: {{port: 0}}     # any free one
worker: {{executors: 0}}  # no builds of Torii's own: all run in Jenkins
"""


class JobsLeftError(OperatorError):
    """The demo's jobs could not all be removed from Jenkins."""

    exit_code = 1  # as whenever the demo does not come out right


def prepare_jenkins(options: JenkinsOptions, folder: Path, say: Callable[[str], None], stop: threading.Event) -> Venue:
    """Return where the builds are to run, once it is sure that they can. Nothing is made or changed. Raises UserError, NoJenkinsError."""
    venue = venue_of(options, folder)
    controller = _controller(venue)
    try:
        for note in require_jenkins(controller, venue, stop):
            say(f"Note: {note}")
    finally:
        controller.close()
    return venue


@contextmanager
def jenkins_workshop(place: Place, venue: Venue, say: Callable[[str], None], stop: threading.Event) -> Iterator[JenkinsWorkshop]:
    """Yield a workshop in `place` whose builds run at `venue`; at the end of the `with` the jobs are removed there.

    Raises NoJenkinsError where an earlier demo's cannot be; JobsLeftError in the end, where nothing worse has happened.
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
    with ExitStack() as stack:
        stack.enter_context(_no_proxy(venue.reach[0]))
        password = secrets.token_urlsafe(24)
        server = stack.enter_context(GitHttp(place.root / "repositories", password, *venue.reach))
        say(f"Builds run in the Jenkins at {url}, started {_started(venue)}")
        try:
            yield JenkinsWorkshop(place, venue, server, password, stop)
        except BaseException:
            if words := _leave(venue, say):
                say(words)
            raise
        if words := _leave(venue, say):
            if not stop.is_set():
                raise JobsLeftError(words)
            say(words)


class JenkinsWorkshop(PlainWorkshop):
    """Repositories in `place`, which `server` serves to the builds at `venue`; pushing staging refs takes `password`."""

    def __init__(self, place: Place, venue: Venue, server: GitHttp, password: str, stop: threading.Event) -> None:
        super().__init__(place)
        self.customs = Customs(patience=PATIENCE)
        self._venue = venue
        self._server = server
        self._stop = stop
        self._password = place.root / "state" / "git-password"
        self._password.parent.mkdir(exist_ok=True)
        self._password.touch(mode=0o600)
        self._password.write_text(f"{password}\n")

    def server_yml(self) -> str:
        return _SERVER_YML.format(
            user=USER,
            password=self._password.relative_to(self._place.root),
            app=self._server.url("app.git"),
            library=self._server.url("library.git"),
            jenkins=self._venue.yml,
            gearman=self._gearman(),
        )

    def ready(self, gearman: Sequence[Address]) -> None:
        """Wait for the Jenkins' Gearman plug-in, where builds are started through it. Raises NoJenkinsError where it does not come."""
        if self._venue.gearman is None:
            return
        deadline = time.monotonic() + CONNECTED
        while not any(name.startswith(STOP) for server in gearman for name in functions(server, _ANSWER)):
            if self._stop.wait(_GLANCE) or time.monotonic() > deadline:
                where = self._venue.gearman
                raise NoJenkinsError(
                    f"the Gearman plug-in of the Jenkins has not connected to {shown(where)} within {CONNECTED:.0f} s: in Manage Jenkins, "
                    f"System, Gearman Plugin Config, enable it with the server {where[0]} and the port {where[1]}"
                )

    def invitation(self, torii: str, server: str) -> list[str]:
        settings = self._venue.settings
        folder = "".join(f"/job/{part}" for part in settings.folder.replace(" ", "%20").split("/") if part)
        return [f"Its jobs are in {settings.url}{folder}/, and are removed from there in the end.", *super().invitation(torii, server)]

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
    swept = sweep(controller)
    controller.close()
    if swept.removed:
        say(f"\nRemoved {_jobs(swept.removed)} of the demo's from the Jenkins at {venue.settings.url}")
    return "" if swept.clean else _left(swept, venue.settings.url)


def _left(swept: Swept, url: str) -> str:
    if not swept.left:
        return f"the demo's jobs may still be in the Jenkins at {url}, which did not say: {swept.reason}"
    more = f" and {len(swept.left) - 3} more" if len(swept.left) > 3 else ""
    return (
        f"{_jobs(len(swept.left))} of the demo's could not be removed from the Jenkins at {url} ({', '.join(swept.left[:3])}{more}): "
        f"{swept.reason}. Delete them there, or run the demo in the same folder again, which does so first"
    )


def _jobs(count: int) -> str:
    return "1 job" if count == 1 else f"{count} jobs"


def _started(venue: Venue) -> str:
    return "by its REST API" if venue.gearman is None else f"by its Gearman plug-in, through {shown(venue.gearman)}"


@contextmanager
def _no_proxy(host: str) -> Iterator[None]:
    """Have this process reach `host`, an address of this very machine, without the proxy that the environment may name."""
    before = {name: os.environ.get(name) for name in ("no_proxy", "NO_PROXY")}
    for name, value in before.items():
        os.environ[name] = f"{value},{host}" if value else host
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
