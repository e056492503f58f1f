"""What landed: the states of a branch, read by git, and which of them is the first with a given change in it.

Gerrit tells neither the tree of a commit nor, where it merges, the commit that it made. Its branch does.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from torii.git import GitError, Mirror, RefMissingError, Remote
from torii.model.ids import Sha
from torii.sources.gerrit.commits import Commit

HEADS = "refs/heads/"

_FURTHEST = 1000
"""States of a branch that are looked at, from its tip on back."""

_REMEMBERED = 1000


@dataclass(frozen=True, slots=True)
class State:
    """A branch at `commit`, whose tree is `tree`."""

    commit: Sha
    tree: Sha


Ask = Callable[[Sha, Iterable[Sha]], Commit | None]
"""Returns a commit that is the tip of a branch, without what is in the history of others; None where it cannot. See `CommitReader.read`."""


class LandedStates:
    """The branches of one project: on `remote`, fetched into `mirror`. For any number of threads.

    Every method raises GitError where git or the remote fails. `ask`, if given, is a quicker way to a single commit than a fetch.
    """

    def __init__(self, remote: Remote, mirror: Mirror, ask: Ask | None = None) -> None:
        self._remote = remote
        self._mirror = mirror
        self._ask = ask
        self._lock = threading.Lock()
        self._trees: OrderedDict[Sha, Sha] = OrderedDict()

    def fetch(self, branch: str, since: Sha | None = None) -> tuple[State, ...]:
        """Return the states of `branch`, newest first, down to `since`, which was its tip; empty where the branch is gone.

        Where `since` is not given, or none of its last thousand states, these are returned.
        """
        ref = f"{HEADS}{branch}"
        try:
            tip = self._remote.fetch(self._mirror, (), track=[ref])[ref]
        except RefMissingError:
            return ()
        return self._states(tip, since)

    def made_from(self, before: Sha, tip: Sha, known: Iterable[Sha] = ()) -> State | None:
        """Return the state at `tip`, a branch's, if it was made from `before` in one step; None where it was not, or that is not known.

        What is in the history of `known` need not be sent. Fetches nothing, so that the mirror may lack it still.
        """
        commit = self._ask(tip, (before, *known)) if self._ask is not None else None
        if commit is None or commit.parents[:1] != (before,):
            return None
        state = State(commit.sha, commit.tree)
        self._remember([state])
        return state

    def tree(self, branch: str, commit: Sha) -> Sha | None:
        """Return the tree of `commit`, which was the tip of `branch` a moment ago; None where it is not there any more."""
        here = self.tree_here(commit)
        return here or next((state.tree for state in self.fetch(branch) if state.commit == commit), None)

    def tree_here(self, commit: Sha) -> Sha | None:
        """Return the tree of `commit` (a staged one, say) if it is in the mirror, else None."""
        with self._lock:
            known = self._trees.get(commit)
        return known or (self._log(commit, 1)[0].tree if self._mirror.has(commit) else None)

    def first_with(self, commit: Sha, states: Sequence[State]) -> State | None:
        """Return the oldest of `states` (newest first, each made from the next) that has `commit` in its history; None where none has."""
        low, high = 0, len(states)  # all before `low` have it; none from `high` on has
        if not self._mirror.has(commit):
            return None
        while low < high:
            middle = (low + high) // 2
            if states[middle].commit == commit or self._mirror.is_ancestor(commit, states[middle].commit):
                low = middle + 1
            else:
                high = middle
        return states[low - 1] if low else None

    def _states(self, tip: Sha, since: Sha | None) -> tuple[State, ...]:
        for most in (2, _FURTHEST) if since is not None else (_FURTHEST,):  # the usual case: one new state, made from the one before
            states = self._log(tip, most)
            for place, state in enumerate(states):
                if state.commit == since:
                    return states[: place + 1]
        return states

    def _log(self, tip: Sha, most: int) -> tuple[State, ...]:
        done = self._mirror.run("rev-list", "--first-parent", f"--max-count={most}", "--format=%H %T", tip, "--")
        lines = [line.split() for line in done.stdout.decode().splitlines() if not line.startswith("commit ")]
        states = tuple(State(Sha(words[0]), Sha(words[1])) for words in lines)
        if not states:
            raise GitError(f"{tip} is no commit that git can read in {self._mirror.path}")
        self._remember(states[:2])
        return states

    def _remember(self, states: Iterable[State]) -> None:
        with self._lock:
            for state in states:
                self._trees[state.commit] = state.tree
                self._trees.move_to_end(state.commit)
            while len(self._trees) > _REMEMBERED:
                self._trees.popitem(last=False)
