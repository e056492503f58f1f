"""One build from its parameters to its record: workspace, steps, reports, artifacts, in that order, whatever goes wrong on the way."""

from __future__ import annotations

import os
import shlex
import shutil
import stat
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import structlog

from torii.config.settings import Network
from torii.errors import OperatorError, ToriiError
from torii.model.build import Result
from torii.model.ids import BuildId
from torii.results.layout import console as console_key
from torii.results.layout import record as record_key
from torii.results.ports import Blobs
from torii.results.record import BuildRecord, decode, encode
from torii.results.text import clean_line
from torii.worker.confinement import PATH, Bare, Confinement
from torii.worker.console import Console
from torii.worker.errors import StorageError
from torii.worker.execution import Ended, Ending, StopRequest, execute
from torii.worker.harvest import keep_artifacts, read_comments, read_reports
from torii.worker.jobxml import Job, Step
from torii.worker.place import Place, View
from torii.worker.workspace import CheckoutError, Mirrors, expand

log = structlog.get_logger()

_ENGINE_LIMIT = 10.0
_ENGINE_ENVIRONMENT = ("HOME", "XDG_RUNTIME_DIR", "DOCKER_HOST", "CONTAINER_HOST", "DBUS_SESSION_BUS_ADDRESS")


@dataclass(frozen=True, slots=True)
class Assignment:
    """A build to be run: the job, its declared parameters as they were given, and how it is called on this worker."""

    build: BuildId
    job: Job
    parameters: Mapping[str, str]
    number: int
    worker: str


@dataclass(frozen=True, slots=True)
class Site:
    """What every build on a worker shares. `limit` is bytes a log; `clock` gives seconds since the epoch."""

    blobs: Blobs
    mirrors: Mirrors
    confinement: Confinement
    builds: Path
    limit: int
    network: Network = Network.NONE
    clock: Callable[[], float] = time.time


def recorded(blobs: Blobs, build: BuildId) -> BuildRecord | None:
    """Return how `build` ended, if it did. Raises `StorageError` where the blob store cannot say."""
    key = record_key(build)
    try:
        return decode(blobs.read(key)) if blobs.size(key) is not None else None
    except (OperatorError, OSError) as error:
        raise StorageError(f"whether the build has run already cannot be found out: {error}") from error


def run_build(site: Site, assignment: Assignment, stop: StopRequest) -> BuildRecord:
    """Run the build and return its record, which is in the blob store by then (a LOST one only where that still works).

    A build that `stop` ends is ABORTED; where it is the worker that ends, the build is LOST and nothing is recorded, so that another
    worker may run it. What the build left on the disk is in `folder_of(...)`, for the caller to discard. Raises nothing but what is a bug.
    """
    started, begun = site.clock(), time.monotonic()
    try:
        record = _Build(site, assignment, stop).run()
    except (StorageError, CheckoutError) as error:
        record = BuildRecord(Result.LOST, detail=clean_line(str(error), 600))
    except OSError as error:
        record = BuildRecord(Result.LOST, detail=clean_line(f"the worker could not run the build: {error}", 600))
    took = time.monotonic() - begun  # not the difference of two clock readings: clocks are set back
    record = replace(record, started_at=started, ended_at=started + took, duration=took, worker=assignment.worker)
    if record.result is Result.LOST and stop.shutdown:
        return record
    try:
        site.blobs.put(record_key(assignment.build), encode(record))
    except (OperatorError, OSError) as error:
        log.error("worker.record_not_kept", build=assignment.build, result=record.result.value, error=str(error))
        if record.result is not Result.LOST:
            record = replace(record, result=Result.LOST, detail=clean_line(f"the build's record cannot be kept: {error}", 600))
    return record


def folder_of(site: Site, build: BuildId, number: int) -> Path:
    """Return the folder in which the build runs, or ran: no other attempt at it has the same one."""
    return site.builds / f"{build}.{number}"


def discard(folder: Path) -> None:
    """Delete `folder` with all that a build left in it, also what it closed to everybody. What cannot be deleted is logged."""

    def open_up(path: Path) -> None:
        for each in (path.parent, path):
            if not each.is_symlink() and each.is_dir():
                each.chmod(stat.S_IRWXU)

    for attempt in (1, 2, 3):
        try:
            shutil.rmtree(folder)
        except FileNotFoundError:
            return
        except OSError as error:
            if attempt == 3:
                log.warning("worker.workspace_left_over", folder=str(folder), error=str(error))
                return
            for here, _, _ in os.walk(folder):
                open_up(Path(here))
        else:
            return


