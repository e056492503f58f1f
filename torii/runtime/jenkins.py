"""Puts together what a scheduler needs where builds run in Jenkins: the controllers, what they leave, both ways to start builds, the sync.

Without any Jenkins in `server.yml` nothing of it is loaded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack

from torii.config.settings import DispatchBy, ServerConfig
from torii.dispatch.farm import JenkinsFarm
from torii.dispatch.gearman import GearmanDispatcher
from torii.dispatch.rest import RestDispatcher
from torii.dispatch.router import Router
from torii.jenkins import Controller
from torii.jobs import JobLibrary
from torii.jobs.sync import JobSync
from torii.model.event import BranchMoved, Event
from torii.model.ids import ProjectName
from torii.results.gatherer import Gatherer
from torii.results.ports import Blobs
from torii.runtime.ports import Cursor, Dispatcher, Post, Results, TellsHealth

STOP_LIMIT = 1.5
"""Seconds that each part may take to stop."""


class JenkinsSide:
    """What `config` says of Jenkins, at work from `start` until `cleanup` is closed.

    `instance` tells this Torii's copies of jobs from another's.
    """

    def __init__(self, config: ServerConfig, blobs: Blobs, library: JobLibrary, instance: str, cleanup: ExitStack) -> None:
        self._config, self._library, self._instance, self._cleanup = config, library, instance, cleanup
        self.controllers = {settings.name: Controller(settings) for settings in config.jenkins}
        for controller in self.controllers.values():
            cleanup.callback(controller.close)
        self.gatherer = Gatherer(self.controllers, blobs)
        cleanup.callback(self.gatherer.stop, STOP_LIMIT)
        self.sync = JobSync(config, tuple(self.controllers.values()), library)
        cleanup.callback(self.sync.stop, STOP_LIMIT)

    def start(self) -> None:
        """Begin to follow builds and to sync jobs."""
        self.gatherer.start()
        self.sync.start()

    def parts(self) -> dict[str, TellsHealth]:
        """Return what can say how it is, by its name."""
        named: dict[str, TellsHealth] = {f"jenkins {name}": controller for name, controller in self.controllers.items()}
        return {**named, self.sync.name: self.sync}

    def farm(self) -> JenkinsFarm | None:
        """Return the controllers that start builds through Gearman, None where there are none."""
        controllers, projects = self._by(DispatchBy.GEARMAN)
        return JenkinsFarm(controllers, projects, self.gatherer, self._instance) if projects else None

    def routed(self, gearman: GearmanDispatcher, post: Post, results: Results, staging: Mapping[ProjectName, str]) -> Dispatcher:
        """Return `gearman`, with builds that are started by REST taken out of its hands. All of them hear of what the sync writes."""
        controllers, projects = self._by(DispatchBy.REST)
        if not projects:
            self.sync.written = gearman.jobs_changed
            return gearman
        farm = JenkinsFarm(controllers, projects, self.gatherer, self._instance)
        rest = RestDispatcher(farm, post, self._library, results, staging)

        def written() -> None:
            gearman.jobs_changed()
            rest.jobs_changed()

        self.sync.written = written
        return Router(gearman, rest, projects)

    def _by(self, dispatch: DispatchBy) -> tuple[dict[str, Controller], Mapping[ProjectName, Sequence[str]]]:
        controllers = {name: each for name, each in self.controllers.items() if each.settings.dispatch is dispatch}
        projects = {project.name: project.jenkins for project in self._config.projects if controllers.keys() & set(project.jenkins)}
        return controllers, projects


class Overhearing:
    """A `Post` that passes everything on, and tells `moved` of each branch that has a new state: its `torii.yml` may be a new one."""

    def __init__(self, post: Post, moved: Callable[[ProjectName, str], None]) -> None:
        self._post, self._moved = post, moved

    def __call__(self, events: Sequence[Event], cursor: Cursor | None = None) -> None:
        self._post(events, cursor)
        for event in events:
            if isinstance(event, BranchMoved) and not event.initial:
                self._moved(event.project, event.branch)
