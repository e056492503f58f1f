"""A fake Jenkins in a process of its own, and builds that are asked of it: what the benchmarks on Jenkins share."""

from __future__ import annotations

import multiprocessing
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from torii.config.settings import JenkinsSettings, Secret
from torii.model.build import BuildRequest
from torii.model.ids import BuildId, BuildSetId, ChangeId, PipelineName, ProjectName, Sha
from torii.model.job import JobDefinition
from torii.testing.jenkins import FakeJenkins

PROJECT = ProjectName("app")
JOB = "app--main--unit"
"""What Torii calls the job of `request` in Jenkins."""

Serve = Callable[[Connection, Path, int], None]


@dataclass(frozen=True, slots=True)
class Place:
    """A Jenkins that listens: how to reach it."""

    url: str
    user: str
    token: str

    @staticmethod
    def of(fake: FakeJenkins) -> Place:
        return Place(fake.url, fake.user, fake.token)

    def settings(self, folder: Path) -> JenkinsSettings:
        """Return what a `server.yml` would say of it; the token is written into `folder`."""
        (folder / "token").write_text(self.token)
        return JenkinsSettings("ci", self.url, self.user, Secret(f"file:{folder / 'token'}"))


@contextmanager
def jenkins(serve: Serve, folder: Path, number: int) -> Iterator[Place]:
    """Run `serve` in another process, with an end of a pipe, `folder` and `number`: it sends a `Place`, and ends when sent a word."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(theirs, folder / "jenkins", number), name="fake-jenkins")
    process.start()
    try:
        yield ours.recv()
    finally:
        ours.send("end")
        process.join(10)
        if process.is_alive():
            process.kill()


def request() -> BuildRequest:
    """Return a request for a build of its own."""
    change = ChangeId("app:main/fix")
    return BuildRequest(
        id=BuildId(str(uuid.uuid4())),
        build_set=BuildSetId("k3f9-1.1"),
        job=JobDefinition("unit", "make test"),
        synced=True,
        pipeline=PipelineName("check"),
        project=PROJECT,
        branch="main",
        change=change,
        patchset="1",
        changes=((change, "1"),),
        ref="refs/staging/check/k3f9-1.1/main",
        commit=Sha("a" * 40),
    )
