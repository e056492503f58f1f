from __future__ import annotations

import dataclasses

import pytest

from torii.jenkins.values import Job
from torii.jobs import OWNERSHIP_MARK, JobLibrary, JobSource, Mark, changed_job_name, job_name
from torii.jobs.marks import with_mark
from torii.jobs.plan import Deed, Plan, Scene, plan
from torii.jobs.wanted import ProjectJobs, Wanted
from torii.model.ids import ProjectName
from torii.model.job import JobDefinition

APP = ProjectName("app")
LIBRARY = JobLibrary()


def source(name: str, run: str = "make", branch: str = "main") -> JobSource:
    return JobSource(APP, branch, JobDefinition(name, run))


def mark(name: str, run: str = "make", branch: str = "main", owner: str = "torii") -> Mark:
    (outline,) = LIBRARY.outlines([source(name, run, branch)])
    return Mark(owner, "app", branch, name, outline.digest, "", outline.plugins)


def job(name: str, marked: Mark | None, buildable: bool = True) -> Job:
    return Job(name, with_mark("", marked) if marked else "by hand", buildable, f"https://ci.example.com/job/{name}/")


def planned(
    *jobs: Job, wanted: Wanted | None = None, sources: tuple[JobSource, ...] = (), only: str = "*", leftovers: frozenset[str] = frozenset()
) -> Plan:
    wanted = wanted or Wanted({APP: ProjectJobs(APP, sources)})
    outlines = list(zip(wanted.sources, LIBRARY.outlines(wanted.sources), strict=True))
    return plan(Scene({each.name: each for each in jobs}, wanted, outlines, "torii", only, leftovers))


def deeds(found: Plan) -> list[tuple[Deed, str]]:
    return [(step.deed, step.name) for step in found.steps]


def test_what_is_missing_is_made_what_differs_is_changed_and_what_is_right_is_let_be():
    found = planned(
        job("app--main--lint", mark("lint", "old")),
        job("app--main--docs", mark("docs")),
        sources=(source("unit"), source("lint"), source("docs")),
    )
    assert deeds(found) == [(Deed.CHANGE, "app--main--lint"), (Deed.MAKE, "app--main--unit")]
    assert [step.name for step in found.unchanged] == ["app--main--docs"]
    assert found.unused == found.clashes == found.notes == ()


def test_what_nothing_names_any_more_is_unused_and_removed_only_by_pruning():
    found = planned(job("app--old--unit", mark("unit", branch="old")), sources=(source("unit"),))
    assert deeds(found) == [(Deed.MAKE, "app--main--unit")]
    assert [step.name for step in found.unused] == ["app--old--unit"]
    assert "no torii.yml of app names job unit on branch old" in found.unused[0].reason
    assert deeds(found.pruned())[1] == (Deed.REMOVE, "app--old--unit")
    assert found.pruned().unused == ()


def test_jobs_of_a_project_that_is_not_built_here_any_more_are_unused():
    found = planned(job("app--main--unit", mark("unit")), wanted=Wanted())
    assert [step.reason for step in found.unused] == ["app is not built in this Jenkins any more"]


@pytest.mark.parametrize(
    "project",
    [
        ProjectJobs(APP, unread="the server is away"),
        ProjectJobs(APP, wrong={"main": ("torii.yml:1:1 is wrong",)}),
        ProjectJobs(APP, refused={("main", "unit"): "a label that is none"}),
    ],
)
def test_jobs_of_what_could_not_be_read_or_is_wrong_stay(project):
    found = planned(job("app--main--unit", mark("unit")), wanted=Wanted({APP: project}))
    assert found == Plan()


def test_a_job_that_torii_did_not_make_is_a_clash_that_names_both_and_is_let_be():
    found = planned(job("app--main--unit", None), job("deploy", None), sources=(source("unit"),))
    assert found.steps == found.unused == ()
    (clash,) = found.clashes
    assert "job unit of app, branch main" in clash
    assert "https://ci.example.com/job/app--main--unit/" in clash
    assert "did not make" in clash


