"""`torii sync-jobs` where something is missing, refused, interrupted or wrong."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.jobs_lab import MANY, ONE, TWO, JobsLab
from tests.support.waiting import wait_until
from torii.errors import OperatorError, UserError
from torii.jobs.definition import TemplateProblem
from torii.testing.jenkins import PLUGINS, FakeJenkins

LISTING = r"GET /(job/team/)?api/json"


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[FakeJenkins]:
    with FakeJenkins(tmp_path / "jenkins") as fake:
        yield fake


@pytest.fixture
def lab(tmp_path: Path, fake: FakeJenkins) -> JobsLab:
    lab = JobsLab(tmp_path, {"ci": fake})
    lab.add("app", main=TWO)
    return lab


def without(*plugins: str) -> dict[str, str]:
    return {name: version for name, version in PLUGINS.items() if name not in plugins}


# -- plug-ins


def test_a_missing_plugin_is_said_before_anything_is_written_with_what_happens_without_it(tmp_path):
    with FakeJenkins(tmp_path / "jenkins", plugins=without("build-timeout", "timestamper")) as fake:
        lab = JobsLab(tmp_path, {"ci": fake})
        lab.add("app", main=ONE)
        planned = lab.sync("--plan")
        assert "note     the plug-in build-timeout is not installed" in planned.out
        done = lab.sync()
        assert done.code == 0
        assert "the plug-in build-timeout is not installed (the end of a build that runs too long): the shell step itself" in done.err
        assert b"timestamper" not in fake.jobs["app--main--unit"].xml
        assert "timeout --kill-after=30 1800" in lab.command_of("app--main--unit")
        assert lab.mark("app--main--unit").plugins == ("ansicolor", "junit")


def test_without_git_nothing_is_written(tmp_path):
    with FakeJenkins(tmp_path / "jenkins", plugins=without("git")) as fake:
        lab = JobsLab(tmp_path, {"ci": fake})
        lab.add("app", main=ONE)
        done = lab.sync()
        assert done.code == 4
        assert "Jenkins ci lacks the plug-in git" in done.out
        assert lab.names() == set()


def test_a_plugin_that_was_installed_since_is_found_by_a_thorough_look(tmp_path):
    with FakeJenkins(tmp_path / "jenkins", plugins=without("timestamper")) as fake:
        lab = JobsLab(tmp_path, {"ci": fake})
        lab.add("app", main=ONE)
        lab.sync()
        fake.plugins["timestamper"] = "1.20"
        assert lab.sync("--plan").code == 0
        assert "1 changed" in lab.sync("--thorough").out
        assert b"timestamper" in fake.jobs["app--main--unit"].xml
        assert lab.sync("--plan").code == 0


def test_an_account_that_may_not_see_plugins_can_sync_all_the_same(lab, fake):
    fake.allow("Overall/Read", "Job/Read", "Job/ExtendedRead", "Job/Create", "Job/Configure", "Job/Delete", "View/Read")
    done = lab.sync()
    assert done.code == 0
    assert "which plug-ins there are cannot be seen" in done.err
    assert lab.mark("app--main--unit").plugins == ("build-timeout", "junit")
    assert lab.sync("--plan").code == 0


# -- what fails


def test_one_refused_job_does_not_stop_the_others_and_is_named_with_the_reason(lab, fake):
    fake.fault(500, r"POST /createItem\?name=app--main--unit")
    done = lab.sync()
    assert done.code == 1
    assert "FAILED   to make app--main--unit: " in done.out
    assert lab.names() == {"app--main--lint"}
    assert "1 made, 1 right" in lab.sync().out


def test_a_request_whose_answer_was_lost_is_made_good_by_the_next_run(lab, fake):
    fake.fault("after", r"POST /createItem\?name=app--main--unit")
    lab.sync()
    assert lab.sync().code == 0
    assert lab.names() == {"app--main--unit", "app--main--lint"}


def test_a_jenkins_that_goes_away_in_the_middle_ends_it_and_the_next_run_goes_on(lab, fake):
    lab.push("app", "main", {"torii.yml": MANY})
    fake.fault("cut", r"POST /createItem\?name=app--main--job2", times=1000)
    done = lab.sync()
    assert done.code == 4
    assert "not tried: this Jenkins does not answer any more" in done.out
    assert 0 < len(lab.names()) < 60
    fake.faults.clear()
    assert lab.sync().code == 0
    assert len(lab.names()) == 60


@pytest.mark.parametrize("kind", [401, "login", "html", 404])
def test_a_jenkins_that_refuses_is_said_and_nothing_is_written(lab, fake, kind):
    fake.fault(kind, LISTING, times=100)
    done = lab.sync()
    assert done.code == 4
    assert "ci (http://" in done.out
    assert "FAILED   " in done.out
    assert lab.names() == set()


def test_a_wrong_token_is_said(lab):
    lab.token = "0123456789"
    done = lab.sync()
    assert done.code == 4
    assert "401" in done.out
    assert "0123456789" not in done.out + done.err
    assert lab.names() == set()


def test_a_folder_that_is_missing_is_named(lab):
    lab.in_folder = "team/none"
    done = lab.sync()
    assert done.code == 4
    assert "team/none" in done.out


def test_a_jenkins_that_is_down_does_not_keep_another_from_being_synced(tmp_path):
    with FakeJenkins(tmp_path / "one") as one, FakeJenkins(tmp_path / "two") as two:
        lab = JobsLab(tmp_path, {"one": one, "two": two})
        lab.add("app", main=ONE)
        one.down()
        done = lab.sync()
        assert done.code == 4
        assert lab.names("two") == {"app--main--unit"}


def test_an_interrupted_sync_goes_on_the_next_time(lab, fake):
    lab.push("app", "main", {"torii.yml": MANY})
    slow = fake.fault("slow", "POST /createItem", times=1000, seconds=0.2)
    process = lab.sync_process()
    wait_until(lambda: slow.met >= 8, 30.0)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    made = len(lab.names())
    assert 4 <= made < 60
    fake.faults.clear()
    assert f"{60 - made} made, {made} right as they are" in lab.sync().out


def test_names_that_jenkins_forbids_never_reach_it(lab):
    lab.push("app", "feature/x<y>&%#;$é" + "z" * 60, {"torii.yml": ONE})
    done = lab.sync()
    assert done.code == 0
    (name,) = lab.names() - {"app--main--unit", "app--main--lint"}
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789_.+-")
    assert lab.mark(name).branch.startswith("feature/x<y>&%#;$é")
    assert lab.sync("--plan", "--prune").code == 0


def test_a_template_with_an_error_is_named_and_what_was_synced_stays(lab):
    lab.config_project = "ci-config"
    lab.add("ci-config", jenkins=())
    lab.push("ci-config", "main", {"job-templates/job.yaml.j2": "- job:\n    name: {{ name }}\n    node: {{ nothing }}\n"})
    with pytest.raises(TemplateProblem, match=r"job.yaml.j2:3: the template \(ci-config, branch main, commit .*'nothing' is undefined"):
        lab.sync()
    assert lab.names() == set()


def test_a_jenkins_that_is_not_configured_is_said(lab, tmp_path):
    with pytest.raises(UserError, match="no Jenkins called 'other' is configured; there is ci"):
        lab.sync("other")
    with pytest.raises(UserError, match="no Jenkins is configured"):
        JobsLab(tmp_path, {}).sync()


def test_a_token_that_cannot_be_read_is_an_operators_matter(lab):
    path = lab.server_yml
    (lab.folder / "token").unlink()
    process = subprocess.run(
        [sys.executable, "-m", "torii", "sync-jobs", "--server", path], capture_output=True, text=True, timeout=60, check=False
    )
    assert process.returncode == OperatorError.exit_code
    assert str(lab.folder / "token") in process.stdout + process.stderr
