"""The worker: executors that run builds, each on a connection of its own, and one connection on which it is told what to do.

It speaks what Jenkins' Gearman plugin speaks, and asks for a proof (`torii.gearman.envelope`) of everything it is told.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import structlog

from torii.config.settings import Network, WorkerSettings
from torii.errors import ToriiError
from torii.gearman import GearmanUnavailableError, Worker, check_parameters, open_sealed
from torii.gearman import Job as Request
from torii.gearman.admin import Address, functions
from torii.gearman.functions import define_function, stop_function
from torii.model.build import Result
from torii.model.ids import BuildId
from torii.results.layout import folder, is_build_id
from torii.results.ports import Blobs
from torii.results.record import BuildRecord
from torii.worker.build import Assignment, Site, folder_of, recorded, run_build
from torii.worker.confinement import Bare, choose
from torii.worker.functions import Offers
from torii.worker.janitor import Janitor
from torii.worker.jobxml import parse_job
from torii.worker.payload import PayloadError, read_payload
from torii.worker.quarters import Quarters
from torii.worker.running import Builds, Running
from torii.worker.workspace import Mirrors, Repository

log = structlog.get_logger()

SHUTDOWN = "the worker was stopped while the build ran"
_SEEN_LIMIT = 2.0
_BACKLOG = 4
"""Workspaces an executor that may wait to be deleted."""
_MAINTENANCE = 6 * 3600.0
_DESCRIPTION_LIMIT = 64 * 1024
_JENKINS = {Result.TIMED_OUT: Result.ABORTED}
"""What Jenkins calls an outcome for which it has no word of its own; the record has ours."""


class BuildWorker:
    """Runs builds on `servers` (Gearman) from `start` until `stop`.

    `key` is this Torii's Gearman key, `state` the folder for mirrors (and workspaces, where `settings` name no other), `repositories`
    those known by address, `hidden` whatever else no build may see. `id` names this run of the worker, and no other: it is `manager`
    in what is told of its builds.
    """

    def __init__(
        self,
        settings: WorkerSettings,
        servers: Sequence[Address],
        key: bytes,
        blobs: Blobs,
        state: Path,
        *,
        repositories: Mapping[str, Repository] | None = None,
        hidden: Sequence[Path] = (),
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.id = f"{re.sub(r'[^A-Za-z0-9.-]+', '-', socket.gethostname()) or 'worker'}-{os.getpid()}-{secrets.token_hex(3)}"
        self._settings, self._servers, self._key, self._blobs = settings, tuple(servers), key, blobs
        self._state, self._hidden, self._clock = state, (state, *hidden), clock
        self._mirrors = Mirrors(state / "worker" / "mirrors", repositories)
        self._builds = Builds()
        self._executors = tuple(Worker(self._servers, f"{self.id}_exec-{number}") for number in range(settings.executors))
        self._control = Worker(self._servers, f"{self.id}_manager")
        self._offers = Offers(settings.labels, self._executors, self._perform)
        self._janitor = Janitor(_BACKLOG * max(1, settings.executors))
        self._stopping = threading.Event()
        self.note = ""
        """What every log says about the sandbox; empty where there is nothing to warn of. Known once it is started."""
        self._quarters: Quarters | None = None
        self._site: Site | None = None

    def start(self) -> None:
        """Try the sandbox out, clear what a killed worker left, connect. Raises `OperatorError` where builds could not be run here."""
        root = self._settings.workspaces or self._state / "workspaces"
        self._quarters = Quarters(root, self.id)
        hidden = (*self._hidden, root)
        confinement = choose(self._settings.sandbox, self._quarters.scratch, self._settings.network, hidden)
        self.note = confinement.note
        if isinstance(confinement, Bare):
            log.warning("worker.no_sandbox", why=confinement.note)
        elif os.getuid() == 0 and self._settings.network is Network.HOST:
            log.warning(
                "worker.root_with_network", why="builds that reach the machine's network as root can reach services that trust root"
            )
        self._site = Site(
            self._blobs, self._mirrors, confinement, self._quarters.builds, self._settings.log_limit, self._settings.network, self._clock
        )
        self._control.register(define_function(self.id), self._define)
        self._control.register(stop_function(self.id), self._stop_build)
        self._control.register(f"set_description:{self.id}", self._describe)
        self._janitor.start()
        for worker in (*self._executors, self._control):
            worker.start()
        threading.Thread(target=self._maintain, name="worker-maintenance", daemon=True).start()
        log.info("worker.started", worker=self.id, labels=sorted(self._offers.labels), executors=len(self._executors))

    def stop(self, timeout: float = 5.0) -> None:
        """End the running builds, which are LOST then and can be run elsewhere, and disconnect; within `timeout` seconds."""
        limit = time.monotonic() + timeout
        self._stopping.set()
        self._builds.close(SHUTDOWN)
        stoppers = [
            threading.Thread(target=worker.stop, args=(max(0.1, timeout - 0.5),), name=f"stop-{worker.worker_id}", daemon=True)
            for worker in (*self._executors, self._control)
        ]
        for stopper in stoppers:
            stopper.start()
        for stopper in stoppers:
            stopper.join(max(0.0, limit - time.monotonic()))
        self._janitor.stop(max(0.0, limit - time.monotonic()))
        if self._quarters is not None and not len(self._builds):
            self._quarters.leave()
            self._quarters = None
        log.info("worker.stopped", worker=self.id)

    @property
    def connected(self) -> bool:
        """Whether every executor has a connection to a Gearman server."""
        return all(worker.connected for worker in (*self._executors, self._control))

    @property
    def running(self) -> int:
        """How many builds are under way."""
        return len(self._builds)

    def _perform(self, name: str, request: Request) -> None:
        """Answer one `build:` request, whatever it holds."""
        try:
            parameters = read_payload(request.arguments)
            check_parameters(self._key, parameters)
            build = BuildId(parameters.get("TORII_UUID", ""))
            if not is_build_id(build):
                raise PayloadError("TORII_UUID is missing, or no UUID in its canonical form")
            running, new = self._builds.begin(build, name, parameters.get("TORII_LOG_URL", ""))
            if new:
                self._run(running, parameters, request)
            else:
                self._adopt(running, request)
        except ToriiError as error:
            log.warning("worker.refused", job=name, error=str(error))
            request.sendWorkException(str(error).encode("utf-8", "replace"))

    def _run(self, running: Running, parameters: dict[str, str], request: Request) -> None:
        record: BuildRecord | None = None
        try:
            record = recorded(self._blobs, running.build)
            if record is None:
                self._announce(running, request)
                record = self._build(running, parameters)
        finally:
            self._builds.end(running, record)
        self._answer(running, record, request)
        assert self._site is not None
        self._janitor.leave(folder_of(self._site, running.build, running.number))

    def _build(self, running: Running, parameters: dict[str, str]) -> BuildRecord:
        job = self._offers.job(running.name)
        if job is None or self._site is None:
            raise PayloadError(f"this worker does not know the job {running.name} any more")
        declared = {name: parameters[name] for name in job.parameters if name in parameters}
        told = log.bind(build=running.build, job=job.name, number=running.number)
        told.info("worker.build_started")
        record = run_build(self._site, Assignment(running.build, job, declared, running.number, self.id), running.stop)
        told.info("worker.build_ended", result=record.result.value, detail=record.detail, seconds=round(record.duration or 0.0, 3))
        return record

    def _adopt(self, running: Running, request: Request) -> None:
        """Answer a request for a build that runs already: somebody lost the connection on which it was asked for."""
        log.info("worker.build_adopted", build=running.build)
        self._announce(running, request)
        while not running.over.wait(1.0):
            if request.lost:
                return
        self._answer(running, running.record, request)

    def _announce(self, running: Running, request: Request) -> None:
        request.sendWorkData(json.dumps(self._facts(running)).encode())
        request.sendWorkStatus(0, -1)

    def _answer(self, running: Running, record: BuildRecord | None, request: Request) -> None:
        if record is None:
            request.sendWorkException(b"the worker failed while it ran the build; its own log says why")
        elif record.result is Result.LOST:
            request.sendWorkException((record.detail or "the build was lost").encode("utf-8", "replace"))
        else:
            result = _JENKINS.get(record.result, record.result)
            request.sendWorkComplete(json.dumps({**self._facts(running), "result": result.value}).encode())

    def _facts(self, running: Running) -> dict[str, object]:
        facts: dict[str, object] = {
            "name": running.name,
            "number": running.number,
            "manager": self.id,
            "worker": self.id,
            "node_name": self.id,
            "node_labels": sorted(self._offers.labels),
        }
        return {**facts, "url": running.log_url} if running.log_url else facts

    def _define(self, request: Request) -> None:
        """Answer `torii:define:<id>`: learn a job, or forget one."""
        try:
            told = open_sealed(self._key, request.arguments)
            name = str(told.get("name", ""))
            if told.get("remove"):
                self._offers.remove(name)
                offered: tuple[str, ...] = ()
            else:
                job = parse_job(name, str(told.get("xml", "")).encode("utf-8", "surrogatepass"))
                offered = self._offers.define(job)
                self._wait_until_seen(offered)
        except (ToriiError, ValueError) as error:
            log.warning("worker.definition_refused", error=str(error))
            request.sendWorkException(str(error).encode("utf-8", "replace"))
            return
        request.sendWorkComplete(json.dumps({"functions": list(offered), "labels": sorted(self._offers.labels)}).encode())

    def _wait_until_seen(self, offered: Sequence[str]) -> None:
        """Wait until the servers list the functions: they were told on other connections than the one that the answer takes."""
        limit = time.monotonic() + _SEEN_LIMIT
        for server in self._servers if offered and self._executors else ():
            while time.monotonic() < limit and not self._stopping.is_set():
                try:
                    listed = functions(server, max(0.1, limit - time.monotonic()))
                except GearmanUnavailableError:
                    break  # it learns of them when it is back
                if all(function in listed and listed[function].workers for function in offered):
                    break
                self._stopping.wait(0.005)

    def _stop_build(self, request: Request) -> None:
        """Answer `stop:<id>`: WORK_COMPLETE where the build runs, WORK_FAIL where it ended, WORK_EXCEPTION where nobody knows it."""
        if (which := self._checked(request)) is None:
            return
        if running := self._builds.find(*which):
            running.stop.ask("stopped by request")
            request.sendWorkComplete()
        elif self._builds.ended(*which):
            request.sendWorkFail()
        else:
            request.sendWorkException(b"no such build here")

    def _describe(self, request: Request) -> None:
        """Answer `set_description:<id>`: the description, as HTML that somebody else wrote, is kept beside the build's log."""
        if (which := self._checked(request)) is None:
            return
        running = self._builds.find(*which)
        build = running.build if running else self._builds.ended(*which)
        text = read_payload(request.arguments).get("html_description", "").encode()[:_DESCRIPTION_LIMIT]
        if build is None:
            request.sendWorkException(b"no such build here")
            return
        try:
            self._blobs.put(f"{folder(build)}/description.html", text)
        except (ToriiError, OSError) as error:
            request.sendWorkException(str(error).encode("utf-8", "replace"))
            return
        request.sendWorkComplete()

    def _checked(self, request: Request) -> tuple[str, str, str] | None:
        """Return id, name and number of the build that a signed request is about; None where it was refused."""
        try:
            given = read_payload(request.arguments)
            check_parameters(self._key, given)
        except ToriiError as error:
            log.warning("worker.refused", function=request.name, error=str(error))
            request.sendWorkException(str(error).encode("utf-8", "replace"))
            return None
        return given.get("uuid", ""), given.get("name", ""), given.get("number", "")

    def _maintain(self) -> None:
        while not self._stopping.wait(_MAINTENANCE):
            try:
                self._mirrors.maintain()
            except Exception:
                log.exception("worker.maintenance_failed")