def test_names_that_differ_in_case_alone_are_one_name_to_jenkins():
    found = planned(job("App--Main--Unit", None), sources=(source("unit"),))
    assert found.steps == ()
    assert "App--Main--Unit" in found.clashes[0]


def test_a_job_of_another_torii_is_a_clash_that_names_both_owners():
    found = planned(job("app--main--unit", mark("unit", owner="other")), sources=(source("unit"),))
    assert found.steps == found.unused == ()
    assert "'other'" in found.clashes[0]
    assert "'torii'" in found.clashes[0]


def test_jobs_of_another_torii_are_never_unused():
    assert planned(job("app--old--unit", mark("unit", branch="old", owner="other"))) == Plan()


def test_the_plain_mark_alone_makes_no_job_toriis():
    bare = Job("app--main--unit", f"text {OWNERSHIP_MARK}")
    assert len(planned(bare, sources=(source("unit"),)).clashes) == 1


def test_a_job_renamed_or_copied_by_hand_is_let_be_and_said():
    found = planned(job("experiment", mark("unit")), sources=(source("unit"),))
    assert deeds(found) == [(Deed.MAKE, "app--main--unit")]
    assert found.unused == ()
    assert found.notes == ("experiment was renamed or copied by hand from app--main--unit: it is left alone, and nothing builds it",)


def test_a_changes_own_copy_is_nobodys_business_here():
    copy = dataclasses.replace(mark("unit"), copy_of_instance="k3f9")
    assert planned(job(changed_job_name(job_name("app", "main", "unit"), b"x"), copy)) == Plan()


def test_jobs_of_a_project_that_shows_no_branch_at_all_stay_and_that_is_said():
    found = planned(job("app--main--unit", mark("unit")), job("app--main--lint", mark("lint")))
    assert found.unused == found.steps == ()
    assert found.notes == ("the jobs of app stay, since its git server shows no branch of it at all: may Torii still read it?",)


def test_a_copy_that_nothing_needs_is_unused():
    own, name = dataclasses.replace(mark("unit"), copy_of_instance="k3f9"), changed_job_name("app--main--unit", b"x")
    others = dataclasses.replace(own, owner="other")
    assert [step.name for step in planned(job(name, own), leftovers=frozenset({name})).unused] == [name]
    assert planned(job(name, own), only="lib--*", leftovers=frozenset({name})).unused == ()
    assert planned(job(name, others), leftovers=frozenset({name})).unused == ()


def test_a_job_renamed_or_copied_by_hand_to_a_name_that_is_needed_is_a_clash():
    found = planned(job("app--main--unit", mark("lint")), sources=(source("unit"),))
    assert found.steps == found.unused == found.unchanged == ()
    assert "(https://ci.example.com/job/app--main--unit/) was renamed or copied by hand from app--main--lint" in found.clashes[0]


def test_a_disabled_job_is_said_and_not_enabled():
    found = planned(job("app--main--unit", mark("unit"), buildable=False), sources=(source("unit"),))
    assert found.steps == ()
    assert found.notes == (
        "app--main--unit is disabled, by hand: Torii enables it before its next build; with `sync: false`, only --thorough does",
    )


def test_a_job_made_for_other_plugins_is_made_anew_though_its_xml_is_the_same():
    old = dataclasses.replace(mark("unit"), plugins=("build-timeout",))
    assert deeds(planned(job("app--main--unit", old), sources=(source("unit"),))) == [(Deed.CHANGE, "app--main--unit")]


def test_only_what_matches_counts():
    found = planned(job("app--old--unit", mark("unit", branch="old")), sources=(source("unit"), source("lint")), only="*--lint")
    assert deeds(found) == [(Deed.MAKE, "app--main--lint")]
    assert found.unused == ()
