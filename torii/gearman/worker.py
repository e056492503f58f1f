"""A Gearman worker: one executor, one connection a server, one job at a time, as each executor of Jenkins' plug-in is.

Whoever wants several executors makes several workers. Functions may come and go while it waits or works.
"""

# ruff: noqa: N802  - gear calls these methods by these names

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import gear
import structlog

from torii.gearman.admin import Address
from torii.gearman.connection import Connection, Lively

log = structlog.get_logger()


class Job(gear.WorkerJob):
    """A job in hand: `name`, `arguments`, `unique`, and what may be said of it.

    No `sendWork...` raises. Once the connection that brought the job is lost, they do nothing and `lost` is true: the handler may
    work on, but nobody hears of it here. `on_lost` has a function called then (on another thread).
    """

    def __init__(self, handle: bytes, name: str | bytes, arguments: bytes, unique: bytes | None = None) -> None:
        super().__init__(handle, name, arguments, unique)
        self.answered = False
        self._generation = -1
        self._watchers: list[Callable[[], None]] = []
        self._lock = threading.Lock()

    @property
    def lost(self) -> bool:
        """Whether the connection that brought the job is gone."""
        conn = self.connection
        return not isinstance(conn, Connection) or not conn.open or conn.generation != self._generation

    def on_lost(self, call: Callable[[], None]) -> None:
        """Have `call` called once, when the connection is lost; at once if it is."""
        with self._lock:
            if not self.lost:
                self._watchers.append(call)
                return
        call()

    def bind(self, connection: Connection) -> None:
        """Tie the job to the connection it came with."""
        self.connection = connection
        self._generation = connection.generation

    def announce_loss(self) -> None:
        """Call whoever wants to know that the connection is lost."""
        with self._lock:
            watchers, self._watchers = self._watchers, []
        for call in watchers:
            try:
                call()
            except Exception:
                log.exception("gearman.watcher_failed", function=self.name)

    def sendWorkData(self, data: bytes = b"") -> None:
        self._say(lambda: gear.WorkerJob.sendWorkData(self, data))

    def sendWorkStatus(self, numerator: int, denominator: int) -> None:
        self._say(lambda: gear.WorkerJob.sendWorkStatus(self, numerator, denominator))

    def sendWorkComplete(self, data: bytes = b"") -> None:
        self._finish(lambda: gear.WorkerJob.sendWorkComplete(self, data))

    def sendWorkFail(self) -> None:
        self._finish(lambda: gear.WorkerJob.sendWorkFail(self))

    def sendWorkException(self, data: bytes = b"") -> None:
        self._finish(lambda: gear.WorkerJob.sendWorkException(self, data))

    def _finish(self, send: Callable[[], None]) -> None:
        if not self.answered:
            self.answered = True
            self._say(send)

    def _say(self, send: Callable[[], None]) -> None:
        if self.lost:
            return
        try:
            send()
        except OSError:
            if isinstance(self.connection, Connection):
                self.connection.break_off()


Handler = Callable[[Job], None]


class _GearWorker(Lively, gear.Worker):
    job_class = Job

    def __init__(self, worker_id: str) -> None:
        self._current: Job | None = None
        super().__init__(worker_id)

    def register(self, name: str) -> None:
        with self.job_lock:
            self.registerFunction(name)
            for conn in self.active_connections:
                if isinstance(conn, Connection):
                    conn.announced.add(name.encode())

    def unregister(self, name: str) -> None:
        with self.job_lock:
            if name.encode() in self.functions:
                self.unRegisterFunction(name)
            for conn in self.active_connections:
                if isinstance(conn, Connection):
                    conn.announced.discard(name.encode())

    def _onConnect(self, conn: gear.Connection) -> None:
        with self.broadcast_lock:
            super()._onConnect(conn)
            if isinstance(conn, Connection):
                conn.announced = set(self.functions)

    def _onActiveConnection(self, conn: gear.Connection) -> None:
        """Tell the server what changed between its being told all functions and now, then ask for work."""
        assert isinstance(conn, Connection)
        with self.job_lock:
            for name in set(self.functions) ^ conn.announced:
                known = name in self.functions
                kind = gear.constants.CAN_DO if known else gear.constants.CANT_DO
                self.sendPacket(gear.Packet(gear.constants.REQ, kind, name), conn)
            conn.announced = set(self.functions)
            self._updateStateMachines()

    def _updateStateMachines(self) -> None:
        """Ask one server at a time for a job: two that both have one would leave the second waiting in an executor that is busy."""
        conns = self.active_connections[:]
        if self.waiting_for_jobs < 1:
            for conn in conns:
                conn.changeState("IDLE")
            return
        if any(conn.state == "GRAB_WAIT" for conn in conns):
            return
        for conn in conns:
            if conn.state == "IDLE":
                conn.changeState("GRAB_WAIT")
                try:
                    self._sendGrabJobUniq(conn)
                except OSError:
                    continue  # the poll thread deals with it
                return

    def getJob(self) -> gear.WorkerJob:
        """Wait for a job; raises gear.InterruptedError when there will be none. As gear's, without its log lines."""
        with self.job_lock:
            if not self.running:
                raise gear.InterruptedError
            self.waiting_for_jobs += 1
            self._updateStateMachines()
        job = self.job_queue.get()
        if job is None:
            raise gear.InterruptedError
        return job

    def handleNoop(self, packet: gear.Packet) -> None:
        with self.job_lock:
            if packet.connection.state == "SLEEP":
                packet.connection.changeState("IDLE")
                self._updateStateMachines()

    def handleNoJob(self, packet: gear.Packet) -> None:
        super().handleNoJob(packet)
        with self.job_lock:
            self._updateStateMachines()

    def _handleJobAssignment(self, packet: gear.Packet, handle: bytes, name: bytes, arguments: bytes, unique: bytes | None) -> None:
        job = Job(handle, name, arguments, unique)
        assert isinstance(packet.connection, Connection)
        job.bind(packet.connection)
        with self.job_lock:
            packet.connection.changeState("IDLE")
            self.waiting_for_jobs -= 1
            self._current = job
            self.job_queue.put(job)
            self._updateStateMachines()

    def _lostConnection(self, conn: gear.Connection) -> None:
        super()._lostConnection(conn)
        job = self._current
        if job is not None and job.connection is conn:
            job.announce_loss()
        with self.job_lock:
            self._updateStateMachines()

    def halt(self) -> None:
        """Give out no more jobs. The connections stay, so that the job in hand can be answered."""
        with self.job_lock:
            self.running = False
        self.stopWaitingForJobs()

    def stopWaitingForJobs(self) -> None:
        """Wake the executor. gear's own waits for outstanding grabs, which connections about to close make pointless."""
        with self.job_lock:
            self.waiting_for_jobs = 0
            self.job_queue.put(None)

    def close(self) -> None:
        self._shutdown()
        self._cleanup()


