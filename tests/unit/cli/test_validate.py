from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from torii.cli.validate import command
from torii.errors import ConfigurationError

EXAMPLES = Path(__file__).parents[3] / "examples"


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(command, [str(argument) for argument in arguments])


def test_a_right_file_ends_with_0_and_says_what_would_run() -> None:
    result = run(EXAMPLES / "small.torii.yml")
    assert result.exit_code == 0
    assert result.output.splitlines() == [
        f"{EXAMPLES}/small.torii.yml: right",
        "  check: 1 job",
        "    test: 30m at most",
        "  gate: 1 job",
        "    test: 30m at most",
    ]


def test_a_wrong_file_ends_with_3_and_every_problem() -> None:
    result = run(EXAMPLES / "wrong" / "many.torii.yml")
    assert result.exit_code == 3
    assert f'{EXAMPLES}/wrong/many.torii.yml:4:5 jobs.lint.votng: unknown key; did you mean "voting"?' in result.output.splitlines()


def test_a_folder_means_the_files_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "torii.yml").write_text("jobs: {a: {run: x}}\npipelines: {chekc: a}\n")
    assert 'note: "chekc" is not among the pipelines of the built-in ones (check, gate, post)' in run().output
    (tmp_path / "server.yml").write_text("mergers: x\n")
    result = run()
    assert result.exit_code == 3
    assert result.output.splitlines()[0] == "torii.yml: right"
    assert result.output.splitlines()[-1] == 'server.yml:1:10 mergers: must be a whole number, not "x"'


def test_a_folder_with_neither_file_is_a_mistake(tmp_path: Path) -> None:
    result = run(tmp_path)
    assert isinstance(result.exception, ConfigurationError)
    assert "there is no torii.yml and no server.yml here" in str(result.exception)


def test_a_server_file_is_known_by_its_name_or_by_the_option(tmp_path: Path) -> None:
    assert "pipeline check: independent" in run(EXAMPLES / "server.yml").output
    assert "project app: " in run(EXAMPLES / "small.server.yml").output
    other = tmp_path / "torii-server.conf"
    other.write_text("mergers: 2\n")
    assert run(other).exit_code == 3
    assert "2 mergers" in run("--server", other).output


def test_a_path_that_is_not_there_is_a_usage_error(tmp_path: Path) -> None:
    assert run(tmp_path / "nowhere").exit_code == 2


def test_json_has_every_problem_in_parts() -> None:
    result = run("--json", EXAMPLES / "wrong" / "many.torii.yml")
    assert result.exit_code == 3
    said = json.loads(result.output)
    assert not said["ok"]
    assert said["files"][0]["problems"][1] == {
        "file": f"{EXAMPLES}/wrong/many.torii.yml",
        "line": 4,
        "column": 5,
        "path": "jobs.lint.votng",
        "message": "unknown key",
        "suggestion": 'did you mean "voting"?',
    }


def test_json_of_right_files_has_what_they_say() -> None:
    files = json.loads(run("--json", EXAMPLES).output)["files"]
    assert [(file["kind"], file["ok"]) for file in files] == [("torii", True), ("server", True)]
    assert files[0]["jobs"][1]["variables"]["python"] == "3.10"
    assert files[0]["pipelines"]["post"] == ["publish"]
    assert files[1]["configuration"]["mergers"] == 2


def test_a_large_file_is_summed_up_on_one_screen(tmp_path: Path) -> None:
    file = tmp_path / "torii.yml"
    names = [f"job{number}" for number in range(300)]
    jobs = "".join(f"  {name}: {{run: x}}\n" for name in names)
    file.write_text(f"jobs:\n{jobs}  idle: {{run: x}}\npipelines: {{check: [{', '.join(names)}]}}\n")
    lines = run(file).output.splitlines()
    assert len(lines) < 25
    assert "  in no pipeline: idle" in lines


def test_a_server_file_with_jenkins_says_whose_builds_run_there(tmp_path: Path) -> None:
    file = tmp_path / "server.yml"
    file.write_text(
        "mergers: 1\n"
        "jenkins:\n"
        "  ci: {url: https://ci.example.com/jenkins, token: env:TOKEN, folder: team/torii}\n"
        "  old: {url: https://old.example.com, token: env:TOKEN, dispatch: rest}\n"
        "connections: {here: {url: ./repositories}}\n"
        "projects: {app: {jenkins: ci}, lib: {jenkins: old}, tool: {jenkins: []}}\n"
    )
    result = run(file)
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert "  2 builds at once (linux); 1 merger" in lines
    assert "  Jenkins ci: https://ci.example.com/jenkins, folder team/torii; builds are started by gearman" in lines
    assert "  Jenkins old: https://old.example.com; builds are started by rest" in lines
    assert f"  project app: {tmp_path}/repositories/app (merge-if-necessary); builds in Jenkins: ci" in lines
    assert f"  project tool: {tmp_path}/repositories/tool (merge-if-necessary)" in lines
