"""What a sync would do: the jobs that there should be against those that there are. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from fnmatch import fnmatchcase
from functools import cached_property
from typing import TYPE_CHECKING

from torii.jobs.definition import JobSource, Outline, RenderedJob
from torii.jobs.marks import Mark, marked, read_mark
from torii.jobs.wanted import Wanted

if TYPE_CHECKING:
    from torii.jenkins.values import Job


class Deed(Enum):
    """What becomes of a job."""

    MAKE = "make"
    CHANGE = "change"
    REMOVE = "remove"


@dataclass(frozen=True)
class Step:
    """One job to make, change or remove. `mark` is the one it gets; of a job to remove, the one it has. `reason` says why, in words.

    `source` is what it is made of, None where it is to be removed; `rendered` the job made, once it was.
    """

    deed: Deed
    name: str
    mark: Mark
    reason: str
    source: JobSource | None = None
    rendered: RenderedJob | None = None

    @cached_property
    def xml(self) -> bytes:
        """The config.xml to be sent, with its mark; empty where there is none."""
        return marked(self.rendered.xml, self.mark) if self.rendered else b""


@dataclass(frozen=True, slots=True)
class Plan:
    """`steps` in the order of their names; `unused` are jobs that nothing names any more, which only pruning removes.

    `unchanged` are left alone as they are right. `clashes` are names that cannot be had, `notes` what else somebody should know: each a
    sentence.
    """

    steps: tuple[Step, ...] = ()
    unused: tuple[Step, ...] = ()
    unchanged: tuple[Step, ...] = ()
    clashes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def count(self, deed: Deed) -> int:
        """Return how many jobs that becomes of."""
        return sum(step.deed is deed for step in self.steps)

    def pruned(self) -> Plan:
        """Return the plan that also removes what is unused."""
        return Plan((*self.steps, *self.unused), (), self.unchanged, self.clashes, self.notes)


@dataclass(frozen=True, slots=True)
class Scene:
    """What a plan is made of. `listing` are the jobs of one Jenkins by name, `outlines` the jobs of `wanted` as that Jenkins gets them.

    `owner` is who makes plans here; only jobs whose names match `only` count. `leftovers` are changes' own copies that nothing needs.
    """

    listing: Mapping[str, Job]
    wanted: Wanted
    outlines: Sequence[tuple[JobSource, Outline]]
    owner: str
    only: str = "*"
    leftovers: frozenset[str] = frozenset()


def plan(scene: Scene) -> Plan:
    """Return what is to be done in the Jenkins of `scene`."""
    # Jenkins takes names that differ in their case alone for the same.
    there = {name.lower(): job for name, job in scene.listing.items()}
    steps: list[Step] = []
    unchanged: list[Step] = []
    clashes: list[str] = []
    notes: list[str] = []
    names = set()
    for source, outline in scene.outlines:
        names.add(outline.name)
        if not fnmatchcase(outline.name, scene.only):
            continue
        mark = Mark(scene.owner, source.project, source.branch, source.job.name, outline.digest, "", outline.plugins)
        job = there.get(outline.name.lower())
        if job is None:
            steps.append(Step(Deed.MAKE, outline.name, mark, "there is no such job", source))
        elif clash := _clash(job, mark):
            clashes.append(clash)
        else:
            old = read_mark(job.description)
            same = old is not None and (old.digest, old.plugins) == (mark.digest, mark.plugins)
            if same and not job.buildable:
                notes.append(
                    f"{job.name} is disabled, by hand: Torii enables it before its next build; with `sync: false`, only --thorough does"
                )
            step = Step(Deed.CHANGE, outline.name, mark, "its torii.yml, a template or the plug-ins changed", source)
            (unchanged if same else steps).append(step)
    unused = []
    for job in scene.listing.values():
        if job.name not in names and fnmatchcase(job.name, scene.only):
            removal, note = _unnamed(job, scene)
            unused += [removal] if removal else []
            notes += [note] if note else []
    return Plan(_sorted(steps), _sorted(unused), _sorted(unchanged), tuple(clashes), tuple(dict.fromkeys(notes)))


def _sorted(steps: list[Step]) -> tuple[Step, ...]:
    return tuple(sorted(steps, key=lambda step: step.name))


def _clash(job: Job, mark: Mark) -> str:
    """Return why the job that is there is not the one that `mark` is for; empty where it is."""
    whose = f"job {mark.job} of {mark.project}, branch {mark.branch}, needs the name {mark.name}"
    where = f"{job.name} ({job.url})" if job.url else job.name
    old = read_mark(job.description)
    if old is None:
        return f"{whose}, but {where} is a job that Torii did not make: rename that one, or give Torii a folder of its own"
    if old.owner != mark.owner:
        return f"{whose}, but {where} was made by the Torii that calls itself {old.owner!r} (this one: {mark.owner!r}): give each a folder"
    if not old.belongs_to(job.name):
        return f"{whose}, but {where} was renamed or copied by hand from {old.name}: rename that one"
    return ""


def _unnamed(job: Job, scene: Scene) -> tuple[Step | None, str]:
    """Return what is to be done about a job that no torii.yml names, and what is to be said of it."""
    mark = read_mark(job.description)
    if mark is None or mark.owner != scene.owner:
        return None, ""
    if mark.copy_of_instance:
        words = "it was made for a change, and no build has used it for a day"
        return (Step(Deed.REMOVE, job.name, mark, words) if job.name in scene.leftovers else None), ""
    if not mark.belongs_to(job.name):
        return None, f"{job.name} was renamed or copied by hand from {mark.name}: it is left alone, and nothing builds it"
    project = next((each for name, each in scene.wanted.projects.items() if name == mark.project), None)
    if project is None:
        return Step(Deed.REMOVE, job.name, mark, f"{mark.project} is not built in this Jenkins any more"), ""
    if project.keeps(mark.branch, mark.job):
        words = f"the jobs of {mark.project} stay, since its git server shows no branch of it at all: may Torii still read it?"
        return None, words if project.bare else ""
    return Step(Deed.REMOVE, job.name, mark, f"no torii.yml of {mark.project} names job {mark.job} on branch {mark.branch}"), ""
