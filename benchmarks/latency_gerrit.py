"""From a pushed change to the vote on it, on a real Gerrit: an idle Torii, one instant job, against a straight script.

The script does the same outside work over HTTP: fetch, merge, staging push, checkout and job, review. The time of both is from the moment
that `git push` of the change returned; that of Torii's vote is when Gerrit's own stream tells of it. They take turns on two projects of
one Gerrit, so that whatever else the machine does falls on both.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from statistics import median

from benchmarks.gerrit_scene import GerritScript, GerritTorii, Listener, listening, make_project, push
from benchmarks.measurement import Measurement
from torii.testing.gerrit import GerritSite, LabProject

ROUNDS = 20
WARM = 3
TARGET = 1.5
COMMAND = "true"
PIPELINES = ("check",)


def run(rounds: int = ROUNDS) -> Measurement:
    """Measure, and return milliseconds from push to vote (the median)."""
    ours: list[float] = []
    floors: list[float] = []
    with tempfile.TemporaryDirectory(prefix="torii-benchmark-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        with GerritSite(folder / "gerrit") as gerrit:
            ground, app = (make_project(gerrit, project, COMMAND, PIPELINES) for project in ("ground", "app"))
            script = GerritScript(gerrit, ground, folder / "script")
            with listening(gerrit, "comment-added") as listener, GerritTorii(gerrit, app, folder / "torii", PIPELINES) as torii:
                for number in range(rounds + WARM):
                    ours.append(_vote(app, listener, torii, number))
                    floors.append(_straight(ground, script, number))
    figure, floor = 1000 * median(ours[WARM:]), 1000 * median(floors[WARM:])
    ratio = median(mine / theirs for mine, theirs in zip(ours[WARM:], floors[WARM:], strict=True))
    print(f"script {floor:.0f} ms, Torii {figure:.0f} ms from push to vote; {rounds} rounds, ratios in turn have the median {ratio:.2f}")
    return Measurement("latency-gerrit", figure, "ms", floor, ratio, f"at most {TARGET}x of the floor", ratio <= TARGET)


def _vote(app: LabProject, listener: Listener, torii: GerritTorii, number: int) -> float:
    change = push(app, number)
    began = time.perf_counter()
    took = listener.at(change) - began
    torii.settle()
    return took


def _straight(ground: LabProject, script: GerritScript, number: int) -> float:
    change = push(ground, number)
    began = time.perf_counter()
    script.fetch(change.ref)
    merged = script.merge(change.commit)
    script.stage(merged, f"check/{number}")
    script.job(merged, COMMAND)
    script.review(change, "check")
    return time.perf_counter() - began
