"""The gate under everything that can happen to it, at random. `python -m torii.testing.simulator` walks longer."""

from __future__ import annotations

import pytest

from torii.gate import keeping, line
from torii.gate.state import BuildSet
from torii.gate.world import World
from torii.testing.invariants import Violation
from torii.testing.simulator import simulate


@pytest.mark.parametrize("seed", range(40))
def test_a_random_walk_breaks_no_invariant(seed):
    simulate(seed, steps=250)


def violations(wanted: str, walks: int = 40) -> str:
    """Walk until `wanted` is violated, or to the end; return what was."""
    seen: list[str] = []
    for seed in range(walks):
        try:
            simulate(seed, steps=250)
        except Violation as violation:
            seen.append(str(violation))
            if wanted in seen[-1]:
                break
        except RecursionError:
            continue  # a gate that is so broken runs in circles, too
    return "\n".join(seen)


# What a check is worth shows on a gate that is broken: each of these breaks one rule, and a walk must notice.


def test_walks_notice_a_gate_that_merges_what_failed(monkeypatch):
    monkeypatch.setattr(BuildSet, "failed", property(lambda self: False))
    assert "landed though" in violations("landed though")


def test_walks_notice_a_gate_that_does_not_wait_for_all_builds(monkeypatch):
    monkeypatch.setattr(BuildSet, "complete", property(lambda self: True))
    assert "landed though" in violations("landed though")


def test_walks_notice_builds_that_nobody_stops(monkeypatch):
    monkeypatch.setattr(World, "end_build", World.finish_build)
    assert "run though nobody wants them" in violations("run though nobody wants them")


def test_walks_notice_states_that_stand_on_nothing(monkeypatch):
    monkeypatch.setattr(line.Tree, "stands", lambda *_: True)
    assert "which is gone" in violations("which is gone")


def test_walks_notice_results_that_are_kept_for_another_tree(monkeypatch):
    monkeypatch.setattr(keeping, "_trees", lambda _: ())
    assert "shows a build of another tree" in violations("shows a build of another tree")
