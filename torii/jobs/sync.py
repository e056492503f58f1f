"""Keeps the jobs in Jenkins as the `torii.yml` files say, by itself, while Torii runs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import structlog

from torii.config.settings import ServerConfig
from torii.errors import ToriiError
from torii.jobs.apply import Done, perform
from torii.jobs.library import JobLibrary
from torii.jobs.look import Depth, look
from torii.jobs.plan import Deed
from torii.jobs.team import last_good, refresh
from torii.jobs.wanted import ProjectJobs, Wanted, WantedReader
from torii.model.ids import ProjectName

if TYPE_CHECKING:
    from torii.jenkins import Controller

log = structlog.get_logger()

EVERY = 600.0
"""Seconds between full looks: at every project and at what each Jenkins has, its plug-ins included."""

SOON = 0.2
"""Seconds that a wake waits for others: a topic lands in several projects at once."""

AFTER_TROUBLE = 60.0
"""Seconds after which a full look is made while something is wrong."""


class _EndedError(Exception):
    """Torii stops: the next start does what is left."""


class JobSync:
    """Brings the jobs of each of `controllers` up to date that is to be synced, from `start` until `stop`, on a thread of its own.

    It looks at everything at its start and every ten minutes, and at one project when it is told that a `torii.yml` landed there. It makes
    and changes jobs, and never removes one: with a job goes the history of its builds, and a branch that was deleted may come back. That
    is left to `torii sync-jobs --prune`, which somebody types. It tells how it is through `health()`, as a source does.
    """

    name = "job sync"

    def __init__(
        self,
        config: ServerConfig,
        controllers: Sequence[Controller],
        library: JobLibrary,
        clock: Callable[[], float] = time.time,
        every: float = EVERY,
        after_trouble: float = AFTER_TROUBLE,
    ) -> None:
        self._config = config
        self._controllers = [controller for controller in controllers if controller.settings.sync]
        self._library = library
        self._clock = clock
        self._every = every
        self.written: Callable[[], None] = lambda: None
        """Called, on the thread of the sync, when jobs were made or changed: what others know of them may be old."""
        self._after_trouble = after_trouble
        self._reader = WantedReader(config)
        self._wanted = Wanted()
        self._condition = threading.Condition()
        self._woken: set[ProjectName] = set()
        self._all = True
        self._ended = False
        self._rounds = 0
        self._without_files = False
        self._trouble: dict[str, tuple[str, float]] = {}
        self._thread = threading.Thread(target=self._run, name="torii-job-sync", daemon=True)

    def start(self) -> None:
        """Begin; the first look is at everything. Nothing happens where no controller is to be synced and there is no config project."""
        if self._controllers or self._config.config_project is not None:
            self._thread.start()

    def stop(self, timeout: float) -> None:
        """End within `timeout` seconds, or leave what is under way to its own time limits."""
        with self._condition:
            self._ended = True
            self._condition.notify_all()
        if self._thread.is_alive():
            self._thread.join(timeout)

    def wake(self, project: ProjectName | None = None, branch: str | None = None) -> None:  # noqa: ARG002 - all branches are one request
        """A `torii.yml` may have landed in `project`, or anywhere: look soon. From any thread; returns at once."""
        with self._condition:
            if project is None or (self._config.config_project and project == self._config.config_project.project):
                self._all = True
            else:
                self._woken.add(project)
            self._condition.notify_all()

    def health(self) -> str:
        """Return `ok`, or in words what is not synced, why and since when."""
        with self._condition:
            told = [f"{words}, since {_at(since)}" for words, since in self._trouble.values()]
        return "; ".join(told) or "ok"

    @property
    def rounds(self) -> int:
        """How many looks have been finished."""
        with self._condition:
            return self._rounds

    def _run(self) -> None:
        next_full = 0.0
        while True:
            everything, woken = self._wait(next_full)
            if self._ended:
                return
            try:
                self._round(everything, woken)
            except Exception as error:  # whatever it is, jobs are synced again in a while, and somebody reads of it
                log.exception("jobs.sync_failed")
                self._tell("sync", f"the jobs could not be synced: {type(error).__name__}: {error}")
            else:
                self._tell("sync", "")
            soon = time.monotonic() + (min(self._after_trouble, self._every) if self._trouble else self._every)
            # However often a project wakes it, what is wrong elsewhere has its turn.
            next_full = soon if everything else min(next_full, soon)
            with self._condition:
                self._rounds += 1

    def _wait(self, next_full: float) -> tuple[bool, frozenset[ProjectName]]:
        """Return whether to look at everything, and else at which projects."""
        with self._condition:
            while not (self._all or self._woken or self._ended):
                left = next_full - time.monotonic()
                if left <= 0:
                    self._all = True
                    break
                self._condition.wait(left)
            if not self._ended and not self._all:
                self._condition.wait_for(lambda: self._ended or self._all, SOON)
            everything, woken = self._all, frozenset(self._woken)
            self._all = False
            self._woken.clear()
            return everything, woken

    def _round(self, everything: bool, woken: frozenset[ProjectName]) -> None:
        if everything or self._without_files:
            everything = True
            if not self._refresh_files():
                return
        synced = {controller.name for controller in self._controllers}
        projects = [project.name for project in self._config.projects if synced.intersection(project.jenkins)]
        news = self._reader.read([name for name in projects if everything or name in woken])
        before, self._wanted = self._wanted, Wanted({**self._wanted.projects, **news.projects})
        for words in news.mistakes:
            log.info("jobs.torii_yml_wrong", reason=words)
        unread = "; ".join(self._wanted.unread)
        self._tell("read", f"the jobs of some projects are left as they are: {unread}" if unread else "")
        # Most of what lands changes no torii.yml; what somebody did to a job by hand is for a look at everything.
        landed = {name for name, now in news.projects.items() if everything or _jobs(before.projects.get(name)) != _jobs(now)}
        if not self._controllers:
            return  # only what the config project says is followed, for whoever renders with it
        with ThreadPoolExecutor(len(self._controllers), thread_name_prefix="torii-job-sync") as pool:  # one that is slow holds up no other
            for asked in [pool.submit(self._bring, controller, everything, landed) for controller in self._controllers]:
                asked.result()

    def _bring(self, controller: Controller, everything: bool, landed: AbstractSet[ProjectName]) -> None:
        about = f"jenkins {controller.name}"
        names = [project.name for project in self._config.projects if controller.name in project.jenkins]
        if not self._ended and (everything or about in self._trouble or landed & set(names)):
            self._tell(about, self._sync(controller, self._wanted.of(names), everything))

    def _refresh_files(self) -> bool:
        """Have jobs made with what the config project says now, or said before; return whether either is known."""
        try:
            refresh(self._config, self._library)
        except ToriiError as error:
            self._without_files = not last_good(self._config).origin
            what = "no job is made" if self._without_files else "jobs are made as before"
            self._tell("config project", f"{what}, since what the config project says cannot be used: {error}")
        else:
            self._without_files = False
            self._tell("config project", "")
        return not self._without_files

    def _sync(self, controller: Controller, wanted: Wanted, everything: bool) -> str:
        """Do what is to be done in one Jenkins, and return what is wrong there, in words; empty where nothing is."""
        try:
            found = look(controller, wanted, self._library, Depth(plugins=everything))
        except ToriiError as error:
            return f"the jobs in Jenkins {controller.name} are left as they are: {error}"
        for words in (*found.lacking, *found.plan.notes):
            log.info("jobs.note", controller=controller.name, words=words)
        try:
            done = perform(controller, found.plan.steps, self._go_on)
        except _EndedError:
            return ""
        problems = [*found.plan.clashes, *(each.problem for each in done if each.problem)]
        if done:
            self.written()
            made, changed = found.plan.count(Deed.MAKE), found.plan.count(Deed.CHANGE)
            log.info("jobs.synced_all", controller=controller.name, made=made, changed=changed, failed=len(problems))
        if not problems:
            return ""
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        return f"not all jobs in Jenkins {controller.name} are as they should be: {problems[0]}{more}"

    def _go_on(self, _: Done) -> None:
        if self._ended:
            raise _EndedError

    def _tell(self, about: str, words: str) -> None:
        """Remember what is wrong with a part, and since when; empty words: nothing any more."""
        with self._condition:
            before = self._trouble.pop(about, None)
            if words:
                self._trouble[about] = words, before[1] if before else self._clock()
        if words and (before is None or before[0] != words):
            log.warning("jobs.sync_trouble", about=about, reason=words)


def _jobs(project: ProjectJobs | None) -> tuple[object, ...]:
    return () if project is None else (project.sources, project.unread)


def _at(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))
