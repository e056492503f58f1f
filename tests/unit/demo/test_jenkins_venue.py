"""What the command line says of a Jenkins: taken as it is meant, or refused by the name of the option and without showing a secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from torii.cli import run
from torii.config.server import parse_server
from torii.config.settings import DispatchBy, JenkinsSettings, Secret
from torii.demo.jenkins_venue import OWNERS, JenkinsOptionError, JenkinsOptions, owner_of, shown, venue_of

URL = "http://jenkins.example.com:8080/ci"


def options(**given: str) -> JenkinsOptions:
    return JenkinsOptions(**{"url": URL, "user": "torii", "token": "env:JENKINS_TOKEN", **given})


def test_without_more_builds_are_started_by_rest_and_fetch_from_loopback(tmp_path):
    venue = venue_of(options(), tmp_path)
    assert venue.settings == JenkinsSettings(
        "ci", URL, "torii", Secret("env:JENKINS_TOKEN"), dispatch=DispatchBy.REST, owner=owner_of(tmp_path), poll=0.5
    )
    assert (venue.reach, venue.gearman) == (("127.0.0.1", 0), None)


def test_its_part_of_server_yml_means_the_same_there(tmp_path):
    venue = venue_of(options(folder="my team/de mo", user='o"brien', gearman="4730"), tmp_path)
    config = parse_server(venue.yml.encode(), "server.yml", tmp_path)
    assert not isinstance(config, tuple)
    assert config.jenkins == (venue.settings,)
    assert (venue.settings.folder, venue.settings.user) == ("my team/de mo", 'o"brien')


def test_a_file_with_the_token_is_seen_from_where_the_command_is_typed(tmp_path, monkeypatch):
    (tmp_path / "my tokens").mkdir()
    monkeypatch.chdir(tmp_path / "my tokens")
    venue = venue_of(options(token='file:to"ken'), Path("demo"))
    assert venue.settings.token == Secret(f'file:{tmp_path}/my tokens/to"ken')


def test_so_are_the_certificates_to_trust_unless_they_are_at_home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/me")
    secure = "https://jenkins.example.com"
    assert venue_of(options(url=secure, ca="ca.pem"), Path("demo")).settings.ca == tmp_path / "ca.pem"
    at_home = venue_of(options(url=secure, ca="~/ca.pem", token="file:~/token"), Path("demo")).settings
    assert (at_home.ca, at_home.token) == (Path("/home/me/ca.pem"), Secret("file:/home/me/token"))


@pytest.mark.parametrize(
    ("gearman", "reach", "address"),
    [
        ("4730", "", ("127.0.0.1", 4730)),
        ("gearman.example.com:4731", "", ("gearman.example.com", 4731)),
        ("4730", "192.0.2.7", ("192.0.2.7", 4730)),
        ("4730", "[2001:db8::7]:8080", ("2001:db8::7", 4730)),
        ("[::1]:4730", "192.0.2.7", ("::1", 4730)),
    ],
)
def test_the_gearman_server_is_where_the_agents_reach_this_machine_unless_it_is_somewhere_else(gearman, reach, address, tmp_path):
    venue = venue_of(options(gearman=gearman, reach=reach), tmp_path)
    assert venue.gearman == address
    assert venue.settings.dispatch is DispatchBy.GEARMAN


def test_the_agents_may_reach_the_git_server_at_a_port_of_ones_choice(tmp_path):
    assert venue_of(options(reach="192.0.2.7"), tmp_path).reach == ("192.0.2.7", 0)
    assert venue_of(options(reach="torii.example.com:8080"), tmp_path).reach == ("torii.example.com", 8080)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"url": "jenkins.example.com"}, "--jenkins: is no address of a web page; write it like"),
        ({"url": 'http://x/"\nprojects: {}'}, "--jenkins: "),
        ({"user": "some one"}, "--jenkins-user: "),
        ({"token": "11d0b8c4f3e7a2956d1c4b8e0f7a3d2c95"}, "--jenkins-token: a secret must not stand here itself"),
        ({"ca": "ca.pem"}, "--jenkins-ca: is for https, and url is not"),
        ({"folder": "a//b*"}, "--jenkins-folder: .* is no path of a Jenkins folder"),
        ({"gearman": "gearman.example.com"}, r"--jenkins-gearman: 'gearman.example.com' names no port; write \[HOST:\]PORT"),
        ({"gearman": "0"}, "--jenkins-gearman: "),
        ({"gearman": "99999"}, "--jenkins-gearman: "),
        ({"reach": "http://here/"}, "--jenkins-reach: .* is no host:port"),
        ({"reach": "0.0.0.0"}, r"--jenkins-reach: 0\.0\.0\.0 is all addresses of this machine; name the one"),
    ],
)
def test_what_is_wrong_is_told_by_the_name_of_its_option(given, told, tmp_path):
    with pytest.raises(JenkinsOptionError, match=f"^{told}") as raised:
        venue_of(options(**given), tmp_path)
    assert "11d0b8" not in str(raised.value)


def test_the_owner_is_the_same_in_the_same_folder_and_another_in_another(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert owner_of(Path("my demo")) == owner_of(tmp_path / "my demo") != owner_of(tmp_path / "yours")
    assert owner_of(tmp_path).startswith(OWNERS)


@pytest.mark.parametrize("host", ["", "localhost", "ci-7.example.com", "größe", "a" * 300, "-_-"])
def test_whatever_a_machine_is_called_the_owner_is_a_legal_one(host, tmp_path, monkeypatch):
    monkeypatch.setattr("socket.gethostname", lambda: host)
    assert venue_of(options(), tmp_path).settings.owner.startswith(OWNERS)


def test_an_address_is_written_as_it_is_typed():
    assert (shown(("::1", 4730)), shown(("localhost", 4730))) == ("[::1]:4730", "localhost:4730")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--jenkins-gearman", "4730"], "--jenkins-gearman is for a demo on a Jenkins: name that with --jenkins"),
        (["--jenkins-token", "file:token"], "--jenkins-token is for a demo on a Jenkins"),
        (["--jenkins", URL, "--gerrit", "--jenkins-reach", "192.0.2.7"], "which listens on 127.0.0.1 only: leave out --jenkins-reach"),
    ],
)
def test_options_that_do_not_go_together_are_refused_before_anything_is_made(arguments, told, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run(["demo", *arguments]) == 2
    assert told in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
