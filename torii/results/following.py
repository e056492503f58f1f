"""What the gatherer knows of one run of a build while it follows it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import structlog

from torii.errors import OperatorError
from torii.jenkins import JenkinsError
from torii.model.build import Result
from torii.model.ids import BuildId
from torii.model.job import JobDefinition
from torii.results.ports import Blobs
from torii.results.record import BuildRecord
from torii.results.run import Run
from torii.results.stored import read_record
from torii.results.transcript import Transcript
from torii.runtime.ports import Outcome

log = structlog.get_logger()


def recorded(blobs: Blobs, build: BuildId) -> BuildRecord | None:
    """Return the record of `build`, None where there is none that can be read: then what Jenkins says takes its place."""
    try:
        return read_record(blobs, build)
    except OperatorError as error:
        log.warning("results.record_unreadable", build=build, error=str(error))
        return None


class Baton:
    """One thread holds it at a time. Who comes for it to end a build, and finds it taken, is told of to whoever gives it back."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._taken = False
        self._waiting: list[Following] = []

    def take(self, ending: Following | None = None) -> bool:
        """Take it, if it is free. If not, `ending` waits."""
        with self._lock:
            taken, self._taken = self._taken, True
            if taken and ending is not None and ending not in self._waiting:
                self._waiting.append(ending)
            return not taken

    def give_back(self) -> list[Following]:
        """Return who waits, whose ends are to be looked at now."""
        with self._lock:
            self._taken = False
            waiting, self._waiting = self._waiting, []
            return waiting


@dataclass(slots=True, eq=False)
class Following:
    """`baton` is held by whoever reads of the build or writes of it; an earlier run of the same build has the same one.

    `since` is monotonic. `dropped`: nobody wants to know more of this run. `waited` is for how many seconds its end has been waited for.
    """

    run: Run
    since: float
    job: JobDefinition | None = None
    copy: bool | None = None
    word: Result | None = None
    told: list[Callable[[Outcome | None], None]] = field(default_factory=list)
    troubled: Callable[[str], None] = lambda reason: None  # noqa: ARG005
    baton: Baton = field(default_factory=Baton)
    ending: bool = False
    dropped: bool = False
    pause: float = 0.0
    waited: float = 0.0
    complained: bool = False
    transcript: Transcript | None = None

    @contextmanager
    def reading(self, blobs: Blobs, limit: int) -> Iterator[Transcript | None]:
        """Yield the transcript, None where the build has a record: then nothing more is written of it.

        Where the blobs refuse something it is opened anew the next time: what has reached them is known only to them.
        """
        if self.transcript is None:
            if recorded(blobs, self.run.build) is not None:
                yield None
                return
            self.transcript = Transcript(blobs, self.run, limit)
        try:
            yield self.transcript
        except JenkinsError:
            raise
        except BaseException:
            self.transcript = None
            raise
