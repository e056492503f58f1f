"""Merge tested commits that stand on one another by one push: while a branch is read, pushed and read again, others become ready.

Nothing is decided here that `submit` would decide otherwise. Whatever is not as it should be (a ref that moved, a commit that is not here,
a server that takes no atomic push, no answer at all) is left to it: it takes the changes one by one, and finds what has landed already.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import structlog

from torii.git import GitError, Pushed, RefUpdate
from torii.model.command import Submit
from torii.model.event import Merged, SubmitUnavailable
from torii.model.ids import Sha
from torii.sources.git.derive import Landing
from torii.sources.git.refs import GATE, HEADS, REVIEW
from torii.sources.git.repository import Repository
from torii.sources.git.submit import Outcome, Standing, Submitter, ended, judge, name_of

log = structlog.get_logger()

_FEW = 1000


def runs(submits: Sequence[Submit]) -> Iterator[list[Submit]]:
    """Split `submits` into runs: each commit of a run was tested to go onto the one before it."""
    run: list[Submit] = []
    for submit in submits:
        if run and (run[-1].change.branch, run[-1].commit) != (submit.change.branch, submit.onto):
            yield run
            run = []
        run.append(submit)
    if run:
        yield run


class RunSubmitter:
    """Carries out runs in one repository, with `single` for what one push cannot do. `record` is told of merges before they are pushed."""

    def __init__(self, repository: Repository, single: Submitter, record: Callable[[str, Landing], None]) -> None:
        self._repository = repository
        self._single = single
        self._record = record

    def submit(self, run: Sequence[Submit]) -> list[Outcome]:
        """Return what became of each of `run`. Raises nothing for what git or the remote does."""
        together = self._together(run) if len(run) > 1 else 0
        outcomes: list[Outcome] = [Merged(submit.commit, submit.tree) for submit in run[:together]]
        for submit in run[together:]:
            if outcomes and isinstance(outcomes[-1], SubmitUnavailable):  # it stands on that one's commit
                outcomes.append(SubmitUnavailable(f"the change ahead could not be merged: {outcomes[-1].reason}"))
            else:
                outcomes.append(self._single.submit(submit))
        return outcomes

    def _together(self, run: Sequence[Submit]) -> int:
        """Return how many of `run`, from its first on, are merged now by one push and seen to be; 0 where that was not to be had."""
        try:
            refs = self._repository.read_refs((HEADS + run[0].change.branch, *(ref for submit in run for ref in _refs(submit))))
            fit = self._fit(run, refs)
            if len(fit) < 2 or not self._push(fit, refs):
                return 0
            branch = HEADS + run[0].change.branch
            return len(fit) if self._repository.read_refs((branch,)).get(branch) == fit[-1].commit else 0
        except (GitError, OSError) as error:
            log.info("source.submit_one_by_one", project=self._repository.project, changes=len(run), reason=str(error))
            return 0

    def _fit(self, run: Sequence[Submit], refs: Mapping[str, Sha]) -> list[Submit]:
        """Return the beginning of `run` that may land as things stand."""
        if refs.get(HEADS + run[0].change.branch) != run[0].onto:
            return []
        trees, parents = self._history(run)
        fit: list[Submit] = []
        for submit in run:
            gate, review = (refs.get(ref) for ref in _refs(submit))
            whole = trees.get(submit.commit) == submit.tree and _contains(parents, submit.commit, submit.onto)
            if not whole or judge(submit, Standing(submit.onto, review, gate)) is not None:
                break
            fit.append(submit)
        return fit

    def _history(self, run: Sequence[Submit]) -> tuple[dict[str, str], dict[str, list[str]]]:
        """Return the trees and the parents of the commits that the last of `run` has and the branch has not."""
        command = ("rev-list", f"--max-count={_FEW}", "--format=%H %T %P", run[-1].commit, f"^{run[0].onto}", "--")
        done = self._repository.mirror.run(*command, expect=(0, 128))
        if done.status != 0:  # another merger made them, or this mirror is new
            self._single.fetch_staged(run[-1])
            done = self._repository.mirror.run(*command)
        lines = [line.split() for line in done.stdout.decode().splitlines() if not line.startswith("commit")]
        return {words[0]: words[1] for words in lines}, {words[0]: words[2:] for words in lines}

    def _push(self, fit: Sequence[Submit], refs: Mapping[str, Sha]) -> bool:
        for submit in fit:
            self._record(name_of(submit.change), Landing(Sha(submit.change.patchset), submit.commit))
        updates = [RefUpdate(HEADS + fit[0].change.branch, fit[-1].commit, fit[0].onto, rewind=True)]  # `_fit` saw that it goes forward
        for submit in fit:
            gate, review = (refs.get(ref) for ref in _refs(submit))
            updates += ended(submit.change, Standing(submit.onto, review, gate))
        answers = self._repository.remote.push(self._repository.mirror, updates, atomic=True)
        return all(isinstance(answer, Pushed) for answer in answers.values())


def _refs(submit: Submit) -> tuple[str, str]:
    name = name_of(submit.change)
    return GATE + name, REVIEW + name


def _contains(parents: Mapping[str, Sequence[str]], commit: Sha, wanted: Sha) -> bool:
    """Say whether `wanted` is in the history of `commit`, as far as `parents` goes."""
    todo, seen = [str(commit)], set[str]()
    while todo:
        one = todo.pop()
        if one == wanted:
            return True
        if one not in seen:
            seen.add(one)
            todo += parents.get(one, ())
    return False
