"""A Gerrit in server.yml: what its keys mean, where its projects are, and what is wrong with one."""

from __future__ import annotations

from pathlib import Path

import pytest

from torii.config.server import parse_server
from torii.config.settings import EventsBy, GerritConnection, GitConnection, Secret, ServerConfig, Transport

LEAST = "type: gerrit, url: 'https://review.example.com', password: env:P"
HERE = Path("/etc/torii")


def read(text: str) -> ServerConfig:
    parsed = parse_server(text.encode(), "server.yml", HERE)
    assert isinstance(parsed, ServerConfig), "\n".join(map(str, parsed))
    return parsed


def gerrit(more: str = "") -> GerritConnection:
    (connection,) = read(f"connections: {{r: {{{LEAST}{', ' if more else ''}{more}}}}}").connections
    assert isinstance(connection, GerritConnection)
    return connection


def problems(text: str) -> list[str]:
    parsed = parse_server(text.encode(), "server.yml", HERE)
    assert isinstance(parsed, tuple)
    return [str(problem).removeprefix("server.yml:") for problem in parsed]


def test_a_gerrit_needs_no_more_than_an_address_and_a_password() -> None:
    assert gerrit() == GerritConnection("r", "https://review.example.com", password=Secret("env:P"), ssh_host="review.example.com")


def test_all_that_is_said_of_a_gerrit_is_taken() -> None:
    said = (
        "user: ci, events: both, webhook-secret: file:hook, ssh: {host: ssh.example.com, port: 2222}, key: id, known-hosts: hosts, "
        "git: ssh, staging: ../staging, catch-up: 1m, first-look: 2h, timeout: 5s, ignore: '*-bot', "
        "ca: ca.pem"
    )
    assert gerrit(said) == GerritConnection(
        name="r",
        url="https://review.example.com",
        user="ci",
        password=Secret("env:P"),
        events=EventsBy.BOTH,
        ssh_host="ssh.example.com",
        ssh_port=2222,
        key=HERE / "id",
        known_hosts=HERE / "hosts",
        git=Transport.SSH,
        staging="/etc/staging",
        webhook_secret=Secret("file:/etc/torii/hook"),
        catch_up=60.0,
        first_look=7200.0,
        timeout=5.0,
        ignore=("*-bot",),
        ca=HERE / "ca.pem",
    )


@pytest.mark.parametrize(
    ("ssh", "host", "port"),
    [
        ("ssh.example.com", "ssh.example.com", 29418),
        ("'ssh.example.com:2222'", "ssh.example.com", 2222),
        ("'[::1]:2222'", "::1", 2222),
        ("{port: 2222}", "review.example.com", 2222),
        ("{host: '::1'}", "::1", 29418),
    ],
)
def test_where_it_listens_for_ssh_is_said_in_short_or_in_full(ssh: str, host: str, port: int) -> None:
    found = gerrit(f"ssh: {ssh}")
    assert (found.ssh_host, found.ssh_port) == (host, port)


@pytest.mark.parametrize(
    ("connection", "project", "address"),
    [
        (LEAST, "{}", "https://review.example.com/a/tools/app"),
        (LEAST, "{path: team/other}", "https://review.example.com/a/team/other"),
        (LEAST, "{path: team/other.git}", "https://review.example.com/a/team/other"),
        ("type: gerrit, url: 'http://[::1]:8080/gerrit/', password: env:P", "{}", "http://[::1]:8080/gerrit/a/tools/app"),
        (f"{LEAST}, git: ssh", "{}", "ssh://torii@review.example.com:29418/tools/app"),
        (f"{LEAST}, git: ssh, user: ci@example.com, ssh: '[::1]:2222'", "{}", "ssh://ci%40example.com@[::1]:2222/tools/app"),
    ],
)
def test_a_project_of_a_gerrit_is_where_its_connection_says(connection: str, project: str, address: str) -> None:
    (found,) = read(f"connections: {{r: {{{connection}}}}}\nprojects: {{tools/app: {project}}}\n").projects
    assert (found.url, found.staging_url) == (address, address)
    assert found.path == address.partition("/a/")[2] or found.path == "tools/app"


def test_staging_refs_go_to_the_same_gerrit_or_to_another_server() -> None:
    config = read(
        f"connections: {{r: {{{LEAST}, staging: 'ssh://git@staging.example.com/x'}}}}\n"
        "projects: {a: {path: team/a}, b: {staging: /srv/b.git}}\n"
    )
    assert [project.staging_url for project in config.projects] == ["ssh://git@staging.example.com/x/team/a", "/srv/b.git"]
    assert [project.path for project in config.projects] == ["team/a", "b"]


def test_gits_and_gerrits_stand_side_by_side() -> None:
    config = read(
        f"connections: {{r: {{{LEAST}}}, second: {{type: gerrit, url: 'http://10.0.0.1', password: env:Q}}, g: {{url: /srv}}}}\n"
        "projects: {a: {connection: r}, b: {connection: second, path: a}, c: {connection: g}}\n"
    )
    assert [type(connection) for connection in config.connections] == [GerritConnection, GerritConnection, GitConnection]
    assert [project.url for project in config.projects] == ["https://review.example.com/a/a", "http://10.0.0.1/a/a", "/srv/c"]
    assert [project.path for project in config.projects] == ["a", "a", ""]


