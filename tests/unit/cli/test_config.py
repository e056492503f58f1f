from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from torii.cli.config import command
from torii.cli.schema import command as schema
from torii.config.server import load_server
from torii.errors import ConfigurationError

EXAMPLES = Path(__file__).parents[3] / "examples"


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(command, [str(argument) for argument in arguments])


def test_what_is_shown_can_be_used_as_the_file(tmp_path: Path) -> None:
    result = run("show", "--server", EXAMPLES / "server.yml")
    assert result.exit_code == 0
    file = tmp_path / "server.yml"
    file.write_text(result.output)
    assert load_server(file) == load_server(EXAMPLES / "server.yml")


def test_the_file_of_this_folder_is_shown_and_else_the_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("show").output.startswith("# built-in defaults: there is no server.yml here\n")
    assert "mergers: 1  # default" in run("show").output
    (tmp_path / "server.yml").write_text("mergers: 3\n")
    assert run("show").output.startswith("# server.yml\n")
    assert "mergers: 3\n" in run("show").output
    assert f"state: {tmp_path}/elsewhere\n" in run("show", "--state", "elsewhere").output


def test_a_secret_is_shown_as_its_reference_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEARMAN_KEY", "swordfish")
    file = tmp_path / "server.yml"
    file.write_text("gearman: {key: 'env:GEARMAN_KEY'}\n")
    for arguments in (["show", "--server", file], ["show", "--json", "--server", file]):
        assert "env:GEARMAN_KEY" in run(*arguments).output
        assert "swordfish" not in run(*arguments).output


def test_json_has_the_configuration_and_the_paths_of_all_defaults() -> None:
    said = json.loads(run("show", "--json", "--server", EXAMPLES / "server.yml").output)
    assert said["file"] == str(EXAMPLES / "server.yml")
    assert said["configuration"]["worker"]["executors"] == 4
    assert "connections.mirror.poll" in said["defaults"]
    assert "worker.executors" not in said["defaults"]


def test_a_wrong_file_is_a_configuration_error_with_every_problem() -> None:
    file = EXAMPLES / "wrong" / "many.server.yml"
    result = run("show", "--server", file)
    assert isinstance(result.exception, ConfigurationError)
    assert len(str(result.exception).splitlines()) == file.read_text().count("# ")


@pytest.mark.parametrize(("arguments", "title"), [([], "torii.yml"), (["torii"], "torii.yml"), (["server"], "server.yml")])
def test_a_schema_is_printed_as_json(arguments: list[str], title: str) -> None:
    result = CliRunner().invoke(schema, arguments)
    assert result.exit_code == 0
    said = json.loads(result.output)
    assert (said["title"], said["$schema"]) == (title, "https://json-schema.org/draft/2020-12/schema")
