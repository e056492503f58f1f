"""100 approved changes at once, an instant job each, until the last is merged; against a script that takes them one by one.

The script's work for a change is what cannot be left out: fetch, merge, staging push, build (checkout and command), final push. Torii does
that in its sandbox, journalled, and besides reports each result as a note, reads each branch back, and deletes what it staged.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from benchmarks.floor import Script, git
from benchmarks.measurement import Measurement
from benchmarks.scene import Repository, Torii, until

CHANGES = 100
TARGET = 1.5
COMMAND = "true"
PIPELINES = ("gate",)


def run(changes: int = CHANGES) -> Measurement:
    """Measure, and return seconds until the last change is merged.

    The script does one half before Torii's turn and the other after it, so that a machine whose load changes slowly is as fast for both.
    """
    with tempfile.TemporaryDirectory(prefix="torii-benchmark-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        ground = Repository(folder / "script.git", COMMAND, PIPELINES)
        commits = ground.make(changes)
        refs = {f"refs/heads/gate/main/c{number}": commit for number, commit in enumerate(commits)}
        ground.push(refs)
        script = Script(ground.path, folder / "script")
        half = changes // 2
        floor = _straight(script, list(refs.items())[:half])
        figure = _gate(folder, changes)
        floor += _straight(script, list(refs.items())[half:])
    ratio = figure / floor
    print(f"script {floor:.1f} s, Torii {figure:.1f} s for {changes} changes, {1000 * figure / changes:.0f} ms each")
    return Measurement("gate", figure, "s", floor, ratio, f"at most {TARGET}x of the floor", ratio <= TARGET)


def _straight(script: Script, refs: list[tuple[str, str]]) -> float:
    began = time.perf_counter()
    for ref, commit in refs:
        script.fetch(ref)
        merged = script.merge(commit)
        script.build(script.stage(merged, f"gate/{commit[:12]}"), COMMAND)
        script.land(merged)
    return time.perf_counter() - began


def _gate(folder: Path, changes: int) -> float:
    repository = Repository(folder / "app.git", COMMAND, PIPELINES)
    first, *commits = repository.make(changes + 1)
    with Torii(repository, folder / "torii", PIPELINES) as torii:
        warm_up(repository, torii, first)
        began = time.perf_counter()
        approve(repository, torii, commits)
        until(lambda: not repository.has_refs("refs/heads/gate"), "all changes are merged", pause=0.01)
        took = time.perf_counter() - began
        torii.settle()
    landed = set(git("rev-list", "main", cwd=repository.path).split())
    assert landed.issuperset(commits), "not every change was merged"
    return took


def approve(repository: Repository, torii: Torii, commits: list[str]) -> None:
    """Push `commits` as approved changes, all at once, and tell Torii."""
    repository.push({f"refs/heads/gate/main/c{commit[:12]}": commit for commit in commits})
    torii.wake()


def warm_up(repository: Repository, torii: Torii, commit: str) -> None:
    """Have `commit` gated and merged, so that whatever is done once only is done."""
    approve(repository, torii, [commit])
    until(lambda: not repository.has_refs("refs/heads/gate"), "the first change is merged", pause=0.01)
    torii.settle()
