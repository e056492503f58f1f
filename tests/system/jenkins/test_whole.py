"""A whole Torii, as its users run it, whose builds run in a Jenkins: through its Gearman plug-in, and by REST alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.support.rig import Rig
from tests.support.waiting import free_port
from torii.model.build import Result, TestSummary
from torii.testing.jenkins import FakeJenkins, FakeNode

LIMIT = 60.0
"""Seconds for anything that goes through a Jenkins, on a machine that is busy with other tests."""

JUNIT = '<testsuite><testcase classname="app" name="a"/><testcase classname="app" name="b"><failure message="no"/></testcase></testsuite>'

pytestmark = pytest.mark.timeout(180)


class Farm(Rig):
    """A rig whose builds run in `jenkins`."""

    jenkins: FakeJenkins

    def wait_for_outcome(self, name: str, pipeline: str = "gate", limit: float = LIMIT) -> str:
        return super().wait_for_outcome(name, pipeline, limit)


@pytest.fixture(params=["gearman", "rest"])
def farm(request: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Farm]:
    port = free_port()
    nodes = [FakeNode("agent1", ("linux",), executors=4)]
    by_gearman = request.param == "gearman"
    jenkins = FakeJenkins(tmp_path / "jenkins", gearman=[("127.0.0.1", port)] if by_gearman else (), nodes=nodes)
    jenkins.start()
    monkeypatch.setenv("JENKINS_TOKEN", jenkins.token)
    more = {} if by_gearman else {"poll": "200ms"}
    entry = {"url": jenkins.url, "user": jenkins.user, "token": "env:JENKINS_TOKEN", "dispatch": request.param, **more}
    rig = Farm(tmp_path, {"gearman": {"port": port}, "jenkins": {"ci": entry}})
    rig.jenkins = jenkins
    try:
        yield rig
    finally:
        rig.close()
        jenkins.stop()


def test_a_change_is_checked_and_gated_in_jenkins_and_lands_as_it_was_tested(farm: Farm):
    unit = farm.job("test -e tea.txt", "echo steeping", "mkdir dist", "echo leaf >dist/tea", artifacts=["dist/*"])
    farm.seed({"unit": unit}, {"check": ["unit"], "gate": ["unit"], "post": []})
    farm.change("tea")
    torii = farm.up()
    farm.push(check=["tea"])
    assert farm.wait_for_outcome("tea", "check") == "success"
    farm.push(approve=["tea"])
    assert farm.wait_for_outcome("tea") == "merged"
    assert farm.history() == ["tea", "torii.yml", "base"]
    (build,) = farm.builds("tea")
    assert (build.result, build.node) == (Result.SUCCESS, "agent1")
    page = requests.get(f"{torii.url}/builds/{build.id}", timeout=10).text
    assert "steeping" in requests.get(f"{torii.url}/builds/{build.id}/log", timeout=10).text
    assert "dist/tea" in page
    assert farm.jenkins.url in page
    assert {run.uuid for run in farm.runs} == {build.id, *(each.id for each in farm.builds("tea", "check"))}
    farm.wait(lambda: farm.staging_refs() == [])
    (job,) = farm.jenkins.jobs
    assert job == "app--main--unit"


def test_failing_tests_are_named_and_keep_a_change_out(farm: Farm):
    unit = farm.job(f"echo '{JUNIT}' >report.xml", "exit 1", reports={"junit": "report.xml"})
    farm.seed({"unit": unit}, {"check": ["unit"], "gate": ["unit"]})
    farm.change("tea")
    farm.up()
    farm.push(approve=["tea"])
    assert farm.wait_for_outcome("tea") == "failure"
    (build,) = farm.builds("tea")
    assert build.result is Result.FAILURE
    assert build.tests == TestSummary(2, 1, 0, ("app.b",))
    assert farm.history() == ["torii.yml", "base"]


def test_a_change_is_tested_with_its_own_jobs_which_are_gone_once_it_has_landed(farm: Farm):
    farm.seed({"unit": farm.job("true")}, {"check": ["unit"], "gate": ["unit"]})
    more = {
        "jobs": {"unit": farm.job("true"), "style": farm.job("test -e torii.yml")},
        "pipelines": {"check": ["style"], "gate": ["style"]},
    }
    farm.change("style", files={"torii.yml": json.dumps(more)})
    farm.up()
    farm.push(approve=["style"])
    assert farm.wait_for_outcome("style") == "merged"
    (run,) = farm.ran("style")
    assert run.job.startswith("app--main--style--x")
    farm.wait(lambda: "app--main--style" in farm.jenkins.jobs)  # synced as soon as it had landed


def kill_torii(farm: Farm) -> None:
    farm.processes[-1].kill()
    farm.up()


def kill_jenkins(farm: Farm) -> None:
    farm.jenkins.restart(kill=True)


def stop_jenkins(farm: Farm) -> None:
    farm.jenkins.restart(kill=False)


@pytest.mark.parametrize("disaster", [kill_torii, kill_jenkins, stop_jenkins])
def test_whoever_is_lost_in_a_build_the_change_is_reported_and_merged_once(farm: Farm, disaster: Callable[[Farm], None]):
    farm.seed({"unit": farm.job(farm.until("go"))}, {"check": [], "gate": ["unit"], "post": []})
    farm.change("tea")
    farm.up()
    farm.push(approve=["tea"])
    farm.wait(lambda: farm.ran("tea"), LIMIT)
    disaster(farm)
    farm.say("go")
    assert farm.wait_for_outcome("tea") == "merged", farm.why("tea")
    assert farm.history() == ["tea", "torii.yml", "base"]
    assert set(farm.reports().values()) == {1}
    if disaster is kill_torii:
        assert len(farm.ran("tea")) == 1, "what ran on was adopted, not run again"


def test_a_jenkins_that_is_away_is_named_on_the_health_page_until_it_is_back(farm: Farm):
    farm.seed({"unit": farm.job("true")}, {"check": [], "gate": ["unit"], "post": []})
    farm.change("tea")
    torii = farm.up()

    def health() -> str:
        return str(requests.get(f"{torii.url}/health", timeout=10).json()["sources"]["jenkins ci"])

    farm.wait(lambda: "app--main--unit" in farm.jenkins.jobs, LIMIT)
    assert health() == "ok"
    farm.jenkins.down()
    farm.change("cake", files={"torii.yml": json.dumps({"jobs": {"unit": farm.job("echo cake")}, "pipelines": {"check": ["unit"]}})})
    farm.push(check=["cake"])  # its own job has to be made first
    farm.wait(lambda: health() != "ok", LIMIT)
    assert "it does not answer, since " in health()
    farm.jenkins.up()
    assert farm.wait_for_outcome("cake", "check") == "success"
    farm.wait(lambda: health() == "ok", LIMIT)
