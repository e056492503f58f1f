"""A Gearman client for many jobs at once: nobody waits for a round trip, and whoever submitted a job hears what becomes of it.

gear keeps the connections' books; jobs are sent one after another without waiting for JOB_CREATED, in an order that lets each
JOB_CREATED find its job.
"""

# ruff: noqa: N802  - gear calls these methods by these names

from __future__ import annotations

import hashlib
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import gear
import structlog
from gear import constants

from torii.errors import OperatorError
from torii.gearman import admin
from torii.gearman.admin import Address, FunctionStatus, GearmanUnavailableError
from torii.gearman.connection import Connection, Lively
from torii.model.pipeline import Precedence

log = structlog.get_logger()

_ADMIN_LIMIT = 3.0
_SUBMIT = {
    Precedence.HIGH: constants.SUBMIT_JOB_HIGH,
    Precedence.NORMAL: constants.SUBMIT_JOB,
    Precedence.LOW: constants.SUBMIT_JOB_LOW,
}


class JobFailedError(OperatorError):
    """A job that was called for ended without an answer."""


@dataclass(frozen=True, slots=True)
class JobHandle:
    """A submitted job: the server that has it, and what it calls it."""

    server: Address
    handle: str


class Listener:
    """Hears of one job; override what is of interest. Called on the client's one thread: be short, and never wait for the client.

    After one of `complete`, `fail`, `exception` and `lost` nothing more comes. `data` may come any number of times.
    """

    def created(self, handle: JobHandle) -> None:
        """The server has queued the job."""

    def data(self, data: bytes) -> None:
        """The worker sent WORK_DATA (or a WORK_WARNING)."""

    def status(self, numerator: str, denominator: str) -> None:
        """The worker sent WORK_STATUS."""

    def complete(self, data: bytes) -> None:
        """The job ended with this answer."""

    def fail(self) -> None:
        """The job ended without one: the worker gave up or was lost. A C gearmand also says so of a WORK_EXCEPTION."""

    def exception(self, data: bytes) -> None:
        """The job ended with this complaint of the worker."""

    def lost(self) -> None:
        """The server was lost, and with it all knowledge of the job. It may run yet."""


class _Submit(gear.SubmitJobTask):
    """A job that waits for its JOB_CREATED. Nobody waits for it, so it is spared gear's event."""

    def __init__(self, job: _Job) -> None:
        self.job = job

    def setComplete(self) -> None:
        pass


class _Job(gear.Job):
    def __init__(self, function: str, payload: bytes, unique: str, precedence: Precedence, listener: Listener) -> None:
        super().__init__(function, payload, unique)
        self.precedence = precedence
        self.listeners = [listener]

    def packet(self) -> gear.Packet:
        fields = (self.name.encode(), self.unique or b"", self.arguments)
        return gear.Packet(constants.REQ, _SUBMIT[self.precedence], b"\x00".join(fields))

    def tell(self, what: Callable[[Listener], None]) -> None:
        for listener in self.listeners:
            try:
                what(listener)
            except Exception:
                log.exception("gearman.listener_failed", function=self.name)


