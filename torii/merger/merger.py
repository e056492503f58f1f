"""The merger itself: answers merge requests, deletes staging refs, finds those that were left over. Knows nothing of Gearman."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping

import structlog

from torii.git import GitError, Pushed, RefUpdate, UnsafeNameError, check_ref
from torii.merger.answer import StageAnswer
from torii.merger.merging import Merging
from torii.merger.modes import Identity
from torii.merger.places import Place
from torii.merger.refs import STAGING, build_set_of
from torii.merger.staging import Staging, Workshop
from torii.model.command import Merge
from torii.model.ids import ProjectName

log = structlog.get_logger()

_OPEN = 16
"""Projects whose git commands are kept open at once."""


class StagingMerger:
    """Merges for the projects of `places`. For one thread; any number of them may share the mirrors. `close` when done."""

    def __init__(self, places: Mapping[ProjectName, Place], identity: Identity | None = None) -> None:
        self._places = places
        self._identity = identity or Identity()
        self._workshops: OrderedDict[ProjectName, Workshop] = OrderedDict()

    def close(self) -> None:
        """End the git commands that are kept open. The merger can be used again."""
        while self._workshops:
            self._workshops.popitem()[1].merging.close()

    def stage(self, merge: Merge, made: Callable[[StageAnswer], None] = lambda _: None) -> tuple[StageAnswer, ...]:
        """Make the states that `merge` asks for and push their staging refs; returns one answer a stage, in order.

        Raises nothing for what a repository or a server does. Asked twice, it makes the same commits. `made` is told of each stage as
        soon as it is merged, when nothing is pushed yet: for whoever shows or measures progress.
        """
        answers = Staging(merge, self._workshop, self._identity).run(made)
        self._close_idle()
        return answers

    def drop(self, refs: Iterable[tuple[ProjectName, str]]) -> None:
        """Delete staging refs, in one push a project. What cannot be deleted now is logged, and collected some other time."""
        wanted: dict[ProjectName, list[RefUpdate]] = {}
        for project, ref in refs:
            try:
                if not check_ref(ref).startswith(STAGING) or project not in self._places:
                    raise UnsafeNameError(f"{ref} of {project} is no staging ref of a project here")
            except UnsafeNameError as error:
                log.warning("merger.drop_refused", project=project, ref=ref, reason=str(error))
                continue
            wanted.setdefault(project, []).append(RefUpdate(ref, None))
        for project, updates in wanted.items():
            place = self._places[project]
            try:
                outcomes = place.staging.push(place.mirror, updates)
            except GitError as error:
                log.warning("merger.drop_failed", project=project, refs=len(updates), reason=str(error))
                continue
            for ref, outcome in outcomes.items():
                if not isinstance(outcome, Pushed):
                    log.warning("merger.drop_failed", project=project, ref=ref, reason=outcome.reason)

    def staged_by(self, instance: str) -> tuple[tuple[ProjectName, str], ...]:
        """Return all staging refs, as (project, ref), whose build sets are of the Torii called `instance`, wherever they can be read."""
        found: list[tuple[ProjectName, str]] = []
        for project, place in self._places.items():
            try:
                refs = place.staging.ls_remote([f"{STAGING}*"])
            except GitError as error:
                log.warning("merger.collect_failed", project=project, reason=str(error))
                continue
            found += [(project, ref) for ref in refs if build_set_of(ref).startswith(f"{instance}-")]
        return tuple(found)

    def _workshop(self, project: ProjectName) -> Workshop | None:
        place = self._places.get(project)
        if place is None:
            return None
        if project not in self._workshops:
            self._workshops[project] = Workshop(place, Merging(place.mirror))
        self._workshops.move_to_end(project)
        return self._workshops[project]

    def _close_idle(self) -> None:
        while len(self._workshops) > _OPEN:
            self._workshops.popitem(last=False)[1].merging.close()
