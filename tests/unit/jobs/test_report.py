from __future__ import annotations

import pytest

from torii.jobs.marks import Mark
from torii.jobs.plan import Deed, Plan, Step
from torii.jobs.report import Report


def removal(job: str) -> Step:
    return Step(Deed.REMOVE, f"app--main--{job}", Mark("torii", "app", "main", job, "d"), "nothing names it")


@pytest.mark.parametrize(
    ("jobs", "words"),
    [
        (["lint"], "app--main--lint: made by Torii, and nothing names it any more; --prune removes it"),
        (["lint", "unit"], "app--main--lint, app--main--unit: made by Torii, and nothing names them any more; --prune removes them"),
    ],
)
def test_what_is_unused_is_named_in_one_line(jobs, words):
    report = Report("ci", "https://ci.example.com", Plan(unused=tuple(removal(job) for job in jobs)))
    assert f"  unused   {words}" in list(report.lines())
