"""What a build does: waits for a test, ends at once, or runs the shell steps of its job for real with the code of Torii's own worker."""

from __future__ import annotations

import fnmatch
import queue
import re
import shutil
import threading
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import structlog

from torii.config.settings import Network
from torii.errors import OperatorError, ToriiError
from torii.model.build import Result
from torii.model.ids import BuildId
from torii.results.layout import artifacts as artifacts_prefix
from torii.results.record import BuildRecord
from torii.testing.jenkins.core import Core
from torii.testing.jenkins.log import note
from torii.testing.jenkins.reports import report
from torii.testing.jenkins.state import Build
from torii.worker.build import Assignment, Site, discard, folder_of, run_build
from torii.worker.confinement import Bare, Confinement
from torii.worker.execution import StopRequest
from torii.worker.harvest import find
from torii.worker.jobxml import Job, parse_job
from torii.worker.workspace import Mirrors, Repository

log = structlog.get_logger()

_LOG_LIMIT = 1 << 30
_OURS = b"[torii] "
_DECLARATION = re.compile(rb"^\s*<\?xml[^>]*\?>")
_DESCRIPTION = re.compile(rb"<hudson.plugins.build__timeout.operations.WriteDescriptionOperation>\s*<description>([^<]*)<")


@dataclass(frozen=True, slots=True)
class Rule:
    """What builds of the jobs that match `pattern` do: `hold`, `run`, or end at once with `result`."""

    pattern: str
    result: str = ""
    hold: bool = False


class Work:
    """Starts what each build does, in threads of its own. `folder` holds workspaces, mirrors and artifacts."""

    def __init__(
        self,
        core: Core,
        folder: Path,
        plugins: Mapping[str, str],
        root: str,
        repositories: Mapping[str, Repository],
        box: Confinement | None,
    ) -> None:
        self._core, self._folder, self._plugins, self.root = core, folder, plugins, root
        self._mirrors = Mirrors(folder / "mirrors", repositories)
        self._confinement = box or Bare()
        self.rules: list[Rule] = []
        self._ends: queue.SimpleQueue[tuple[Build, str] | None] = queue.SimpleQueue()
        self._instant = threading.Thread(target=self._end_all, name="fake-jenkins-instant", daemon=True)
        (folder / "builds").mkdir(parents=True, exist_ok=True)
        self._instant.start()

    def run(self, build: Build) -> None:
        """Begin the work of `build`. Called under Jenkins' lock."""
        _introduce(build)
        rule = next((rule for rule in self.rules if fnmatch.fnmatchcase(build.job.name, rule.pattern)), Rule("*"))
        if rule.hold:
            build.held = True
        elif rule.result:
            self._ends.put((build, rule.result))
        else:
            build.stop = StopRequest()
            threading.Thread(target=self._work, args=(build,), name=f"fake-jenkins-{build.job.name}-{build.number}", daemon=True).start()

    def interrupt(self, build: Build, by: str) -> None:
        """Have `build` aborted. Called under Jenkins' lock."""
        if not build.building or build.interrupted:
            return
        build.interrupted = True
        build.ender = by
        if build.stop is not None:
            build.stop.ask(f"aborted by {by}")
        else:
            build.say("Build was aborted")
            build.say(f"Aborted by {by}")
            self._ends.put((build, "ABORTED"))

    def stop(self) -> None:
        """End the thread that ends builds; those under way are told to end."""
        with self._core.lock:
            running = [build for job in self._core.jobs.values() for build in job.builds.values() if build.building]
            for build in running:
                if build.stop is not None:
                    build.stop.ask("Jenkins is gone", shutdown=True)
        self._ends.put(None)
        self._instant.join(5)

    def _end_all(self) -> None:
        while (each := self._ends.get()) is not None:
            self._core.finish(*each)

    def _work(self, build: Build) -> None:
        try:
            result = self._perform(build)
        except Exception as error:
            log.exception("fake_jenkins.build_failed", job=build.job.name, number=build.number)
            build.say(f"FATAL: {error}")
            result = "FAILURE"
        finally:
            if build.stop is not None:
                build.stop.close()
        self._core.finish(build, result)

    def _perform(self, build: Build) -> str:
        try:
            job = parse_job(build.job.short, _DECLARATION.sub(b"", build.job.xml))
        except ToriiError as error:
            build.say(f"FATAL: {error}")
            return "FAILURE"
        if "junit" not in self._plugins:
            job = replace(job, junit=())
        blobs = _BuildBlobs(build, self._folder / "archive" / build.job.name / str(build.number))
        site = Site(blobs, self._mirrors, self._confinement, self._folder / "builds", _LOG_LIMIT, Network.HOST, self._core.clock)
        assignment = Assignment(BuildId(str(uuid.uuid4())), job, self._environment(build), build.number, build.node.name or "built-in")
        assert build.stop is not None
        for step in job.steps:
            shell = step.command.split("\n", 1)[0][2:].strip() if step.command.startswith("#!") else "/bin/sh -xe"
            build.say(f"[{build.job.short}] $ {shell} /tmp/jenkins{uuid.uuid4().int % 10**19}.sh")
        record = run_build(site, assignment, build.stop)
        folder = folder_of(site, assignment.build, assignment.number)
        try:
            if job.junit:
                build.tests = report(folder / "workspace" / path for path in find(folder / "workspace", job.junit))
        finally:
            discard(folder)
        build.artifacts = dict(blobs.artifacts)
        return self._concluded(build, job, record)

    def _concluded(self, build: Build, job: Job, record: BuildRecord) -> str:
        match record.result:
            case Result.ABORTED:
                build.say("Build was aborted")
                build.say(f"Aborted by {build.ender or 'unknown'}")
                return "ABORTED"
            case Result.TIMED_OUT:
                minutes = max(1, round(job.timeout / 60))
                build.say(f"Build timed out (after {minutes} minutes). Marking the build as aborted.")
                if found := _DESCRIPTION.search(build.job.xml):
                    build.description = found[1].decode()
                build.say("Build was aborted")
                return "ABORTED"
            case Result.LOST:
                build.say(record.detail)
                build.say("ERROR: Error fetching remote repo 'origin'")
                return "FAILURE"
            case Result.FAILURE:
                build.say("Build step 'Execute shell' marked build as failure")
            case Result.UNSTABLE if build.tests is None:
                build.say("Build step 'Execute shell' changed build result to UNSTABLE")
        if job.junit:
            build.say("Recording test results")
        if job.artifacts:
            build.say("Archiving artifacts")
        return str(record.result.value)

    def _environment(self, build: Build) -> dict[str, str]:
        """Return the parameters, and what Jenkins tells every build besides."""
        facts = {
            "BUILD_ID": str(build.number),
            "BUILD_DISPLAY_NAME": build.display,
            "BUILD_TAG": f"jenkins-{build.job.name.replace('/', '-')}-{build.number}",
            "BUILD_URL": f"{self.root}{build.path}",
            "JOB_URL": f"{self.root}{build.job.path}",
            "JOB_BASE_NAME": build.job.short,
            "JENKINS_URL": self.root,
            "EXECUTOR_NUMBER": str(build.executor),
            "NODE_LABELS": " ".join(sorted(build.node.labels)),
        }
        return {**facts, **build.parameters}


