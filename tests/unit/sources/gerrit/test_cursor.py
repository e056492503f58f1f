from __future__ import annotations

import pytest

from torii.sources.gerrit.cursor import Progress, UnreadableGerritCursorError, dump, load
from torii.sources.gerrit.derive import Told


def test_what_was_kept_is_read_again():
    progress = Progress(5.0, 4.0, tips={"app": {"main": "a" * 40}}, count=7)
    progress.learn(12, Told(frozenset({"abc", "def"}), "0123"), 6.0)
    assert load(dump(progress)) == progress
    assert load(dump(Progress())) == Progress()


def test_what_is_long_past_is_forgotten_and_time_goes_one_way():
    progress = Progress(100.0)
    progress.learn(1, Told(), 90.0)
    progress.learn(2, Told(), 150.0)
    progress.reach(200.0, 60.0)
    assert (progress.since, set(progress.told)) == (200.0, {2})
    progress.reach(150.0, 60.0)
    assert progress.since == 200.0


@pytest.mark.parametrize(
    "state",
    ["", "[]", "{}", '{"version": 2}', '{"version": 1}', '{"version": 1, "since": "x", "began": null, "count": 0, "tips": {}, "told": {}}'],
)
def test_another_making_is_refused_with_the_reason(state):
    with pytest.raises(UnreadableGerritCursorError, match="cannot be read"):
        load(state)
