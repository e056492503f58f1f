"""Delivers reports: one review a report, on exactly the patch set that was tested, its votes read back from Gerrit's answer.

Nothing is said twice: where it is unclear whether a report was delivered, the change's messages are read first. Nothing is lost silently
either: a vote that Gerrit does not take is an error for the operator and, once for a change and label, a line for the change's owner.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import structlog

from torii.errors import OperatorError
from torii.model.change import BranchState, Change, Subject
from torii.model.command import Report
from torii.model.event import ReportDone
from torii.model.ids import Sha
from torii.sources.gerrit.comments import Lines, inline, listed, measurable, remarks_of, split
from torii.sources.gerrit.errors import GerritRefusedError, GerritUnavailableError
from torii.sources.gerrit.facts import number_of
from torii.sources.gerrit.rest import GerritRest, quote
from torii.sources.gerrit.review import KEY_LINE, LostVote, Review, lesser, lost_votes, notice_of, review_of

log = structlog.get_logger()

PAUSES = (0.5, 2.0, 5.0)
"""Seconds before each further attempt, where Gerrit is away."""

LONGEST_PAUSE = 30.0
"""Seconds. Where Gerrit asks to be left alone for longer, the report is asked for again later."""

LARGEST_FILE = 1024 * 1024
"""Bytes of a file whose lines are counted, so that no comment stands beyond its end."""

_FILES_MEASURED = 10
_REMEMBERED = 10_000
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class _Patchset:
    """Where a review goes: a change's number, and the commit of one of its patch sets."""

    number: int
    commit: Sha

    @property
    def path(self) -> str:
        return f"changes/{self.number}/revisions/{self.commit}"


