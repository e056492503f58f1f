"""What `torii gerrit` says before it asks any Gerrit."""

from __future__ import annotations

from pathlib import Path

import pytest

from torii import cli

SERVER = """\
state: state
connections:
  review: {type: gerrit, url: "https://review.example.com", password: env:GERRIT_PASSWORD}
  second: {type: gerrit, url: "https://second.example.com", password: env:GERRIT_PASSWORD, events: catch-up}
  plain: {url: repositories}
projects:
  app: {connection: review}
  tools: {connection: second, pipelines: [check]}
"""


@pytest.fixture
def server(tmp_path: Path) -> str:
    path = tmp_path / "server.yml"
    path.write_text(SERVER)
    return str(path)


def test_setup_without_an_administrator_prints_what_each_gerrit_needs(server: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["gerrit", "setup", "--server", server, "--group", "Robots"]) == 0
    review, _, second = capsys.readouterr().out.partition("second (https://second.example.com):")
    assert "\tstreamEvents = group Robots" in review
    assert "\tsubmit = group Robots" in review
    assert "streamEvents" not in second
    assert "submit =" not in second
    assert "\tlabel-Verified = -1..+1 group Robots" in second


def test_only_the_gerrit_that_is_named_is_meant(server: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["gerrit", "setup", "second", "--server", server, "--on", "Tools"]) == 0
    said = capsys.readouterr().out
    assert "review" not in said.replace("label:", "")
    assert "project.config in refs/meta/config of Tools" in said


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["check", "plain"], "no Gerrit called 'plain' is configured; there is review, second"),
        (["check", "--project", "nothing"], "no project called 'nothing' is configured"),
        (["setup", "--apply"], "--apply needs an administrator"),
        (["setup", "--admin-user", "admin"], "both --admin-user and --admin-password"),
        (["setup", "--admin-user", "admin", "--admin-password", "secret"], "not the password itself"),
    ],
)
def test_a_call_that_makes_no_sense_is_refused_in_words(
    server: str, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    assert cli.run(["gerrit", *arguments, "--server", server]) == 2
    said = capsys.readouterr()
    assert words in said.err
    assert "secret" not in said.err + said.out
