"""A branch while changes are merged onto it one after another, and which of them brought what."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from torii.git import Mirror
from torii.merger.modes import Tip
from torii.merger.objects import Objects
from torii.model.ids import ChangeId, Sha


@dataclass(frozen=True, slots=True)
class Layer:
    """A change merged in this request: its own commit, the state it made, and the paths it altered there."""

    change: ChangeId
    commit: Sha
    now: Tip
    files: frozenset[str]
    below: Layer | None


@dataclass(frozen=True, slots=True)
class BranchStack:
    """A branch in the making.

    `base` is its real tip, `ground` the state that merging began with (`changes` made it), `top` what was merged since, `now` the
    state that makes.
    """

    base: Sha
    ground: Tip
    now: Tip
    changes: tuple[ChangeId, ...] = ()
    top: Layer | None = None

    def with_change(self, change: ChangeId, commit: Sha, now: Tip, files: tuple[str, ...]) -> BranchStack:
        """Return the branch after `change`, whose tip is `commit`, altered `files` and made it `now`."""
        return BranchStack(self.base, self.ground, now, self.changes, Layer(change, commit, now, frozenset(files), self.top))

    def layers(self) -> Iterator[Layer]:
        """Yield the changes merged in this request, the latest first."""
        layer = self.top
        while layer is not None:
            yield layer
            layer = layer.below

    def culprit(self, files: tuple[str, ...], clashes: Callable[[Sha], bool], mirror: Mirror, objects: Objects) -> ChangeId | None:
        """Return the change ahead that a change clashes with in `files`; None where it is the branch itself, or cannot be told.

        `clashes` says whether it clashes with a commit. Of the states that altered the files, the first it clashes with is to blame.
        """
        wanted = frozenset(files)
        ahead = [(layer.change, layer.now.commit) for layer in self.layers() if layer.files & wanted][::-1]
        ahead = [*self._earlier(wanted, mirror, objects), *ahead]
        if not ahead or clashes(self.base):
            return None
        return ahead[bisect_left(ahead, True, hi=len(ahead) - 1, key=lambda one: clashes(one[1]))][0]

    def _earlier(self, wanted: frozenset[str], mirror: Mirror, objects: Objects) -> list[tuple[ChangeId, Sha]]:
        # Of what was staged before only the names of the changes are known. Where they are as many as steps on the branch, they are those.
        if not self.changes or self.ground.commit == self.base:
            return []
        limit = f"--max-count={len(self.changes) + 1}"
        listed = mirror.run("rev-list", "--first-parent", limit, self.ground.commit, f"^{self.base}", "--")
        steps = [Sha(line) for line in reversed(listed.stdout.decode().split())]
        if len(self.changes) == 1:
            steps = [self.ground.commit]
        if len(steps) != len(self.changes):
            return []
        trees = [objects.commit(commit).tree for commit in (self.base, *steps)]
        told = zip(self.changes, steps, trees, trees[1:], strict=False)
        return [(change, commit) for change, commit, before, after in told if wanted.intersection(objects.changed(before, after))]