class Reporter:
    """Delivers reports through `rest`. `compose` makes a report's text; `stopping` ends waiting; `patience` multiplies the pauses.

    For any number of threads, if the reports of one change come from one at a time.
    """

    def __init__(self, rest: GerritRest, compose: Callable[[Report], str], stopping: threading.Event, patience: float = 1.0) -> None:
        self._rest = rest
        self._compose = compose
        self._stopping = stopping
        self._pauses = tuple(pause * patience for pause in PAUSES)
        self._account: int | None = None
        self._unclear = _Recent()
        self._told = _Recent()
        self._untaken: dict[tuple[str, str], str] = {}

    def deliver(self, report: Report) -> ReportDone:
        """Return what became of `report`: it is with Gerrit now, could not be delivered, or never can be.

        Raises nothing for what Gerrit does, and ValueError for a change that is not one of a Gerrit's.
        """
        careful = report.again or report.key in self._unclear
        problem = ""
        for pause in (*self._pauses, None):
            try:
                done = self._attempt(report, careful)
            except GerritRefusedError as error:
                return _refused(report, error)
            except OperatorError as error:
                problem, careful = str(error), True
                self._unclear.add(report.key)
                asked = error.retry_after if isinstance(error, GerritUnavailableError) else None
                wait = max(pause or 0.0, asked or 0.0)
                if pause is None or wait > LONGEST_PAUSE or self._stopping.wait(wait):
                    break
                log.info("gerrit.report_again", connection=self._rest.name, key=report.key, reason=problem)
            else:
                self._unclear.discard(report.key)
                return done
        return ReportDone(report.key, problem)

    def health(self) -> str:
        """Return `ok`, or which votes Gerrit did not take when they were last cast, and why."""
        untaken = [f"{project}: {words}" for (project, _), words in sorted(self._untaken.copy().items())]
        if not untaken:
            return "ok"
        return f"votes not taken: {'; '.join(untaken[:_SHOWN])}" + (f"; and {len(untaken) - _SHOWN} more" if len(untaken) > _SHOWN else "")

    def _attempt(self, report: Report, careful: bool) -> ReportDone:
        patchset = self._patchset(report.subject)
        if patchset is None:
            log.info("gerrit.report_without_change", connection=self._rest.name, key=report.key, subject=report.subject.id)
            return ReportDone(report.key)
        review = review_of(report, self._compose(report))
        spare: tuple[str, ...] = ()
        there = self._messages(patchset.number) if careful else ()
        place = next((index for index, message in enumerate(there) if message.says(review.key_line)), None)
        if place is None:
            review, spare = self._with_comments(patchset, review, report)
        elif any(later.revision == there[place].revision and later.report for later in there[place + 1 :]):
            return ReportDone(report.key)  # its votes are those of a later report by now
        else:
            review = replace(review, text="")  # casting a vote again that is there changes nothing
        lost = self._send(patchset, review, spare)
        return self._judge(report, lost)

    # ---- where to --------------------------------------------------------------------------------------------------------------

    def _patchset(self, subject: Subject) -> _Patchset | None:
        """Return the tested patch set, for a state of a branch the one by which it came about; None where no change made it."""
        match subject:
            case Change():
                return _Patchset(number_of(subject.id), subject.commit)
            case BranchState():
                return self._landed(subject, subject.commit) or self._merged(subject)

    def _merged(self, state: BranchState) -> _Patchset | None:
        """Return the patch set that the commit of `state`, a merge by Gerrit, brought in."""
        try:
            commit = self._rest.get(f"projects/{quote(state.project)}/commits/{state.commit}")
        except GerritRefusedError:
            return None
        parents = [Sha(parent["commit"]) for parent in commit.get("parents", ())]
        return self._landed(state, parents[-1]) if len(parents) > 1 else None

    def _landed(self, state: BranchState, commit: Sha) -> _Patchset | None:
        found = self._rest.get("changes/", [("q", f"commit:{commit} status:merged"), ("n", "20")])
        mine = [each for each in found if (each.get("project"), each.get("branch")) == (state.project, state.branch)]
        return _Patchset(int(mine[0]["_number"]), commit) if mine else None

    def _messages(self, number: int) -> tuple[_Said, ...]:
        """Return what our own account has said on a change, the oldest first: nobody else's word counts for ours."""
        if self._account is None:
            self._account = int(self._rest.get("accounts/self")["_account_id"])
        found = self._rest.get(f"changes/{number}/messages")
        return tuple(_Said.of(each) for each in found if each.get("author", {}).get("_account_id") == self._account)

    # ---- the review ------------------------------------------------------------------------------------------------------------

    def _with_comments(self, patchset: _Patchset, review: Review, report: Report) -> tuple[Review, tuple[str, ...]]:
        """Return `review` with what `report` says of lines, in the files where that can be, and the same as words for the message."""
        remarks = remarks_of(report)
        if not remarks:
            return review, ()
        files = self._rest.get(f"{patchset.path}/files/")
        placed, left = split(remarks, files)
        lines = {path: self._lines(patchset, path) for path in measurable(placed, files, LARGEST_FILE)[:_FILES_MEASURED]}
        comments = tuple(inline(remark, lines.get(remark.path)) for remark in placed)
        return replace(review, comments=comments, remarks=listed(left)), listed(placed)

    def _lines(self, patchset: _Patchset, path: str) -> Lines | None:
        try:
            return Lines.of(self._rest.get_content(f"{patchset.path}/files/{quote(path)}/content"))
        except GerritRefusedError:
            return None

    def _send(self, patchset: _Patchset, review: Review, spare: Sequence[str]) -> tuple[LostVote, ...]:
        """Post `review`, or as much of it as Gerrit takes; return the votes it did not take. Raises what `GerritRest.post` raises."""
        lost: tuple[LostVote, ...] = ()
        while review.message or review.votes:
            try:
                reply = self._rest.post(f"{patchset.path}/review", review.body())
            except GerritRefusedError as error:
                step = lesser(review, error.status, error.text, spare)
                if step is None:
                    raise
                review, gone = step
                log.warning("gerrit.review_refused", connection=self._rest.name, change=patchset.number, reason=error.text)
                if gone and review.message:
                    review = replace(review, remarks=(*review.remarks, *self._notices(patchset, gone)))
                lost += gone
                continue
            self._remember(patchset, lost)
            dropped = lost_votes(review.votes, reply)
            self._tell(patchset, review, dropped)
            return lost + dropped
        self._tell(patchset, review, lost)
        return lost

    def _notices(self, patchset: _Patchset, lost: Sequence[LostVote]) -> tuple[str, ...]:
        """Return what the owner of the change is to be told of `lost`, and was not told before."""
        news = [vote for vote in lost if (patchset.number, vote.label) not in self._told]
        said = self._messages(patchset.number) if news else ()
        return tuple(vote.notice for vote in news if not any(notice_of(vote.label) in message.text for message in said))

    def _tell(self, patchset: _Patchset, review: Review, lost: Sequence[LostVote]) -> None:
        """Tell the owner of the change of votes that were dropped without a word, once."""
        notices = self._notices(patchset, lost)
        if notices:
            try:
                self._rest.post(f"{patchset.path}/review", Review(review.tag, "", remarks=notices).body())
            except OperatorError as error:
                log.warning("gerrit.notice_undelivered", connection=self._rest.name, change=patchset.number, reason=str(error))
                return
        self._remember(patchset, lost)

    def _remember(self, patchset: _Patchset, lost: Sequence[LostVote]) -> None:
        for vote in lost:
            self._told.add((patchset.number, vote.label))

    def _judge(self, report: Report, lost: Sequence[LostVote]) -> ReportDone:
        project = report.subject.project
        for label, _ in report.votes:
            self._untaken.pop((project, label), None)
        for vote in lost:
            self._untaken[project, vote.label] = str(vote)
            log.error("gerrit.vote_not_taken", connection=self._rest.name, change=report.subject.id, label=vote.label, reason=str(vote))
        if not lost:
            return ReportDone(report.key)
        reason = "; ".join(str(vote) for vote in lost)
        # A permission may be granted at any time, and the vote is still wanted then; a label that is not there is not missed by anybody.
        return ReportDone(report.key, f"said, but Gerrit did not take {reason}", final=not any(vote.permission for vote in lost))