@pytest.mark.parametrize(
    ("connection", "problem"),
    [
        ("type: gerit, url: 'https://h', password: env:P", '1:25 connections.r.type: must be one of: git, gerrit; did you mean "gerrit"?'),
        ("type: svn", "connections.r.type: must be one of: git, gerrit"),
        ("type: [gerrit]", "connections.r.type: must be text, not a list"),
        ("type: ''", "connections.r.type: must be one of: git, gerrit"),
        ("type: gerrit, password: env:P", '1:15 connections.r: "url" is missing'),
        ("type: gerrit, url: 'https://h'", '1:15 connections.r: "password" is missing'),
        (f"{LEAST}, poll: 10s", "connections.r.poll: only what is of type git has this key; remove it"),
        ("url: /srv, events: stream", "connections.r.events: only what is of type gerrit has this key; add type: gerrit, or remove it"),
        ("type: git, url: /srv, ca: x", "connections.r.ca: only what is of type gerrit has this key; remove it"),
        (f"{LEAST}, webhook_secret: env:W", 'connections.r.webhook_secret: unknown key; did you mean "webhook-secret"?'),
        (f"{LEAST}, ssh: {{prot: 1}}", 'connections.r.ssh.prot: unknown key; did you mean "port"?'),
        (f"{LEAST}, ssh: 'torii@h:1'", "connections.r.ssh: a user name cannot stand in this address; give user as a key of the connection"),
        (f"{LEAST}, ssh: 'h:0'", 'connections.r.ssh: "h:0" is no host:port; write it like review.example.com:29418'),
        (f"{LEAST}, ssh: {{port: 0}}", "connections.r.ssh.port: must be at least 1"),
        (f"{LEAST}, ssh: [h]", "connections.r.ssh: must be a mapping of keys to values, not a list"),
        (f"{LEAST}, ssh: ~", "connections.r.ssh: must be a mapping of keys to values, not empty"),
        (f"{LEAST}, events: streams", 'connections.r.events: must be one of: stream, webhooks, both, catch-up; did you mean "stream"?'),
        (f"{LEAST}, git: https", 'connections.r.git: must be one of: http, ssh; did you mean "http"?'),
        (f"{LEAST}, webhook-secret: swordfish", "connections.r.webhook-secret: a secret must not stand here itself"),
        (f"{LEAST}, catch-up: 10ms", "connections.r.catch-up: must be from 1s to 1d"),
        (f"{LEAST}, first-look: 100d", "connections.r.first-look: must be from 0ms to 90d"),
        (f"{LEAST}, ignore: '['", "connections.r.ignore"),
        (f"{LEAST}, user: 'a b'", 'connections.r.user: "a b" is no legal user name'),
        ("type: gerrit, password: env:P, url: 'ssh://h:29418'", 'url: "ssh://h:29418" is no address of a Gerrit\'s pages'),
        ("type: gerrit, password: env:P, url: 'https://ci:swordfish@h'", "connections.r.url: a password cannot stand in an address"),
        ("type: gerrit, password: env:P, url: 'https://ci@h'", "connections.r.url: a user name cannot stand in this address"),
        ("type: gerrit, password: env:P, url: 'https://h/q?x'", "is no address"),
        ("type: gerrit, password: env:P, url: 'https://h/a/'", "Torii adds the /a itself; write https://h"),
        (f"{LEAST}, events: webhooks", "connections.r.events: a webhook is listened to only if it knows a secret, and none is given"),
        (f"{LEAST}, events: both", "add webhook-secret: env:NAME or file:PATH"),
        (f"{LEAST}, webhook-secret: env:W", "connections.r.webhook-secret: is for webhooks, and without events only the stream is heard"),
        ("type: gerrit, url: 'http://h', password: env:P, ca: x", "connections.r.ca: is for https, and url is not"),
    ],
)
def test_a_mistake_in_a_connection_is_located_and_put_into_words(connection: str, problem: str) -> None:
    found = problems(f"connections: {{r: {{{connection}}}}}")
    assert len(found) == 1, found
    assert problem in found[0]


def test_who_turns_webhooks_off_for_a_while_may_leave_their_secret() -> None:
    assert gerrit("webhook-secret: env:W, events: stream").webhook_secret == Secret("env:W")


@pytest.mark.parametrize(
    ("project", "problem"),
    [
        ("{url: /srv/app}", "projects.app.url: a project of a Gerrit is where its connection is; name it by path"),
        ("{merge: squash}", "projects.app.merge: how changes merge is said by the Gerrit: the project's submit type; remove it"),
        ("{path: -x}", '"-x" is no path of a repository'),
    ],
)
def test_a_mistake_in_a_project_of_a_gerrit_is_located(project: str, problem: str) -> None:
    (found,) = problems(f"connections: {{r: {{{LEAST}}}}}\nprojects: {{app: {project}}}\n")
    assert problem in found


def test_two_projects_may_not_be_the_same_one_of_a_gerrit() -> None:
    (found,) = problems(f"connections: {{r: {{{LEAST}}}}}\nprojects: {{app: {{}}, b: {{path: app.git}}}}\n")
    assert 'projects.b: is at the same address as the project "app"' in found


def test_no_problem_shows_a_password_or_a_webhooks_secret() -> None:
    found = problems("connections: {r: {type: gerrit, url: 'https://a:swordfish@h', password: swordfish, webhook-secret: swordfish}}")
    assert len(found) == 3
    assert "swordfish" not in "".join(found)
