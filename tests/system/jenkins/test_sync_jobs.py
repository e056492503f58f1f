"""`torii sync-jobs` on a Jenkins: what it makes, changes, removes and says, and what it never touches."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from tests.support.jobs_lab import MANY, ONE, TWO, JobsLab
from torii.errors import UserError
from torii.jobs import Mark, changed_job_name
from torii.jobs.apply import perform
from torii.jobs.look import Depth, look
from torii.jobs.marks import with_mark
from torii.jobs.plan import Deed
from torii.jobs.team import open_library
from torii.jobs.wanted import WantedReader
from torii.jobs.xml import same
from torii.model.ids import ProjectName
from torii.testing.jenkins import PLUGINS, FakeJenkins, job_xml

_TAKEN = "another job has been put in its place since the jobs were listed; that one is left alone"


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[FakeJenkins]:
    with FakeJenkins(tmp_path / "jenkins") as fake:
        yield fake


@pytest.fixture
def lab(tmp_path: Path, fake: FakeJenkins) -> JobsLab:
    lab = JobsLab(tmp_path, {"ci": fake})
    lab.add("app", main=TWO)
    return lab


# -- what it does


def test_the_jobs_of_a_torii_yml_are_made_with_their_marks(lab):
    done = lab.sync()
    assert done.code == 0
    assert "2 made, 0 right as they are" in done.out
    assert lab.names() == {"app--main--unit", "app--main--lint"}
    assert lab.command_of("app--main--unit") == "make test"
    mark = lab.mark("app--main--unit")
    assert (mark.owner, mark.project, mark.branch, mark.job) == ("torii", "app", "main", "unit")


def test_a_second_sync_does_nothing_with_one_request(lab, fake):
    lab.sync()
    counted = fake.fault("slow", "", times=10_000)
    done = lab.sync()
    assert done.code == 0
    assert "2 right as they are" in done.out
    assert counted.met == 1


def test_a_plan_shows_what_would_be_done_changes_nothing_and_says_so_in_its_exit_code(lab):
    planned = lab.sync("--plan")
    assert planned.code == 2
    assert "make     app--main--unit: there is no such job" in planned.out
    assert lab.names() == set()
    lab.sync()
    assert lab.sync("--plan").code == 0
    lab.push("app", "main", {"torii.yml": ONE.replace("make test", "make all\\n  tests")})
    before = dict(lab.fakes["ci"].jobs)
    planned = lab.sync("--plan", "--prune")
    assert planned.code == 2
    assert "change   app--main--unit" in planned.out
    assert "-      <command>make test</command>" in planned.out
    assert "+      <command>make all" in planned.out
    assert "remove   app--main--lint: no torii.yml of app names job lint on branch main" in planned.out
    assert lab.fakes["ci"].jobs == before


def test_what_a_plan_says_is_what_is_then_done(lab):
    lab.sync()
    lab.push("app", "main", {"torii.yml": ONE.replace("make test", "make all")})
    lab.push("app", "stable", {"torii.yml": ONE})
    planned, done = lab.sync("--plan", "--prune", "--json").json, lab.sync("--prune", "--json").json
    of = planned["jenkins"]["ci"]
    assert [each["name"] for each in of["make"]] == done["jenkins"]["ci"]["made"] == ["app--stable--unit"]
    assert [each["name"] for each in of["change"]] == done["jenkins"]["ci"]["changed"] == ["app--main--unit"]
    assert [each["name"] for each in of["remove"]] == done["jenkins"]["ci"]["removed"] == ["app--main--lint"]
    assert "make all" in of["change"][0]["diff"]
    assert lab.names() == {"app--main--unit", "app--stable--unit"}
    assert lab.sync("--plan", "--prune").code == 0


def test_what_nothing_names_is_removed_by_pruning_alone(lab):
    lab.sync()
    lab.push("app", "main", {"torii.yml": ONE})
    done = lab.sync()
    assert done.code == 0
    assert "unused   app--main--lint" in done.out
    assert "--prune" in done.out
    assert "app--main--lint" in lab.names()
    lab.sync("--prune")
    assert lab.names() == {"app--main--unit"}


def test_a_job_of_which_a_build_runs_is_pruned_after_that(lab, fake):
    lab.sync()
    lab.push("app", "main", {"torii.yml": ONE})
    fake.hold()
    lab.controller().start("app--main--lint", {"TORII_UUID": "u-1"})
    fake.wait_for_build("app--main--lint")
    done = lab.sync("--prune")
    assert done.code == 1
    assert "FAILED   to remove app--main--lint: a build of it runs" in done.out
    fake.release("app--main--lint")
    fake.wait_until_over("app--main--lint")
    assert lab.sync("--prune").code == 0
    assert "app--main--lint" not in lab.names()


def test_what_waits_or_was_started_by_hand_is_not_pruned_under_its_build(lab, fake):
    lab.sync()
    lab.push("app", "main", {"torii.yml": "jobs: {}\npipelines: {}\n"})
    fake.hold()
    lab.controller().start("app--main--lint", {"TORII_UUID": ""})
    fake.wait_for_build("app--main--lint")
    fake.quiet_down(True)
    lab.controller().start("app--main--unit", {"TORII_UUID": "u-1"})
    done = lab.sync("--prune")
    assert done.out.count("a build of it runs or waits") == 2
    assert lab.names() == {"app--main--unit", "app--main--lint"}


def _copy(fake: FakeJenkins, content: bytes, made_at: float, owner: str = "torii") -> str:
    """Let a Torii that is no more have made a copy of a job; return its name."""
    name = changed_job_name("app--main--unit", content)
    mark = Mark(owner, "app", "main", "unit", "0" * 32, "k3f9", made_at=int(made_at))
    fake.add_job(name, job_xml("true", description=with_mark("", mark)))
    return name


def test_copies_that_no_build_has_used_for_a_day_are_pruned_and_no_others(lab, fake):
    lab.sync()
    now, day = time.time(), 24 * 3600.0
    old, new, others = _copy(fake, b"old", 0), _copy(fake, b"new", now), _copy(fake, b"others", 0, owner="other")
    used, busy = _copy(fake, b"used", 0), _copy(fake, b"busy", 0)
    renamed = "by-hand"
    fake.add_job(renamed, fake.jobs[old].xml)
    controller = lab.controller()
    controller.start(used, {"TORII_UUID": "u-1"})
    fake.wait_until_over(used)
    fake.hold()
    controller.start(busy, {"TORII_UUID": ""})
    fake.wait_for_build(busy)
    planned = lab.sync("--plan", "--prune")
    assert f"remove   {old}: it was made for a change, and no build has used it for a day" in planned.out
    assert "unused" not in lab.sync().out
    assert lab.sync("--prune").code == 0
    assert lab.names() == {"app--main--unit", "app--main--lint", new, others, used, busy, renamed}
    wanted = WantedReader(lab.config).read([ProjectName("app")])
    later = look(controller, wanted, open_library(lab.config), Depth(copies=True), lambda: now + day + 60)
    assert {step.name for step in later.plan.unused} == {new, used}


def test_only_what_matches_is_touched(lab):
    lab.sync("--only", "*--unit")
    assert lab.names() == {"app--main--unit"}


def test_an_only_that_matches_nothing_is_said(lab, fake, tmp_path):
    words = "no job is called so that --only 'xyz*' matches it"
    assert words in lab.sync("--only", "xyz*").out
    assert words in lab.sync("--only", "xyz*", "--plan").out
    assert words in lab.sync("--only", "xyz*", "--out", str(tmp_path / "out")).out
    assert words not in lab.sync("--only", "app--*").out
    assert words not in lab.sync().out


def test_projects_without_a_torii_yml_are_named_but_not_the_config_project(lab):
    lab.add("bare")
    lab.add("new")
    lab.push("new", "main", {"README": "soon"})
    lab.add("none", main="jobs: {}\npipelines: {}\n")
    lab.add("ci-config")
    lab.config_project = "ci-config"
    lab.push("ci-config", "main", {"README": "macros"})
    done = lab.sync()
    assert done.code == 0
    assert [line for line in done.err.splitlines() if line.startswith("no jobs")] == [
        "no jobs to make: bare: its git server shows no branch of it",
        "no jobs to make: new: none of its branches has a torii.yml",
    ]
    assert [words.partition(":")[0] for words in lab.sync("--json").json["without"]] == ["bare", "new"]


def test_the_json_has_address_and_folder_apart(lab, fake):
    lab.in_folder = "team"
    fake.add_folder("team")
    assert {key: lab.sync("--json").json["jenkins"]["ci"][key] for key in ("url", "folder")} == {"url": fake.url, "folder": "team"}


def test_jobs_go_into_the_folder_that_is_configured(lab, fake):
    fake.add_folder("team/torii")
    lab.in_folder = "team/torii"
    assert lab.sync().code == 0
    assert {"team/torii/app--main--unit", "team/torii/app--main--lint"} < lab.names()
    assert lab.sync("--plan").code == 0


def test_a_project_is_synced_to_each_of_its_jenkins_and_to_no_other(tmp_path):
    with FakeJenkins(tmp_path / "one") as one, FakeJenkins(tmp_path / "two") as two:
        lab = JobsLab(tmp_path, {"one": one, "two": two})
        lab.add("app", main=ONE)
        lab.add("lib", jenkins=("two",), main=ONE)
        assert lab.sync("one").code == 0
        assert lab.names("one") == {"app--main--unit"}
        assert lab.names("two") == set()
        assert lab.sync().code == 0
        assert lab.names("two") == {"app--main--unit", "lib--main--unit"}


def test_what_a_job_is_made_of_is_explained_with_file_and_line(lab):
    text = lab.sync("--explain", "unit").out
    assert "app--main--unit:\n  job unit: torii.yml on branch main of app, commit " in text
    assert "template job.yaml.j2: " in text
    assert "macros.yaml:" in text
    assert "scm torii-staging" in text
    assert set(lab.sync("--explain", "app--*", "--json").json) == {"app--main--unit", "app--main--lint"}
    assert lab.names() == set()
    with pytest.raises(UserError, match=r"no torii\.yml that could be read has a job called 'nothing'"):
        lab.sync("--explain", "nothing")


def test_a_job_is_explained_as_it_is_in_a_jenkins_that_builds_it(tmp_path):
    with FakeJenkins(tmp_path / "one") as one, FakeJenkins(tmp_path / "two", plugins={"git": PLUGINS["git"]}) as two:
        lab = JobsLab(tmp_path, {"one": one, "two": two})
        lab.add("app", ("one",), main=ONE)
        lab.add("lib", ("two",), main=ONE)
        said = lab.sync("--explain", "unit", "--json").json
    assert {name: any("torii-timestamps" in line for line in lines) for name, lines in said.items()} == {
        "app--main--unit": True,
        "lib--main--unit": False,
    }


def test_the_files_written_out_make_the_same_jobs_with_jenkins_job_builder(lab, tmp_path):
    odd = '  unit: {run: "echo {a} {{b}} ]]> \\"q\\" é\\n"}\n  in: {run: make, environment: {image: "debian:12"}}\n'
    lab.push("app", "main", {"torii.yml": f"jobs:\n{odd}pipelines: {{check: [unit]}}\n"})
    lab.in_folder = "team"
    lab.fakes["ci"].add_folder("team")
    out = tmp_path / "out"
    assert lab.sync("--out", str(out)).code == 0
    made = tmp_path / "jjb"
    line = [Path(sys.executable).parent / "jenkins-jobs", "--conf", out / "ci" / "jenkins_jobs.ini", "test", out / "ci", "-o", made]
    done = subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    names = {path.stem for path in (out / "ci" / "xml").iterdir()}
    assert names == {"app--main--unit", "app--main--in"}
    for name in names:
        ours, theirs = (out / "ci" / "xml" / f"{name}.xml").read_bytes(), (made / "team" / name).read_bytes()
        assert same(ours, theirs.replace(b"&lt;!-- Managed by Jenkins Job Builder --&gt;", b""))
        lab.fakes["ci"].add_job(f"team/{name}", theirs)
    assert lab.sync("--plan").code == 0


def test_the_command_that_is_printed_gives_the_files_to_their_jenkins(lab, fake, tmp_path):
    lab.in_folder = "team"
    fake.add_folder("team")
    done = lab.sync("--out", str(tmp_path / "my out"))
    assert "right as they are" not in done.out
    line = done.out.splitlines()[-1].strip()
    assert line.startswith(f"jenkins-jobs --conf '{tmp_path}/my out/ci/jenkins_jobs.ini' --user {fake.user} --password ")
    assert fake.token not in line
    where = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "XDG_CACHE_HOME": str(tmp_path / "cache")}
    given = subprocess.run(["/bin/sh", "-c", line], env={**os.environ, **where}, capture_output=True, text=True, timeout=60, check=False)
    assert given.returncode == 0, given.stderr
    assert {"team/app--main--unit", "team/app--main--lint"} <= set(fake.jobs)
    assert lab.sync("--plan", "--thorough").code == 0


def test_a_plan_of_what_is_written_into_files_is_refused(lab, tmp_path):
    with pytest.raises(click.UsageError, match="--out leaves Jenkins alone"):
        lab.sync("--out", str(tmp_path / "out"), "--plan")


def test_files_of_jobs_that_are_gone_are_removed_and_others_let_be(lab, tmp_path):
    out = tmp_path / "out"
    lab.sync("--out", str(out))
    (out / "ci" / "ours.yaml").write_text("- job: {name: ours}\n")
    lab.push("app", "main", {"torii.yml": ONE})
    lab.sync("--out", str(out))
    assert {path.name for path in (out / "ci" / "xml").iterdir()} == {"app--main--unit.xml"}
    assert (out / "ci" / "ours.yaml").exists()
    assert not (out / "ci" / "app--main--lint.yaml").exists()


# -- what it leaves alone


def test_a_job_that_torii_did_not_make_is_never_touched_and_the_clash_names_both(lab, fake):
    for name in ("app--main--unit", "other"):
        fake.add_job(name, job_xml("deploy"))
    before = dict(fake.jobs)
    done = lab.sync("--prune")
    assert done.code == 1
    assert "CLASH    job unit of app, branch main, needs the name app--main--unit, but app--main--unit (http://" in done.out
    assert "1 made" in done.out
    assert {name: fake.jobs[name] for name in before} == before
    assert lab.command_of("app--main--unit") == lab.command_of("other") == "deploy"


def test_two_toriis_with_owners_of_their_own_leave_each_other_alone(lab, tmp_path, fake):
    lab.sync()
    other = JobsLab(tmp_path / "other", lab.fakes, owner="theirs")
    other.add("lib", main=ONE)
    other.add("app", main=ONE)
    done = other.sync("--prune")
    assert done.code == 1
    assert "was made by the Torii that calls itself 'torii' (this one: 'theirs')" in done.out
    assert lab.names() == {"app--main--unit", "app--main--lint", "lib--main--unit"}
    assert lab.mark("app--main--unit").owner == "torii"
    assert lab.sync("--plan", "--prune").code == 0


@pytest.mark.parametrize("deed", [Deed.MAKE, Deed.CHANGE, Deed.REMOVE])
def test_a_job_put_in_the_place_of_ours_after_the_listing_is_not_touched(lab, fake, deed):
    if deed is not Deed.MAKE:
        lab.sync()
        lab.push("app", "main", {"torii.yml": ONE.replace("make test", "make all")})
    wanted = WantedReader(lab.config).read([ProjectName("app")])
    steps = [step for step in look(lab.controller(), wanted, open_library(lab.config)).plan.pruned().steps if step.deed is deed]
    assert steps
    for step in steps:
        fake.add_job(step.name, job_xml("by hand"))
    before = dict(fake.jobs)
    for done in perform(lab.controller(), steps):
        assert done.problem == f"{done.step.name}: {_TAKEN}"
    assert fake.jobs == before
    assert all(lab.command_of(step.name) == "by hand" for step in steps)


def test_a_job_deleted_by_hand_after_the_listing_is_made_again(lab, fake):
    lab.sync()
    lab.push("app", "main", {"torii.yml": TWO.replace("make test", "make all")})
    wanted = WantedReader(lab.config).read([ProjectName("app")])
    steps = look(lab.controller(), wanted, open_library(lab.config)).plan.steps
    fake.delete_job("app--main--unit")
    assert [(done.step.deed, done.problem) for done in perform(lab.controller(), steps)] == [(Deed.CHANGE, "")]
    assert lab.command_of("app--main--unit") == "make all"


def test_two_syncs_at_once_end_well(lab):
    lab.push("app", "main", {"torii.yml": MANY})
    processes = [lab.sync_process() for _ in range(2)]
    for process in processes:
        _, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
    assert len(lab.names()) == 60
    assert lab.sync("--plan").code == 0


def test_jobs_of_a_project_that_cannot_be_reached_stay_and_that_is_said(lab):
    lab.add("lib", main=ONE)
    lab.sync()
    lab.repository("app").rename(lab.folder / "elsewhere")
    lab.push("lib", "main", {"torii.yml": TWO})
    done = lab.sync("--prune")
    assert done.code == 4
    assert "not read, and its jobs are left as they are: app: " in done.err
    assert lab.names() == {"app--main--unit", "app--main--lint", "lib--main--unit", "lib--main--lint"}


def test_a_wrong_torii_yml_is_named_and_its_jobs_stay(lab):
    lab.sync()
    lab.push("app", "main", {"torii.yml": "jobs:\n  unit: {rum: make}\npipelines: {check: [unit]}\n"})
    lab.push("app", "stable", {"torii.yml": ONE})
    done = lab.sync("--prune")
    assert done.code == 3
    assert 'app, branch main: torii.yml:2:10 jobs.unit.rum: unknown key; did you mean "run"?' in done.err
    assert lab.names() == {"app--main--unit", "app--main--lint", "app--stable--unit"}


# -- what people do by hand


def test_a_job_deleted_by_hand_is_made_again(lab, fake):
    lab.sync()
    fake.delete_job("app--main--unit")
    assert "1 made, 1 right" in lab.sync().out


def test_a_job_renamed_by_hand_is_made_again_and_the_renamed_one_is_let_be(lab, fake):
    lab.sync()
    fake.rename_job("app--main--unit", "mine")
    done = lab.sync("--prune")
    assert done.code == 0
    assert "mine was renamed or copied by hand from app--main--unit" in done.out
    assert lab.names() == {"app--main--unit", "app--main--lint", "mine"}


def test_a_job_disabled_by_hand_is_said_and_stays_so(lab, fake):
    lab.sync()
    fake.disable_job("app--main--unit")
    done = lab.sync()
    assert done.code == 0
    assert "app--main--unit is disabled, by hand" in done.out
    assert not fake.jobs["app--main--unit"].buildable


def test_a_job_that_was_disabled_and_enabled_in_jenkins_is_not_taken_for_changed(lab, fake):
    lab.sync()
    fake.disable_job("app--main--unit")
    fake.disable_job("app--main--unit", False)
    assert b"<disabled>false</disabled>" in fake.jobs["app--main--unit"].xml
    assert lab.sync("--plan", "--thorough").code == 0


def test_a_job_changed_by_hand_is_found_by_a_thorough_look(lab, fake):
    lab.sync()
    xml = fake.jobs["app--main--unit"].xml
    fake.add_job("app--main--unit", xml.replace(b"make test", b"make mine"))
    assert lab.sync("--plan").code == 0
    planned = lab.sync("--plan", "--thorough")
    assert planned.code == 2
    assert "change   app--main--unit: it was changed by hand" in planned.out
    assert "-      <command>make mine</command>" in planned.out
    assert lab.sync("--thorough").code == 0
    assert lab.command_of("app--main--unit") == "make test"
    assert lab.sync("--plan", "--thorough").code == 0
