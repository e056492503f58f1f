"""A real worker on a real Gearman server, with a real repository to check out: what the worker's system tests play with."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.support.git_servers import git, make_repository
from tests.support.waiting import wait_until
from torii.config.settings import Network, Sandbox, WorkerSettings
from torii.gearman import Client, Listener, Server, seal, sign_parameters
from torii.gearman.functions import build_function, define_function, stop_function
from torii.jobs import PARAMETERS, JobLibrary, JobSource, RenderedJob
from torii.model.ids import BuildId, ProjectName, Sha
from torii.model.job import JobDefinition
from torii.results.layout import artifact, console, record
from torii.results.record import BuildRecord, decode
from torii.store.blobs import FolderBlobs
from torii.worker import BuildWorker

KEY = b"the key of this lab"
LIMIT = 20.0
LIBRARY = JobLibrary()


class Answer(Listener):
    """What was said of one submitted job, in order."""

    def __init__(self) -> None:
        self.said: list[tuple[str, bytes]] = []
        self.over = threading.Event()

    def data(self, data: bytes) -> None:
        self.said.append(("data", data))

    def status(self, numerator: str, denominator: str) -> None:
        self.said.append(("status", f"{numerator}/{denominator}".encode()))

    def complete(self, data: bytes) -> None:
        self._end("complete", data)

    def fail(self) -> None:
        self._end("fail", b"")

    def exception(self, data: bytes) -> None:
        self._end("exception", data)

    def lost(self) -> None:
        self._end("lost", b"")

    def _end(self, how: str, data: bytes) -> None:
        self.said.append((how, data))
        self.over.set()

    def started(self) -> dict[str, Any]:
        """Wait for WORK_DATA and return what it says."""
        wait_until(lambda: self.said, LIMIT)
        assert self.said[0][0] == "data", self.said
        facts: dict[str, Any] = json.loads(self.said[0][1])
        return facts

    def end(self, limit: float = LIMIT) -> tuple[str, bytes]:
        """Wait for the end and return how it came, and with what."""
        assert self.over.wait(limit), f"no end within {limit} s: {self.said}"
        return self.said[-1]

    def result(self) -> str:
        """Wait for WORK_COMPLETE and return its result."""
        how, data = self.end()
        assert how == "complete", (how, data)
        return str(json.loads(data)["result"])


class WorkerLab:
    """`key` and `state` are those of one Torii; `repository` has one commit on a staging ref."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state = folder / "state"
        self.state.mkdir(mode=0o700)
        (self.state / "gearman.key").write_bytes(KEY)
        self.blobs = FolderBlobs(self.state / "blobs")
        self.repository = make_repository(folder, "app.git")
        self.source = folder / "source"
        self.ref = "refs/staging/check/k3f9-1.1/main"
        self.commit = self.stage({"hello.txt": "hello\n"})
        self.server = Server("127.0.0.1", 0)
        self.server.start()
        self.client = Client([self.server.address], "lab")
        self._workers: list[BuildWorker] = []

    def stage(self, files: dict[str, str], ref: str | None = None) -> Sha:
        """Put a commit with `files` on a staging ref and return it."""
        if not self.source.exists():
            git("init", "--quiet", self.source)
        for name, text in files.items():
            path = self.source / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        git("add", "--all", cwd=self.source)
        git("commit", "--quiet", "--message", "stage", cwd=self.source)
        self.commit = Sha(git("rev-parse", "HEAD", cwd=self.source))
        git("push", "--quiet", "--force", self.repository, f"HEAD:{ref or self.ref}", cwd=self.source)
        return self.commit

    def settings(self, **changes: Any) -> WorkerSettings:
        return WorkerSettings(**{"executors": 1, "labels": ("linux", "big"), **changes})

    def worker(self, blobs: Any = None, **settings: Any) -> BuildWorker:
        """Start a worker, which the lab stops at its end."""
        worker = BuildWorker(self.settings(**settings), [self.server.address], KEY, blobs or self.blobs, self.state)
        worker.start()
        self._workers.append(worker)
        wait_until(lambda: worker.connected, LIMIT)
        return worker

    def bare_worker(self, **settings: Any) -> BuildWorker:
        return self.worker(sandbox=Sandbox.NONE, network=Network.HOST, **settings)

    def define(self, worker: BuildWorker, job: JobDefinition) -> RenderedJob:
        """Tell `worker` of `job` and return it rendered."""
        (made,) = LIBRARY.render([JobSource(ProjectName("app"), "main", job)])
        self.call(define_function(worker.id), seal(KEY, {"name": made.name, "xml": made.xml.decode(), "label": made.label}))
        return made

    def call(self, function: str, payload: bytes) -> bytes:
        """Call a function and return its answer, which must be WORK_COMPLETE."""
        how, data = self.ask(function, payload).end()
        assert how == "complete", (how, data)
        return data

    def ask(self, function: str, payload: bytes) -> Answer:
        answer = Answer()
        self.client.submit(function, payload, uuid.uuid4().hex, listener=answer)
        return answer

    def parameters(self, **more: str) -> dict[str, str]:
        given = {
            **dict.fromkeys(PARAMETERS, ""),
            "TORII_UUID": str(uuid.uuid4()),
            "TORII_PROJECT": "app",
            "TORII_BRANCH": "main",
            "TORII_URL": str(self.repository),
            "TORII_REF": self.ref,
            "TORII_COMMIT": self.commit,
            **more,
        }
        return {**given, "TORII_SIGNATURE": sign_parameters(KEY, given)}

    def submit(self, job: RenderedJob, label: str | None = None, **parameters: str) -> tuple[BuildId, Answer]:
        """Ask for a build of `job`."""
        given = self.parameters(**parameters)
        return BuildId(given["TORII_UUID"]), self.ask(build_function(job.name, label), json.dumps(given).encode())

    def build(self, worker: BuildWorker, run: str, **fields: Any) -> tuple[BuildRecord, str]:
        """Run `run` as a job of its own on `worker`; return what is recorded of it and its log."""
        parameters = fields.pop("parameters", {})
        job = self.define(worker, JobDefinition("job", run, **fields))
        build, answer = self.submit(job, **{**dict(fields.get("variables", ())), **parameters})
        answer.end(60.0)
        return self.record(build), self.log(build)

    def record(self, build: BuildId) -> BuildRecord:
        found = decode(self.blobs.read(record(build)))
        assert found is not None
        return found

    def log(self, build: BuildId) -> str:
        return self.blobs.read(console(build)).decode(errors="replace") if self.blobs.exists(console(build)) else ""

    def artifact(self, build: BuildId, path: str) -> bytes:
        return self.blobs.read(artifact(build, path))

    def stop_build(self, worker: BuildWorker, **which: str) -> Answer:
        return self.ask(stop_function(worker.id), json.dumps({**which, "TORII_SIGNATURE": sign_parameters(KEY, which)}).encode())

    def functions(self) -> set[str]:
        return {name for name, status in self.client.functions().items() if status.workers}

    def close(self) -> None:
        for worker in self._workers:
            worker.stop()
        self.client.stop()
        self.server.stop()


def alive(marks: Sequence[str]) -> list[int]:
    """Return the processes with all of `marks` on their command line."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                line = (folder / "cmdline").read_bytes().decode(errors="replace")
            except OSError:
                continue
            if all(mark in line for mark in marks):
                found.append(int(folder.name))
    return found
