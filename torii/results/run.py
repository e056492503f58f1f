"""What the results know of a build in a Jenkins before it has ended: where it runs, or where it waits."""

from __future__ import annotations

from dataclasses import dataclass

from torii.jenkins import Queued
from torii.model.ids import BuildId


@dataclass(frozen=True, slots=True)
class Run:
    """One build in a Jenkins: which controller (its name in server.yml), job and number; `url` as Jenkins calls it.

    `node` is where it runs or ran, empty as long as that is not known.
    A build of Torii's may have several, one after another: a Gearman server gives it out again where a Jenkins was lost.
    """

    build: BuildId
    controller: str
    job: str
    number: int
    url: str = ""
    node: str = ""

    @property
    def identity(self) -> tuple[str, str, int]:
        """What tells this run from every other."""
        return self.controller, self.job, self.number

    def __str__(self) -> str:
        return f"{self.job} #{self.number} in the Jenkins {self.controller}"


@dataclass(frozen=True, slots=True)
class Waiting:
    """A build that is in the queue of a Jenkins and has not begun."""

    build: BuildId
    controller: str
    item: Queued
