"""`torii up` is killed with -9 at every phase of a story, and started again: nothing is lost, nothing happens twice.

A moment is chosen by what can be seen from outside: how many events are journalled, or that something has just happened in the repository
or to a build of which the journal cannot know yet.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.rig import Process, Rig, command_of
from torii.model.build import Result
from torii.model.view import ItemView
from torii.worker.reaper import descendants

pytestmark = pytest.mark.timeout(300)  # for a machine that is busy with much else

Moment = Callable[[Rig], bool]

GATED = ("alpha", "broken", "gamma")
"""Approved at once; the second fails, so that the third is tested again without it."""


def events(count: int) -> Moment:
    """That many events are in the journal."""
    return lambda rig: rig.events() >= count


def staged(rig: Rig) -> bool:
    """A merger has pushed a state, and may not have said so yet."""
    return any(path.is_file() for path in (rig.lab.repository() / "refs/staging").rglob("*"))


def began(count: int) -> Moment:
    """That many builds began."""
    return lambda rig: len(rig.runs) >= count


def ended(count: int) -> Moment:
    """That many builds have left their record, which may not have been told yet."""
    return lambda rig: len(list((rig.state / "blobs" / "builds").rglob("result.json"))) >= count


def landed(count: int) -> Moment:
    """The branch moved that often, and Torii may not have noted yet that it did."""
    return _after_each_move("refs/heads/main", lambda rig: len(rig.history()) >= count + 2)


def reported(count: int) -> Moment:
    """That many reports are in the notes, perhaps not answered yet."""
    return _after_each_move("refs/notes/torii", lambda rig: sum(rig.reports().values()) >= count)


def _after_each_move(ref: str, moment: Moment) -> Moment:
    """Look only when `ref` moved: a look starts processes, and one looks every millisecond."""
    seen = [""]

    def look(rig: Rig) -> bool:
        path = rig.lab.repository() / ref
        now = path.read_text() if path.exists() else ""
        if now == seen[0]:
            return False
        seen[0] = now
        return moment(rig)

    return look


def started(rig: Rig) -> bool:
    """It has just written its first event since its start, and done nothing else."""
    return rig.events() > int((rig.folder / "events-before").read_text())


STORIES: dict[str, tuple[str, list[Moment]]] = {
    "as it starts and changes come in": ("merge-if-necessary", [events(1), started, events(6)]),
    "as states are merged": ("rebase-always", [staged, events(14), started]),
    "as builds run and end": ("merge-always", [began(1), events(26), ended(4)]),
    "as changes merge": ("squash", [landed(1), started, landed(2)]),
    "as results are told": ("merge-if-necessary", [reported(1), reported(4), reported(6)]),
}


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path)
    made.seed(
        {"unit": made.job("sleep 0.1", "test ! -e broken.txt"), "lint": made.job("true"), "publish": made.job("true")},
        {"check": ["lint"], "gate": ["unit", "lint"], "post": ["publish"]},
    )
    yield made
    made.close()


@pytest.mark.parametrize(("mode", "moments"), STORIES.values(), ids=STORIES.keys())
def test_whenever_it_is_killed_each_change_is_reported_once_and_merged_once(rig: Rig, mode: str, moments: list[Moment]) -> None:
    rig.configure({"projects": {"app": {"url": str(rig.lab.repository()), "merge": mode}}})
    approve = itertools.chain([_push], itertools.repeat(_nothing))
    for moment in moments:
        _play_until(rig, moment, next(approve))
    last = rig.up()
    next(approve)(rig)
    rig.wait(lambda: _settled(rig), every=0.1)
    _check(rig, kills=len(moments))
    assert last.stop() == 0
    _check_nothing_is_left(rig)


@pytest.mark.needs("bwrap")
def test_killed_in_a_sandboxed_build_it_leaves_no_process_and_no_workspace_and_the_build_is_run_again(rig: Rig) -> None:
    rig.configure({"worker": {"sandbox": "bubblewrap"}})
    rig.seed({"unit": {"run": "sleep 1000 & sleep 1"}}, {"check": [], "gate": ["unit"], "post": []})
    up = rig.up()
    rig.change("fix")
    rig.push(approve=["fix"])
    sleepers = rig.wait(lambda: [pid for pid in descendants(up.pid) if b"1000" in command_of(pid)])
    up.kill()
    rig.wait(lambda: not [pid for pid in sleepers if Path(f"/proc/{pid}").exists()])
    rig.wait(lambda: not rig.builders())
    last = rig.up()
    assert rig.wait_for_outcome("fix") == "merged"
    rig.wait(lambda: not rig.staging_refs())
    assert last.stop() == 0
    _check_nothing_is_left(rig)


def _push(rig: Rig) -> None:
    for name in (*GATED, "delta"):
        rig.change(name)
    rig.push(check=["delta"], approve=GATED)


def _nothing(rig: Rig) -> None: ...


def _play_until(rig: Rig, moment: Moment, act: Callable[[Rig], None]) -> None:
    (rig.folder / "events-before").write_text(str(rig.events()))
    process = rig.run("up")
    act(rig)
    rig.wait(lambda: moment(rig) or not process.alive, every=0.002)
    assert process.alive, process.said
    process.kill()
    rig.wait(lambda: not rig.builders())


def _settled(rig: Rig) -> bool:
    """Whether all is said and done, as far as one can see."""
    items = rig.items()
    left = [item for item in items if item.outcome]
    tip = rig.lab.branch()
    post = [item for item in left if item.pipeline == "post" and item.patchset == tip]
    told = [item for item in left if _is_told(item)]
    return len(left) == len(items) >= 8 and bool(post) and len(rig.reports()) >= len(told) and not rig.staging_refs()


def _check(rig: Rig, kills: int) -> None:
    assert rig.history() == ["gamma", "alpha", "torii.yml", "base"]
    assert {name: rig.outcome(name) for name in GATED} == {"alpha": "merged", "broken": "failure", "gamma": "merged"}
    assert rig.outcome("delta", "check") == rig.outcome("broken", "check") == "success"
    assert {(item.outcome, _is_told(item)) for item in rig.items("check")} <= {("success", True), ("dequeued", False)}
    assert [item.change for item in rig.items("gate")] == [f"app:main/{name}" for name in GATED]
    assert len(rig.items("check")) == 4
    assert {item.outcome for item in rig.items("post")} <= {"success", "superseded"}
    _check_reports(rig)
    _check_builds(rig, kills)


def _is_told(item: ItemView) -> bool:
    """Whether a report is due. None is for a check that the gate overtook, nor for a state of the branch that gave way to a newer one."""
    return item.outcome != "superseded" and item.reason != "the change is merged already"


def _check_reports(rig: Rig) -> None:
    """Each item is reported on exactly once, under the key of its last build set."""
    verdicts = {"merged": "success"}
    told = [item for item in rig.items() if _is_told(item)]
    assert dict(rig.reports()) == {f"{item.build_set}:{verdicts.get(item.outcome, item.outcome)}": 1 for item in told}


def _check_builds(rig: Rig, kills: int) -> None:
    """A build runs once, and once more at most for each time that it was killed; whatever was asked for has ended."""
    counts = dict.fromkeys((run.uuid for run in rig.runs), 0)
    for run in rig.runs:
        counts[run.uuid] += 1
    assert sum(counts.values()) - len(counts) <= kills * 4  # executors
    with rig.store() as store:
        for item in rig.items():
            for build in store.builds_of(item.id):
                assert build.state == "done"
                assert build.result is not Result.LOST
                if build.build_set == item.build_set and item.outcome in ("merged", "success"):
                    assert build.result is Result.SUCCESS
                    assert store.blobs.exists(f"builds/{build.id}/console.log")


def _check_nothing_is_left(rig: Rig) -> None:
    assert rig.staging_refs() == []
    assert rig.workspaces() == []
    rig.wait(lambda: not rig.descendants())
    last: Process = rig.processes[-1]
    assert last.logged("the gate could not take an event; it is left out") == []
