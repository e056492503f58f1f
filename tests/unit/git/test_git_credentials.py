"""Secrets on their way to git."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from torii.config.server import load_server
from torii.config.settings import Connection, GerritConnection, GitConnection, Secret
from torii.git import Credentials, Remote, environment
from torii.git.credentials import credentials_of, git_limit, split_url
from torii.merger.places import places_of
from torii.model.ids import ProjectName
from torii.worker.configured import private_files, repositories_of


def test_a_password_is_in_no_repr_and_no_shown_address() -> None:
    credentials = Credentials("ci", "swordfish")
    assert "swordfish" not in repr(credentials)
    remote = Remote("https://ci:swordfish@git.example.com/app", credentials)
    assert "swordfish" not in repr(remote) + remote.shown


def test_a_password_goes_into_a_header_for_its_own_host_only() -> None:
    bare, configuration, secrets = split_url("https://ci:from-url@git.example.com:8443/app", Credentials(None, "sw:ord"))
    assert bare == "https://git.example.com:8443/app"
    token = base64.b64encode(b"ci:sw:ord").decode()
    assert configuration == (("http.https://git.example.com:8443/.extraHeader", f"Authorization: Basic {token}"),)
    assert secrets == ("sw:ord", token)


def test_ssh_asks_nothing_and_checks_host_keys() -> None:
    command = Credentials(key=Path("/etc/torii/my key"), known_hosts=Path("/etc/torii/known hosts")).ssh_command(7)
    for option in ("BatchMode=yes", "StrictHostKeyChecking=yes", "ConnectTimeout=7", "IdentitiesOnly=yes", "'/etc/torii/my key'"):
        assert option in command
    assert 'UserKnownHostsFile="/etc/torii/known hosts"' in command


def test_a_connection_is_logged_in_to_as_server_yml_says(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("swordfish\n")
    connection = GitConnection("forge", user="ci", password=Secret(f"file:{tmp_path / 'password'}"), key=tmp_path / "key")
    assert credentials_of(connection) == Credentials("ci", "swordfish", tmp_path / "key")


def test_a_gerrit_is_logged_in_to_as_server_yml_says(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("swordfish\n")
    gerrit = GerritConnection(
        "review",
        "https://review.example.com",
        password=Secret(f"file:{tmp_path / 'password'}"),
        key=tmp_path / "key",
        known_hosts=tmp_path / "hosts",
        ca=tmp_path / "ca.pem",
    )
    wanted = Credentials("torii", "swordfish", tmp_path / "key", tmp_path / "hosts", tmp_path / "ca.pem")
    assert credentials_of(gerrit) == wanted


def test_who_has_no_password_gives_a_gerrit_no_name_either() -> None:
    login = credentials_of(GerritConnection("review", "https://review.example.com"))
    assert split_url("https://review.example.com/app", login) == ("https://review.example.com/app", (), ())


def test_a_password_travels_in_gits_environment_and_nowhere_else() -> None:
    login = Credentials("torii", "swordfish")
    bare, configuration, secrets = split_url("https://review.example.com/a/app", login)
    variables = environment.remote(login, 5.0, configuration)
    (header,) = [value for value in variables.values() if value.startswith("Authorization:")]
    assert base64.b64decode(header.split()[-1]) == b"torii:swordfish"
    assert not any("swordfish" in text for text in (bare, *variables, *variables.values()))
    assert "swordfish" in secrets


def test_the_certificates_to_trust_are_said_only_where_some_are_given() -> None:
    assert environment.remote(Credentials(ca=Path("/etc/torii/ca.pem")), 5.0)["GIT_SSL_CAINFO"] == "/etc/torii/ca.pem"
    assert "GIT_SSL_CAINFO" not in environment.remote(Credentials(), 5.0)


@pytest.mark.parametrize(
    ("connection", "seconds"),
    [
        (None, 60.0),
        (GitConnection("forge", timeout=5.0), 5.0),
        (GerritConnection("review", "https://h", timeout=5.0), 60.0),
        (GerritConnection("review", "https://h", timeout=300.0), 300.0),
    ],
)
def test_a_git_command_has_the_time_that_its_connection_says(connection: Connection | None, seconds: float) -> None:
    assert git_limit(connection) == seconds


def test_merger_and_worker_reach_a_gerrit_by_its_own_login(tmp_path: Path) -> None:
    file = tmp_path / "server.yml"
    (tmp_path / "password").write_text("swordfish\n")
    (tmp_path / "hook").write_text("secret")
    file.write_text(
        "connections:\n  review:\n    {type: gerrit, url: 'https://review.example.com', password: file:password, events: both, "
        "webhook-secret: file:hook, key: id, known-hosts: hosts, ca: ca.pem}\nprojects: {tools/app: {}}\n"
    )
    config = load_server(file)
    place = places_of(config)[ProjectName("tools/app")]
    assert place.staging is place.origin
    assert place.origin.shown == "https://review.example.com/a/tools/app"
    (url,) = repositories_of(config)
    assert url == "https://review.example.com/a/tools/app"
    assert {tmp_path / name for name in ("password", "hook", "id", "hosts")} <= set(private_files(config))
