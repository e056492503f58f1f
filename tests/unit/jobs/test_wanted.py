from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest

from tests.support.jobs_lab import ONE, TWO, JobsLab
from torii.jobs.wanted import Wanted, WantedReader
from torii.model.ids import ProjectName


@pytest.fixture
def lab(tmp_path: Path) -> JobsLab:
    return JobsLab(tmp_path, {})


def read(lab: JobsLab, *names: str) -> Wanted:
    return WantedReader(lab.config).read([ProjectName(name) for name in names or lab.projects])


def jobs(wanted: Wanted) -> set[tuple[str, str, str]]:
    return {(source.project, source.branch, source.job.name) for source in wanted.sources}


def test_the_jobs_of_every_branch_of_every_project_are_wanted(lab):
    lab.add("app", main=TWO, stable=ONE, plain="jobs: {}\npipelines: {}\n")
    lab.add("lib", main=ONE)
    lab.push("app", "empty", {"README": "no torii.yml here"})
    found = read(lab)
    assert jobs(found) == {
        ("app", "main", "unit"),
        ("app", "main", "lint"),
        ("app", "stable", "unit"),
        ("lib", "main", "unit"),
    }
    assert found.mistakes == found.unread == []
    assert set(found.projects[ProjectName("app")].tips) == {"main", "stable", "plain", "empty"}


def test_branches_that_are_changes_and_staged_states_have_no_jobs(lab):
    lab.add("app", main=ONE)
    for branch in ("review/main/fix", "gate/main/fix", "reviews"):
        lab.push("app", branch, {"torii.yml": TWO})
    lab.push("app", "x", {"torii.yml": TWO})
    (lab.repository("app") / "refs" / "staging" / "gate").mkdir(parents=True)
    (lab.repository("app") / "refs" / "heads" / "x").rename(lab.repository("app") / "refs" / "staging" / "gate" / "main")
    assert jobs(read(lab)) == {("app", "main", "unit"), ("app", "reviews", "unit"), ("app", "reviews", "lint")}


def test_a_job_that_never_runs_on_a_branch_is_not_wanted_there(lab):
    text = 'jobs:\n  unit: {run: make, when: {branches: ["stable/*"]}}\npipelines: {check: [unit]}\n'
    lab.add("app", main=text)
    lab.push("app", "stable/1", {"torii.yml": text})
    assert jobs(read(lab)) == {("app", "stable/1", "unit")}


def test_a_wrong_torii_yml_is_named_with_its_problems_and_stops_nobody_else(lab):
    lab.add("app", main="jobs:\n  unit: {rum: make}\npipelines: {check: [unit]}\n", stable=ONE)
    lab.add("lib", main=ONE)
    found = read(lab)
    assert jobs(found) == {("app", "stable", "unit"), ("lib", "main", "unit")}
    assert any('app, branch main: torii.yml:2:10 jobs.unit.rum: unknown key; did you mean "run"?' in words for words in found.mistakes)
    assert found.projects[ProjectName("app")].keeps("main", "unit") == "the torii.yml on main of app is wrong"
    assert found.projects[ProjectName("app")].keeps("stable", "gone") == ""


def test_a_job_that_jenkins_cannot_hold_is_named_and_its_neighbours_are_wanted(lab):
    lab.add("app", main='jobs:\n  unit: {run: make}\n  bad: {run: "echo \\x1b"}\npipelines: {check: [unit, bad]}\n')
    found = read(lab)
    assert jobs(found) == {("app", "main", "unit")}
    (said,) = found.mistakes
    assert "job bad" in said
    assert "U+001B" in said
    assert found.projects[ProjectName("app")].keeps("main", "bad") == said


def test_a_project_that_cannot_be_reached_is_said_and_stops_nobody_else(lab):
    lab.add("app", main=ONE)
    lab.add("lib", main=ONE)
    lab.repository("app").rename(lab.folder / "elsewhere")
    found = read(lab)
    assert jobs(found) == {("lib", "main", "unit")}
    (said,) = found.unread
    assert said.startswith("app: git ls-remote with ")
    assert found.projects[ProjectName("app")].keeps("main", "unit") == "app could not be read"


def test_a_second_look_sees_what_moved_came_and_went(lab):
    lab.add("app", main=ONE, old=ONE)
    reader, names = WantedReader(lab.config), [ProjectName("app")]
    first = reader.read(names)
    assert reader.read(names).projects[names[0]] is first.projects[names[0]]
    lab.push("app", "main", {"torii.yml": TWO})
    lab.push("app", "new", {"torii.yml": ONE})
    lab.delete("app", "old")
    assert jobs(reader.read(names)) == {("app", "main", "unit"), ("app", "main", "lint"), ("app", "new", "unit")}


def test_an_empty_repository_wants_nothing(lab):
    lab.add("app")
    found = read(lab)
    assert found.sources == found.unread == []


def test_a_file_that_is_far_too_large_is_wrong_and_not_fatal(lab):
    lab.add("app", main=ONE)
    lab.push("app", "main", {"torii.yml": ONE + "#" * (3 << 20)})
    lab.push("app", "other", {"torii.yml": ONE})
    found = read(lab)
    assert jobs(found) == {("app", "other", "unit")}
    assert "1 MiB" in found.mistakes[0]


def test_a_folder_called_torii_yml_is_none(lab):
    lab.add("app")
    lab.push("app", "main", {"torii.yml/file": "x"})
    assert read(lab).mistakes == []


def test_what_many_branches_have_in_common_or_is_too_large_is_not_held_many_times(lab):
    long, huge = f"# {'long ' * 100_000}\n{ONE}", f"# {'huge ' * 4_000_000}\n{ONE}"
    lab.add("app", main=long, huge=huge)
    for number in range(60):
        lab.push("app", f"b{number}", {"torii.yml": long, "number": str(number)})
    tracemalloc.start()
    try:
        found = read(lab)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(found.sources) == 61
    assert len(found.mistakes) == 1
    assert most < 16 * 1024 * 1024
