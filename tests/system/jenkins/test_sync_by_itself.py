"""Jobs in Jenkins follow the `torii.yml` files by themselves while Torii runs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.jobs_lab import ONE, TWO, JobsLab
from tests.support.waiting import wait_until
from torii.jobs.sync import JobSync
from torii.jobs.team import open_library
from torii.model.ids import ProjectName
from torii.testing.jenkins import PLUGINS, FakeJenkins, job_xml

APP = ProjectName("app")


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[FakeJenkins]:
    with FakeJenkins(tmp_path / "jenkins") as fake:
        yield fake


@pytest.fixture
def lab(tmp_path: Path, fake: FakeJenkins) -> JobsLab:
    lab = JobsLab(tmp_path, {"ci": fake})
    lab.add("app", main=TWO)
    return lab


class Running:
    """A JobSync of a lab, until the end of the test."""

    def __init__(self, lab: JobsLab, every: float = 600.0, after_trouble: float = 60.0) -> None:
        config = lab.config
        self.library = open_library(config)
        controllers = [lab.controller(name) for name in lab.fakes]
        self.sync = JobSync(config, controllers, self.library, lambda: 1_700_000_000.0, every, after_trouble)
        self.sync.start()

    def settled(self, rounds: int = 1) -> None:
        wait_until(lambda: self.sync.rounds >= rounds, 30.0)

    def woken(self, project: ProjectName | None = APP) -> None:
        """Wake it, and wait until it has looked."""
        before = self.sync.rounds
        self.sync.wake(project)
        self.settled(before + 1)


@pytest.fixture
def start(lab: JobsLab) -> Iterator[type[Running]]:
    made: list[Running] = []

    def started(lab: JobsLab = lab, every: float = 600.0, after_trouble: float = 60.0) -> Running:
        made.append(Running(lab, every, after_trouble))
        return made[-1]

    yield started
    for running in made:
        running.sync.stop(10.0)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("torii-job-sync")]


def test_the_first_look_makes_every_job(lab, start):
    running = start()
    running.settled()
    assert lab.names() == {"app--main--unit", "app--main--lint"}
    assert running.sync.health() == "ok"


def test_a_torii_yml_that_lands_is_followed_at_once(lab, start):
    running = start()
    running.settled()
    lab.push("app", "main", {"torii.yml": ONE.replace("make test", "make all")})
    running.woken()
    assert lab.command_of("app--main--unit") == "make all"


def test_jobs_of_a_branch_that_is_gone_stay_until_somebody_prunes(lab, start):
    running = start()
    running.settled()
    lab.push("app", "stable", {"torii.yml": ONE})
    running.woken()
    assert "app--stable--unit" in lab.names()
    lab.delete("app", "stable")
    running.woken()
    assert "app--stable--unit" in lab.names()
    lab.sync("--prune")
    assert "app--stable--unit" not in lab.names()


def test_many_wakes_are_one_look(lab, start):
    running = start()
    running.settled()
    for _ in range(200):
        running.sync.wake(APP)
    running.woken()
    running.woken(None)
    assert running.sync.rounds <= 5


def test_a_wake_looks_at_its_project_alone(lab, start):
    lab.add("lib", main=ONE)
    running = start()
    running.settled()
    lab.push("app", "main", {"torii.yml": ONE.replace("make test", "make all")})
    lab.push("lib", "main", {"torii.yml": ONE.replace("make test", "make lib")})
    running.woken(ProjectName("lib"))
    assert lab.command_of("lib--main--unit") == "make lib"
    assert lab.command_of("app--main--unit") == "make test"


def test_what_lands_without_changing_a_job_asks_jenkins_nothing(lab, fake, start):
    running = start()
    running.settled()
    asked = fake.fault("slow", "", times=1000)
    lab.push("app", "main", {"torii.yml": TWO, "README": "more"})
    running.woken()
    assert asked.met == 0


def test_all_is_looked_at_again_after_a_while(lab, start):
    running = start(every=0.3)
    running.settled()
    lab.fakes["ci"].delete_job("app--main--unit")
    wait_until(lambda: "app--main--unit" in lab.names())


def test_a_jenkins_that_is_told_not_to_be_synced_is_not(lab, tmp_path):
    import dataclasses

    controller = lab.controller()
    controller.settings = dataclasses.replace(controller.settings, sync=False)
    sync = JobSync(lab.config, [controller], open_library(lab.config))
    sync.start()
    sync.wake()
    sync.stop(5.0)
    assert lab.names() == set()
    assert sync.health() == "ok"


def test_a_jenkins_that_is_away_is_said_with_since_when_and_made_good(lab, fake, start):
    fake.fault(503, "", times=1000)
    running = start(every=0.5)
    running.settled()
    assert running.sync.health().startswith("the jobs in Jenkins ci are left as they are: ")
    assert running.sync.health().endswith("since 2023-11-14 22:13:20 UTC")
    fake.faults.clear()
    wait_until(lambda: running.sync.health() == "ok", 30.0)
    assert lab.names() == {"app--main--unit", "app--main--lint"}


def test_one_jenkins_that_is_slow_holds_up_no_other(tmp_path, start):
    with FakeJenkins(tmp_path / "one") as one, FakeJenkins(tmp_path / "two") as two:
        lab = JobsLab(tmp_path / "second", {"one": one, "two": two})
        lab.add("app", main=ONE)
        slow = one.fault("slow", "", times=1000, seconds=3.0)
        running = start(lab)
        wait_until(lambda: lab.names("two") == {"app--main--unit"})
        assert slow.met
        assert lab.names("one") == set()
        running.sync.stop(10.0)


def test_a_name_that_is_taken_is_said_and_the_rest_is_synced(lab, fake, start):
    fake.add_job("app--main--unit", job_xml("mine"))
    running = start()
    running.settled()
    assert "not all jobs in Jenkins ci are as they should be: job unit of app, branch main" in running.sync.health()
    assert lab.names() == {"app--main--unit", "app--main--lint"}
    fake.delete_job("app--main--unit")
    running.woken()
    assert running.sync.health() == "ok"


def test_a_project_that_cannot_be_read_is_said_and_its_jobs_stay(lab, start):
    lab.add("lib", main=ONE)
    running = start()
    running.settled()
    lab.repository("app").rename(lab.folder / "elsewhere")
    lab.push("lib", "main", {"torii.yml": TWO})
    running.woken(None)
    assert running.sync.health().startswith("the jobs of some projects are left as they are: app: ")
    assert lab.names() == {"app--main--unit", "app--main--lint", "lib--main--unit", "lib--main--lint"}


def test_what_is_wrong_with_one_project_has_its_turn_however_often_another_wakes_it(lab, start):
    lab.add("lib", main=ONE)
    lab.repository("app").rename(lab.folder / "elsewhere")
    running = start(after_trouble=1.0)
    running.settled()
    assert "app: " in running.sync.health()
    (lab.folder / "elsewhere").rename(lab.repository("app"))

    def mended() -> bool:
        running.sync.wake(ProjectName("lib"))
        return running.sync.health() == "ok"

    wait_until(mended, 20.0)


def test_a_wrong_torii_yml_is_no_trouble_of_ours_and_its_jobs_stay(lab, start):
    running = start()
    running.settled()
    lab.push("app", "main", {"torii.yml": "jobs: 5\n"})
    running.woken()
    assert running.sync.health() == "ok"
    assert lab.names() == {"app--main--unit", "app--main--lint"}


def test_a_plugin_that_was_installed_is_used_after_the_next_full_look(tmp_path, start):
    with FakeJenkins(tmp_path / "other", plugins={name: version for name, version in PLUGINS.items() if name != "ansicolor"}) as fake:
        lab = JobsLab(tmp_path / "second", {"ci": fake})
        lab.add("app", main=ONE)
        running = start(lab)
        running.settled()
        fake.plugins["ansicolor"] = "1.0"
        running.woken(None)
        assert b"AnsiColor" in fake.jobs["app--main--unit"].xml
        running.sync.stop(10.0)


def test_templates_of_the_config_project_are_followed_when_they_land(lab, start):
    lab.config_project = "ci-config"
    lab.add("ci-config", jenkins=())
    lab.push("ci-config", "main", {"README": "nothing yet"})
    running = start()
    running.settled()
    template = "- job:\n    name: {{ name }}\n    defaults: torii\n    builders: [{shell: {{ 'set -x\n' ~ job.run }}}]\n"
    lab.push("ci-config", "main", {"job-templates/job.yaml.j2": template})
    running.woken(ProjectName("ci-config"))
    assert lab.command_of("app--main--unit") == "set -x\nmake test"
    lab.push("ci-config", "main", {"job-templates/job.yaml.j2": template + "    node: {{ nothing }}\n"})
    running.woken(ProjectName("ci-config"))
    assert "jobs are made as before" in running.sync.health()
    assert "job.yaml.j2:6" in running.sync.health()
    lab.push("app", "main", {"torii.yml": ONE.replace("make test", "make all")})
    running.woken()
    assert lab.command_of("app--main--unit") == "set -x\nmake all"


def test_templates_are_followed_where_no_jenkins_is_to_be_synced(tmp_path, start):
    lab = JobsLab(tmp_path, {})
    lab.add("app", main=TWO)
    lab.add("ci-config", main="jobs: {}\npipelines: {}\n")
    lab.config_project = "ci-config"
    running = start(lab)
    running.settled()
    lab.push("ci-config", "main", {"torii.yml": "jobs: {}\npipelines: {}\n", "jjb/team.yaml": "- scm: {name: team, scm: []}\n"})
    running.woken(ProjectName("ci-config"))
    assert running.sync.health() == "ok"
    assert "team.yaml" in running.library.files.macros


def test_without_ever_having_read_the_config_project_no_job_is_made(lab, start):
    lab.config_project = "ci-config"
    lab.add("ci-config", jenkins=())
    running = start()
    running.settled()
    assert running.sync.health().startswith("no job is made, since what the config project says cannot be used: ")
    assert lab.names() == set()
    lab.push("ci-config", "main", {"README": "x"})
    running.woken()
    assert lab.names() == {"app--main--unit", "app--main--lint"}


def test_it_stops_in_the_middle_and_the_next_start_goes_on(lab, fake, start):
    lab.push("app", "main", {"torii.yml": "jobs:\n" + "".join(f"  job{n}: {{run: make}}\n" for n in range(60)) + "pipelines: {}\n"})
    slow = fake.fault("slow", "POST /createItem", times=1000, seconds=0.2)
    running = start()
    wait_until(lambda: slow.met >= 8, 30.0)
    running.sync.stop(10.0)
    assert len(lab.names()) < 60
    fake.faults.clear()
    again = start()
    again.settled()
    assert len(lab.names()) == 60
