"""Brings what a merge needs from one project's servers into its mirror, in one fetch."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field

from torii.git import RefMissingError
from torii.merger.objects import Objects
from torii.merger.places import Place
from torii.model.ids import Sha


@dataclass(slots=True)
class Needs:
    """What is needed of a project: the tips of `branches`, commits by the ref they are at, and states staged before, by their branch."""

    branches: set[str] = field(default_factory=set)
    changes: dict[Sha, str] = field(default_factory=dict)
    bases: dict[Sha, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Gathered:
    """The tips that were read just now, and for each commit that could not be had the reason."""

    tips: dict[str, Sha]
    lacking: dict[Sha, str]


def gather(place: Place, objects: Objects, needs: Needs, pipeline: str) -> Gathered:
    """Fetch `needs` into the mirror of `place`. What is there already is not fetched again, but tips are always read anew.

    Raises RemoteUnavailableError. A ref that is gone costs only those who need it: it stands in the answer.
    """
    changes = {commit: ref for commit, ref in needs.changes.items() if not objects.has(commit)}
    bases = {commit: branch for commit, branch in needs.bases.items() if not objects.has(commit)}
    heads = {f"refs/heads/{branch}" for branch in {*needs.branches, *bases.values()}}
    found = _fetch(place, set(changes.values()) - heads, heads)
    lacking = {}
    for commit, ref in changes.items():
        if not objects.has(commit):
            now = f"it is at {found[ref]} now" if ref in found else "it is gone"
            lacking[commit] = f"{ref} of {place.origin.shown} does not hold {commit} any more: {now}"
    if left := {commit for commit in bases if not objects.has(commit)}:
        lacking |= _fetch_staged(place, objects, left, pipeline)
    tips = {branch: found[ref] for branch in needs.branches if (ref := f"refs/heads/{branch}") in found}
    return Gathered(tips, lacking)


def _fetch(place: Place, refs: set[str], heads: set[str]) -> dict[str, Sha]:
    gone: set[str] = set()
    for _ in range(3):  # a ref may go while another is found to be gone
        try:
            return place.origin.fetch(place.mirror, sorted(refs - gone), sorted(heads - gone))
        except RefMissingError as error:
            missing, gone = error, gone | set(error.refs)
    raise missing


def _fetch_staged(place: Place, objects: Objects, commits: set[Sha], pipeline: str) -> dict[Sha, str]:
    # Another merger made the state to stand on. It pushed it, so that the staging server has it, under a name that only it was told.
    there = place.staging.ls_remote([f"refs/staging/{pipeline}/*"])
    refs = {commit: ref for ref, commit in there.items() if commit in commits}
    with contextlib.suppress(RefMissingError):  # dropped a moment ago; whoever needs it is told so below
        place.staging.fetch(place.mirror, sorted(refs.values()))
    return {
        commit: f"the state to stand on, {commit}, is no longer on {place.staging.shown}" for commit in commits if not objects.has(commit)
    }