@dataclass(frozen=True, slots=True)
class _Said:
    """One of our messages on a change."""

    text: str
    revision: int

    @classmethod
    def of(cls, info: dict[str, Any]) -> _Said:
        return cls(str(info.get("message", "")).strip(), int(info.get("_revision_number", 0)))

    @property
    def report(self) -> str:
        """The line with the key of the report that it is; empty where it is none."""
        last = self.text.rpartition("\n")[2]
        return last if last.startswith(KEY_LINE) else ""

    def says(self, line: str) -> bool:
        return self.report == line


class _Recent:
    """Remembers the last few thousand things. For any number of threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._things: OrderedDict[Hashable, None] = OrderedDict()

    def __contains__(self, thing: Hashable) -> bool:
        return thing in self._things

    def add(self, thing: Hashable) -> None:
        with self._lock:
            self._things[thing] = None
            self._things.move_to_end(thing)
            if len(self._things) > _REMEMBERED:
                self._things.popitem(last=False)

    def discard(self, thing: Hashable) -> None:
        with self._lock:
            self._things.pop(thing, None)


def _refused(report: Report, error: GerritRefusedError) -> ReportDone:
    """Return the answer where Gerrit takes no review at all: what an operator can mend is asked for again, what is over never."""
    subject = report.subject.id
    match error.status:
        case 404:
            return ReportDone(report.key, f"{subject} is deleted, or hidden from Torii's account by now: {error}", final=True)
        case 409:
            return ReportDone(report.key, f"Gerrit takes no report on {subject} any more: {error.text}", final=True)
        case 401 | 403:
            return ReportDone(report.key, str(error))
        case _:
            return ReportDone(report.key, str(error), final=True)
