"""The shell step of a job in a Jenkins that cannot end builds by itself: it is run here as Jenkins would run it."""

from __future__ import annotations

import dataclasses
import os
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest

from torii.jobs import JobLibrary, JobSource
from torii.model.ids import ProjectName
from torii.model.job import JobDefinition

LIBRARY = JobLibrary()


def step(run: str, timeout: int = 60, image: str | None = None) -> str:
    job = JobDefinition("unit", run, timeout=timeout, image=image)
    (made,) = LIBRARY.render([JobSource(ProjectName("app"), "main", job)], ())
    return ElementTree.fromstring(made.xml).findtext("builders/hudson.tasks.Shell/command") or ""


def ran(text: str, folder: Path, path: str = os.environ["PATH"]) -> subprocess.CompletedProcess[str]:
    script = folder / "jenkins.sh"
    script.write_text(text, newline="")
    script.chmod(0o755)
    (folder / "tmp").mkdir(exist_ok=True)
    (folder / "workspace").mkdir(exist_ok=True)
    environment = {"PATH": path, "WORKSPACE": str(folder / "workspace"), "TMPDIR": str(folder / "tmp")}
    return subprocess.run([script], cwd=folder / "workspace", env=environment, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("status", [0, 1, 7, 124, 137])
def test_its_exit_status_is_the_steps(tmp_path: Path, status: int):
    done = ran(step(f"echo out; exit {status}\n"), tmp_path)
    assert (done.returncode, done.stdout) == (status, "out\n")
    assert "+ echo out" in done.stderr
    assert "timed out" not in done.stderr
    assert list((tmp_path / "tmp").iterdir()) == list((tmp_path / "workspace").iterdir()) == []


def test_it_stops_at_the_first_failure_as_in_jenkins(tmp_path: Path):
    done = ran(step("false\necho never\n"), tmp_path)
    assert (done.returncode, done.stdout) == (1, "")


def test_what_is_written_in_another_language_runs_in_it(tmp_path: Path):
    done = ran(step("#!/usr/bin/env python3\nprint('é {x} $HOME `id` \\\\ \\'')\n"), tmp_path)
    assert (done.returncode, done.stdout) == (0, "é {x} $HOME `id` \\ '\n")


def test_one_that_runs_too_long_is_ended_and_says_so(tmp_path: Path):
    done = ran(step("sleep 600", timeout=1), tmp_path)
    assert done.returncode == 124
    assert "Build timed out (after 1 seconds)" in done.stderr


def test_one_that_has_to_be_killed_says_so_too(tmp_path: Path):
    stubborn = "#!/bin/sh\ntrap '' TERM\nwhile :; do sleep 0.1; done\n"
    done = ran(step(stubborn, timeout=1).replace("--kill-after=30", "--kill-after=1"), tmp_path)
    assert done.returncode == 137
    assert "Build timed out (after 1 seconds)" in done.stderr


def test_where_there_is_no_command_timeout_it_runs_and_says_so(tmp_path: Path):
    (tmp_path / "bin").mkdir()
    for name in ("sh", "cat", "mktemp", "rm", "echo"):
        (tmp_path / "bin" / name).symlink_to(f"/bin/{name}")
    done = ran(step("echo out", timeout=1), tmp_path, str(tmp_path / "bin"))
    assert (done.returncode, done.stdout) == (0, "out\n")
    assert "this node has no command timeout" in done.stderr


ENGINE = """#!/bin/sh
[ "$1" = rm ] && { echo "$*" >>"$WORKSPACE/../removed"; exit 0; }
echo run >>"$WORKSPACE/../removed"
for word; do last=$word; done
exec /bin/sh -xe "$last"
"""


@pytest.mark.parametrize(
    ("run", "timeout", "status"), [("echo in", 60, 0), ("exit 7", 60, 7), ("exit 137", 60, 137), ("sleep 600", 1, 124)]
)
def test_a_container_is_ended_and_removed_as_well(tmp_path: Path, run: str, timeout: int, status: int):
    (tmp_path / "bin").mkdir()
    engine = tmp_path / "bin" / "podman"
    engine.write_text(ENGINE)
    engine.chmod(0o755)
    done = ran(step(run, timeout, "debian:12"), tmp_path, f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    assert done.returncode == status
    assert ("Build timed out" in done.stderr) == (status == 124)
    did = [line.split()[0] for line in (tmp_path / "removed").read_text().splitlines()]
    assert did == ["rm", "run", *(["rm"] if status == 124 else [])]
    assert list((tmp_path / "workspace").iterdir()) == []


def test_a_jenkins_that_ends_builds_gets_the_step_as_it_is():
    job = JobDefinition("unit", "make\n")
    (made,) = LIBRARY.render([JobSource(ProjectName("app"), "main", dataclasses.replace(job, timeout=5))], ["build-timeout"])
    assert ElementTree.fromstring(made.xml).findtext("builders/hudson.tasks.Shell/command") == "make\n"
