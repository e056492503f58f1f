"""What a Jenkins says of its jobs, builds, queue and nodes, as frozen values: read with care once, here and nowhere else."""

from __future__ import annotations

from dataclasses import dataclass

from torii.model.build import Result


@dataclass(frozen=True, slots=True)
class Job:
    """A job, as a listing shows it. `description` is raw HTML, in which Torii's mark stands; `kind` is Jenkins' class name."""

    name: str
    description: str = ""
    buildable: bool = True
    url: str = ""
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Build:
    """One build of a job. `result` is None while it runs; times and durations are seconds; `uuid` is its TORII_UUID, or empty.

    `causes` are Jenkins' short descriptions, `artifacts` paths relative to the build's archive. `word` is Jenkins' own result, of which
    `result` is what it means to Torii.
    """

    job: str
    number: int
    url: str
    result: Result | None = None
    word: str = ""
    uuid: str = ""
    node: str = ""
    started_at: float | None = None
    duration: float | None = None
    causes: tuple[str, ...] = ()
    artifacts: tuple[str, ...] = ()

    @property
    def running(self) -> bool:
        return self.result is None


@dataclass(frozen=True, slots=True)
class Queued:
    """An item of Jenkins' queue. `why` says in Jenkins' words what it waits for; `number` is that of its build, once it left the queue."""

    id: int
    job: str
    uuid: str = ""
    why: str = ""
    stuck: bool = False
    cancelled: bool = False
    number: int | None = None


@dataclass(frozen=True, slots=True)
class LogPiece:
    """A piece of a console log: what stands there as bytes with `\\n` ends, where to go on, and whether more may come."""

    data: bytes
    next: int
    more: bool


@dataclass(frozen=True, slots=True)
class Node:
    """A node. `labels` are the atoms that it has, its own name among them; `exclusive` takes only jobs that name it."""

    name: str
    labels: tuple[str, ...] = ()
    executors: int = 1
    offline: bool = False
    exclusive: bool = False
    why_offline: str = ""


@dataclass(frozen=True, slots=True)
class About:
    """What a Jenkins says of itself: the address that it gives out (empty: none is configured), and whether it is about to shut down."""

    url: str = ""
    secured: bool = True
    quieting_down: bool = False
    quiet_reason: str = ""


@dataclass(frozen=True, slots=True)
class Plugin:
    """An installed plug-in, by its short name (`git`, `timestamper`)."""

    name: str
    version: str = ""
    active: bool = True
