"""20 changes with jobs of 3 seconds on 20 workers, of which the first fails: everything behind it is tested again without it, side by side.

There is nothing faster than two rounds of the job, one with the change that fails and one without: that is the floor. The window is set
to 40, so that it still holds all changes when the failure has halved it; with the default of 20 the last changes take a third round, by
design: a queue that fails is given less to waste.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from benchmarks.floor import git
from benchmarks.gate import approve, warm_up
from benchmarks.measurement import Measurement
from benchmarks.scene import Repository, Torii, until

CHANGES = 20
TENTHS = 30
"""How long a job takes, in tenths of a second."""
TARGET = 7.5
PIPELINES = ("gate",)
HEAD = "head"
"""The change whose job fails."""


def run(changes: int = CHANGES, tenths: int = TENTHS) -> Measurement:
    """Measure, and return seconds until the last change is merged."""
    seconds = tenths / 10
    with tempfile.TemporaryDirectory(prefix="torii-benchmark-", ignore_cleanup_errors=True) as name:
        figure = _fail(Path(name), changes, seconds)
    floor = 2 * seconds
    held = figure <= TARGET
    print(f"two rounds of {seconds:g} s are {floor:g} s, Torii {figure:.2f} s until the last of {changes} changes is merged")
    return Measurement("gate-fail", figure, "s", floor, figure / floor, f"at most {TARGET} s", held)


def _fail(folder: Path, changes: int, seconds: float) -> float:
    command = f'sleep {seconds:g}; test "$TORII_CHANGE" != app:main/{HEAD}'
    repository = Repository(folder / "app.git", command, PIPELINES)
    first, head, *rest = repository.make(changes + 1)
    trigger = {"manager": "dependent", "triggers": ["approved"], "require": {"approved": True}, "precedence": "high"}
    sections = {"worker": {"executors": changes}, "pipelines": {"gate": {**trigger, "window": {"initial": 2 * changes}}}}
    with Torii(repository, folder / "torii", PIPELINES, sections) as torii:
        warm_up(repository, torii, first)
        began = time.perf_counter()
        repository.push({f"refs/heads/gate/main/{HEAD}": head})
        torii.wake()
        until(lambda: torii.queued(head), "the change that fails is first in the queue")
        approve(repository, torii, rest)
        until(lambda: not _waiting(repository, rest), "all other changes are merged", pause=0.01)
        took = time.perf_counter() - began
        torii.settle()
    landed = set(git("rev-list", "main", cwd=repository.path).split())
    assert landed.issuperset(rest), "not every change was merged"
    assert head not in landed, "a change that failed was merged"
    return took


def _waiting(repository: Repository, commits: list[str]) -> bool:
    return any(repository.ref(f"refs/heads/gate/main/c{commit[:12]}") for commit in commits)
