"""Parts of the check-up of a Jenkins that need none."""

from __future__ import annotations

import pytest

from tests.support.jenkins_scripted import Answer, ScriptedJenkins, said, sent_on
from torii.config.settings import JenkinsSettings
from torii.jenkins import Controller
from torii.jenkins.check_gearman import anonymous_findings, gearman_findings
from torii.jenkins.check_nodes import fits
from torii.jenkins.check_server import here, link_findings
from torii.jenkins.surroundings import Surroundings
from torii.jenkins.values import Job, Node
from torii.model.finding import Verdict


@pytest.mark.parametrize(
    ("url", "on_this_machine"),
    [
        ("http://127.0.0.1:8080/ci", True),
        ("http://[::1]:8080", True),
        ("http://localhost", True),
        ("http://10.0.0.7", False),
        ("https://jenkins.example.com", False),
        ("", False),
    ],
)
def test_what_is_on_this_machine(url: str, on_this_machine: bool) -> None:
    assert here(url) == on_this_machine


@pytest.mark.parametrize(
    ("jenkins", "pages", "words"),
    [
        ("https://jenkins.example.com", "http://127.0.0.1:8090", "lead to http://127.0.0.1:8090, which is Torii for nobody but this one"),
        ("https://jenkins.example.com", "http://0.0.0.0:8090", "lead to http://0.0.0.0:8090, "),
        ("https://jenkins.example.com", "", "lead nowhere"),
        ("https://jenkins.example.com", "https://torii.example.com", ""),
        ("https://jenkins.example.com", "http://10.0.0.7:8090", ""),
        ("http://localhost:8080", "http://127.0.0.1:8090", ""),
    ],
)
def test_links_from_a_jenkins_elsewhere_have_to_lead_to_torii(jenkins: str, pages: str, words: str) -> None:
    found = list(link_findings(Controller(JenkinsSettings("ci", jenkins)), pages))
    assert [(finding.topic, finding.verdict) for finding in found] == ([("links", Verdict.WARN)] if words else [])
    assert all(words in finding.words and "web: {url: ...}" in finding.advice for finding in found)


def test_a_node_fits_by_a_label_its_name_or_if_nothing_is_wanted() -> None:
    plain, exclusive = Node("a", ("a", "linux")), Node("b", ("b", "linux"), exclusive=True)
    assert [fits(plain, label) for label in ("linux", "a", "b", "")] == [True, True, False, True]
    assert [fits(exclusive, label) for label in ("linux", "a", "b", "")] == [True, False, True, False]


class JobsOnly(Controller):
    """A Jenkins of which only the jobs are known."""

    def jobs(self) -> dict[str, Job]:
        return {name: Job(name) for name in ("app--main--unit", "deploy")}


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        (said({"jobs": [{"name": "app--main--unit"}]}), Verdict.PASS),
        (said({"jobs": [{"name": "deploy"}]}), Verdict.FAIL),
        (said({"jobs": []}), Verdict.FAIL),
        (sent_on("https://sso.example.com/authorize?client=ci"), Verdict.FAIL),
        (sent_on("/securityRealm/commenceLogin?from=%2F"), Verdict.FAIL),
    ],
)
def test_nobody_in_particular_has_to_see_toriis_jobs(answer: Answer, verdict: Verdict) -> None:
    with ScriptedJenkins(lambda _: answer) as server:
        settings = JenkinsSettings("ci", server.url)
        around = Surroundings(workers=dict, ours=lambda job: job.name == "app--main--unit")
        [finding] = anonymous_findings(JobsOnly(settings), Controller(settings, patience=0.01), around)
    assert finding.verdict is verdict
    assert verdict is Verdict.PASS or "those who are not logged in may not see" in finding.words


class NodesOnly(Controller):
    """A Jenkins of which only the nodes are known."""

    def nodes(self) -> tuple[Node, ...]:
        return (Node("agent1", ("agent1",)), Node("built-in", ("built-in",)))


@pytest.mark.parametrize(("loopback", "words"), [(True, "gearman: {host: ADDRESS}"), (False, "with host and port of 10.0.0.7:4730")])
def test_a_gearman_server_that_jenkins_cannot_reach_is_the_first_thing_to_mend(loopback: bool, words: str) -> None:
    controller = NodesOnly(JenkinsSettings("ci", "https://jenkins.example.com"))
    [finding] = gearman_findings(controller, Surroundings(workers=dict, gearman="10.0.0.7:4730", loopback=loopback))
    assert "no Jenkins has connected to 10.0.0.7:4730" in finding.words
    assert words in finding.advice
