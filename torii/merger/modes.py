"""The merge modes: how each makes a change part of its branch. The semantics are those of Gerrit's submit types, and of squash.

| mode | already on top of the branch | else |
|---|---|---|
| fast-forward only | the change as it is | a conflict |
| merge if necessary | the change as it is | a merge commit |
| merge always | a merge commit | a merge commit |
| rebase if necessary | the change as it is | its commits one by one onto the branch |
| rebase always, cherry-pick | its commits anew | its commits one by one onto the branch |
| squash | one new commit | one new commit |

A change that the branch has already is left alone in every mode. A change with merge commits of its own is not taken apart: the
modes that would rebase it merge it if necessary, as Gerrit does. Commits that become empty are dropped, those that were empty stay.
Histories with nothing in common are never joined.

What is made depends on the inputs alone, so any merger makes the same commits. The committer is Torii. A commit's date is the latest of
those it is made of, in UTC. Rebased commits keep their author and message to the byte; a squashed commit has the author of the change's
last commit and the message of its first, with the titles of the others listed; a merge is Torii's own and says `Merge "<title of the
change>"`, and which branch it goes into where that is not main or master. Signatures are dropped, since what they signed is gone.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from torii.git import Mirror
from torii.merger.merging import Clash, Merging
from torii.merger.objects import Commit
from torii.model.ids import Sha
from torii.model.pipeline import MergeMode

_TRAILER = re.compile(rb"[A-Za-z0-9-]+: ")
_MAX_TITLE = 200
_UNNAMED_BRANCHES = ("main", "master")


@dataclass(frozen=True, slots=True)
class Identity:
    """Who commits. Neither may hold `<`, `>` or a line break."""

    name: str = "Torii"
    email: str = "torii@localhost"

    def at(self, date: int) -> bytes:
        """Return the identity with `date` (seconds since the epoch) as a commit object has it."""
        return f"{self.name} <{self.email}> {date} +0000".encode()


@dataclass(frozen=True, slots=True)
class Tip:
    """A state of a branch: a commit and its tree."""

    commit: Sha
    tree: Sha


@dataclass(frozen=True, slots=True)
class _Line:
    """The commits of a change that the branch lacks, oldest first. `ahead`: the branch is in the change's history."""

    commits: tuple[Sha, ...]
    straight: bool
    ahead: bool