class _Build:
    def __init__(self, site: Site, assignment: Assignment, stop: StopRequest) -> None:
        self._site, self._assignment, self._stop = site, assignment, stop
        self._place = Place(folder_of(site, assignment.build, assignment.number))
        self._job = assignment.job
        # A container is a sandbox of its own, and cannot be started from within ours.
        self._confinement = Bare() if self._job.image else site.confinement

    def run(self) -> BuildRecord:
        earlier = self._earlier()
        self._console = Console(self._site.blobs, console_key(self._assignment.build), self._site.limit)
        try:
            if earlier:
                self._console.note(
                    "what stands above was written by an earlier attempt, which was lost with its worker; here it begins anew"
                )
            self._introduce()
            record = self._work()
            self._conclude(record)
            return record
        except (StorageError, CheckoutError, OSError) as error:
            self._say_last(str(error))
            raise
        finally:
            self._console.close()

    def _earlier(self) -> bool:
        try:
            return bool(self._site.blobs.size(console_key(self._assignment.build)))
        except (OperatorError, OSError) as error:
            raise StorageError(f"the build's log cannot be kept: {error}") from error

    def _introduce(self) -> None:
        self._console.note(f"{self._job.name} #{self._assignment.number} on {self._assignment.worker}")
        if self._confinement.note:
            self._console.note(self._confinement.note)
        if self._job.ignored:
            self._console.note(f"these parts of the job have no effect on Torii's worker: {', '.join(self._job.ignored)}")
        self._console.flush()

    def _work(self) -> BuildRecord:
        place, job = self._place, self._job
        if bad := next((name for name, value in self._assignment.parameters.items() if "\0" in value), None):
            return BuildRecord(Result.FAILURE, detail=f"the parameter {bad} holds a NUL character, which no environment can")
        place.make()
        commit = ""
        if job.checkout is not None:
            url = expand(job.checkout.url, self._assignment.parameters)
            try:
                place = Place(place.root, self._site.mirrors.objects(url))
            except ToriiError as error:
                raise CheckoutError(str(error)) from error
            seen = self._confinement.view(place).objects or ""
            commit = self._site.mirrors.checkout(job.checkout, self._assignment.parameters, place.workspace, seen)
            self._console.note(f"checked out {commit}")
        if self._stop.asked:
            return self._stopped()
        ended = self._run_steps(place, commit)
        return self._judge(place, ended)

    def _run_steps(self, place: Place, commit: str) -> Ended:
        view = self._confinement.view(place)
        _write_steps(place, view, self._job.steps)
        env = self._environment(view, commit)
        launch = self._confinement.launch(place, ["/bin/sh", f"{view.steps}/run"], env)
        return execute(launch, self._confinement, self._console, self._job.timeout, self._stop)

    def _environment(self, view: View, commit: str) -> dict[str, str]:
        given = self._assignment.parameters
        facts = {
            "WORKSPACE": view.workspace,
            "JOB_NAME": self._job.name,
            "BUILD_NUMBER": str(self._assignment.number),
            "NODE_NAME": self._assignment.worker,
            **({"GIT_COMMIT": commit} if commit else {}),
        }
        basic = {"PATH": PATH, "HOME": view.home, "TMPDIR": view.tmp, "LANG": "C.UTF-8", "CI": "true", "USER": "torii", "SHELL": "/bin/sh"}
        if not self._job.image:
            return {**basic, **given, **facts}
        # The engine's client runs outside of any sandbox: nothing that a job names may reach its environment under that name.
        torii = {name: value for name, value in given.items() if name.startswith("TORII_")}
        variables = {f"TORII_VARIABLE_{name}": value for name, value in given.items() if not name.startswith("TORII_")}
        engine = {name: os.environ[name] for name in _ENGINE_ENVIRONMENT if name in os.environ}
        reach = {"TORII_NETWORK": "none"} if self._site.network is Network.NONE else {}
        objects = {"TORII_OBJECTS": view.objects} if view.objects else {}
        return {**basic, **engine, "PATH": os.environ.get("PATH", PATH), **torii, **variables, **reach, **objects, **facts}

    def _judge(self, place: Place, ended: Ended) -> BuildRecord:
        if ended.how is not Ending.EXITED and self._job.image:
            _remove_container(self._assignment.build)
        if ended.how is Ending.STOPPED:
            return self._stopped()
        step, unstable = _progress(place)
        if ended.how is Ending.EXITED and step == 0:
            raise OSError(f"the sandbox did not start (exit status {ended.status})")
        if ended.how is Ending.TIMED_OUT:
            record = BuildRecord(Result.TIMED_OUT, detail=f"timed out after {_spoken(self._job.timeout)}")
        elif ended.status != 0:
            record = BuildRecord(
                Result.FAILURE, detail=f"{_status(ended.status)} in step {step}" if len(self._job.steps) > 1 else _status(ended.status)
            )
        elif unstable:
            record = BuildRecord(Result.UNSTABLE, detail="a step ended with the status that its job calls unstable")
        else:
            record = BuildRecord(Result.SUCCESS)
        return self._harvest(place, record)

    def _stopped(self) -> BuildRecord:
        return BuildRecord(Result.LOST if self._stop.shutdown else Result.ABORTED, detail=self._stop.reason)

    def _harvest(self, place: Place, record: BuildRecord) -> BuildRecord:
        if self._job.junit:
            tests = read_reports(place.workspace, self._job.junit, self._console.note)
            record = replace(record, tests=tests)
            if tests is not None and tests.failed and record.result is Result.SUCCESS:
                # as Jenkins' JUnit publisher has it
                record = replace(record, result=Result.UNSTABLE, detail=f"{tests.failed} of {tests.total} tests failed")
        if self._job.comments:
            roots = (self._confinement.view(place).workspace,)
            record = replace(record, comments=read_comments(place.workspace, self._job.comments, self._console.note, roots))
        if self._job.artifacts:
            kept = keep_artifacts(self._site.blobs, self._assignment.build, place.workspace, self._job.artifacts, self._console.note)
            record = replace(record, artifacts=kept)
        return record

    def _conclude(self, record: BuildRecord) -> None:
        if self._console.dropped:
            self._console.note(f"{self._console.dropped:,} bytes of output were not kept")
        self._console.note(f"{record.result.value}: {record.detail}" if record.detail else record.result.value)

    def _say_last(self, text: str) -> None:
        try:
            self._console.note(f"{Result.LOST.value}: {text}")
        except StorageError:
            log.warning("worker.log_cut_short", build=self._assignment.build, error=text)


