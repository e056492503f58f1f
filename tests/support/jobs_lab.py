"""Projects with a `torii.yml` in git, a fake Jenkins, and a `server.yml` that joins them: what tests of syncing jobs play with."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from click.testing import CliRunner

from tests.support.git_servers import git
from torii.cli.sync_jobs import command
from torii.config.server import load_server
from torii.config.settings import ServerConfig
from torii.jenkins import Controller
from torii.jobs import Mark, read_mark
from torii.testing.jenkins import FakeJenkins

TWO = "jobs:\n  unit: {run: make test, environment: {label: linux}}\n  lint: {run: make lint}\npipelines:\n  check: [unit, lint]\n"
ONE = "jobs:\n  unit: {run: make test, environment: {label: linux}}\npipelines:\n  check: [unit]\n"
MANY = "jobs:\n" + "".join(f"  job{number}: {{run: make}}\n" for number in range(60)) + "pipelines: {}\n"


@dataclass(frozen=True, slots=True)
class Ran:
    """What a run of `torii sync-jobs` came to."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.out)
        return found


@dataclass
class JobsLab:
    """Everything is under `folder`; `add` makes projects, `fakes` are the Jenkins by name."""

    folder: Path
    fakes: Mapping[str, FakeJenkins]
    owner: str = "torii"
    in_folder: str = ""
    projects: dict[str, tuple[str, ...]] = field(default_factory=dict)
    config_project: str = ""
    token: str = ""

    def repository(self, project: str) -> Path:
        return self.folder / "git" / f"{project}.git"

    def add(self, project: str, jenkins: tuple[str, ...] | None = None, **branches: str) -> None:
        """Make `project`, built in `jenkins` (None: all), with these branches, each with this torii.yml."""
        git("init", "--quiet", "--bare", self.repository(project))
        self.projects[project] = tuple(self.fakes) if jenkins is None else jenkins
        for branch, text in branches.items():
            self.push(project, branch, {"torii.yml": text})

    def push(self, project: str, branch: str, files: Mapping[str, str]) -> str:
        """Let `branch` be one new commit with `files`; return it."""
        lines = ["commit refs/heads/made\nmark :1\ncommitter Dev <dev@example.com> 1700000000 +0000\ndata 4\nmade\n"]
        for path, text in files.items():
            data = text.encode()
            lines.append(f"M 100644 inline {path}\ndata {len(data)}\n{text}\n")
        lines.append("get-mark :1\ndone\n")
        commit = git("fast-import", "--quiet", "--done", "--force", cwd=self.repository(project), given="".join(lines))
        git("update-ref", f"refs/heads/{branch}", commit, cwd=self.repository(project))
        git("update-ref", "-d", "refs/heads/made", cwd=self.repository(project))
        return commit

    def delete(self, project: str, branch: str) -> None:
        git("update-ref", "-d", f"refs/heads/{branch}", cwd=self.repository(project))

    @property
    def server_yml(self) -> Path:
        """The configuration as it is now."""
        said: dict[str, Any] = {
            "state": str(self.folder / "state"),
            "jenkins": {name: self._jenkins(fake) for name, fake in self.fakes.items()},
            "projects": {name: {"url": str(self.repository(name)), "jenkins": list(jenkins)} for name, jenkins in self.projects.items()},
        }
        if self.config_project:
            said["config-project"] = {"project": self.config_project, "branch": "main"}
        path = self.folder / "server.yml"
        path.write_text(json.dumps(said))
        return path

    def _jenkins(self, fake: FakeJenkins) -> dict[str, str]:
        (self.folder / "token").write_text(self.token or fake.token)
        said = {"url": fake.url, "user": fake.user, "token": f"file:{self.folder / 'token'}", "owner": self.owner}
        return {**said, "timeout": "5s", **({"folder": self.in_folder} if self.in_folder else {})}

    @property
    def config(self) -> ServerConfig:
        return load_server(self.server_yml)

    def controller(self, name: str = "ci") -> Controller:
        return Controller(next(each for each in self.config.jenkins if each.name == name), patience=0.05)

    def sync(self, *arguments: str) -> Ran:
        """Run `torii sync-jobs` with `arguments` in this process."""
        done = CliRunner().invoke(command, [*arguments, "--server", str(self.server_yml)], standalone_mode=False)
        if isinstance(done.exception, Exception):
            raise done.exception
        code = done.exit_code if done.return_value is None else done.return_value
        return Ran(code, done.stdout, done.stderr)

    def sync_process(self, *arguments: str) -> subprocess.Popen[str]:
        """Start `torii sync-jobs` as a process."""
        line = [sys.executable, "-m", "torii", "sync-jobs", *arguments, "--server", str(self.server_yml)]
        return subprocess.Popen(line, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=dict(os.environ))

    def names(self, jenkins: str = "ci") -> set[str]:
        """Return the names of the jobs that are in a Jenkins."""
        return set(self.fakes[jenkins].jobs)

    def mark(self, job: str, jenkins: str = "ci") -> Mark | None:
        return read_mark(self.description(job, jenkins))

    def description(self, job: str, jenkins: str = "ci") -> str:
        return ElementTree.fromstring(self.fakes[jenkins].jobs[job].xml).findtext("description") or ""

    def command_of(self, job: str, jenkins: str = "ci") -> str:
        """Return the shell step of a job."""
        return ElementTree.fromstring(self.fakes[jenkins].jobs[job].xml).findtext("builders/hudson.tasks.Shell/command") or ""
