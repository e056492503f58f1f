"""What has to come out of the story, and in what the evidence differs from it. Pure, and apart from whoever plays: it can say no."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from torii.demo.evidence import BranchEvidence, Evidence, GateState
from torii.demo.projects import CHEAP_TEA, CHECK_SPELLING, CLEAR_NAMES, PRINT_RECEIPT, REPOSITORIES, SELL_JUICE, SELL_TEA, Edit
from torii.demo.workshop import Branches, Customs, Review
from torii.model.build import Result

Jobs = Mapping[str, Result]
State = tuple[tuple[Edit, ...], tuple[Edit, ...]]


@dataclass(frozen=True, slots=True)
class Expectation:
    """What has to become of one change.

    `name` is what its folder of logs is called, `title` what the change says of itself. `text` says what is expected in words. `outcomes`
    is how its stays end, by pipeline; `jobs` how its builds end there, of the states that decided. `told` are texts that Torii has to
    have written. `tested` are the states in which the gate tested it, in order, each as the changes that were in it and those that were
    not. `artifacts` are files that its builds leave.
    """

    change: str
    name: str
    title: str
    text: str
    merges: bool
    outcomes: Mapping[str, str]
    jobs: Mapping[str, Jobs] = field(default_factory=lambda: MappingProxyType({}))
    told: tuple[str, ...] = ()
    tested: tuple[tuple[frozenset[str], frozenset[str]], ...] = ()
    artifacts: frozenset[str] = frozenset()


PASSED, FAILED = Result.SUCCESS, Result.FAILURE
_CHECKED = {"lint": PASSED, "unit": PASSED}
_MERGED = {"check": "success", "gate": "merged"}
_TOLD_CHECK, _TOLD_GATE = "Build succeeded (check pipeline).", "Build succeeded (gate pipeline)."
_FIRST, _SECOND, _THIRD = CLEAR_NAMES, PRINT_RECEIPT, SELL_JUICE

MERGES: Mapping[str, tuple[Edit, ...]] = MappingProxyType({"app": (SELL_TEA, CLEAR_NAMES, SELL_JUICE), "library": (CHECK_SPELLING,)})
"""Which changes each project's main has to have, one merge after another."""

NEW_JOB = "spelling"


def expectations(change: Callable[[Edit], str]) -> tuple[Expectation, ...]:
    """Return what has to become of each change and of each branch. `change` tells the id of a change."""

    def of(
        edit: Edit, text: str, outcomes: Mapping[str, str], jobs: Mapping[str, Jobs], told: tuple[str, ...], *tested: State
    ) -> Expectation:
        states = tuple((frozenset(map(change, there)), frozenset(map(change, absent))) for there, absent in tested)
        return Expectation(change(edit), edit.name, edit.title, text, edit in MERGES[edit.project], outcomes, jobs, told, states)

    both = (_TOLD_CHECK, _TOLD_GATE)
    spelled = {"unit": PASSED, "spelling": PASSED}
    return (
        of(
            SELL_TEA,
            "passes and merges",
            _MERGED,
            {"check": _CHECKED, "gate": _CHECKED},
            both,
            ((SELL_TEA,), (_FIRST, _SECOND, _THIRD)),
        ),
        of(
            _FIRST,
            "first of three in the gate: merges",
            _MERGED,
            {"check": _CHECKED, "gate": {**_CHECKED, "acceptance": PASSED}},
            both,
            ((_FIRST,), (_SECOND, _THIRD)),
        ),
        of(
            _SECOND,
            "second: passes alone, fails on top of the first, leaves",
            {"check": "success", "gate": "failure"},
            {"check": _CHECKED, "gate": {"lint": PASSED, "unit": FAILED}},
            (_TOLD_CHECK, "Build failed (gate pipeline).", "* tests.receipt"),
            ((_FIRST, _SECOND), (_THIRD,)),
        ),
        of(
            _THIRD,
            "third: tested on top of both, again without the second, merges",
            _MERGED,
            {"check": _CHECKED, "gate": _CHECKED},
            both,
            ((_FIRST, _SECOND, _THIRD), ()),
            ((_FIRST, _THIRD), (_SECOND,)),
        ),
        of(CHEAP_TEA, "clashes with what has merged", {"check": "merge conflict"}, {}, ("Merge conflict (check pipeline).", "menu.txt")),
        of(
            CHECK_SPELLING,
            "adds a job to torii.yml, is tested by it, merges",
            _MERGED,
            {"check": spelled, "gate": spelled},
            both,
            ((CHECK_SPELLING,), ()),
        ),
        *(_release(project) for project in REPOSITORIES),
    )


def _release(project: str) -> Expectation:
    return Expectation(
        f"{project}@main",
        f"{project}-main",
        "",
        "is packaged after the merge",
        merges=True,
        outcomes={"post": "success"},
        jobs={"post": {"package": PASSED}},
        told=("Build succeeded (post pipeline).",),
        artifacts=frozenset({f"dist/{project}.tar"}),
    )


