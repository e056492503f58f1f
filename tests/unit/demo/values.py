"""Stays, snapshots and evidence to test the demo's parts with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from torii.cli.stays import Stay
from torii.demo.evidence import Evidence, GateState
from torii.demo.expectations import Expectation
from torii.demo.projects import Edit
from torii.demo.workshop import Branches, Review
from torii.model.build import Result
from torii.model.ids import BuildId, BuildSetId, ChangeId, ItemId, PipelineName, ProjectName, QueueName, Sha
from torii.model.view import BuildView, Decision, ItemView

NOW = 1_000.0


def build(job: str, result: Result | None = None, item: str = "x-1", **fields: Any) -> BuildView:
    """A build of the item's first build set, which ran for a second up to now, or runs since a second."""
    made = BuildView(
        id=BuildId(f"{item}-{job}"),
        build_set=BuildSetId(f"{item}.1"),
        item=ItemId(item),
        job=job,
        attempt=1,
        voting=True,
        state="done" if result else "running",
        result=result,
        reason="",
        node="worker",
        url=None,
        requested_at=NOW - 2,
        started_at=NOW - 1,
        ended_at=NOW if result else None,
        duration=1.0 if result else None,
        tests=None,
    )
    return replace(made, **fields)


def stay(change: str, pipeline: str = "gate", *builds: BuildView, place: int | None = 1, item: str = "x-1", **fields: Any) -> Stay:
    """A stay in a queue, being built; with `outcome` one that has just left."""
    left = "outcome" in fields
    made = ItemView(
        id=ItemId(item),
        pipeline=PipelineName(pipeline),
        queue=QueueName("app main"),
        change=ChangeId(change),
        project=ProjectName(change.partition(":")[0]),
        branch="main",
        patchset="1" * 40,
        title="",
        owner="",
        state="done" if left else "building",
        reason="",
        outcome="",
        position=None if left else place,
        build_set=BuildSetId(f"{item}.1"),
        built_on=(),
        commit=None,
        enqueued_at=NOW - 3,
        left_at=NOW if left else None,
    )
    return Stay(replace(made, **fields), builds, None if left else place)


def decision(text: str, change: str = "app:main/fix", item: str = "x-1", at: float = NOW - 1) -> Decision:
    return Decision(at, ChangeId(change), PipelineName("gate"), ItemId(item), text)


def on_gerrit(edit: Edit) -> str:
    """The id of an edit's change on a Gerrit."""
    return f"gerrit:{sum(map(ord, edit.name))}"


def as_expected(expected: Expectation, standing: Branches | Review | None = None) -> Evidence:
    """The evidence on a change of which everything came out as it was to; `standing` None: as on plain git."""
    stays = tuple(
        stay(
            expected.change,
            pipeline,
            *(build(job, result, item=pipeline) for job, result in _jobs(expected, pipeline).items()),
            item=pipeline,
            outcome=outcome,
        )
        for pipeline, outcome in expected.outcomes.items()
    )
    states = enumerate(expected.tested, 1)
    return Evidence(
        change=expected.change,
        landed=expected.merges,
        standing=standing or Branches(frozenset() if expected.merges else frozenset({"review"})),
        told="\n\n".join(expected.told),
        stays=stays,
        tested=tuple(GateState(BuildSetId(f"gate.{number}"), sha(number), sha(100 + number), there) for number, (there, _) in states),
        artifacts=expected.artifacts,
    )


def _jobs(expected: Expectation, pipeline: str) -> Mapping[str, Result]:
    return expected.jobs.get(pipeline, {})


def sha(number: int) -> Sha:
    return Sha(f"{number:040x}")
