"""Merge the tested commit, or nothing. Each attempt reads the change and its branch anew; `judge` decides by what was read."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import structlog

from torii.git import GitError, Pushed, PushOutcome, RefUpdate, Rejected, RemoteUnavailableError, Stale
from torii.model.change import Change
from torii.model.command import Submit
from torii.model.event import Merged, Moved, Refused, SubmitUnavailable
from torii.model.ids import Sha
from torii.sources.git.derive import Landing
from torii.sources.git.refs import GATE, HEADS, REVIEW, ChangeRefs
from torii.sources.git.repository import Repository

log = structlog.get_logger()

Outcome = Merged | Moved | Refused | SubmitUnavailable

PAUSES = (0.2, 1.0, 3.0)
"""Seconds before each further attempt."""

_FEW = 1000

# What git and servers say when nothing was decided about the push as such, only that it could not be carried out now.
_PASSING = ("cannot lock ref", "failed to lock", "failed to update ref", "unable to lock", "incorrect old value")


@dataclass(frozen=True, slots=True)
class Standing:
    """What the remote says of a change and its branch; None where a ref is not there."""

    tip: Sha | None
    review: Sha | None
    gate: Sha | None


def judge(submit: Submit, now: Standing) -> Moved | Refused | None:
    """Return why `submit` must not be carried out as things stand; None where it may be, if its commit is a fast-forward."""
    change = submit.change
    if now.tip is None:
        return Refused(f"the branch {change.branch} is gone")
    if refusal := _judge_change(change, now):
        return refusal
    if now.tip != submit.onto:
        return Moved(now.tip)
    return None


def _judge_change(change: Change, now: Standing) -> Refused | None:
    if now.review is None and now.gate is None:
        return Refused(f"{change.id} is gone: its review and gate branches were deleted")
    refs = ChangeRefs(name_of(change), change.branch, now.review, now.gate)
    if refs.patchset != change.patchset:
        return Refused(f"{change.id} is at another patch set by now, {refs.patchset[:10]}; {change.patchset[:10]} was tested")
    if change.approved and not refs.approved:
        return Refused(f"{change.id} is no longer approved: " + ("; ".join(refs.blockers) or "its gate branch was deleted"))
    return None


class Submitter:
    """Carries out submits in one repository. `record` is told of a merge before it is pushed; `stopping` ends waiting.

    `patience` multiplies the pauses between attempts.
    """

    def __init__(
        self, repository: Repository, record: Callable[[str, Landing], None], stopping: threading.Event, patience: float = 1.0
    ) -> None:
        self._repository = repository
        self._pauses = tuple(pause * patience for pause in PAUSES)
        self._record = record
        self._stopping = stopping

    def submit(self, submit: Submit) -> Outcome:
        """Return what became of `submit`. Raises nothing for what git or the remote does."""
        problem = "nothing was tried"
        for pause in (*self._pauses, None):
            try:
                outcome = self._attempt(submit)
            except (GitError, OSError) as error:
                outcome = SubmitUnavailable(str(error))
            if not isinstance(outcome, SubmitUnavailable):
                return outcome
            problem = outcome.reason
            if pause is None or self._stopping.wait(pause):
                break
            log.info("source.submit_again", change=submit.change.id, reason=problem)
        return SubmitUnavailable(problem)

    def _attempt(self, submit: Submit) -> Outcome:
        now = self._read(submit.change)
        if now.tip is not None and now.tip != submit.onto and (landed := self._landed(submit, now.tip)):
            self._tidy(ended(submit.change, now))
            return landed
        if verdict := judge(submit, now):
            return verdict
        if refusal := self._unfit(submit):
            return refusal
        self._record(name_of(submit.change), Landing(Sha(submit.change.patchset), submit.commit))
        outcome = self._push(submit, now)
        return outcome if outcome is not None else self._read_back(submit)

    def _read(self, change: Change) -> Standing:
        branch, review, gate = HEADS + change.branch, REVIEW + name_of(change), GATE + name_of(change)
        refs = self._repository.read_refs((branch, review, gate))
        return Standing(refs.get(branch), refs.get(review), refs.get(gate))

    def _landed(self, submit: Submit, tip: Sha) -> Merged | None:
        """Return the merge that has happened already: the branch is at the commit or past it."""
        mirror = self._repository.mirror
        if tip != submit.commit:
            if not mirror.has(tip):
                self._repository.remote.fetch(mirror, (), track=[HEADS + submit.change.branch])
            # A commit that is not here was never pushed from here: it cannot be in the branch by Torii's doing.
            if not mirror.has(tip, submit.commit) or not mirror.is_ancestor(submit.commit, tip):
                return None
        return Merged(tip, self._tree(tip))

    def _unfit(self, submit: Submit) -> Refused | None:
        """Return why the commit is not one that may land; fetches it where the mirror lacks it."""
        facts = self._facts(submit)
        if facts is None:
            self.fetch_staged(submit)
            facts = self._facts(submit)
        if facts is None:
            raise RemoteUnavailableError(f"{self._repository.project}: the tested commit {submit.commit} is not to be had")
        tree, forward = facts
        if tree != submit.tree:
            return Refused(f"{submit.commit} has the tree {tree}, but {submit.tree} was tested")
        if not forward:
            return Refused(f"{submit.commit} is no fast-forward of {submit.change.branch} at {submit.onto}")
        return None

    def _facts(self, submit: Submit) -> tuple[Sha, bool] | None:
        """Return the commit's tree, and whether `onto` is in its history; None where one of them is not in the mirror."""
        mirror = self._repository.mirror
        # One command for the usual case: the few commits that either has and the other has not, each with its tree.
        options = ("--left-right", f"--max-count={_FEW}", "--format=%m %H %T")
        done = mirror.run("rev-list", *options, f"{submit.onto}...{submit.commit}", "--", expect=(0, 128))
        if done.status != 0:
            return None
        lines = [line.split() for line in done.stdout.decode().splitlines() if not line.startswith("commit")]
        tree = next((words[2] for words in lines if words[1] == submit.commit), None)
        if tree is None or len(lines) == _FEW:
            return self._tree(submit.commit), mirror.is_ancestor(submit.onto, submit.commit)
        return Sha(tree), not any(words[0] == "<" for words in lines)

    def fetch_staged(self, submit: Submit) -> None:
        """Fetch the tested commit from its staging ref: another merger made it, or this mirror is new."""
        repository = self._repository
        staging = repository.staging or repository.remote
        refs = staging.ls_remote([f"refs/staging/*/{submit.build_set}/*"])
        wanted = [ref for ref, sha in refs.items() if sha == submit.commit]
        repository.remote.fetch(repository.mirror, (), track=[HEADS + submit.change.branch])
        staging.fetch(repository.mirror, wanted)

    def _push(self, submit: Submit, now: Standing) -> Outcome | None:
        """Push; return the outcome where it is known by what the remote said, None where the branch must be read."""
        branch = RefUpdate(HEADS + submit.change.branch, submit.commit, submit.onto, rewind=True)  # `_unfit` saw that it goes forward
        over = ended(submit.change, now)
        answers = self._send((branch, *over), atomic=True)
        if _collateral(answers, branch.ref):
            # The server takes no atomic push, or keeps the change's branches from being deleted: the merge is what matters, if the
            # change is what it was. Nothing can exclude that it moves between this reading and the push.
            if verdict := judge(submit, self._read(submit.change)):
                return verdict
            answers = self._send((branch,), atomic=False)
            if isinstance(answers.get(branch.ref), Pushed):
                self._tidy(over)
        if any(isinstance(answer, Stale) for answer in answers.values()):
            return SubmitUnavailable(f"{submit.change.branch} or {submit.change.id} moved while it was pushed")
        match answers.get(branch.ref):
            case Rejected(reason) if not any(words in reason for words in _PASSING):
                return Refused(f"the server refused the push: {reason}")
            case Rejected(reason):
                return SubmitUnavailable(reason)
            case _:
                return None

    def _send(self, updates: tuple[RefUpdate, ...], *, atomic: bool) -> Mapping[str, PushOutcome]:
        try:
            return self._repository.remote.push(self._repository.mirror, updates, atomic=atomic)
        except RemoteUnavailableError as error:
            if atomic and "atomic" in str(error):
                return {update.ref: Rejected("the server takes no atomic pushes") for update in updates}
            raise

    def _tidy(self, ended: list[RefUpdate]) -> None:
        try:
            answers = self._repository.remote.push(self._repository.mirror, ended) if ended else {}
        except GitError as error:
            log.warning("source.refs_left", project=self._repository.project, reason=str(error))
            return
        for ref, answer in answers.items():
            if not isinstance(answer, Pushed):
                log.warning("source.refs_left", project=self._repository.project, ref=ref, reason=answer.reason)

    def _read_back(self, submit: Submit) -> Outcome:
        """Return what the branch is at after the push, as the remote says."""
        now = self._read(submit.change)
        if now.tip == submit.commit:
            return Merged(submit.commit, submit.tree)
        landed = self._landed(submit, now.tip) if now.tip is not None else None
        return landed or SubmitUnavailable(f"{submit.change.branch} was pushed, but then was at {now.tip}")

    def _tree(self, commit: Sha) -> Sha:
        return Sha(self._repository.mirror.run("rev-parse", "--verify", f"{commit}^{{tree}}").stdout.decode().strip())


def ended(change: Change, now: Standing) -> list[RefUpdate]:
    """Return what deletes the change's branches, those of them that still are at the merged patch set."""
    name = name_of(change)
    refs = ((GATE + name, now.gate), (REVIEW + name, now.review))
    return [RefUpdate(ref, None, sha) for ref, sha in refs if sha is not None and sha == change.patchset]


def _collateral(answers: Mapping[str, PushOutcome], branch: str) -> bool:
    """Whether the branch was turned down only for what became of the other refs, none of which moved."""
    mine = answers.get(branch)
    if not isinstance(mine, Rejected) or "atomic" not in mine.reason:
        return False
    return not any(isinstance(answer, Stale) for answer in answers.values())


def name_of(change: Change) -> str:
    """Return `<branch>/<name>` of the change: its ref without what stands before it."""
    for prefix in (REVIEW, GATE):
        if change.ref.startswith(prefix):
            return change.ref.removeprefix(prefix)
    raise GitError(f"{change.id} is not a change of a plain git repository: its ref is {change.ref}")
