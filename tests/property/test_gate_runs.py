"""Changes that are merged in one go, at random: a git server that is slow to answer, so that many are ready before the first has landed."""

from __future__ import annotations

import pytest

from torii.gate import conclusion, following
from torii.model.build import Result
from torii.model.event import BuildDone, BuildStarted, ChangeUpdated, MergeDone
from torii.model.ids import ChangeId
from torii.model.pipeline import Cause
from torii.testing.simulator import TOOL, Walk


class SlowServer(Walk):
    """A walk in which merges are answered late, and nearly all that is pushed is for one branch."""

    def _push(self) -> None:
        if self.random.random() < 0.2:
            super()._push()
            return
        for _ in range(3):
            self._changes += 1
            waiting = self._open()
            depends_on = (self.random.choice(waiting),) if waiting and self.random.random() < 0.1 else ()
            change = ChangeId(f"tool:main/c{self._changes}")
            self._say(self.lab.forge.push_change(change, TOOL, "main", {f"{change}.txt": str(self.random.random())}, depends_on))
            self._say(self.lab.forge.approve(change))

    def _put_together(self) -> None:
        """What merges together follows others less often, and is walked in test_gate_together.py."""

    def _end_build(self) -> None:
        for held in self.lab.running():
            if self.random.random() < 0.5:
                self.lab.end(held.request.id, Result.SUCCESS if self.random.random() < 0.95 else Result.FAILURE)

    def _deliver(self) -> None:
        """Deliver all that builds and mergers say; what the git server says only now and then, in its order."""
        if self.random.random() < 0.3:
            super()._deliver()
            return
        prompt = [event for event in self.lab.pending if isinstance(event, (MergeDone, BuildStarted, BuildDone))]
        news = [event for event in self.lab.pending if isinstance(event, ChangeUpdated) and event.cause is not Cause.MERGED]
        for event in prompt + news:
            self.lab.pending.remove(event)
            self.lab.feed(event)


def followers(seeds: range, steps: int, monkeypatch: pytest.MonkeyPatch) -> int:
    """Walk, and return how many changes were to be merged in the same go as one ahead."""
    count = 0

    def counted(*arguments):
        nonlocal count
        count += 1
        return conclusion.merge(*arguments)

    monkeypatch.setattr(following, "merge", counted)
    for seed in seeds:
        SlowServer(seed, twins=seed % 2 == 1).run(steps)
    return count


@pytest.mark.parametrize("start", range(0, 40, 10))
def test_changes_that_follow_one_another_at_once_break_no_invariant(start, monkeypatch):
    assert followers(range(start, start + 10), 150, monkeypatch) > 20