class Modes:
    """Makes changes part of branches in `mirror` with `merging`, as `identity`."""

    def __init__(self, mirror: Mirror, merging: Merging, identity: Identity) -> None:
        self._mirror = mirror
        self._merging = merging
        self._objects = merging.objects
        self._identity = identity

    def apply(self, mode: MergeMode, onto: Tip, change: Sha, branch: str, taken: Sequence[Sha] = ()) -> Tip | Clash:
        """Return `branch`, now at `onto`, with `change` made part of it in `mode`; `onto` itself where there is nothing to add.

        `taken` are changes that went into `onto` before, though it need not contain their commits: where `change` stands on one of
        them, only what it adds to that is rebased.
        """
        if change == onto.commit:
            return onto
        match mode:
            case MergeMode.FAST_FORWARD_ONLY:
                return self._fast_forward(onto, change, branch)
            case MergeMode.MERGE_IF_NECESSARY | MergeMode.MERGE_ALWAYS:
                return self._merge(onto, change, branch, always=mode is MergeMode.MERGE_ALWAYS)
            case MergeMode.REBASE_IF_NECESSARY | MergeMode.REBASE_ALWAYS | MergeMode.CHERRY_PICK:
                return self._rebase(onto, change, branch, taken, always=mode is not MergeMode.REBASE_IF_NECESSARY)
            case MergeMode.SQUASH:
                return self._squash(onto, change, taken)

    def _fast_forward(self, onto: Tip, change: Sha, branch: str) -> Tip | Clash:
        if forward := self._forward(onto, change):
            return forward
        if self._mirror.is_ancestor(change, onto.commit):
            return onto
        return Clash(f"it cannot be fast-forwarded: {branch} has commits that it lacks, rebase it")

    def _merge(self, onto: Tip, change: Sha, branch: str, *, always: bool) -> Tip | Clash:
        commit = self._objects.commit(change)
        if not always and onto.commit in commit.parents:
            return Tip(change, commit.tree)
        tree = self._merging.merge(onto.commit, onto.tree, change)
        if isinstance(tree, Clash):
            return tree
        # Containing one another shows in the merged tree, so that most merges need not ask for it.
        if tree == onto.tree and self._mirror.is_ancestor(change, onto.commit):
            return onto
        if not always and tree == commit.tree and self._mirror.is_ancestor(onto.commit, change):
            return Tip(change, tree)
        who = self._identity.at(max(self._date(onto.commit), commit.date))
        return self._write(Commit(tree, (onto.commit, change), who, who, merge_message(commit.subject, branch)))

    def _rebase(self, onto: Tip, change: Sha, branch: str, taken: Sequence[Sha], *, always: bool) -> Tip | Clash:
        commit = self._objects.commit(change)
        if not always and commit.parents == (onto.commit,):
            return Tip(change, commit.tree)
        line = self._line(onto.commit, change, taken)
        if not line.commits:
            return onto
        if line.ahead and not always:
            return Tip(change, commit.tree)
        if not line.straight:
            return self._merge(onto, change, branch, always=False)
        for each in line.commits:
            made = self._pick(onto, each)
            if isinstance(made, Clash):
                return made
            onto = made
        return onto

    def _pick(self, onto: Tip, change: Sha) -> Tip | Clash:
        commit = self._objects.commit(change)
        if not commit.parents:
            return Clash("its history has no commit in common with the branch")
        tree = self._merging.pick(onto.commit, onto.tree, change, commit.parents[0])
        if isinstance(tree, Clash):
            return tree
        if tree == onto.tree and commit.tree != self._objects.commit(commit.parents[0]).tree:
            return onto  # the branch has all of it already
        who = self._identity.at(max(self._date(onto.commit), commit.date))
        return self._write(Commit(tree, (onto.commit,), commit.author, who, commit.message, commit.encoding))

    def _squash(self, onto: Tip, change: Sha, taken: Sequence[Sha]) -> Tip | Clash:
        tree = self._merging.merge(onto.commit, onto.tree, change)
        if isinstance(tree, Clash):
            return tree
        if tree == onto.tree:
            return onto
        commits = [self._objects.commit(each) for each in self._line(onto.commit, change, taken).commits]
        commit = self._objects.commit(change)
        who = self._identity.at(max(self._date(onto.commit), commit.date))
        message, encoding = squash_message([each for each in commits if len(each.parents) < 2] or [commit])
        return self._write(Commit(tree, (onto.commit,), commit.author, who, message, encoding))

    def _forward(self, onto: Tip, change: Sha) -> Tip | None:
        commit = self._objects.commit(change)
        if onto.commit in commit.parents or self._mirror.is_ancestor(onto.commit, change):
            return Tip(change, commit.tree)
        return None

    def _line(self, onto: Sha, change: Sha, taken: Sequence[Sha]) -> _Line:
        without = [f"^{each}" for each in (onto, *taken)]
        listed = self._mirror.run("rev-list", "--topo-order", "--reverse", "--parents", "--boundary", change, *without, "--")
        commits, straight, ahead = [], True, False
        for line in listed.stdout.decode().splitlines():
            commit, *parents = line.split(" ")
            if commit.startswith("-"):
                ahead = ahead or commit[1:] == onto
            else:
                commits.append(Sha(commit))
                straight = straight and len(parents) < 2
        return _Line(tuple(commits), straight, ahead)

    def _date(self, commit: Sha) -> int:
        return self._objects.commit(commit).date

    def _write(self, commit: Commit) -> Tip:
        return Tip(self._objects.write(commit), commit.tree)


def merge_message(title: str, branch: str) -> bytes:
    """Return the message of the merge of a change with `title` into `branch`."""
    shown = title if len(title) <= _MAX_TITLE else title[: _MAX_TITLE - 1] + "…"
    into = "" if branch in _UNNAMED_BRANCHES else f" into {branch}"
    return f'Merge "{shown}"{into}\n'.encode(errors="replace")


def squash_message(commits: list[Commit]) -> tuple[bytes, bytes | None]:
    """Return the message of `commits` (oldest first) made one, and its encoding.

    It is the message of the first; the titles of the others are listed at its end, before its trailers.
    """
    first, *others = commits
    if not others:
        return first.message, first.encoding
    try:
        text = first.message.decode((first.encoding or b"utf-8").decode("ascii", errors="replace"))
    except (UnicodeDecodeError, LookupError):
        text = first.message.decode("utf-8", errors="replace")
    paragraphs = text.strip("\n").encode().split(b"\n\n")
    listed = b"\n".join(f"* {other.subject}".encode(errors="replace") for other in others)
    has_trailers = len(paragraphs) > 1 and all(_TRAILER.match(line) for line in paragraphs[-1].splitlines())
    paragraphs.insert(len(paragraphs) - 1 if has_trailers else len(paragraphs), listed)
    return b"\n\n".join(paragraphs) + b"\n", None