class _GearClient(Lively, gear.Client):
    def __init__(self, client_id: str) -> None:
        self._backlog: list[_Job] = []
        self._backlog_lock = threading.Lock()
        self.where: dict[Address, set[str]] = {}
        self.on_connect: Callable[[], None] = lambda: None
        super().__init__(client_id)

    def submit(self, job: _Job) -> None:
        """Send `job` to a server, or keep it until there is one."""
        with self._backlog_lock:
            conn = self._choose(job)
            if conn is None:
                self._backlog.append(job)
                return
        self._send(job, conn)

    def _send(self, job: _Job, conn: Connection) -> None:
        with conn.submit_lock:
            open_ = conn.open
            if open_:
                conn.pending_tasks.append(_Submit(job))
                try:
                    self.sendPacket(job.packet(), conn)
                except OSError:
                    return  # the poll thread tells the job that it is lost
        if not open_:
            self._keep(job)

    def _keep(self, job: _Job) -> None:
        # the connection went while it was being chosen: choose again, among those that are left
        with self._backlog_lock:
            self._backlog.append(job)
        if self.active_connections:
            self._flush()

    def _choose(self, job: _Job) -> Connection | None:
        """Return the server for `job`: of those where its function was seen (else of all), always the same one for its unique id."""
        conns = [conn for conn in self.active_connections if isinstance(conn, Connection) and conn.open]
        if len(conns) < 2:
            return conns[0] if conns else None
        knowing = [conn for conn in conns if job.name in self.where.get((conn.host, conn.port), ())]
        unique = job.unique or b""
        return max(knowing or conns, key=lambda conn: hashlib.sha256(unique + f"{conn.host}:{conn.port}".encode()).digest())

    def _flush(self) -> None:
        with self._backlog_lock:
            jobs, self._backlog = self._backlog, []
        for job in jobs:
            self.submit(job)

    def _onActiveConnection(self, conn: gear.Connection) -> None:
        log.info("gearman.connected", server=f"{conn.host}:{conn.port}", client=(self.client_id or b"").decode())
        self._flush()
        self.on_connect()

    def _onConnect(self, conn: gear.Connection) -> None:
        conn.sendPacket(gear.Packet(constants.REQ, constants.SET_CLIENT_ID, self.client_id or b""))

    def handlePacket(self, packet: gear.Packet) -> None:
        match packet.ptype:
            case constants.JOB_CREATED:
                self.handleJobCreated(packet)
            case constants.WORK_DATA | constants.WORK_WARNING:
                data = packet.getArgument(1, True)
                self._job(packet).tell(lambda listener: listener.data(data))
            case constants.WORK_STATUS:
                _, done, total, *_ = (*packet.data.split(b"\x00"), b"", b"")
                text = (done.decode("utf-8", "replace"), total.decode("utf-8", "replace"))
                self._job(packet).tell(lambda listener: listener.status(*text))
            case constants.WORK_COMPLETE | constants.WORK_EXCEPTION | constants.WORK_FAIL:
                self._ended(packet)
            case constants.ERROR:
                self.handleError(packet)
            case constants.STATUS_RES:
                self._status(packet)
            case _:
                log.debug("gearman.packet_ignored", type=constants.types.get(packet.ptype))

    def handleJobCreated(self, packet: gear.Packet) -> gear.Job:
        conn = packet.connection
        task = conn.pending_tasks.pop(0)
        assert isinstance(task, _Submit)
        assert isinstance(task.job, _Job)
        job = task.job
        before = conn.related_jobs.get(packet.data)
        job.handle = packet.data
        conn.related_jobs[packet.data] = job
        created = JobHandle((conn.host, conn.port), packet.data.decode("utf-8", "replace"))
        job.tell(lambda listener: listener.created(created))
        if isinstance(before, _Job):
            job.listeners = before.listeners + job.listeners  # the server made one job of two
        return job

    def _ended(self, packet: gear.Packet) -> None:
        job = self._job(packet)
        del packet.connection.related_jobs[packet.getArgument(0)]
        data = packet.getArgument(1, True) if packet.ptype != constants.WORK_FAIL else b""
        match packet.ptype:
            case constants.WORK_COMPLETE:
                job.tell(lambda listener: listener.complete(data))
            case constants.WORK_EXCEPTION:
                job.tell(lambda listener: listener.exception(data))
            case _:
                job.tell(lambda listener: listener.fail())

    def _status(self, packet: gear.Packet) -> None:
        """An answer to `ask_after`: a job that its server does not know is lost."""
        handle, known, *_ = (*packet.data.split(b"\x00"), b"")
        job = packet.connection.related_jobs.get(handle)
        if known == b"0" and isinstance(job, _Job):
            del packet.connection.related_jobs[handle]
            job.tell(lambda listener: listener.lost())

    def _job(self, packet: gear.Packet) -> _Job:
        job = packet.getJob()
        assert isinstance(job, _Job)
        return job

    def handleError(self, packet: gear.Packet) -> None:
        """The server refused the oldest job that it has not acknowledged."""
        reason = packet.getArgument(1, True)
        tasks = packet.connection.pending_tasks
        task = tasks.pop(0) if tasks else None
        log.warning("gearman.refused", reason=reason.decode("utf-8", "replace"))
        if isinstance(task, gear.SubmitJobTask) and isinstance(task.job, _Job):
            task.job.tell(lambda listener: listener.exception(b"the Gearman server refused the job: " + reason))

    def handleDisconnect(self, job: gear.Job) -> object:
        if isinstance(job, _Job):
            job.tell(lambda listener: listener.lost())
        return job

    def let_go(self, handle: JobHandle) -> None:
        """Expect nothing more of a job that was cancelled."""
        for conn in self.active_connections[:]:
            if (conn.host, conn.port) == handle.server:
                conn.related_jobs.pop(handle.handle.encode(), None)

    def ask_after(self, handle: JobHandle) -> None:
        for conn in self.active_connections[:]:
            if (conn.host, conn.port) == handle.server:
                try:
                    self.sendPacket(gear.Packet(constants.REQ, constants.GET_STATUS, handle.handle.encode()), conn)
                except OSError:
                    return  # the poll thread deals with it