def _write_steps(place: Place, view: View, steps: tuple[Step, ...]) -> None:
    """Write the steps as Jenkins' shell step does, and a script that runs them one after the other and says how far it came."""
    script = [f"cd {shlex.quote(view.workspace)} || exit 1", f"progress={shlex.quote(view.progress)}", 'echo 1 >"$progress"']
    for number, step in enumerate(steps, 1):
        name = f"step-{number}.sh"
        command = step.command.replace("\r\n", "\n")
        (place.steps / name).write_bytes(command.encode("utf-8", "surrogateescape"))
        run = f"{shlex.join(_interpreter(command))} {shlex.quote(f'{view.steps}/{name}')}"
        ends = f'[ $status = {step.unstable} ] && echo unstable >>"$progress" || exit $status' if step.unstable else "exit $status"
        script += [f'echo {number} >>"$progress"', f"{run} || {{ status=$?; {ends}; }}"]
    (place.steps / "run").write_text("\n".join([*script, ""]))


def _interpreter(command: str) -> list[str]:
    """Return what runs a step: the words after `#!` where it begins so, else `sh -xe`, exactly as Jenkins' shell step decides it."""
    line = command.split("\n", 1)[0].strip()
    return (line[2:].split() if line.startswith("#!") else []) or ["/bin/sh", "-xe"]


def _progress(place: Place) -> tuple[int, bool]:
    """Return the step that was begun last (0: not even the first) and whether one was unstable. The build can write there what it likes."""
    try:
        descriptor = os.open(place.progress, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            words = file.read(4096).decode("ascii", "replace").split()
    except OSError:
        return 1, False
    numbers = [int(word) for word in words if word.isascii() and word.isdigit() and len(word) < 4]
    return (numbers[-1] if numbers else 0), "unstable" in words


def _remove_container(build: BuildId) -> None:
    """Remove the container of a build that was ended: the engine may be a service, which no signal of ours reaches."""
    engine = shutil.which("podman") or shutil.which("docker")
    if engine:
        try:
            subprocess.run([engine, "rm", "-f", f"torii-{build}"], capture_output=True, timeout=_ENGINE_LIMIT, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            log.warning("worker.container_left_over", build=build, error=str(error))


def _status(status: int) -> str:
    return f"ended by signal {status - 128}" if 128 < status < 160 else f"exit status {status}"


def _spoken(seconds: float) -> str:
    if seconds >= 60 and seconds % 60 == 0:
        return f"{seconds / 60:.0f} min"
    return f"{seconds:g} s"
