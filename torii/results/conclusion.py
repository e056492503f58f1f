"""The end of one run of a build: the rest of its log, what it left, its record. Every step may be done twice; the record is the last."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from torii.config.settings import Artifacts
from torii.jenkins import Build, Controller, JenkinsMissingError
from torii.model.build import Result
from torii.results import layout
from torii.results.desk import Pace
from torii.results.following import Following, recorded
from torii.results.leavings import Collector
from torii.results.ports import Blobs
from torii.results.record import BuildRecord, encode
from torii.results.transcript import Transcript
from torii.results.verdict import TAIL, verdict
from torii.runtime.ports import Outcome

_HEAD = 16 * 1024
_BEYOND = (1 << 44) - 1
_PATIENCE = 10.0
"""Seconds for which Jenkins may say that a build runs of whose end Gearman has told, before that is called trouble."""
_SLOWEST = 2.0
_NOTES_LIMIT = 100


def outcome_of(record: BuildRecord) -> Outcome:
    """Return what `record` tells, without the address of a page."""
    return Outcome(record.result, record.duration, record.detail, record.tests, record.artifacts, None, record.comments)


class Conclusion:
    """`controller` None: `server.yml` names no such Jenkins (any more)."""

    def __init__(self, blobs: Blobs, controller: Controller | None, following: Following, pace: Pace, clock: Callable[[], float]) -> None:
        self._blobs, self._controller, self._following, self._pace, self._clock = blobs, controller, following, pace, clock
        self._run = following.run
        self._notes: list[str] = []

    def reach(self) -> BuildRecord | float | None:
        """Return the record, which is written by then; None where nobody knows how the build ended; else when to come again.

        Raises JenkinsError where the Jenkins does not answer, OperatorError where the blobs refuse.
        """
        if (record := recorded(self._blobs, self._run.build)) is not None:
            return record
        if self._controller is None:
            return self._unseen(f"server.yml names no Jenkins {self._run.controller}")
        build = self._controller.build(self._run.job, self._run.number)
        if build is None:
            return self._unseen(f"Jenkins no longer has {self._run.job} #{self._run.number}")
        if build.running:
            return self._wait()
        try:
            return self._read(self._controller, build)
        except JenkinsMissingError:  # deleted just now
            return self._unseen(f"Jenkins no longer has {self._run.job} #{self._run.number}")

    def _wait(self) -> float:
        """Return when to ask again whether the build has ended."""
        pause = min(max(self._pace.again, self._following.waited / 4), _SLOWEST)
        self._following.waited += pause
        if self._following.word is not None and self._following.waited > _PATIENCE and not self._following.complained:
            self._following.complained = True
            self._following.troubled(f"{self._run} has ended, but Jenkins says that it still runs")
        return pause

    def _unseen(self, why: str) -> BuildRecord | None:
        """Make do with the word of Gearman, where there is one."""
        if self._controller is not None:
            self._controller.version()  # it may be a proxy that says so, while Jenkins is away
        word = self._following.word
        if word is None:
            return None
        if word is Result.ABORTED:  # deleting a job, or a controller that ends, aborts its builds
            record = BuildRecord(Result.LOST, detail=f"{why}: it was aborted, and why can no longer be seen", url=self._run.url)
        else:
            record = BuildRecord(word, detail=f"{why}: only its result is known", url=self._run.url)
        limit = self._controller.settings.log_limit if self._controller is not None else 0
        with self._following.reading(self._blobs, limit) as transcript:
            return self._write(transcript, replace(record, ended_at=self._clock()))

    def _read(self, controller: Controller, build: Build) -> BuildRecord | float | None:
        with self._following.reading(self._blobs, controller.settings.log_limit) as transcript:
            if transcript is None:
                return recorded(self._blobs, self._run.build)
            if not self._rest(controller, transcript):
                return self._wait()
            result, detail = verdict(build, self._tail(controller, transcript))
            ended_at = build.started_at + build.duration if build.started_at is not None and build.duration is not None else None
            record = BuildRecord(
                result, build.started_at, ended_at, build.duration, detail, worker=build.node, url=build.url or self._run.url
            )
            if result is not Result.LOST:
                record = self._collected(controller, build, transcript, record)
            return self._write(transcript, record)

    def _rest(self, controller: Controller, transcript: Transcript) -> bool:
        """Read the log to its end; return whether that was reached. Jenkins closes a log a moment after its build."""
        while not transcript.full:
            piece = controller.log(self._run.job, self._run.number, transcript.offset)
            grew = transcript.take(piece)
            if not piece.more:
                return True
            if not grew:
                return False
        return True

    def _tail(self, controller: Controller, transcript: Transcript) -> str:
        """Return the end of the log; where that was not kept, from Jenkins."""
        if not transcript.full:
            return transcript.tail(TAIL).decode("utf-8", "replace")
        # Asked for what stands beyond its end, Jenkins says where that is.
        end = controller.log(self._run.job, self._run.number, _BEYOND).next
        piece = controller.log(self._run.job, self._run.number, max(0, end - TAIL), TAIL)
        return piece.data.decode("utf-8", "replace")

    def _collected(self, controller: Controller, build: Build, transcript: Transcript, record: BuildRecord) -> BuildRecord:
        copy = controller.settings.artifacts is Artifacts.COPY if self._following.copy is None else self._following.copy
        collector = Collector(controller, self._blobs, self._run, self._following.job, self._note)
        left = collector.collect(build, transcript.head(_HEAD), copy=copy)
        record = replace(record, tests=left.tests, comments=left.comments, artifacts=left.artifacts, linked=left.linked)
        if left.tests is not None and left.tests.failed and record.result in (Result.SUCCESS, Result.UNSTABLE):
            # as Jenkins' JUnit publisher has it, where it is installed
            record = replace(record, result=Result.UNSTABLE, detail=f"{left.tests.failed} of {left.tests.total} tests failed")
        return record

    def _note(self, text: str) -> None:
        if len(self._notes) < _NOTES_LIMIT:
            self._notes.append(text)

    def _write(self, transcript: Transcript | None, record: BuildRecord) -> BuildRecord:
        if self._following.dropped:
            return record  # another run of the build has begun meanwhile, or nobody wants it any more
        if transcript is not None:
            said = [f"{record.result.value}: {record.detail}"] if record.detail else []
            transcript.close([*self._notes, *said])
        self._blobs.put(layout.record(self._run.build), encode(record))
        return record
