from __future__ import annotations

from pathlib import Path

import pytest

from torii.config.server import parse_server
from torii.config.settings import ConfigProject, DispatchBy, JenkinsSettings, Secret, ServerConfig
from torii.model.ids import ProjectName

HERE = Path("/etc/torii")
TWO = "jenkins: {a: {url: 'https://a.example.com', token: 'env:A'}, b: {url: 'https://b.example.com/ci/', token: 'file:b'}}\n"


def read(text: str) -> ServerConfig:
    parsed = parse_server(text.encode(), "server.yml", HERE)
    assert isinstance(parsed, ServerConfig), "\n".join(map(str, parsed))
    return parsed


def problems(text: str) -> list[str]:
    parsed = parse_server(text.encode(), "server.yml", HERE)
    assert isinstance(parsed, tuple), "no problem was found"
    return [str(problem).removeprefix("server.yml:") for problem in parsed]


def test_without_any_jenkins_jobs_run_on_toriis_own_workers() -> None:
    config = read("projects: {app: {url: /srv/app.git}}\n")
    assert (config.jenkins, config.projects[0].jenkins, config.config_project) == ((), (), None)


def test_a_project_runs_on_every_jenkins_unless_it_says_on_which() -> None:
    config = read(TWO + "projects: {app: {url: /a}, lib: {url: /b, jenkins: b}, tool: {url: /c, jenkins: []}}\n")
    assert [project.jenkins for project in config.projects] == [("a", "b"), ("b",), ()]
    assert config.jenkins == (
        JenkinsSettings("a", "https://a.example.com", token=Secret("env:A")),
        JenkinsSettings("b", "https://b.example.com/ci", token=Secret("file:/etc/torii/b")),
    )


def test_a_config_project_may_be_given_by_its_name_alone() -> None:
    assert read("config-project: ci\nprojects: {ci: {url: /ci}}\n").config_project == ConfigProject(ProjectName("ci"))


def test_builds_by_rest_may_say_how_often_to_ask() -> None:
    (jenkins,) = read("jenkins: {ci: {url: 'http://ci', token: 'env:T', dispatch: rest, poll: 500ms}}\n").jenkins
    assert (jenkins.dispatch, jenkins.poll) == (DispatchBy.REST, 0.5)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("jenkins: {ci: {url: 'https://ci'}}", '1:11 jenkins.ci: "token" is missing'),
        ("jenkins: {ci: {url: 'https://ci', token: hunter2}}", "jenkins.ci.token: a secret must not stand here itself"),
        ("jenkins: {ci: {url: 'ci.example.com', token: 'env:T'}}", "is no address of a web page"),
        ("jenkins: {ci: {url: 'https://me:secret@ci', token: 'env:T'}}", "is no address of a web page"),
        ("jenkins: {ci: {url: 'https://ci', token: 'env:T', folder: 'a/../b'}}", "is no path of a Jenkins folder"),
        ("jenkins: {ci: {url: 'https://ci', token: 'env:T', dispatch: ssh}}", "must be one of: gearman, rest"),
        ("jenkins: {ci: {url: 'https://ci', token: 'env:T', polls: 2s}}", 'did you mean "poll"?'),
        ("jenkins: {ci: {url: 'http://ci', token: 'env:T', ca: ca.pem}}", "is for https, and url is not"),
        ("jenkins: {ci: {url: 'https://ci', token: 'env:T', poll: 2s}}", "is for dispatch: rest"),
        ("jenkins: {'c i': {url: 'https://ci', token: 'env:T'}}", "no legal name of a Jenkins"),
        (TWO + "projects: {app: {url: /a, jenkins: [a, bb]}}", 'projects.app.jenkins[1]: there is no Jenkins "bb"; did you mean "b"?'),
        ("projects: {app: {url: /a, jenkins: ci}}", 'there is no Jenkins "ci"; add it under jenkins'),
        ("config-project: conf\nprojects: {config: {url: /a}}", 'config-project: there is no project "conf"; did you mean "config"?'),
        ("config-project: {project: x}", 'config-project.project: there is no project "x"; name it under projects, too'),
        ("config-project: {project: a, branch: 'x..y'}\nprojects: {a: {url: /a}}", 'config-project.branch: "x..y" is no name of a branch'),
        ("config-project: []", "config-project: must be a mapping"),
        ("pipelines: {p: {manager: serial, triggers: [approved], own-jobs: maybe}}", "own-jobs: must be true or false"),
    ],
)
def test_a_mistake_is_located_and_put_into_words(text: str, problem: str) -> None:
    found = problems(text + "\n")
    assert any(problem in one for one in found), found
    assert "hunter2" not in "".join(found) and "secret@" not in "".join(found)


def test_a_project_cannot_have_its_builds_started_in_two_ways() -> None:
    mixed = "jenkins: {a: {url: 'http://a', token: 'env:A'}, b: {url: 'http://b', token: 'env:B', dispatch: rest}}\n"
    assert problems(mixed + "projects: {app: {url: /a}}\n") == [
        "2:12 projects.app: its builds cannot be started in two ways: a (gearman), b (rest); name the Jenkins that it runs on"
    ]
    assert read(mixed + "projects: {app: {url: /a, jenkins: a}, lib: {url: /b, jenkins: b}}\n").projects[1].jenkins == ("b",)
