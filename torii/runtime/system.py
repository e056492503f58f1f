"""Puts the parts together: what one process runs, in the order in which the parts need each other, and back again on the way out."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING

import structlog

from torii.config.server import gate_config
from torii.config.settings import ServerConfig
from torii.dispatch import GearmanDispatcher
from torii.gearman import Client, Server, load_key
from torii.gearman.address import announce, servers_of
from torii.gearman.admin import Address
from torii.git import kill_running
from torii.jobs import JobLibrary
from torii.jobs.team import open_library
from torii.merger.client import GearmanMerger
from torii.model.command import Report
from torii.model.ids import ProjectName
from torii.results.message import compose
from torii.results.stored import StoredResults
from torii.runtime.inbox import Inbox
from torii.runtime.performer import Performer
from torii.runtime.ports import Health, Post, Source, TakesWebhooks, TellsHealth
from torii.runtime.scheduler import Scheduler, Surroundings
from torii.runtime.upkeep import StoreUpkeep
from torii.sources.registry import open_source
from torii.sources.wake import WakeListener
from torii.store.lease import Lease, acquire_lease
from torii.store.store import Store, open_configured
from torii.web.address import listen, shown_url

if TYPE_CHECKING:
    from torii.runtime.jenkins import JenkinsSide
    from torii.worker import BuildWorker

log = structlog.get_logger()

STOP_LIMIT = 3.0
"""Seconds that a part may take to stop."""
GIT_LIMIT = 1.5
"""Seconds that git commands under way are given when everything stops."""


class Role(Enum):
    """A part that may have a process of its own."""

    GEARMAND = "gearmand"
    SCHEDULER = "scheduler"
    MERGER = "merger"
    WORKER = "worker"


EVERYTHING = frozenset(Role)


class System:
    """What this process runs of the Torii that `config` describes, from `start` until `stop`.

    Without the role GEARMAND the Gearman servers of `config` are used, or the one that it says would be embedded. `clock` gives seconds
    since the epoch.
    """

    def __init__(self, config: ServerConfig, roles: frozenset[Role] = EVERYTHING, clock: Callable[[], float] = time.time) -> None:
        self.config = config
        self.roles = roles
        self._clock = clock
        self._cleanup = ExitStack()
        self._servers: tuple[Address, ...] = ()
        self.store: Store | None = None
        self.url = ""
        """Where the pages are; empty where this process serves none."""
        self.scheduler: Scheduler | None = None
        self.worker: BuildWorker | None = None
        self.sources: dict[str, Source] = {}
        self._jenkins: JenkinsSide | None = None

    @property
    def gearman(self) -> tuple[Address, ...]:
        """The Gearman servers in use, as (host, port)."""
        return self._servers

    def start(self) -> None:
        """Start every part. Raises `OperatorError` where one cannot start; those that did are stopped again."""
        try:
            self.config.state.mkdir(parents=True, exist_ok=True)
            self._start()
        except BaseException:
            self._cleanup.close()
            raise

    def _start(self) -> None:
        lease = self._cleanup.enter_context(acquire_lease(self.config.state)) if Role.SCHEDULER in self.roles else None
        key = load_key(self.config.gearman, self.config.state)
        if Role.SCHEDULER in self.roles or Role.WORKER in self.roles:
            self.store = open_configured(self.config)
            self._cleanup.callback(self.store.close)
        if Role.GEARMAND in self.roles and not self.config.gearman.servers:
            server = Server(self.config.gearman.host, self.config.gearman.port)
            server.start()
            self._cleanup.callback(server.stop)
            announce(self.config.state, server.address)
            self._servers = (server.address,)
        else:
            self._servers = servers_of(self.config.gearman, self.config.state)
        # The scheduler comes first, with what was under way: that waits at the Gearman server for those who come after. They stop after it,
        # too, so that nobody takes what a build says when its worker stops for news of its change.
        helpers = self._cleanup.enter_context(ExitStack())
        if lease is not None and self.store is not None:
            self._start_scheduler(lease, key, self.store, helpers)
        if Role.MERGER in self.roles:
            from torii.merger.worker import MergerWorker  # here and below: loading takes time, for which what is under way need not wait

            mergers = MergerWorker(self.config, self._servers, key, max(1, self.config.mergers))
            mergers.start()
            helpers.callback(mergers.stop, STOP_LIMIT / 2)
        if Role.WORKER in self.roles and self.config.worker.executors and self.store is not None:
            from torii.worker import open_worker

            self.worker = open_worker(self.config, self._servers, key, self.store.blobs)
            self.worker.start()
            helpers.callback(self.worker.stop, STOP_LIMIT)

    def _start_scheduler(self, lease: Lease, key: bytes, store: Store, helpers: ExitStack) -> None:
        listener = helpers.enter_context(listen(self.config.web))
        self.url = shown_url(self.config.web, listener.getsockname()[1])
        inbox = Inbox()
        library = open_library(self.config)
        surroundings = self._surround(key, store, inbox, library)
        self.scheduler = Scheduler(lease, store, gate_config(self.config, store.instance), inbox, self._clock)
        self._cleanup.callback(self.scheduler.stop, STOP_LIMIT)
        if self._jenkins is not None:
            self._jenkins.start()
        self.scheduler.start(surroundings)
        self._start_sources(store)
        self._start_web(store, listener, helpers)
        threading.Thread(target=library.warm_up, name="job-library", daemon=True).start()
        upkeep = StoreUpkeep(store, self._clock)
        upkeep.start()
        self._cleanup.callback(upkeep.stop, STOP_LIMIT / 2)
        wakes = WakeListener(self._servers, key, self._by_project())
        wakes.start()
        self._cleanup.callback(wakes.stop, STOP_LIMIT / 2)

    def _start_web(self, store: Store, listener: socket.socket, helpers: ExitStack) -> None:
        from torii.web.server import WebServer

        config, webhooks = self.config, {name: source for name, source in self.sources.items() if isinstance(source, TakesWebhooks)}
        web = WebServer(
            config.web, store, store.blobs, config.pipelines, connections=config.connections, webhooks=webhooks, health=self.health
        )
        web.start(listener)
        helpers.callback(web.stop)

    def _surround(self, key: bytes, store: Store, inbox: Inbox, library: JobLibrary) -> Surroundings:
        """Make what the scheduler commands: sources (not started yet), merger and dispatcher."""
        results = StoredResults(store.blobs, self.url)
        mirrors = self.config.state / "mirrors"
        heard = self._open_jenkins(store, inbox, library)

        def text_of(report: Report) -> str:
            return compose(report, results.url)

        for connection in self.config.connections:
            self.sources[connection.name] = open_source(connection, self.config.projects, mirrors, heard, text_of, self.config.pipelines)
        client = Client(self._servers, "torii-merges")
        merger = GearmanMerger(client, key, inbox, store.instance)
        staging = {project.name: project.staging_url or project.url for project in self.config.projects}
        farm = self._jenkins.farm() if self._jenkins else None
        gearman = GearmanDispatcher(Client(self._servers, "torii-builds"), inbox, library, results, key, staging, farm=farm)
        dispatcher = self._jenkins.routed(gearman, inbox, results, staging) if self._jenkins else gearman
        self._cleanup.callback(client.stop)
        self._cleanup.callback(merger.stop, STOP_LIMIT / 2)
        self._cleanup.callback(dispatcher.stop, STOP_LIMIT / 2)
        return Surroundings(Performer(self._by_project(), merger, dispatcher, inbox), merger, dispatcher)

    def _open_jenkins(self, store: Store, inbox: Inbox, library: JobLibrary) -> Post:
        """Open what is Jenkins', if there is any; return to whom sources post: it has to hear of each new `torii.yml`."""
        if not self.config.jenkins and self.config.config_project is None:
            return inbox
        from torii.runtime.jenkins import JenkinsSide, Overhearing

        self._jenkins = JenkinsSide(self.config, store.blobs, library, store.instance, self._cleanup)
        return Overhearing(inbox, self._jenkins.sync.wake)

    def _by_project(self) -> dict[ProjectName, Source]:
        return {project.name: self.sources[project.connection] for project in self.config.projects if project.connection in self.sources}

    def _start_sources(self, store: Store) -> None:
        for source in self.sources.values():
            source.start(store.cursor(source.name))
        self._cleanup.callback(self._stop_sources)

    def _stop_sources(self) -> None:
        _together(partial(source.stop, STOP_LIMIT) for source in self.sources.values())

    def stop(self) -> None:
        """Stop every part, in the order opposite to the start."""
        impatience = threading.Timer(GIT_LIMIT, kill_running)  # what hangs on a remote is asked for again at the next start
        impatience.daemon = True
        impatience.start()
        try:
            self._cleanup.close()
        finally:
            impatience.cancel()
            kill_running()

    def fault(self) -> str:
        """Return why this process cannot go on; empty while it can."""
        if self.scheduler is not None and not self.scheduler.alive:
            return "the thread that owns the gate has died, which is a bug in Torii; see the log. Nothing is lost: start Torii again"
        return ""

    def health(self) -> Health:
        """Return how this process is: what keeps it from working, and what each source says. From any thread."""
        problem = self.fault() or (self.scheduler.problem if self.scheduler is not None else "")
        parts: dict[str, object] = {**self.sources, **(self._jenkins.parts() if self._jenkins else {})}
        return Health(problem, tuple((name, part.health()) for name, part in parts.items() if isinstance(part, TellsHealth)))


def _together(stops: Iterable[Callable[[], None]]) -> None:
    threads = [threading.Thread(target=stop, daemon=True) for stop in stops]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(STOP_LIMIT)
