"""30 checked and approved changes on a real Gerrit until the last is merged, an instant job each, against a straight script.

The script takes them one by one over HTTP: fetch, merge, staging push, checkout and job, review, submit. Torii is told of all of them at
once, as after an outage of the stream in which they were approved.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from benchmarks.gerrit_scene import GerritScript, GerritTorii, listening, make_project, push
from benchmarks.measurement import Measurement
from torii.testing.gerrit import GerritSite, LabChange

CHANGES = 30
TARGET = 0.6
COMMAND = "true"
PIPELINES = ("gate",)


def run(changes: int = CHANGES) -> Measurement:
    """Measure, and return seconds until the last change is merged.

    The script does one half before Torii's turn and the other after it, so that a machine whose load changes slowly is as fast for both.
    """
    with tempfile.TemporaryDirectory(prefix="torii-benchmark-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        with GerritSite(folder / "gerrit") as gerrit:
            ground, app = (make_project(gerrit, project, COMMAND, PIPELINES) for project in ("ground", "app"))
            by_hand = [push(ground, number) for number in range(changes)]
            ours = [push(app, number) for number in range(changes + 1)]
            for change in (*by_hand, *ours[:1]):
                change.approve()
            script = GerritScript(gerrit, ground, folder / "script")
            half = changes // 2
            floor = _straight(script, by_hand[:half])
            figure = _gate(gerrit, folder, ours)
            floor += _straight(script, by_hand[half:])
            assert len(ground.log()) == len(app.log()) - 1, "not every change was merged"
    ratio = figure / floor
    print(f"script {floor:.1f} s, Torii {figure:.1f} s for {changes} changes, {1000 * figure / changes:.0f} ms each")
    return Measurement("gate-gerrit", figure, "s", floor, ratio, f"at most {TARGET}x of the floor", ratio <= TARGET)


def _straight(script: GerritScript, changes: list[LabChange]) -> float:
    began = time.perf_counter()
    for change in changes:
        script.fetch(change.ref)
        merged = script.merge(change.commit)
        script.stage(merged, f"gate/{change.number}")
        script.job(merged, COMMAND)
        script.review(change, "gate")
        script.submit(change)
    return time.perf_counter() - began


def _gate(gerrit: GerritSite, folder: Path, changes: list[LabChange]) -> float:
    first, *others = changes
    more = {"events": "catch-up"}
    with listening(gerrit, "change-merged") as listener, GerritTorii(gerrit, first.project, folder / "torii", PIPELINES, more) as torii:
        torii.wake()
        listener.at(first)  # whatever is done once only is done
        torii.settle()
        for change in others:
            change.approve()
        began = time.perf_counter()
        torii.wake()
        took = max(listener.at(change) for change in others) - began
        torii.settle()
    return took
