"""One Jenkins controller over its REST API, through python-jenkins: each call has its time limits, and every failure is an error with words."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from torii.config.settings import JenkinsSettings
from torii.jenkins.values import Build, Job, LogPiece, Node, Plugin, Queued
from torii.model.build import TestSummary
from torii.model.ids import BuildId


class Controller:
    """The Jenkins that `settings` describe, for any number of threads. Connections are kept open and used again.

    Every method raises JenkinsUnavailableError, JenkinsRefusedError or another JenkinsError, and OperatorError where the token cannot be read.
    Jobs are named by their short names: all of them are in `settings.folder`.
    """

    def __init__(self, settings: JenkinsSettings, patience: float = 1.0) -> None:
        self.settings = settings
        self._patience = patience

    @property
    def name(self) -> str:
        """What `server.yml` calls it."""
        return self.settings.name

    # -- jobs

    def jobs(self) -> dict[str, Job]:
        """Return every job of the folder, by name, in one request. Raises JenkinsMissingError where the folder is missing."""
        raise NotImplementedError

    def config(self, job: str) -> bytes | None:
        """Return the config.xml of `job`, None where there is no such job."""
        raise NotImplementedError

    def create(self, job: str, xml: bytes) -> None:
        """Make `job`. Raises JenkinsExistsError, JenkinsInvalidError."""
        raise NotImplementedError

    def update(self, job: str, xml: bytes) -> None:
        """Give `job` this config.xml. Raises JenkinsMissingError, JenkinsInvalidError."""
        raise NotImplementedError

    def enable(self, job: str) -> None:
        """Let `job` be built again, where somebody disabled it."""
        raise NotImplementedError

    def delete(self, job: str) -> bool:
        """Delete `job`; return whether there was one."""
        raise NotImplementedError

    # -- builds

    def build(self, job: str, number: int) -> Build | None:
        """Return a build, None where there is none (any more)."""
        raise NotImplementedError

    def find(self, job: str, uuid: BuildId) -> Build | Queued | None:
        """Return the newest build of `job` (or else its item in the queue) whose TORII_UUID is `uuid`, None where there is neither."""
        raise NotImplementedError

    def running(self) -> dict[str, Build]:
        """Return every build that runs now on any executor and has a TORII_UUID, by that, in one request."""
        raise NotImplementedError

    def start(self, job: str, parameters: Mapping[str, str]) -> int:
        """Ask for a build with `parameters` and return the id of its item in the queue. Sent once.

        Raises JenkinsMissingError, JenkinsInvalidError (the job is disabled, say).
        """
        raise NotImplementedError

    def queue(self) -> tuple[Queued, ...]:
        """Return all that waits in the queue, in one request."""
        raise NotImplementedError

    def queued(self, item: int) -> Queued | None:
        """Return an item of the queue, also for some minutes after it left; None where nobody knows it (any more)."""
        raise NotImplementedError

    def cancel(self, item: int) -> None:
        """Take an item out of the queue; nothing happens where it has left."""
        raise NotImplementedError

    def stop(self, job: str, number: int) -> None:
        """Ask for the end of a build; nothing happens where it is over."""
        raise NotImplementedError

    def describe(self, job: str, number: int, html: str) -> None:
        """Set a build's description."""
        raise NotImplementedError

    def log(self, job: str, number: int, start: int = 0, largest: int = 4 * 1024 * 1024) -> LogPiece:
        """Return the console log from `start` on (an offset that Jenkins gave as `next`, or 0), `largest` bytes of it at most.

        Raises JenkinsMissingError where the build is gone.
        """
        raise NotImplementedError

    def tests(self, job: str, number: int) -> TestSummary | None:
        """Return the counts of a build's test report with the first failing names, None where it has none or the plug-in is missing."""
        raise NotImplementedError

    def artifact(self, job: str, number: int, path: str) -> Iterator[bytes]:
        """Yield an artifact's bytes, in pieces, decoded. Raises JenkinsMissingError."""
        raise NotImplementedError

    # -- the controller itself

    def version(self) -> str:
        """Return Jenkins' version, such as `2.426.3`."""
        raise NotImplementedError

    def user(self) -> str:
        """Return who Torii is there."""
        raise NotImplementedError

    def plugins(self) -> dict[str, Plugin]:
        """Return the installed plug-ins by their short names."""
        raise NotImplementedError

    def nodes(self) -> tuple[Node, ...]:
        """Return all nodes, the built-in one among them, in one request."""
        raise NotImplementedError

    def quieting_down(self) -> bool:
        """Whether it is about to shut down and starts no builds."""
        raise NotImplementedError

    def may(self, permissions: Collection[str]) -> dict[str, bool]:
        """Return for each of `permissions` (`Job/Create`, ...) whether Torii's account has it, as far as it can be seen without changing anything."""
        raise NotImplementedError

    def close(self) -> None:
        """End the calls under way, and any later one, with JenkinsUnavailableError."""