def _introduce(build: Build) -> None:
    cause = build.causes[0] if build.causes else None
    if build.plugin:
        build.say("Started by user unknown or anonymous")
    elif cause is not None and cause.remote:
        build.say("Started by remote host 127.0.0.1")
    else:
        build.log.write(b"Started by user " + note("hudson.console.ModelHyperlinkNote") + f"{cause.user if cause else 'admin'}\n".encode())
    build.say("Running as SYSTEM")
    node = build.node
    if node.name:
        labels = " ".join(node.spec.labels)
        where = f"remotely on {node.name}{f' ({labels})' if labels else ''} in workspace /srv/agents/{node.name}/workspace/{build.job.name}"
    else:
        where = f"on the built-in node in workspace /var/lib/jenkins/workspace/{build.job.name}"
    build.say(f"Building {where}")


class _BuildBlobs:
    """What the worker keeps of a build, where Jenkins would: its output in the build's log, and its artifacts in a folder."""

    def __init__(self, build: Build, folder: Path) -> None:
        self._build, self._folder = build, folder
        self.artifacts: dict[str, Path | bytes] = {}

    def put(self, key: str, content: bytes | Path) -> None:
        """Keep an artifact; nothing else."""
        build = BuildId(key.split("/")[1])
        path = key.removeprefix(f"{artifacts_prefix(build)}/")
        if path == key:
            return
        kept = self._folder / path
        kept.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, Path):
            shutil.copyfile(content, kept)
        else:
            kept.write_bytes(content)
        self.artifacts[path] = kept

    def append(self, key: str) -> _Output:
        """Return a writer into the build's log."""
        del key
        return _Output(self._build)

    def read(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        """There is nothing to be read."""
        raise OperatorError(f"there is no {key} ({start}, {end})")

    def size(self, key: str) -> int | None:
        """Nothing is there before a build begins."""
        del key
        return None


class _Output:
    """Writes the output of the steps, without the lines that Torii's worker adds of its own."""

    def __init__(self, build: Build) -> None:
        self._build = build
        self._held = b""
        self._fresh = True

    def write(self, data: bytes) -> None:
        """Append `data`; the beginning of a line waits until it is clear whose it is."""
        data, self._held = self._held + data, b""
        kept = bytearray()
        for line in _lines(data):
            whole = line.endswith(b"\n")
            if self._fresh and (line.startswith(_OURS) or (not whole and _OURS.startswith(line))):
                if whole:
                    kept += _translated(line)
                else:
                    self._held = line
                continue
            kept += line
            self._fresh = whole
        if kept and self._build.building:
            self._build.log.write(bytes(kept))

    def close(self) -> None:
        """Write what still waits."""
        held, self._held = self._held, b""
        if held and not held.startswith(_OURS) and self._build.building:
            self._build.log.write(held)


def _lines(data: bytes) -> list[bytes]:
    return re.findall(rb"[^\n]*\n|[^\n]+$", data)


def _translated(line: bytes) -> bytes:
    """Return what Jenkins would say in place of a line of the worker's own."""
    text = line.removeprefix(_OURS)
    if text.startswith(b"checked out "):
        return b"Checking out Revision " + text.removeprefix(b"checked out ").strip() + b" (detached)\n"
    return b""
