"""Torii's jobs in one Jenkins, as far as builds need them: brought there, put right, and (a change's own copies) taken away again."""

from __future__ import annotations

import math
import re
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import structlog

from torii.dispatch.away import quieting_down
from torii.dispatch.pace import Pace
from torii.jenkins import (
    Controller,
    JenkinsError,
    JenkinsExistsError,
    JenkinsMissingError,
    JenkinsRefusedError,
    JenkinsUnavailableError,
)
from torii.jobs import RenderedJob
from torii.jobs.marks import Mark, mark_of, marked, read_mark
from torii.jobs.plugins import OWN_WORKER, PARTS, installed
from torii.model.build import BuildRequest

if TYPE_CHECKING:
    from torii.dispatch.definitions import Library

log = structlog.get_logger()

_PLUGINS_FOR = 600.0
_LISTING_FOR = 3600.0
_SOON = 4
_ATOM = re.compile(r"[^\s&|!()]+")


class JobClashError(JenkinsError):
    """A job in a Jenkins has the name of one of Torii's, and is not to be touched; the message says whose it is and what to do."""


@dataclass(frozen=True, slots=True)
class _Known:
    """A job as it stands in Jenkins. `mark` None: not of Torii's making."""

    mark: Mark | None
    enabled: bool


class Shelf:
    """All of it runs on the desk's thread and raises `OperatorError` where Jenkins does not do what it is asked.

    The jobs are listed once and that is believed until `forget`: a job that somebody removed is missed when its function is.
    """

    def __init__(self, controller: Controller, library: Library, instance: str, pace: Pace) -> None:
        self._controller = controller
        self._library = library
        self._instance = instance
        self._pace = pace
        self._listing: dict[str, _Known] | None = None
        self._listed = 0.0
        self._plugins: frozenset[str] = frozenset()
        self._plugins_read: float | None = None
        self._away: tuple[float, JenkinsError] | None = None
        self._right: dict[str, str] = {}
        self._seen: dict[str, float] = {}
        self._explained: dict[str, tuple[float, str, str]] = {}

    @property
    def name(self) -> str:
        return self._controller.name

    def bring(self, request: BuildRequest, copy: bool, definition: str) -> None:
        """Have the job of `request` there, enabled and just as it is rendered; a `copy` under the name made of its hash.

        `definition` is a digest of the job that differs where the job does, whatever plug-ins it is made for.

        Raises `JobClashError`; JenkinsInvalidError where Jenkins does not take the job.
        """
        self._raise_if_away()
        try:
            self._bring(request, copy, definition)
        except JenkinsUnavailableError as error:
            self._away = (time.monotonic() + self._pace.retry, error)
            raise

    def _bring(self, request: BuildRequest, copy: bool, definition: str) -> None:
        wanted = replace(request, synced=not copy)
        name = self._library.rendered(wanted).name
        for last in (False, True):
            known = self._jobs().get(name)
            if known is not None and self._is_right(wanted, name, known):
                break
            rendered = self._library.rendered(wanted, self._installed(known))
            mark = self._mark(rendered, wanted)
            try:
                self._put_right(rendered, known, mark)
            except (JenkinsExistsError, JenkinsMissingError):
                # somebody else was faster: what is there now?
                self.forget()
                if last:
                    raise
                continue
            self._jobs()[name] = _Known(mark, True)
            break
        self._right[name] = definition

    def _mark(self, rendered: RenderedJob, wanted: BuildRequest) -> Mark:
        return mark_of(rendered, wanted, self._controller.settings.owner, "" if wanted.synced else self._instance)

    def _is_right(self, wanted: BuildRequest, name: str, known: _Known) -> bool:
        """Return whether the job that is there needs nothing done. Raises `JobClashError` where it is somebody else's.

        It is judged by the plug-ins that it was made for: where others are installed since, `torii sync-jobs` brings all jobs up to date.
        """
        mark = self._mark(self._library.rendered(wanted, known.mark.plugins if known.mark is not None else ()), wanted)
        found = known.mark
        right = known.enabled and found is not None and found.digest == mark.digest and found.belongs_to(name)
        self._check_owner(name, known, mark, right)
        return right

    def holds(self, name: str, definition: str) -> bool:
        """Whether `name` was last brought here for the same `definition`. From any thread."""
        return self._right.get(name) == definition

    def _put_right(self, rendered: RenderedJob, known: _Known | None, mark: Mark) -> None:
        name, settings = rendered.name, self._controller.settings
        if mark.copy_of_instance:
            mark = replace(mark, made_at=int(time.time()))
        if not settings.sync and not mark.copy_of_instance:
            raise JenkinsError(self._not_synced(name, known, mark))
        if known is None:
            self._controller.create(name, marked(rendered.xml, mark))
        elif known.mark == mark:
            self._controller.enable(name)
        else:
            self._controller.update(name, marked(rendered.xml, mark))
        log.info("dispatch.job_put_right", jenkins=self.name, job=name, new=known is None)

    def _not_synced(self, name: str, known: _Known | None, mark: Mark) -> str:
        """Say what is wrong with a job that is not put right by itself, and what somebody can do."""
        cure = "run `torii sync-jobs`"
        if known is None:
            wrong = f"the Jenkins {self.name} has no job {name}"
        elif known.mark == mark:
            wrong = f"in the Jenkins {self.name} its job {name} is disabled"
            cure = "enable it in Jenkins, or run `torii sync-jobs --thorough`"
        else:
            wrong = f"in the Jenkins {self.name} its job {name} is not as torii.yml says"
        return f"{wrong}, and jobs are not synced by themselves there; {cure}"

    def _check_owner(self, name: str, known: _Known, mark: Mark, right: bool) -> None:
        found = known.mark
        if found is None:
            raise JobClashError(
                f"the Jenkins {self.name} has a job {name} that Torii did not make, where job {mark.job} of {mark.project} should be;"
                " rename or remove that one"
            )
        copied = found.copy_of_instance != mark.copy_of_instance  # the same copy, of another Torii: as good as its own while it is there
        if (found.owner != mark.owner or copied) and not (right and mark.copy_of_instance):
            raise JobClashError(
                f"the Jenkins {self.name} has a job {name} of another Torii, whose owner is {found.owner!r}, where job {mark.job} of"
                f" {mark.project} should be; give each Torii a folder of its own"
            )

    def forget(self) -> None:
        """Believe the listing no more."""
        self._listing = None

    def look_again(self, request: BuildRequest, copy: bool, definition: str) -> None:
        """Bring the job once more, by a listing that is not older than it has to be."""
        if time.monotonic() - self._listed >= self._pace.recheck:
            self.forget()
        self.bring(request, copy, definition)

    def why(self, name: str, label: str | None, connected: bool) -> str:
        """Say why no node has registered `name`, which is as it should be; empty where some will, when a build of theirs ends.

        `connected`: whether any Jenkins is at the Gearman server.
        """
        key, now = label or "", time.monotonic()
        at, before, words = self._explained.get(key, (-math.inf, "", ""))
        if now - at >= self._pace.recheck:
            reason = self._explain(label, connected)
            # What is told of the plug-in has to show twice: a node that was busy until now registers what is new in a moment.
            sure = "{job}" not in reason or (before == reason and now - at < _SOON * self._pace.recheck)
            words = reason if sure else ""
            self._explained[key] = (now, reason, words)
        return words.replace("{job}", name)

    def _explain(self, label: str | None, connected: bool) -> str:
        self._raise_if_away()
        if self._controller.quieting_down():
            return quieting_down(self.name)
        wanted = [atom for atom in _ATOM.findall(label or "") if f"!{atom}" not in (label or "").replace(" ", "")]
        nodes = self._controller.nodes()
        online = [node for node in nodes if not node.offline and node.executors]
        missing = [atom for atom in wanted if not any(atom in node.labels for node in online)]
        if missing and "||" not in (label or ""):
            there = [node.name for node in nodes if node.offline and set(missing) <= set(node.labels)]
            hint = f" (offline: {', '.join(there[:5])})" if there else ""
            return f"the Jenkins {self.name} has no node online with the label {' and '.join(missing)}{hint}"
        if not any(not node.exclusive or wanted for node in online):
            return f"the Jenkins {self.name} has no node online that takes jobs without a label"
        if not connected:
            return (
                f"the Jenkins {self.name} has the job {{job}}, but no node of this Jenkins has connected to the Gearman server: "
                "is its Gearman plug-in installed and enabled? See `torii jenkins check`"
            )
        running = Counter(build.node for build in self._controller.running().values())
        fit = [node for node in online if all(atom in node.labels for atom in wanted) and (wanted or not node.exclusive)]
        if fit and all(running[node.name] >= node.executors for node in fit):
            return ""
        return f"the Jenkins {self.name} has the job {{job}}, but its Gearman plug-in has not registered it; see `torii jenkins check`"

    def tidy(self, unused_for: Callable[[str], float | None], leave: Callable[[str], bool]) -> None:
        """Remove this Torii's copies that nothing needs any more.

        `unused_for` gives the seconds since a build needed a name, None while one does and infinity where none of this process's did;
        `leave` is asked right before a removal whether that still holds.
        """
        self._raise_if_away()
        now = time.monotonic()
        if now - self._listed > _LISTING_FOR:
            self.forget()
        copies = [name for name, known in self._jobs().items() if self._is_own_copy(name, known)]
        for name in copies:
            self._seen.setdefault(name, now)
        old = [name for name in copies if self._idle(name, now, unused_for(name)) >= self._pace.keep_copy]
        if not old:
            return
        running = {build.job for build in self._controller.running().values()}
        for name in old:
            if name not in running and leave(name):
                self._controller.delete(name)
                self._jobs().pop(name, None)
                self._seen.pop(name, None)
                self._right.pop(name, None)
                log.info("dispatch.copy_removed", jenkins=self.name, job=name)

    def _is_own_copy(self, name: str, known: _Known) -> bool:
        mark = known.mark
        return (
            mark is not None
            and mark.copy_of_instance == self._instance != ""
            and mark.owner == self._controller.settings.owner
            and mark.belongs_to(name)
        )

    def _idle(self, name: str, now: float, unused: float | None) -> float:
        """Return the seconds that a copy was not needed, as far as is known."""
        return 0.0 if unused is None else min(now - self._seen[name], unused)

    def _jobs(self) -> dict[str, _Known]:
        if self._listing is None:
            found = self._controller.jobs()
            self._listing = {name: _Known(read_mark(job.description), job.buildable) for name, job in found.items()}
            self._listed = time.monotonic()
        return self._listing

    def _installed(self, known: _Known | None) -> frozenset[str]:
        """Return the plug-ins to render a job for; where Torii may not see them, those that it was made for before, or the usual ones.

        Raises JenkinsError where one is missing without which nothing works.
        """
        now = time.monotonic()
        if self._plugins_read is None or now - self._plugins_read > _PLUGINS_FOR:
            try:
                self._plugins = installed(self._controller.plugins())
            except JenkinsRefusedError:
                return frozenset(known.mark.plugins) if known is not None and known.mark is not None else OWN_WORKER
            self._plugins_read = now
        for part in PARTS:
            if part.required and part.plugin not in self._plugins:
                self._plugins_read = None
                raise JenkinsError(
                    f"the Jenkins {self.name} lacks the plug-in {part.plugin} ({part.what}), without which {part.without}; install it"
                )
        return self._plugins

    def _raise_if_away(self) -> None:
        """Do not have each of many builds wait for a Jenkins that did not answer the one before."""
        if self._away is not None and time.monotonic() < self._away[0]:
            raise self._away[1]
        self._away = None
