"""From an event to its result: one change is pushed to an idle Torii, one instant job runs, and the report is a note in the repository.

Torii's time is from its being told that something was pushed (as a hook would) until `refs/notes/torii` has the report: it finds out
what was pushed, merges, pushes the staging ref, runs the build in its sandbox, reports, all journalled. The script's is that of the same
outside work for a change it is told of. They take turns, so that whatever else the machine does falls on both.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from statistics import median

from benchmarks.floor import Script
from benchmarks.measurement import Measurement
from benchmarks.scene import Repository, Torii, until

ROUNDS = 25
WARM = 2
TARGET = 1.5
COMMAND = "true"
PIPELINES = ("check",)
NOTES = "refs/notes/torii"


def run(rounds: int = ROUNDS) -> Measurement:
    """Measure, and return milliseconds from event to result (the median)."""
    ours: list[float] = []
    floors: list[float] = []
    with tempfile.TemporaryDirectory(prefix="torii-benchmark-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        ground = Repository(folder / "script.git", COMMAND, PIPELINES)
        script = Script(ground.path, folder / "script")
        repository = Repository(folder / "app.git", COMMAND, PIPELINES)
        by_hand = ground.make(rounds + WARM)
        with Torii(repository, folder / "torii", PIPELINES) as torii:
            for number, commit in enumerate(repository.make(rounds + WARM)):
                ours.append(_event(repository, torii, number, commit))
                floors.append(_straight(ground, script, number, by_hand[number]))
    figure, floor = 1000 * median(ours[WARM:]), 1000 * median(floors[WARM:])
    ratio = median(mine / theirs for mine, theirs in zip(ours[WARM:], floors[WARM:], strict=True))
    print(f"script {floor:.0f} ms, Torii {figure:.0f} ms from event to result; {rounds} rounds, ratios in turn have the median {ratio:.2f}")
    return Measurement("latency", figure, "ms", floor, ratio, f"at most {TARGET}x of the floor", ratio <= TARGET)


def _event(repository: Repository, torii: Torii, number: int, commit: str) -> float:
    before = repository.ref(NOTES)
    repository.push({f"refs/heads/review/main/c{number}": commit})
    began = time.perf_counter()
    torii.wake()
    until(lambda: repository.ref(NOTES) not in ("", before), f"change {number} is reported")
    took = time.perf_counter() - began
    torii.settle()
    return took


def _straight(ground: Repository, script: Script, number: int, commit: str) -> float:
    ref = f"refs/heads/review/main/c{number}"
    ground.push({ref: commit})
    began = time.perf_counter()
    script.fetch(ref)
    script.build(script.stage(script.merge(commit), f"check/{number}"), COMMAND)
    script.report(commit, "check: success")
    return time.perf_counter() - began
