"""Tell a running scheduler to look at once: what `torii notify` calls from a hook, and what the scheduler offers it on Gearman.

The call is a job of the function `torii:wake` with a sealed `{"project": name or null}`; its answer is `{"known": bool}`. It only wakes:
what happened is read from the repository itself, so a call that is lost costs no more than one poll interval.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence

import structlog

from torii.errors import OperatorError
from torii.gearman import Client, ForgedMessageError, GearmanUnavailableError, Job, JobFailedError, Worker, open_sealed, seal
from torii.gearman.admin import Address, functions
from torii.model.ids import ProjectName
from torii.runtime.ports import Source

log = structlog.get_logger()

WAKE = "torii:wake"


class SchedulerAwayError(OperatorError):
    """No running scheduler could be told."""


class WakeListener:
    """Offers `torii:wake` on `servers` and wakes the source of the project that a caller with `key` names, or all of them."""

    def __init__(self, servers: Sequence[Address], key: bytes, sources: Mapping[ProjectName, Source]) -> None:
        self._key = key
        self._sources = dict(sources)
        self._worker = Worker(servers, "torii-wake")
        self._worker.register(WAKE, self._wake)

    def start(self) -> None:
        self._worker.start()

    def stop(self, timeout: float = 2.0) -> None:
        self._worker.stop(timeout)

    def _wake(self, job: Job) -> None:
        try:
            project = open_sealed(self._key, job.arguments).get("project")
        except ForgedMessageError as error:
            log.warning("source.wake_refused", reason=str(error))
            job.sendWorkException(str(error).encode())
            return
        if project is None:
            for source in {id(source): source for source in self._sources.values()}.values():
                source.wake()
        elif project in self._sources:
            self._sources[project].wake(project)
        job.sendWorkComplete(json.dumps({"known": project is None or project in self._sources}).encode())


def wake(servers: Sequence[Address], key: bytes, project: ProjectName | None, limit: float) -> bool:
    """Wake the scheduler that is reached through `servers`; return whether it knows `project` (None: all projects).

    Raises SchedulerAwayError where none could be told within about `limit` seconds. Leaves nothing behind for one that comes later.
    """
    deadline = time.monotonic() + limit
    reachable = _listening(servers, deadline)
    client = Client([reachable], "torii-notify")
    try:
        answer = client.call(WAKE, seal(key, {"project": project}), max(0.1, deadline - time.monotonic()))
    except JobFailedError as error:
        raise SchedulerAwayError(f"the scheduler did not take the call: {error}") from error
    finally:
        client.stop()
    return bool(json.loads(answer)["known"])


def _listening(servers: Sequence[Address], deadline: float) -> Address:
    """Return the first server on which a scheduler listens."""
    reason = "no Gearman server is configured"
    for server in servers:
        shown = f"{server[0]}:{server[1]}"
        try:
            found = functions(server, max(0.05, deadline - time.monotonic()))
        except GearmanUnavailableError as error:
            reason = str(error)
            continue
        if WAKE in found and found[WAKE].workers:
            return server
        reason = f"no scheduler is connected to the Gearman server {shown}; is `torii up` running?"
    raise SchedulerAwayError(reason)
