"""The merger as a Gearman worker: any number of these, on any machine that reaches the git servers, share the work."""

from __future__ import annotations

import socket
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import structlog

from torii.config.settings import ServerConfig
from torii.errors import ToriiError
from torii.gearman import ForgedMessageError, Job, Worker, open_sealed, seal
from torii.git import require_git
from torii.merger import wire
from torii.merger.merger import StagingMerger
from torii.merger.modes import Identity
from torii.merger.places import places_of
from torii.merger.upkeep import Upkeep

log = structlog.get_logger()

Answer = Callable[[Mapping[str, Any]], Mapping[str, Any]]


class MergerWorker:
    """Merges for the projects of `config` with `executors` threads, asked through Gearman `servers` in envelopes sealed with `key`.

    Raises GitError where git is missing or too old, and what an unusable address or secret in `config` raises.
    """

    def __init__(
        self,
        config: ServerConfig,
        servers: Sequence[tuple[str, int]],
        key: bytes,
        executors: int = 1,
        identity: Identity | None = None,
    ) -> None:
        require_git()
        places = places_of(config)
        self._upkeep = Upkeep(places)
        name = f"merger-{socket.gethostname()}-{uuid.uuid4().hex[:8]}"
        self._executors = [
            Executor(Worker(servers, f"{name}-{number}"), StagingMerger(places, identity), key, self._upkeep) for number in range(executors)
        ]

    def start(self) -> None:
        """Connect and begin to take requests; returns at once."""
        self._upkeep.start()
        for executor in self._executors:
            executor.start()

    @property
    def connected(self) -> bool:
        """Whether every executor has a connection to a Gearman server now."""
        return all(executor.worker.connected for executor in self._executors)

    def stop(self, timeout: float = 5.0) -> None:
        """Take no more requests; a merge under way is left after `timeout` seconds, and is asked for again by whoever wanted it."""
        self._upkeep.stop()
        for executor in self._executors:
            executor.stop(timeout / max(1, len(self._executors)))


class Executor:
    """One `worker` and the `merger` that does its work."""

    def __init__(self, worker: Worker, merger: StagingMerger, key: bytes, upkeep: Upkeep) -> None:
        self.worker = worker
        self._merger = merger
        self._key = key
        self._upkeep = upkeep
        worker.register(wire.MERGE, lambda job: self._answer(job, self._merge))
        worker.register(wire.DROP, lambda job: self._answer(job, self._drop))
        worker.register(wire.COLLECT, lambda job: self._answer(job, self._collect))

    def start(self) -> None:
        """Begin to take requests."""
        self.worker.start()

    def stop(self, timeout: float) -> None:
        """Take no more requests and wait up to `timeout` seconds for the one in hand."""
        if self.worker.stop(timeout):
            self._merger.close()

    def _answer(self, job: Job, perform: Answer) -> None:
        job.sendWorkStatus(0, 1)  # from here on the client counts how long it takes
        request: Mapping[str, Any] = {}
        try:
            request = open_sealed(self._key, job.arguments)
            answer = perform(request)
        except ForgedMessageError as error:
            log.warning("merger.request_refused", function=job.name, reason=str(error))
            answer = {"error": str(error)}
        except ToriiError as error:
            log.warning("merger.request_failed", function=job.name, reason=str(error))
            answer = {"error": str(error)}
        except Exception as error:
            log.exception("merger.request_broke", function=job.name)
            answer = {"error": f"the merger broke on it: {type(error).__name__}: {error}"}
        job.sendWorkComplete(seal(self._key, {"id": request.get("id"), **answer}))

    def _merge(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        merge = wire.read_merge(request)
        answers = self._merger.stage(merge)
        for stage, answer in zip(merge.stages, answers, strict=True):
            self._upkeep.used(stage.project)
            log.info("merger.staged", build_set=stage.build_set, project=stage.project, outcome=type(answer.outcome).__name__)
        return wire.merge_answer(answers)

    def _drop(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        self._merger.drop(wire.read_refs(request, "drop"))
        return {}

    def _collect(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"refs": [list(one) for one in self._merger.staged_by(wire.read_instance(request))]}
