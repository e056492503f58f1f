"""What became of each change, as git, the place it lives in and the store say: gathered from those themselves, judged elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torii.cli.stays import Stay, past_stays
from torii.demo.projects import EDITS, Edit
from torii.demo.workshop import Branches, Standing, Workshop, tip
from torii.model.build import Result
from torii.model.event import MergeDone, Staged
from torii.model.ids import BuildSetId, Sha
from torii.results import layout
from torii.store.journal import read_journal
from torii.store.store import Store


@dataclass(frozen=True, slots=True)
class GateState:
    """One state in which a change was tested. `contains` are the changes whose commits it has, `commit` and `tree` what was built."""

    build_set: BuildSetId
    commit: Sha
    tree: Sha
    contains: frozenset[str]


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of one change (or, after a merge, of one branch).

    `landed` says whether the branch has the change's commit; `standing` how its place says that it stands, and `told` what Torii has
    written there. `stays` are its stays in pipelines, the oldest first, and `tested` the states of it in `gate`, in order. `artifacts`
    are the files that its builds have left.
    """

    change: str
    landed: bool
    standing: Standing = Branches()
    told: str = ""
    stays: tuple[Stay, ...] = ()
    tested: tuple[GateState, ...] = ()
    artifacts: frozenset[str] = frozenset()

    def stay(self, pipeline: str) -> Stay | None:
        """Return the newest stay in `pipeline`, or None."""
        return next((stay for stay in reversed(self.stays) if stay.item.pipeline == pipeline), None)


@dataclass(frozen=True, slots=True)
class BranchEvidence:
    """The branch main of a project: its commits since the story began (the oldest first, along first parents), and their trees.

    `config_before` and `config_now` are its `torii.yml` at its first commit and at its tip. `staging` are the staging refs that are left.
    """

    project: str
    commits: tuple[Sha, ...]
    trees: Mapping[Sha, Sha]
    config_before: str
    config_now: str
    staging: tuple[str, ...] = ()


def gather_change(shop: Workshop, store: Store, edit: Edit) -> Evidence:
    """Return the evidence on a change that was pushed."""
    stays = _stays(store, shop.change(edit))
    return Evidence(
        change=shop.change(edit),
        landed=shop.clones.succeeds(
            shop.repository(edit.project), "merge-base", "--is-ancestor", shop.clones.patchsets[edit.name], "refs/heads/main"
        ),
        standing=shop.standing(edit),
        told=shop.told(edit),
        stays=stays,
        tested=_tested(shop, store, edit.project, {stay.item.id for stay in stays if stay.item.pipeline == "gate"}),
        artifacts=_artifacts(store, stays),
    )


def gather_release(shop: Workshop, store: Store, project: str) -> Evidence:
    """Return the evidence on what ran after the last merge into main: of the stay that worked on the branch as it is now."""
    now = tip(shop, project)
    stays = tuple(stay for stay in _stays(store, f"{project}@main") if stay.item.patchset == now)
    told = shop.told_of_branch(project, now)
    return Evidence(f"{project}@main", landed=True, told=told, stays=stays, artifacts=_artifacts(store, stays))


def gather_branch(shop: Workshop, project: str) -> BranchEvidence:
    """Return the evidence on the branch main of `project`."""
    repository, git = shop.repository(project), shop.clones.git
    first = shop.clones.first(project)
    listed = git(repository, "log", "--first-parent", "--reverse", "--format=%H %T", f"{first}..refs/heads/main").splitlines()
    trees = {Sha(commit): Sha(tree) for commit, _, tree in (line.partition(" ") for line in listed)}
    before, now = (git(repository, "show", f"{commit}:torii.yml") for commit in (first, "refs/heads/main"))
    staging = git(repository, "for-each-ref", "--format=%(refname)", "refs/staging/").split()
    return BranchEvidence(project, tuple(trees), trees, before, now, tuple(staging))


def _stays(store: Store, change: str) -> tuple[Stay, ...]:
    items = [item for item in reversed(store.items(limit=None)) if item.change == change]
    return past_stays(store, items)


def _tested(shop: Workshop, store: Store, project: str, items: set[str]) -> tuple[GateState, ...]:
    """Return the states that the journal says were staged for `items`. The commits stay in the repository when their refs go."""
    found = []
    for entry in read_journal(store.path).events:
        match entry.event:
            case MergeDone(build_set, Staged(branches)) if build_set.rpartition(".")[0] in items:
                own = branches[-1]
                history = frozenset(shop.clones.git(shop.repository(project), "rev-list", own.commit).split())
                contains = frozenset(shop.change(edit) for edit in EDITS if shop.clones.patchsets.get(edit.name) in history)
                found.append(GateState(build_set, own.commit, own.tree, contains))
            case _:
                pass
    return tuple(found)


def _artifacts(store: Store, stays: Sequence[Stay]) -> frozenset[str]:
    found: set[str] = set()
    for stay in stays:
        for build in stay.builds:
            if build.result is Result.SUCCESS:
                prefix = layout.artifacts(build.id)
                found |= {key.removeprefix(f"{prefix}/") for key in store.blobs.keys(prefix)}
    return frozenset(found)
