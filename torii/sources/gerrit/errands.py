"""What the gate asks of a Gerrit: reports side by side, submits one after the other, and no submit before its change's reports.

Gerrit merges only what has its votes, and the gate asks for both in one breath (docs/decisions/0007). So a submit waits for what was to be
reported on its change before it, while the reports on others go on.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Protocol

import structlog

from torii.model.command import Report, Submit
from torii.model.event import Merged, Moved, Refused, ReportDone, SubmitDone, SubmitUnavailable
from torii.model.ids import ChangeId
from torii.runtime.ports import Post
from torii.sources.lanes import Lanes

log = structlog.get_logger()

LANES = 4
"""Changes that are reported on side by side; reports on one change keep their order."""

TOGETHER = 5
"""Submits carried out before they are answered, where many could be."""

_REMEMBERED = 1000

Outcome = Merged | Moved | Refused | SubmitUnavailable


class Delivers(Protocol):
    """Delivers reports."""

    def deliver(self, report: Report) -> ReportDone:
        """Return what became of `report`."""


class Submits(Protocol):
    """Carries out submits."""

    def submit_all(self, submits: Sequence[Submit]) -> list[Outcome]:
        """Return what became of each of `submits`, in order."""


class Errands:
    """Answers each report and submit through `post`. `merged` is told which submits were tried. The thread that calls never waits."""

    def __init__(
        self,
        name: str,
        reporter: Delivers,
        submitter: Submits,
        post: Post,
        merged: Callable[[Iterable[Submit]], None],
        stopping: threading.Event,
    ) -> None:
        self._name = name
        self._reporter = reporter
        self._submitter = submitter
        self._post = post
        self._merged = merged
        self._stopping = stopping
        self._reported = threading.Condition()
        self._waiting: dict[ChangeId, int] = {}
        self._undelivered: dict[ChangeId, Report] = {}
        self._reports: Lanes[int, Report] = Lanes(f"report-{name}", self._deliver)
        self._submits: Lanes[str, Submit] = Lanes(f"submit-{name}", self._carry_out)

    def report(self, reports: Sequence[Report]) -> None:
        """Deliver `reports`; each is answered once."""
        lanes: dict[int, list[Report]] = {}
        with self._reported:
            for report in reports:
                change = report.subject.id
                self._waiting[change] = self._waiting.get(change, 0) + 1
                lanes.setdefault(hash(change) % LANES, []).append(report)
        for lane, mine in lanes.items():
            self._reports.add(lane, mine)

    def submit(self, submit: Submit) -> None:
        """Carry out `submit`, after those asked for before and after its change's reports."""
        self._submits.add("all", [submit])

    def close(self, timeout: float) -> bool:
        """Drop what waits, and wait up to `timeout` seconds for what is under way; return whether it ended."""
        deadline = time.monotonic() + timeout
        with self._reported:
            self._reported.notify_all()
        ended = self._submits.close(max(0.0, deadline - time.monotonic()))
        return self._reports.close(max(0.0, deadline - time.monotonic())) and ended

    # -- reports

    def _deliver(self, _: int, reports: Sequence[Report]) -> None:
        for report in reports:
            if self._stopping.is_set():
                return
            self._answer(report, self._try(report))
            with self._reported:
                change = report.subject.id
                self._waiting[change] -= 1
                if not self._waiting[change]:
                    del self._waiting[change]
                self._reported.notify_all()

    def _try(self, report: Report) -> ReportDone:
        try:
            return self._reporter.deliver(report)
        except Exception as error:
            log.exception("source.report_failed", source=self._name, key=report.key)
            return ReportDone(report.key, f"{type(error).__name__}: {error}")

    def _answer(self, report: Report, answer: ReportDone) -> None:
        if not answer.error:
            with self._reported:
                known = self._undelivered.get(report.subject.id)
                if known is not None and (known.key == report.key or report.votes):  # an older vote must not come after a newer one
                    del self._undelivered[report.subject.id]
        elif self._stopping.is_set():
            return  # asked for again after the next start
        else:
            log.warning("source.report_undelivered", source=self._name, key=report.key, reason=answer.error)
            if report.votes and not answer.final:
                self._keep(report)
        self._post([answer])

    def _keep(self, report: Report) -> None:
        with self._reported:
            self._undelivered[report.subject.id] = replace(report, again=True)
            while len(self._undelivered) > _REMEMBERED:
                del self._undelivered[next(iter(self._undelivered))]

    # -- submits

    def _carry_out(self, _: str, submits: Sequence[Submit]) -> None:
        rest = list(submits)
        while rest and self._await_reports(rest[0]):
            # What merges together is asked for together; else those whose votes are cast already go along.
            some = len(rest) if rest[0].change.together else 1
            while some < min(len(rest), TOGETHER) and not rest[some].change.together and self._is_reported(rest[some]):
                some += 1
            if not all(self._await_reports(each) for each in rest[1:some]):
                return
            self._carry_out_some(rest[:some])
            del rest[:some]

    def _is_reported(self, submit: Submit) -> bool:
        with self._reported:
            return submit.change.id not in self._waiting and submit.change.id not in self._undelivered

    def _await_reports(self, submit: Submit) -> bool:
        """Wait until what was to be reported on the change is, or cannot be for now; return False where all of it stops."""
        with self._reported:
            for change in {submit.change.id, *submit.change.together}:
                # Each report has its own limits, so that none is waited for forever; the limit here is to see a stop.
                while change in self._waiting and not self._stopping.is_set():
                    self._reported.wait(0.5)
        return not self._stopping.is_set()

    def _carry_out_some(self, submits: Sequence[Submit]) -> None:
        for submit in submits:
            with self._reported:
                report = self._undelivered.get(submit.change.id)
            if report is not None:  # without its votes the merge would be refused, although only Gerrit was away
                self._answer(report, self._try(report))
        try:
            outcomes = self._submitter.submit_all(submits)
        except Exception as error:
            log.exception("source.submit_failed", source=self._name, changes=[submit.change.id for submit in submits])
            outcomes = [SubmitUnavailable(f"{type(error).__name__}: {error}")] * len(submits)
        done = []
        for submit, outcome in zip(submits, outcomes, strict=True):
            log.info("source.submitted", source=self._name, change=submit.change.id, outcome=type(outcome).__name__)
            # What a stop cut short is asked for again after the next start.
            if not (isinstance(outcome, SubmitUnavailable) and self._stopping.is_set()):
                done.append(SubmitDone(submit.build_set, outcome))
        if done:
            self._post(done)
        self._merged(submits)
