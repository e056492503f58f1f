"""Builds on a real worker: real Gearman, real git, real bubblewrap."""

from __future__ import annotations

import json

import pytest

from tests.support.waiting import wait_until
from torii.model.build import Result
from torii.model.job import JobDefinition

pytestmark = pytest.mark.needs("bwrap")


def test_a_build_runs_on_the_staged_state_and_is_recorded(lab):
    worker = lab.worker()
    job = lab.define(worker, JobDefinition("unit", "cat hello.txt; git log --oneline | wc -l\n"))
    build, answer = lab.submit(job, TORII_LOG_URL="https://ci.example.com/1")
    facts = answer.started()
    assert facts == {
        "name": job.name,
        "number": 1,
        "manager": worker.id,
        "worker": worker.id,
        "url": "https://ci.example.com/1",
        "node_name": worker.id,
        "node_labels": ["big", "linux"],
    }
    assert answer.result() == "SUCCESS"
    assert [how for how, _ in answer.said] == ["data", "status", "complete"]
    assert json.loads(answer.said[-1][1]) == {**facts, "result": "SUCCESS"}
    log = lab.log(build)
    assert f"[torii] checked out {lab.commit}" in log
    assert "\nhello\n" in log
    found = lab.record(build)
    assert (found.result, found.worker) == (Result.SUCCESS, worker.id)
    assert found.duration is not None and found.started_at is not None and found.ended_at is not None
    wait_until(lambda: not list((lab.state / "workspaces" / worker.id / "builds").iterdir()))
