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


@dataclass(slots=True, eq=False)
class Following:
    """`lock` is held by whoever reads of the build or writes of it, also by an earlier run of the same build. `since` is monotonic.

    `dropped`: nobody wants to know more of this run. `waited` is for how long, in seconds, its end has been waited for.
    """

    run: Run
    since: float
    job: JobDefinition | None = None
    copy: bool | None = None
    word: Result | None = None
    told: list[Callable[[Outcome | None], None]] = field(default_factory=list)
    troubled: Callable[[str], None] = lambda reason: None  # noqa: ARG005
    lock: threading.Lock = field(default_factory=threading.Lock)
    ending: bool = False
    dropped: bool = False
    pause: float = 0.0
    waited: float = 0.0
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
