"""A chain of 200 merges in a repository of 20,000 files, as one merge request, against a script that runs bare git commands.

The script does what cannot be left out: `git merge-tree` and `git commit-tree` for each change, on what it made before. The merger also
reads the torii.yml of each state, lists the changed files and looks for attributes; what it fetches and pushes is left out on both sides by
having it all here already, and is measured by the benchmark `gate`.
"""

from __future__ import annotations

import subprocess
import tempfile
import time
from itertools import chain
from pathlib import Path
from statistics import median

from benchmarks.measurement import Measurement
from torii.git import Mirror, Remote
from torii.merger.answer import StageAnswer, StagedState
from torii.merger.merger import StagingMerger
from torii.merger.places import Place
from torii.model.command import Merge, Stage, StageChange
from torii.model.ids import BuildSetId, ChangeId, PipelineName, ProjectName, Sha
from torii.model.pipeline import MergeMode

FILES = 20_000
CHANGES = 200
EDGE = 50
ROUNDS = 2
TARGET = 1.5
GROWTH = 1.2
APP = ProjectName("app")
CONFIG = "jobs:\n  unit: {run: make}\npipelines:\n  gate: [unit]\n"


def run() -> Measurement:
    """Measure, and return milliseconds a merge (the median)."""
    with tempfile.TemporaryDirectory(prefix="torii-benchmark-") as name:
        repository = Path(name) / "app.git"
        tip, changes = _history(repository)
        rounds = [_round(repository, Path(name) / f"mirror-{number}.git", tip, changes) for number in range(ROUNDS)]
    ours, floors = [list(chain.from_iterable(times)) for times in zip(*rounds, strict=True)]
    figure, floor = 1000 * median(ours), 1000 * median(floors)
    growth, bare_growth = _growth([times for times, _ in rounds]), _growth([times for _, times in rounds])
    print(f"bare git {floor:.2f} ms, Torii {figure:.2f} ms a merge")
    print(f"the last {EDGE} take {growth:.2f}x of the first {EDGE}; of the bare calls, interleaved with them, {bare_growth:.2f}x")
    target = f"at most {TARGET}x of bare merge-tree + commit-tree; the last {EDGE} at most {GROWTH}x of the first {EDGE}"
    # Where the script slows down as much, it is the machine and not the chain that grew slower.
    held = figure <= TARGET * floor and min(growth, growth / bare_growth) <= GROWTH
    return Measurement("merger", figure, "ms/merge", floor, figure / floor, target, held)


def _round(repository: Path, mirror: Path, tip: Sha, changes: list[Sha]) -> tuple[list[float], list[float]]:
    """Return the seconds of each merge of one request, and of each done by the script.

    The script's turn comes after each of the merger's, so that whatever else the machine does falls on both.
    """
    remote = Remote(str(repository))
    merger = StagingMerger({APP: Place(Mirror(mirror), remote, remote)})
    merger.stage(Merge(PipelineName("warm"), (), _stages(changes[:1])))
    ours: list[float] = []
    floors: list[float] = []
    state, began = tip, time.perf_counter()

    def made(_: StageAnswer) -> None:
        nonlocal state, began
        ours.append(time.perf_counter() - began)
        began = time.perf_counter()
        tree = _git("merge-tree", "--write-tree", state, changes[len(floors)], cwd=repository)
        state = Sha(_git("commit-tree", tree, "-p", state, "-p", changes[len(floors)], "-m", "Merge", cwd=repository))
        floors.append(time.perf_counter() - began)
        began = time.perf_counter()

    answers = merger.stage(Merge(PipelineName("gate"), (), _stages(changes)), made)
    merger.close()
    assert all(isinstance(answer.outcome, StagedState) for answer in answers), answers
    return ours, floors


def _growth(rounds: list[list[float]]) -> float:
    first, last = chain.from_iterable(times[:EDGE] for times in rounds), chain.from_iterable(times[-EDGE:] for times in rounds)
    return median(last) / median(first)


def _stages(changes: list[Sha]) -> tuple[Stage, ...]:
    return tuple(
        Stage(
            BuildSetId(f"bench-{number}.1"),
            APP,
            "main",
            (StageChange(ChangeId(f"c{number}"), APP, "main", f"refs/changes/{number}", commit, MergeMode.MERGE_ALWAYS),),
        )
        for number, commit in enumerate(changes)
    )


def _history(repository: Path) -> tuple[Sha, list[Sha]]:
    """Make a repository of FILES files in 200 folders with a torii.yml, and CHANGES changes of a file each; return its tip and them."""
    _git("init", "--quiet", "--bare", "--initial-branch=main", str(repository), cwd=repository.parent)
    who = "A Developer <dev@example.com> 1700000000 +0000"
    lines = [f"commit refs/heads/main\nmark :1\ncommitter {who}\ndata 5\nbase\n"]
    paths = [f"folder{number % 200}/file{number}.txt" for number in range(FILES - 1)]
    for path in paths:
        text = f"{path}\n" * 20
        lines.append(f"M 100644 inline {path}\ndata {len(text)}\n{text}\n")
    lines.append(f"M 100644 inline torii.yml\ndata {len(CONFIG)}\n{CONFIG}\n")
    for number in range(CHANGES):
        lines.append(f"commit refs/changes/{number}\nmark :{number + 2}\ncommitter {who}\ndata 7\nchange\n\nfrom :1\n")
        text = f"{paths[number * 97]}\n" * 19 + f"changed by {number}\n"
        lines.append(f"M 100644 inline {paths[number * 97]}\ndata {len(text)}\n{text}\n")
    lines += [f"get-mark :{mark}\n" for mark in range(1, CHANGES + 2)] + ["done\n"]
    tip, *changes = _git("fast-import", "--quiet", "--done", cwd=repository, given="".join(lines)).split()
    return Sha(tip), [Sha(change) for change in changes]


def _git(*arguments: str, cwd: Path, given: str | None = None) -> str:
    name = ["-c", "user.name=A Developer", "-c", "user.email=dev@example.com"]
    done = subprocess.run(["git", *name, *arguments], cwd=cwd, input=given, capture_output=True, text=True, timeout=300, check=True)
    return done.stdout.strip()