def differences(expected: Expectation, found: Evidence) -> list[str]:
    """Return, a sentence each, in what `found` is not as `expected`; nothing where all is right."""
    parts = (_git(expected, found), _standing(expected, found), _told(expected, found), _store(expected, found), _states(expected, found))
    return [f"{expected.change}: {sentence}" for part in parts for sentence in part]


def branch_differences(found: BranchEvidence, tested: Mapping[str, GateState], order: Sequence[str], customs: Customs) -> list[str]:
    """Return in what a branch is not what was tested.

    `tested` is the last state of each change that merged there, `order` the changes that had to, one merge after another.
    """
    sentences = []
    if len(found.commits) < len(order):
        sentences.append(f"main has {_merges(len(found.commits))}, {len(order)} were to come")
    sentences += _other_trees(found, tested, order) if customs.own_merges else _other_commits(found, tested)
    if found.staging:
        sentences.append(f"{len(found.staging)} staging refs are left, such as {found.staging[0]}")
    if found.project == "library" and (NEW_JOB in found.config_before or NEW_JOB not in found.config_now):
        sentences.append(f"torii.yml on main does not show that the job {NEW_JOB} is new")
    return [f"{found.project}@main: {sentence}" for sentence in sentences]


def _other_commits(found: BranchEvidence, tested: Mapping[str, GateState]) -> Iterator[str]:
    """Yield what landed other than the very commits that were tested."""
    by_commit = {state.commit: state for state in tested.values()}
    for commit in found.commits:
        state = by_commit.get(commit)
        if state is None:
            yield f"main has {commit[:12]}, which is not what was tested of any change"
        elif state.tree != found.trees[commit]:
            yield f"main has the tree {found.trees[commit][:12]} at {commit[:12]}, but {state.tree[:12]} was tested"


def _other_trees(found: BranchEvidence, tested: Mapping[str, GateState], order: Sequence[str]) -> Iterator[str]:
    """Yield what landed other than the trees that were tested, in their order: the commits were made by somebody else."""
    for commit in found.commits[len(order) :]:
        yield f"main has {commit[:12]}, after all that was to merge"
    for commit, change in zip(found.commits, order, strict=False):
        state = tested.get(change)
        if state is None:
            yield f"main has {commit[:12]} where {change} was to come, which has not merged"
        elif state.tree != found.trees[commit]:
            yield f"main has the tree {found.trees[commit][:12]} at {commit[:12]}, but {state.tree[:12]} was tested of {change}"


def _git(expected: Expectation, found: Evidence) -> Iterator[str]:
    if found.landed != expected.merges:
        yield "is on main, and must not be" if found.landed else "is not on main"


def _standing(expected: Expectation, found: Evidence) -> Iterator[str]:
    if not expected.title:
        return  # a branch, of which no place says more than git
    match found.standing:
        case Branches(kinds):
            if not expected.merges and "review" not in kinds:
                yield "its review branch is gone, though it did not merge"
            if expected.merges and kinds:
                yield f"merged, but still has its branch in {' and '.join(sorted(kinds))}/"
        case Review(status, vote):
            right_status, right_vote = ("MERGED", 1) if expected.merges else ("NEW", -1)
            if status != right_status:
                yield f"Gerrit says that it is {status or 'not there'}, and was to say {right_status}"
            if vote != right_vote:
                yield f"Torii's vote on it is {vote:+d}, and was to be {right_vote:+d}"


def _told(expected: Expectation, found: Evidence) -> Iterator[str]:
    for text in expected.told:
        if text not in found.told:
            yield f"Torii has not written {text!r} on it"


def _store(expected: Expectation, found: Evidence) -> Iterator[str]:
    for pipeline, outcome in expected.outcomes.items():
        stay = found.stay(pipeline)
        if stay is None:
            yield f"was never in {pipeline}"
            continue
        now = stay.item.outcome or stay.item.state
        if now != outcome:
            yield f"in {pipeline} it is {now!r} ({stay.item.reason}), and was to be {outcome!r}"
        results = {build.job: build.result for build in stay.current_builds}
        for job, result in expected.jobs.get(pipeline, {}).items():
            ended = results.get(job)
            if ended is not result:
                yield f"in {pipeline} the job {job} ended {ended.value if ended else 'not at all'}, and was to end {result.value}"
    for stay in found.stays:
        if stay.item.pipeline not in expected.outcomes:
            yield f"was in {stay.item.pipeline}, where nobody wanted it"
    for artifact in sorted(expected.artifacts - found.artifacts):
        yield f"its builds left no {artifact}"


def _states(expected: Expectation, found: Evidence) -> Iterator[str]:
    if not expected.tested:
        return
    if len(found.tested) != len(expected.tested):
        yield f"the gate tested it in {_times(len(found.tested))}, and was to in {_times(len(expected.tested))}"
        return
    for number, (state, (there, absent)) in enumerate(zip(found.tested, expected.tested, strict=True), 1):
        for change in sorted(there - state.contains):
            yield f"state {number} of it in the gate lacks {change}"
        for change in sorted(absent & state.contains):
            yield f"state {number} of it in the gate holds {change}, and must not"


def _merges(count: int) -> str:
    return "1 merge" if count == 1 else f"{count} merges"


def _times(count: int) -> str:
    return "1 state" if count == 1 else f"{count} states"
