"""2,000 instant jobs one after another through client, embedded server and worker, against gear as it comes, in one process each way.

gear leaves Nagle's algorithm on, so the floor spends its time waiting for delayed acknowledgements, whatever the machine does; fewer
jobs are enough to measure it. What a machine can do at all shows in the second figure: gear with that algorithm switched off, and nothing
else. A job is some ten hand-overs from thread to thread: where those are slow, 100x, which is a fixed number of jobs a second, is out of
reach of whoever speaks Gearman with threads.
"""

# ruff: noqa: N802  - gear calls these methods by these names

from __future__ import annotations

import logging
import socket
import threading
import time
import warnings
from collections.abc import Callable

import gear
import structlog

from benchmarks.measurement import Measurement
from torii.gearman import Client, Server, Worker

JOBS = 2_000
FLOOR_JOBS = 100
WARM_UP = 20
TARGET = 100.0
LIMIT = 30.0


def run() -> Measurement:
    """Measure, and return jobs a second."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    floor = _gear_as_it_comes()
    print(f"gear as it comes: {floor:.1f} jobs/s ({FLOOR_JOBS} jobs)", flush=True)
    prompt = _gear_without_nagle()
    print(f"gear with TCP_NODELAY: {prompt:.0f} jobs/s ({JOBS} jobs)", flush=True)
    figure = _torii()
    print(f"Torii: {figure:.0f} jobs/s ({JOBS} jobs), {figure / prompt:.2f}x of gear with TCP_NODELAY", flush=True)
    return Measurement(
        "gearman", figure, "jobs/s", floor, figure / floor, f"at least {TARGET:g}x of gear as it comes", figure >= TARGET * floor
    )


def _torii() -> float:
    server = Server()
    server.start()
    worker = Worker([server.address], "benchmark-worker")
    worker.register("reverse", lambda job: job.sendWorkComplete(job.arguments[::-1]))
    worker.start()
    client = Client([server.address], "benchmark-client")
    try:
        return _rate(JOBS, lambda number: client.call("reverse", b"payload", LIMIT, unique=f"job-{number}"))
    finally:
        client.stop()
        worker.stop()
        server.stop()


def _gear_as_it_comes() -> float:
    """The same with gear's own classes, used as its documentation shows."""
    return _gear(gear.Server, gear.Worker, _WaitingClient, FLOOR_JOBS)


def _gear_without_nagle() -> float:
    return _gear(_PromptServer, _PromptWorker, _PromptClient, JOBS)


def _gear(servers: type[gear.Server], workers: type[gear.Worker], clients: type[_WaitingClient], jobs: int) -> float:
    logging.getLogger("gear").setLevel(logging.CRITICAL)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        server = servers(0, host="127.0.0.1")
        worker = workers("floor-worker")
        worker.addServer("127.0.0.1", server.port)
        worker.registerFunction("reverse")
        client = clients("floor-client")
        client.addServer("127.0.0.1", server.port)
        worker.waitForServer(LIMIT)
        client.waitForServer(LIMIT)
        threading.Thread(target=_serve, args=(worker,), name="floor-worker", daemon=True).start()
        try:
            return _rate(jobs, client.reverse)
        finally:
            client.shutdown()
            worker.shutdown()
            server.shutdown()


def _serve(worker: gear.Worker) -> None:
    while True:
        try:
            job = worker.getJob()
        except gear.InterruptedError:
            return
        job.sendWorkComplete(job.arguments[::-1])


class _WaitingClient(gear.Client):
    """Submits a job and waits for its end."""

    def __init__(self, client_id: str) -> None:
        self._over = threading.Event()
        super().__init__(client_id)

    def handleWorkComplete(self, packet: gear.Packet) -> gear.Job:
        job = super().handleWorkComplete(packet)
        self._over.set()
        return job

    def reverse(self, number: int) -> None:
        self._over.clear()
        self.submitJob(gear.Job("reverse", b"payload", unique=f"job-{number}"))
        if not self._over.wait(LIMIT):
            raise TimeoutError(f"job {number} did not end within {LIMIT:g} s")


def _no_delay(conn: gear.Connection) -> None:
    assert conn.conn is not None
    conn.conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


class _PromptServer(gear.Server):
    def _registerConnection(self, conn: gear.ServerConnection) -> None:
        _no_delay(conn)
        super()._registerConnection(conn)


class _PromptWorker(gear.Worker):
    def _onConnect(self, conn: gear.Connection) -> None:
        _no_delay(conn)
        super()._onConnect(conn)


class _PromptClient(_WaitingClient):
    def _onConnect(self, conn: gear.Connection) -> None:
        _no_delay(conn)
        super()._onConnect(conn)


def _rate(jobs: int, perform: Callable[[int], object]) -> float:
    for number in range(WARM_UP):
        perform(-number - 1)
    began = time.perf_counter()
    for number in range(jobs):
        perform(number)
    return jobs / (time.perf_counter() - began)
