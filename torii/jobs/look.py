"""Looks at one Jenkins: which jobs are to be made, changed or removed there, with as few questions as that takes."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from torii.errors import OperatorError
from torii.jenkins.errors import JenkinsRefusedError
from torii.jobs import plugins
from torii.jobs.apply import altered
from torii.jobs.library import JobLibrary
from torii.jobs.marks import Mark, digest, read_mark
from torii.jobs.plan import Plan, Scene, Step, plan
from torii.jobs.wanted import Wanted

if TYPE_CHECKING:
    from torii.jenkins import Controller
    from torii.jenkins.values import Job


_FORGOTTEN = 24 * 3600.0
"""Seconds after which a change's own copy that no build uses is nobody's. A Torii that runs removes its own much earlier."""


class PluginMissingError(OperatorError):
    """A Jenkins lacks a plug-in without which no job of Torii works: nothing is written there."""


@dataclass(frozen=True, slots=True)
class Depth:
    """How closely to look: at which names, and whether at what the marks do not tell: each config.xml, the plug-ins, when a change's
    own copies were used.

    Without `plugins` they are asked for only where something is to be written.
    """

    only: str = "*"
    configs: bool = False
    plugins: bool = False
    copies: bool = False


@dataclass(frozen=True, slots=True)
class Look:
    """`plan` is for a Jenkins with `plugins`, of which `lacking` says what is missed and what Torii does without it."""

    plan: Plan
    plugins: tuple[str, ...]
    lacking: tuple[str, ...] = ()


def look(
    controller: Controller, wanted: Wanted, library: JobLibrary, depth: Depth | None = None, clock: Callable[[], float] = time.time
) -> Look:
    """Return what is to be done in the Jenkins of `controller` so that it has the jobs of `wanted`, all that it is to have.

    Where nothing is to be done that takes one request: the marks say which plug-ins the jobs were made for. Raises JenkinsError,
    PluginMissingError, TemplateProblem.
    """
    depth = depth or Depth()
    owner = controller.settings.owner
    listing = controller.jobs()
    sources = wanted.sources
    presumed = _presumed(listing, owner)
    leftovers = _leftovers(controller, listing, clock()) if depth.copies else frozenset()

    def planned(present: tuple[str, ...]) -> Plan:
        outlines = list(zip(sources, library.outlines(sources, present), strict=True))
        return plan(Scene(listing, wanted, outlines, owner, depth.only, leftovers))

    if presumed is not None and not depth.plugins and not depth.configs:
        first = planned(presumed)
        if not first.steps:
            return Look(first, presumed)
    present, lacking = _ask(controller, presumed, sources != [])
    found = planned(present)
    steps = _rendered(library, found.steps, present)
    if depth.configs:
        right = _rendered(library, found.unchanged, present)
        by_hand = {step.name: replace(step, reason="it was changed by hand") for step in altered(controller, right)}
        steps = sorted([*steps, *by_hand.values()], key=lambda step: step.name)
        found = replace(found, unchanged=tuple(step for step in found.unchanged if step.name not in by_hand))
    written = {step.name: step.rendered.xml for step in steps if step.rendered}
    return Look(replace(found, steps=tuple(steps)), present, tuple(lacking(written)))


def _rendered(library: JobLibrary, steps: Sequence[Step], plugins: tuple[str, ...]) -> list[Step]:
    """Return `steps` with their jobs made, and marked as what they are: what was remembered of them decides nothing that is written."""
    made = iter(library.render([step.source for step in steps if step.source], plugins))
    found = []
    for step in steps:
        job = next(made) if step.source else None
        found.append(replace(step, rendered=job, mark=replace(step.mark, digest=digest(job.xml))) if job else step)
    return found


class _Lacking:
    """Says what a Jenkins lacks, once it is known what is to be written there."""

    def __init__(self, there: frozenset[str] | None, refused: str = "") -> None:
        self._there = there
        self._refused = refused

    def __call__(self, jobs: Mapping[str, bytes]) -> list[str]:
        return [self._refused] if self._there is None else plugins.lacking(self._there, jobs)


def _ask(controller: Controller, presumed: tuple[str, ...] | None, needed: bool) -> tuple[tuple[str, ...], _Lacking]:
    """Return the plug-ins of the Jenkins that matter, and what to say of others. Raises PluginMissingError where git is missing."""
    try:
        there = plugins.installed(controller.plugins())
    except JenkinsRefusedError as error:
        taken = presumed if presumed is not None else plugins.relevant(plugins.OWN_WORKER)
        words = f"which plug-ins there are cannot be seen ({error}): git, {' and '.join(taken) or 'no other'} are taken to be there"
        return taken, _Lacking(None, words)
    for part in plugins.PARTS:
        if part.required and needed and part.plugin not in there:
            raise PluginMissingError(
                f"Jenkins {controller.name} lacks the plug-in {part.plugin} ({part.what}), without which {part.without}: "
                "nothing was written there; install it, then sync again"
            )
    return plugins.relevant(there), _Lacking(there)


def _presumed(listing: Mapping[str, Job], owner: str) -> tuple[str, ...] | None:
    """Return the plug-ins that this owner's jobs were made for; None where there are none yet, or they do not agree."""
    found = {mark.plugins for mark in _marks(listing, owner).values() if not mark.copy_of_instance}
    return found.pop() if len(found) == 1 else None


def _marks(listing: Mapping[str, Job], owner: str) -> dict[str, Mark]:
    """Return the marks of the jobs that `owner` has made, by name."""
    marks = {name: read_mark(job.description) for name, job in listing.items()}
    return {name: mark for name, mark in marks.items() if mark and mark.owner == owner and mark.belongs_to(name)}


def _leftovers(controller: Controller, listing: Mapping[str, Job], now: float) -> frozenset[str]:
    """Return the copies that were made a day ago or earlier, and that no build has used since: whoever made them has forgotten them."""
    copies = {name: mark for name, mark in _marks(listing, controller.settings.owner).items() if mark.copy_of_instance}
    used = controller.last_builds() if copies else {}
    found = set()
    for name, mark in copies.items():
        build = used.get(name)
        if build is not None and (build.running or build.started_at is None):
            continue
        last = max(mark.made_at, (build.started_at or 0.0) + (build.duration or 0.0) if build else 0.0)
        if now - last >= _FORGOTTEN:
            found.add(name)
    return frozenset(found)