class _Call(Listener):
    """A caller who waits."""

    def __init__(self) -> None:
        self._over = threading.Event()
        self._answer: bytes | None = None
        self._problem = ""

    def complete(self, data: bytes) -> None:
        self._answer = data
        self._over.set()

    def fail(self) -> None:
        self._end("failed without saying why")

    def exception(self, data: bytes) -> None:
        self._end(data.decode("utf-8", "replace")[:2000] or "failed without saying why")

    def lost(self) -> None:
        self._end("was lost with the connection to the Gearman server")

    def _end(self, problem: str) -> None:
        self._problem = problem
        self._over.set()

    def answer(self, function: str, timeout: float) -> bytes:
        if not self._over.wait(timeout):
            raise JobFailedError(f"{function}: no answer within {timeout:g} s; is a worker for it running?")
        if self._answer is None:
            raise JobFailedError(f"{function}: {self._problem}")
        return self._answer


class Client:
    """Submits jobs to `servers`, (host, port) each, over one connection a server that is kept up in the background. Thread-safe."""

    def __init__(self, servers: Sequence[Address], client_id: str) -> None:
        self.servers = tuple(servers)
        self._gear = _GearClient(client_id)
        for host, port in self.servers:
            self._gear.add_server(host, port)

    def submit(
        self, function: str, payload: bytes, unique: str, precedence: Precedence = Precedence.NORMAL, listener: Listener | None = None
    ) -> None:
        """Submit a job and return at once; `listener` hears the rest. With no server at hand it is kept until there is one.

        `unique` must not be empty (an empty one deadlocks Jenkins' plug-in). A C gearmand makes one job of several with the same
        function and unique id that wait or run at the same time; each of their listeners hears of it.
        """
        if not unique or "\x00" in unique or "\x00" in function or not function:
            raise ValueError(f"a Gearman job needs a function and a unique id without NULs: {function!r}, {unique!r}")
        self._gear.submit(_Job(function, payload, unique, precedence, listener or Listener()))

    def call(self, function: str, payload: bytes, timeout: float, unique: str | None = None) -> bytes:
        """Submit a job and wait for its answer; raises `JobFailedError` when it ends otherwise or takes more than `timeout` seconds."""
        call = _Call()
        self.submit(function, payload, unique or uuid.uuid4().hex, Precedence.NORMAL, call)
        return call.answer(function, timeout)

    def functions(self) -> Mapping[str, FunctionStatus]:
        """Return all functions of all servers that answer, merged; blocks for up to 3 s a server. Raises `GearmanUnavailableError`."""
        merged: dict[str, FunctionStatus] = {}
        failures: list[GearmanUnavailableError] = []
        for server in self.servers:
            try:
                found = admin.functions(server, _ADMIN_LIMIT)
            except GearmanUnavailableError as error:
                failures.append(error)
                continue
            self._gear.where[server] = {name for name, status in found.items() if status.workers}
            for name, status in found.items():
                had = merged.get(name, FunctionStatus(0, 0, 0))
                merged[name] = FunctionStatus(had.queued + status.queued, had.running + status.running, had.workers + status.workers)
        if failures and len(failures) == len(self.servers):
            raise failures[0]
        return merged

    def cancel(self, handle: JobHandle) -> bool:
        """Take a waiting job out of its queue. True: it will never run, and its listener hears nothing more. Blocks for up to 3 s.

        False: it does not wait any more. Raises `GearmanUnavailableError`.
        """
        cancelled = admin.cancel(handle.server, handle.handle, _ADMIN_LIMIT)
        if cancelled:
            self._gear.let_go(handle)
        return cancelled

    def ask_after(self, handle: JobHandle) -> None:
        """Ask the server whether it still knows the job; if not, its listener hears `lost`. Returns at once."""
        self._gear.ask_after(handle)

    @property
    def connected(self) -> bool:
        """Whether there is a connection to any server now."""
        return bool(self._gear.active_connections)

    def on_connect(self, call: Callable[[], None]) -> None:
        """Have `call` called, on a thread of the client's, whenever a server has been connected to."""
        self._gear.on_connect = call

    def wait_connected(self, timeout: float) -> bool:
        """Wait until a server is connected, at most `timeout` seconds; returns whether one is."""
        condition = self._gear.connections_condition
        with condition:
            return condition.wait_for(lambda: bool(self._gear.active_connections), timeout)

    def break_connections(self) -> None:
        """Break the connections off, as a network may; they are made anew at once."""
        self._gear.break_connections()

    def stop(self) -> None:
        """Close the connections, within five seconds. Jobs go on; nobody hears of them."""
        self._gear.shutdown()
