"""What has to come out of the story, and in what the evidence differs from it. Pure, and apart from whoever plays: it can say no."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from torii.demo.evidence import BranchEvidence, Evidence, GateState
from torii.demo.projects import CHEAP_TEA, CHECK_SPELLING, CLEAR_NAMES, PRINT_RECEIPT, SELL_JUICE, SELL_TEA
from torii.model.build import Result

Jobs = Mapping[str, Result]


@dataclass(frozen=True, slots=True)
class Expectation:
    """What has to become of one change.

    `text` says it in words. `outcomes` is how its stays end, by pipeline; `jobs` how its builds end there, of the states that decided.
    `note` are texts that its git note has to have. `tested` are the states in which the gate tested it, in order, each as the changes
    that were in it and those that were not. `artifacts` are files that its builds leave.
    """

    change: str
    text: str
    merges: bool
    outcomes: Mapping[str, str]
    jobs: Mapping[str, Jobs] = field(default_factory=lambda: MappingProxyType({}))
    note: tuple[str, ...] = ()
    tested: tuple[tuple[frozenset[str], frozenset[str]], ...] = ()
    artifacts: frozenset[str] = frozenset()


PASSED, FAILED = Result.SUCCESS, Result.FAILURE
_CHECKED = {"lint": PASSED, "unit": PASSED}
_CHECK_NOTE, _GATE_NOTE = "Build succeeded (check pipeline).", "Build succeeded (gate pipeline)."
_FIRST, _SECOND, _THIRD = CLEAR_NAMES.change, PRINT_RECEIPT.change, SELL_JUICE.change

CHANGES: tuple[Expectation, ...] = (
    Expectation(
        SELL_TEA.change,
        "passes and merges",
        merges=True,
        outcomes={"check": "success", "gate": "merged"},
        jobs={"check": _CHECKED, "gate": _CHECKED},
        note=(_CHECK_NOTE, _GATE_NOTE),
        tested=((frozenset({SELL_TEA.change}), frozenset({_FIRST, _SECOND, _THIRD})),),
    ),
    Expectation(
        _FIRST,
        "first of three in the gate: merges",
        merges=True,
        outcomes={"check": "success", "gate": "merged"},
        jobs={"check": _CHECKED, "gate": {**_CHECKED, "acceptance": PASSED}},
        note=(_CHECK_NOTE, _GATE_NOTE),
        tested=((frozenset({_FIRST}), frozenset({_SECOND, _THIRD})),),
    ),
    Expectation(
        _SECOND,
        "second: passes alone, fails on top of the first, leaves",
        merges=False,
        outcomes={"check": "success", "gate": "failure"},
        jobs={"check": _CHECKED, "gate": {"lint": PASSED, "unit": FAILED}},
        note=(_CHECK_NOTE, "Build failed (gate pipeline).", "* tests.receipt"),
        tested=((frozenset({_FIRST, _SECOND}), frozenset({_THIRD})),),
    ),
    Expectation(
        _THIRD,
        "third: tested on top of both, again without the second, merges",
        merges=True,
        outcomes={"check": "success", "gate": "merged"},
        jobs={"check": _CHECKED, "gate": _CHECKED},
        note=(_CHECK_NOTE, _GATE_NOTE),
        tested=((frozenset({_FIRST, _SECOND, _THIRD}), frozenset()), (frozenset({_FIRST, _THIRD}), frozenset({_SECOND}))),
    ),
    Expectation(
        CHEAP_TEA.change,
        "clashes with what has merged",
        merges=False,
        outcomes={"check": "merge conflict"},
        note=("Merge conflict (check pipeline).", "menu.txt"),
    ),
    Expectation(
        CHECK_SPELLING.change,
        "adds a job to torii.yml, is tested by it, merges",
        merges=True,
        outcomes={"check": "success", "gate": "merged"},
        jobs={"check": {"unit": PASSED, "spelling": PASSED}, "gate": {"unit": PASSED, "spelling": PASSED}},
        note=(_CHECK_NOTE, _GATE_NOTE),
        tested=((frozenset({CHECK_SPELLING.change}), frozenset()),),
    ),
)

RELEASES: tuple[Expectation, ...] = tuple(
    Expectation(
        f"{project}@main",
        "is packaged after the merge",
        merges=True,
        outcomes={"post": "success"},
        jobs={"post": {"package": PASSED}},
        note=("Build succeeded (post pipeline).",),
        artifacts=frozenset({f"dist/{project}.tar"}),
    )
    for project in ("app", "library")
)

MERGES: Mapping[str, int] = MappingProxyType({"app": 3, "library": 1})
"""How many merges each project's main has to have, one after another."""

NEW_JOB = "spelling"


def differences(expected: Expectation, found: Evidence) -> list[str]:
    """Return, a sentence each, in what `found` is not as `expected`; nothing where all is right."""
    return [f"{expected.change}: {sentence}" for sentence in (*_git(expected, found), *_store(expected, found), *_states(expected, found))]


def branch_differences(found: BranchEvidence, tested: Mapping[str, GateState]) -> list[str]:
    """Return in what a branch is not what was tested. `tested` is the last state of each change that merged there, in any order."""
    sentences = []
    by_commit = {state.commit: state for state in tested.values()}
    if len(found.commits) < MERGES[found.project]:
        sentences.append(f"main has {len(found.commits)} merges, {MERGES[found.project]} were to come")
    for commit in found.commits:
        state = by_commit.get(commit)
        if state is None:
            sentences.append(f"main has {commit[:12]}, which is not what was tested of any change")
        elif state.tree != found.trees[commit]:
            sentences.append(f"main has the tree {found.trees[commit][:12]} at {commit[:12]}, but {state.tree[:12]} was tested")
    if found.staging:
        sentences.append(f"{len(found.staging)} staging refs are left, such as {found.staging[0]}")
    if found.project == "library" and (NEW_JOB in found.config_before or NEW_JOB not in found.config_now):
        sentences.append(f"torii.yml on main does not show that the job {NEW_JOB} is new")
    return [f"{found.project}@main: {sentence}" for sentence in sentences]


def _git(expected: Expectation, found: Evidence) -> Iterator[str]:
    if found.landed != expected.merges:
        yield "is on main, and must not be" if found.landed else "is not on main"
    if not expected.merges and "review" not in found.branches:
        yield "its review branch is gone, though it did not merge"
    if expected.merges and found.branches:
        yield f"merged, but still has its branch in {' and '.join(sorted(found.branches))}/"
    for text in expected.note:
        if text not in found.note:
            yield f"its git note does not say {text!r}"


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


def _times(count: int) -> str:
    return "1 state" if count == 1 else f"{count} states"
