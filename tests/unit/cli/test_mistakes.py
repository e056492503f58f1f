"""Whatever a user gets wrong, the command line ends with the status that `torii --help` says and a sentence, never with a traceback."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import click
import pytest
from click.testing import CliRunner

from torii.cli import BUG, COMMANDS, cli, run

SAID: list[tuple[list[str], int, str]] = [
    (["bogus"], 2, "No such command 'bogus'"),
    (["validate", "none.yml"], 2, "'none.yml' does not exist"),
    (["validate", "empty"], 3, "there is no torii.yml and no server.yml here"),
    (["validate", "/dev/zero"], 3, "the file has more than 1048576 bytes"),
    (["validate", "--server", "/dev/zero"], 3, "the file has more than 1048576 bytes"),
    (["validate", "torii.db"], 3, "not UTF-8"),
    (["config", "show", "--server", "none.yml"], 2, "'none.yml' does not exist"),
    (["config", "show", "--server", "/dev/zero"], 3, "the file has more than 1048576 bytes"),
    (["config", "show", "--server", "wrong.yml"], 3, "wrong.yml:1:11 projects: must be a mapping"),
    (["up", "--server", "none.yml"], 2, "'none.yml' does not exist"),
    (["up", "--server", "empty"], 2, "'empty' is a directory"),
    (["up", "--state", "torii.db"], 2, "'torii.db' is a file"),
    (["worker", "--label", "a b\n"], 2, "is no legal node label"),
    (["worker", "--executors", "0"], 2, "0 is not in the range"),
    (["merger", "--mergers", "many"], 2, "'many' is not a valid integer"),
    (["gearmand", "--port", "65536"], 2, "65536 is not in the range"),
    (["status", "--state", "empty"], 4, "there is no store at"),
    (["status", "--json", "--state", "."], 4, "torii.db is damaged"),
    (["explain", "fix", "--state", "empty"], 4, "there is no store at"),
    (["explain"], 2, "Missing argument 'CHANGE'"),
    (["replay", "none"], 2, "'none' does not exist"),
    (["replay", "empty"], 2, "empty/torii.db cannot be read"),
    (["replay", "wrong.yml"], 2, "wrong.yml:1: this line is no JSON"),
    (["schema", "jenkins"], 2, "'jenkins' is not one of"),
    (["notify", "--strict", "--state", "empty"], 4, "no Gearman key in"),
    (["notify", "--url", "nowhere"], 2, "'nowhere' is not HOST:PORT"),
    (["demo", "torii.db"], 2, "'torii.db' is a file"),
    (["demo", "torii.db/below"], 4, "cannot be used for the demo"),
    (["demo", "."], 2, "is not empty, and no demo was ever here"),
]

SAID_BY_SERVERS: list[tuple[list[str], str]] = [
    (["up", "--state", "torii.db/below"], "torii.db/below: Not a directory"),
    (["up", "--state", "."], "torii.db is damaged, or no database of Torii's"),
    (["scheduler", "--state", "/proc/none"], "/proc/none: No such file or directory"),
    (["gearmand", "--host", "no such host"], "no Gearman server can listen on no such host"),
]
"""What is found when they start; status 4. In processes of their own, since they set up the log."""


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "torii.db").write_bytes(b"\xff\x00garbage" * 1000)
    (tmp_path / "wrong.yml").write_text("projects: 3\n")
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(("arguments", "status", "words"), SAID, ids=[" ".join(arguments) for arguments, _, _ in SAID])
def test_a_mistake_ends_with_its_status_and_a_sentence(
    arguments: list[str], status: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == status
    said = "".join(capsys.readouterr())
    assert words in said
    assert "Traceback" not in said


@pytest.mark.parametrize(("arguments", "words"), SAID_BY_SERVERS, ids=[" ".join(arguments) for arguments, _ in SAID_BY_SERVERS])
def test_a_server_that_cannot_start_ends_with_4_and_a_sentence(arguments: list[str], words: str) -> None:
    done = subprocess.run([sys.executable, "-m", "torii", *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, "Traceback" in done.stderr) == (4, False), done.stderr
    assert words in done.stderr


def test_a_bug_of_ours_ends_with_70_and_asks_for_a_report(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    @click.command()
    def command() -> None:
        raise KeyError("ours")

    module = ModuleType("torii.cli.version")
    monkeypatch.setattr(module, "command", command, raising=False)
    monkeypatch.setitem(sys.modules, "torii.cli.version", module)
    assert run(["version"]) == BUG
    said = capsys.readouterr().err
    assert "KeyError: 'ours'" in said
    assert "this is a bug in Torii" in said


def _commands() -> Iterator[tuple[str, click.Command]]:
    context = click.Context(cli)
    for name in COMMANDS:
        found = cli.get_command(context, name)
        assert found is not None
        yield name, found
        if isinstance(found, click.Group):
            yield from ((f"{name} {below}", command) for below, command in found.commands.items())


def test_every_help_has_examples_that_call_that_very_subcommand() -> None:
    for name, command in _commands():
        said = CliRunner().invoke(command, ["--help"]).output
        assert f"\n    torii {name}" in said.partition("Examples:")[2], name


@pytest.mark.parametrize(
    "arguments", [["version", "--json"], ["config", "show", "--json"], ["validate", "--json", "wrong.yml"], ["schema"]]
)
def test_what_is_printed_for_programs_is_json(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    run(arguments)
    assert isinstance(json.loads(capsys.readouterr().out), dict)


def test_a_shell_completes_subcommands_options_and_choices(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def completed(words: str, at: int) -> list[str]:
        monkeypatch.setenv("COMP_WORDS", words)
        monkeypatch.setenv("COMP_CWORD", str(at))
        monkeypatch.setenv("_TORII_COMPLETE", "bash_complete")
        with pytest.raises(SystemExit):
            run([])
        return capsys.readouterr().out.splitlines()

    assert completed("torii s", 1) == ["plain,scheduler", "plain,schema", "plain,status", "plain,sync-jobs"]
    assert completed("torii config s", 2) == ["plain,show"]
    assert "plain,--json" in completed("torii status --", 2)
    assert completed("torii schema ", 2) == ["plain,torii", "plain,server"]
