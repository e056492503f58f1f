"""A worker that does what it is told, and speaks as Jenkins' Gearman plugin does (and, with a key, as Torii's own worker)."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from torii.gearman import Job, Worker, open_sealed
from torii.gearman.functions import build_function, define_function, describe_function, stop_function

Address = tuple[str, int]


@dataclass
class Run:
    """One build that the worker was given. `release` ends it; until then it runs."""

    job: str
    number: int
    uuid: str
    parameters: dict[str, str]
    request: Job
    over: threading.Event = field(default_factory=threading.Event)
    result: str = ""
    last_word: Callable[[Run], None] | None = None

    def release(self, result: str = "SUCCESS", last_word: Callable[[Run], None] | None = None) -> None:
        self.result, self.last_word = result, last_word
        self.over.set()


class ScriptedWorker:
    """A node called `name` with `executors`; each build waits to be released, or ends at once with `instant`.

    `key` None: Jenkins, which has `jobs` of its own. Else Torii's worker: jobs come through `torii:define`, and a build goes by its uuid.
    `ended` is called with uuid and result before WORK_COMPLETE: where Torii's worker writes its record.
    """

    def __init__(
        self,
        servers: Sequence[Address],
        name: str = "node",
        *,
        key: bytes | None = None,
        executors: int = 1,
        labels: Sequence[str] = ("linux",),
        jobs: Sequence[str] = (),
        instant: str | None = None,
        ended: Callable[[str, str], None] = lambda uuid, result: None,
    ) -> None:
        self.name, self.labels, self.instant, self.ended = name, tuple(labels), instant, ended
        self.runs: list[Run] = []
        self.defined: dict[str, dict[str, object]] = {}
        self.described: list[dict[str, str]] = []
        self.deaf_to_stop = False
        self.first_word: Callable[[Run, bytes], None] = lambda run, facts: run.request.sendWorkData(facts)
        self._key = key
        self._lock = threading.Lock()
        self._numbers: dict[str, int] = {}
        self.executors = [Worker(servers, f"{name}_exec-{number}") for number in range(executors)]
        self.manager = Worker(servers, f"{name}_manager")
        self.manager.register(stop_function(name), self._stop)
        self.manager.register(describe_function(name), self._describe)
        if key is not None:
            self.manager.register(define_function(name), self._define)
        for job in jobs:
            self.offer(job)
        for worker in (*self.executors, self.manager):
            worker.start()

    def offer(self, job: str) -> tuple[str, ...]:
        """Register `job`, as Jenkins does for one that it has."""
        functions = (build_function(job, None), *(build_function(job, label) for label in self.labels))
        for executor in self.executors:
            for function in functions:
                executor.register(function, lambda request: self._build(job, request))
        return functions

    def withdraw(self, job: str) -> None:
        for executor in self.executors:
            for function in [f for f in executor.functions if f == f"build:{job}" or f.startswith(f"build:{job}:")]:
                executor.unregister(function)

    def run_of(self, uuid: str) -> Run | None:
        return next((run for run in reversed(self.runs) if run.uuid == uuid), None)

    def stop(self) -> None:
        for run in self.runs:
            run.release("ABORTED")
        for worker in (*self.executors, self.manager):
            worker.stop(1.0)

    def cut(self) -> None:
        """Break every connection, as a network does. The worker comes back by itself."""
        for worker in (*self.executors, self.manager):
            worker.break_connections()

    def _build(self, job: str, request: Job) -> None:
        parameters = json.loads(request.arguments)
        with self._lock:
            number = self._numbers[job] = self._numbers.get(job, 0) + 1
            run = Run(job, number, parameters["TORII_UUID"], parameters, request)
            self.runs.append(run)
        facts: dict[str, object] = {
            "name": job,
            "number": number,
            "manager": self.name,
            "worker": threading.current_thread().name.removeprefix("gearman-work-"),
        }
        self.first_word(run, json.dumps(facts | {"url": f"http://jenkins.example.com/job/{job}/{number}/"}).encode())
        request.sendWorkStatus(1, -1)
        if self.instant is not None:
            run.release(self.instant)
        run.over.wait(60)
        self.ended(run.uuid, run.result)
        if run.last_word is not None:
            run.last_word(run)
        else:
            request.sendWorkComplete(json.dumps({**facts, "result": run.result}).encode())

    def _find(self, request: Job) -> Run | None:
        asked = json.loads(request.arguments)
        for run in reversed(self.runs):
            if self._key is not None and run.uuid == asked.get("uuid"):
                return run
            if run.job == asked.get("name") and str(run.number) == asked.get("number"):
                return run
        return None

    def _stop(self, request: Job) -> None:
        run = self._find(request)
        if run is None:
            request.sendWorkException(b"java.lang.IllegalArgumentException: Cannot find build")
        elif run.over.is_set():
            request.sendWorkFail()
        else:
            request.sendWorkComplete()
            if not self.deaf_to_stop:
                run.release("ABORTED")

    def _describe(self, request: Job) -> None:
        if self._find(request) is None:
            request.sendWorkException(b"java.lang.IllegalArgumentException: Cannot find build")
            return
        self.described.append(json.loads(request.arguments))
        request.sendWorkComplete()

    def _define(self, request: Job) -> None:
        assert self._key is not None
        told = open_sealed(self._key, request.arguments)
        name = str(told["name"])
        functions: tuple[str, ...] = ()
        if told.get("remove"):
            self.defined.pop(name, None)
            self.withdraw(name)
        else:
            self.defined[name] = told
            if told["label"] is None or told["label"] in self.labels:
                functions = self.offer(name)
        request.sendWorkComplete(json.dumps({"functions": list(functions), "labels": list(self.labels)}).encode())
