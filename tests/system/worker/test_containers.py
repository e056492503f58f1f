"""Jobs with an image, with a stand-in for the engine: it says what it was asked for and runs the command where it is."""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path
from typing import Any

import pytest

from tests.support.waiting import wait_until
from tests.support.worker_lab import WorkerLab, alive
from torii.config.settings import Network
from torii.model.build import Result
from torii.model.job import JobDefinition

ENGINE = """#!/usr/bin/python3
import json, os, subprocess, sys
with open({calls!r}, "a") as file:
    file.write(json.dumps([sys.argv[1:], dict(os.environ)]) + "\\n")
if sys.argv[1] == "run":
    words, environment = sys.argv[2:], dict(PATH="/usr/bin:/bin")
    valued = ("--name", "--workdir", "--volume", "--user", "--userns", "--network", "--env")
    while words[0].startswith("-"):
        option = words.pop(0)
        value = words.pop(0) if option in valued else ""
        if option == "--env":
            environment.update([value.split("=", 1)])
    sys.exit(subprocess.run(words[1:], env=environment).returncode)
"""


class Engine:
    def __init__(self, folder: Path, name: str) -> None:
        self.calls_file = folder / "calls"
        program = folder / name
        program.write_text(ENGINE.format(calls=str(self.calls_file)))
        program.chmod(0o755)

    def calls(self) -> list[tuple[list[str], dict[str, str]]]:
        return [tuple(json.loads(line)) for line in self.calls_file.read_text().splitlines()] if self.calls_file.exists() else []

    def run(self) -> tuple[list[str], dict[str, str]]:
        """Return how the one container was asked for."""
        (found,) = [call for call in self.calls() if call[0][0] == "run"]
        return found


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of programs, with no container engine but what a test puts there."""
    folder = tmp_path / "programs"
    folder.mkdir()
    for place in ("/usr/bin", "/bin"):
        for path in Path(place).iterdir():
            if path.name not in ("podman", "docker") and not (folder / path.name).exists():
                (folder / path.name).symlink_to(path)
    monkeypatch.setenv("PATH", str(folder))
    return folder


@pytest.fixture(params=["podman", "docker"])
def engine(request: pytest.FixtureRequest, programs: Path) -> Engine:
    return Engine(programs, request.param)


def build(lab: WorkerLab, run: str, **fields: Any) -> Any:
    return lab.build(lab.worker(**fields.pop("settings", {})), run, image="python:3.11", **fields)


def test_the_step_runs_in_the_image_with_the_workspace_the_parameters_and_no_network(lab, engine):
    record, log = build(
        lab, 'echo "in $TORII_PROJECT: $COLOUR"; cat hello.txt; touch made\n', variables=(("COLOUR", "a 'b'\n{c}"),), artifacts=("made",)
    )
    assert (record.result, record.artifacts) == (Result.SUCCESS, ("made",)), log
    assert "in app: a 'b'\n{c}\nhello\n" in log.replace("+ cat hello.txt\n", "")
    arguments, _ = engine.run()
    assert engine.calls()[0][0] == ["rm", "-f", arguments[arguments.index("--name") + 1]]  # left by an earlier run of the same build
    assert arguments[arguments.index("python:3.11") + 1 :][:2] == ["/bin/sh", "-xe"]
    assert arguments[arguments.index("--network") + 1] == "none"
    assert arguments[arguments.index("--user") + 1] == f"{os.getuid()}:{os.getgid()}"
    workspace = arguments[arguments.index("--workdir") + 1]
    assert f"{workspace}:{workspace}" in arguments


def test_the_machines_network_is_given_where_the_operator_says_so(lab, engine):
    build(lab, "true\n", settings={"network": Network.HOST})
    assert "--network" not in engine.run()[0]


def test_nothing_that_a_job_names_reaches_the_engine_itself(lab, engine):
    evil = ("LD_PRELOAD", "CONTAINERS_CONF", "DOCKER_HOST", "PATH", "BASH_ENV", "PYTHONPATH")
    build(lab, 'echo "[$LD_PRELOAD]"\n', variables=tuple((name, "/workspace/evil") for name in evil))
    arguments, _ = engine.run()
    assert not [name for _, environment in engine.calls() for name in evil if environment.get(name) == "/workspace/evil"]
    assert "LD_PRELOAD=/workspace/evil" in arguments


def test_a_step_that_fails_in_the_image_fails_the_build_with_its_status(lab, engine):
    record, _ = build(lab, "#!/bin/sh\nexit 7\n")
    assert (record.result, record.detail) == (Result.FAILURE, "exit status 7")


def test_a_step_that_takes_too_long_is_ended_and_its_container_removed(lab, engine):
    mark = f"{100000 + secrets.randbelow(800000)}.{secrets.randbelow(10**9)}"
    worker = lab.worker()
    job = lab.define(worker, JobDefinition("job", f"sleep {mark}\n", image="python:3.11", timeout=1))
    uuid, answer = lab.submit(job)
    assert answer.result() == "ABORTED"
    assert lab.record(uuid).result is Result.TIMED_OUT
    assert ["rm", "-f", f"torii-{uuid}"] in [arguments for arguments, _ in engine.calls()]
    wait_until(lambda: not alive([mark]))


def test_without_an_engine_the_build_fails_and_says_what_is_missing(lab, programs):
    record, log = build(lab, "true\n")
    assert record.result is Result.FAILURE
    assert "neither podman nor docker is installed" in log


@pytest.mark.parametrize(
    "run", ["echo 'one'\"two\"$THREE `four` \\\\ {five}\n", "TORII-x\nEOF\n", "no newline at the end", "#!/usr/bin/env -S cat\nTORII\n"]
)
def test_the_step_arrives_in_the_image_as_it_was_written(lab, engine, run):
    record, _ = build(lab, "#!/bin/cat\n" + run, artifacts=(".torii-step",))
    log = lab.log(next(iter(lab.blobs.keys("builds"))).split("/")[1])
    assert record.result is Result.SUCCESS
    assert "#!/bin/cat\n" + run in log