class Worker:
    """One executor on `servers`. It takes jobs from `start` on, calling for each the handler of its function, until `stop`.

    A handler ends its job with one of `sendWorkComplete`, `sendWorkFail`, `sendWorkException`. One that raises ends it with
    WORK_EXCEPTION, one that just returns with WORK_FAIL; both are logged.
    """

    def __init__(self, servers: Sequence[Address], worker_id: str) -> None:
        self.worker_id = worker_id
        self._handlers: dict[str, Handler] = {}
        self._gear = _GearWorker(worker_id)
        self._servers = tuple(servers)
        self._closed = False
        self._thread = threading.Thread(target=self._work, name=f"gearman-work-{worker_id}", daemon=True)

    def register(self, function: str, handler: Handler) -> None:
        """Offer `function` from now on, before or after `start`, whatever the worker is doing; a second handler replaces the first."""
        new = function not in self._handlers
        self._handlers[function] = handler
        if new:
            self._gear.register(function)

    def unregister(self, function: str) -> None:
        """Offer `function` no more. Nothing happens if it is not offered; a job of it that is in hand goes on."""
        self._gear.unregister(function)
        self._handlers.pop(function, None)

    @property
    def functions(self) -> frozenset[str]:
        """The functions on offer."""
        return frozenset(self._handlers)

    @property
    def connected(self) -> bool:
        """Whether there is a connection to any server now."""
        return bool(self._gear.active_connections)

    def start(self) -> None:
        """Connect and begin to take jobs."""
        for host, port in self._servers:
            self._gear.add_server(host, port)
        self._thread.start()

    def _work(self) -> None:
        while self._gear.running:
            try:
                job = self._gear.getJob()
            except gear.InterruptedError:
                return
            if isinstance(job, Job) and not job.lost:
                self._perform(job)

    def _perform(self, job: Job) -> None:
        handler = self._handlers.get(job.name)
        if handler is None:
            # withdrawn while the job was on its way here
            job.sendWorkException(f"{self.worker_id} does not offer {job.name} any more".encode())
            return
        try:
            handler(job)
        except Exception as error:
            log.exception("gearman.handler_failed", function=job.name, unique=(job.unique or b"").decode("utf-8", "replace"))
            job.sendWorkException(f"{type(error).__name__}: {error}".encode("utf-8", "replace"))
        if not job.answered:
            log.error("gearman.no_answer", function=job.name)
            job.sendWorkFail()

    def break_connections(self) -> None:
        """Break the connections off, as a network may; they are made anew at once. What is in hand is lost to whoever submitted it."""
        self._gear.break_connections()

    def stop(self, timeout: float = 5.0) -> bool:
        """Take no more jobs and close the connections; waits up to `timeout` seconds for the job in hand.

        Returns whether the executor has ended. A job still in hand is lost to whoever submitted it.
        """
        if self._closed:
            return not self._thread.is_alive()
        self._closed = True
        self._gear.halt()
        if self._thread.is_alive():
            self._thread.join(timeout)
        self._gear.close()
        return not self._thread.is_alive()
