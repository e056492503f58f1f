"""The Jenkins controllers that builds run in, however they are started, and what is asked of those who gather what the builds leave."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from torii.jenkins import Controller
from torii.model.build import Result
from torii.model.ids import BuildId, ProjectName
from torii.model.job import JobDefinition
from torii.results.run import Run, Waiting
from torii.runtime.ports import Outcome


class Gatherer(Protocol):
    """Brings what a build in Jenkins leaves into Torii's store. `torii.results.Gatherer` is one. Returns at once, always."""

    def follow(self, run: Run, job: JobDefinition | None = None, *, copy: bool | None = None) -> None:
        """Begin to bring the console log of `run`. Idempotent; a new number for the same build begins anew, with a note in the log.

        `copy`: whether artifacts are copied; None: as the controller's settings say.
        """

    def finish(self, run: Run, word: Result | None, told: Callable[[Outcome | None], None], troubled: Callable[[str], None]) -> None:
        """Bring the rest, and call `told`, once and from any thread, when all is in the store; with None where nobody knows the build.

        `word` is what was heard of its result. While Jenkins is away `troubled` is called with why, and with nothing when that is over.
        """

    def find(
        self,
        build: BuildId,
        job: str,
        controllers: Sequence[str],
        told: Callable[[Run | Waiting | None, bool], None],
        troubled: Callable[[str], None],
    ) -> None:
        """Ask `controllers` what became of the build of `job` whose TORII_UUID is `build`, and call `told` once, from any thread.

        It is told the run, and whether that has ended; or where it waits; or None, once all have answered that they do not know it.
        """

    def drop(self, build: BuildId) -> None:
        """Follow it no more."""


@dataclass(frozen=True, slots=True)
class JenkinsFarm:
    """`projects` says in which of `controllers`, by name, builds of a project run; `instance` is whose copies of jobs are this Torii's."""

    controllers: Mapping[str, Controller]
    projects: Mapping[ProjectName, Sequence[str]]
    gatherer: Gatherer
    instance: str
