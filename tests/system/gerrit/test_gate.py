"""A whole Torii gates changes of a real Gerrit: what was tested lands, in order, each told once, whatever breaks on the way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.gerrit import project_name, setup
from tests.support.gerrit_config import server_yml
from tests.support.waiting import wait_until
from torii.config.server import load_server
from torii.model.event import MergeDone
from torii.runtime.system import System
from torii.store.journal import read_journal
from torii.testing.gerrit import GerritSite, LabChange, LabProject, Setup

pytestmark = [pytest.mark.needs("gerrit", "ssh"), pytest.mark.timeout(300)]

LIMIT = 90.0
ROOT = Path(__file__).parents[3]


def torii_yml(run: str = "true", queue: str = "") -> str:
    return json.dumps({**({"queue": queue} if queue else {}), "jobs": {"unit": {"run": run}}, "pipelines": {"gate": ["unit"]}})


def project_of(site: GerritSite, run: str = "true", queue: str = "", submit_type: str = "MERGE_IF_NECESSARY") -> LabProject:
    return site.create_project(project_name(), submit_type=submit_type, files={"README": "Hello.\n", "torii.yml": torii_yml(run, queue)})


@contextmanager
def gating(folder: Path, site: GerritSite, *projects: LabProject) -> Iterator[System]:
    system = System(load_server(server_yml(folder, site, [project.name for project in projects], rest="worker: {executors: 4}")))
    system.start()
    try:
        wait_until(lambda: system.store is not None and system.store.cursor("review") is not None, LIMIT)
        yield system
    finally:
        system.stop()


def approve(*changes: LabChange) -> None:
    for change in changes:
        change.approve()


def merged(*changes: LabChange) -> bool:
    return all(change.status == "MERGED" for change in changes)


def said(change: LabChange, text: str) -> int:
    return sum(text in message["message"] for message in change.messages(by="torii"))


def states(system: System, change: LabChange) -> int:
    """Return in how many states the gate tested `change`."""
    assert system.store is not None
    items = {item.id for item in system.store.items(limit=None) if (item.change, item.pipeline) == (f"review:{change.number}", "gate")}
    events = read_journal(system.store.path).events
    return len(
        {event.build_set for entry in events if isinstance(event := entry.event, MergeDone) and event.build_set.rpartition(".")[0] in items}
    )


@pytest.mark.parametrize("submit_type", ["MERGE_IF_NECESSARY", "MERGE_ALWAYS", "REBASE_IF_NECESSARY", "REBASE_ALWAYS", "CHERRY_PICK"])
def test_what_gerrit_lands_in_its_own_way_is_tested_once_and_told_once(gerrit: GerritSite, tmp_path: Path, submit_type: str) -> None:
    project = project_of(gerrit, "sleep 1", submit_type=submit_type)
    changes = [project.push_change({f"{name}.txt": name}, f"Add {name}") for name in "abc"]
    with gating(tmp_path, gerrit, project) as system:
        approve(*changes)
        wait_until(lambda: merged(*changes), LIMIT)
        wait_until(lambda: all(said(change, "Build succeeded (gate pipeline).") for change in changes), LIMIT)
        assert [states(system, change) for change in changes] == [1, 1, 1]
    assert [said(change, "Build succeeded (gate pipeline).") for change in changes] == [1, 1, 1]
    landed = [subject for subject in reversed(project.log()) if "Add " in subject]
    assert [name in subject for name, subject in zip(["Add a", "Add b", "Add c"], landed, strict=True)] == [True, True, True]
    assert [project.content(f"{name}.txt") for name in "abc"] == ["a", "b", "c"]


def test_gerrit_restarted_in_the_middle_of_a_gate_loses_nothing(boot_gerrit: Callable[[Setup], GerritSite], tmp_path: Path) -> None:
    site = boot_gerrit(setup())
    project = project_of(site, "sleep 4")
    changes = [project.push_change({f"{name}.txt": name}, f"Add {name}") for name in "abc"]
    with gating(tmp_path, site, project) as system:
        approve(*changes)
        store = system.store
        assert store is not None
        wait_until(lambda: any(build.state == "running" for build in store.builds_of(*(item.id for item in store.items()))), LIMIT)
        site.restart()
        wait_until(lambda: merged(*changes), LIMIT)
        wait_until(lambda: not store.items(active_only=True), LIMIT)
    assert [said(change, "Build succeeded (gate pipeline).") for change in changes] == [1, 1, 1]


def test_torii_killed_in_the_middle_of_a_gate_merges_each_change_once_and_tells_it_once(gerrit: GerritSite, tmp_path: Path) -> None:
    project = project_of(gerrit, "sleep 3")
    changes = [project.push_change({f"{name}.txt": name}, f"Add {name}") for name in "abc"]
    file = server_yml(tmp_path, gerrit, [project.name])

    def up() -> subprocess.Popen[bytes]:
        with (tmp_path / "torii.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "torii", "up", "--server", str(file)], cwd=ROOT, stdout=log, stderr=log, start_new_session=True
            )

    process = up()
    try:
        approve(*changes)
        for text in ("refs/staging", "merged"):
            wait_until(lambda text=text: project.refs("refs/staging/") if text != "merged" else merged(changes[0]), LIMIT)
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(30)
            process = up()
        wait_until(lambda: merged(*changes), LIMIT)
        wait_until(lambda: not project.refs("refs/staging/"), LIMIT)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        finally:
            process.kill()
    assert [said(change, "Build succeeded (gate pipeline).") for change in changes] == [1, 1, 1]


def test_a_whole_topic_over_two_projects_merges_as_one_or_not_at_all(boot_gerrit: Callable[[Setup], GerritSite], tmp_path: Path) -> None:
    site = boot_gerrit(setup(change__submitWholeTopic="true"))
    one, other = (project_of(site, "test ! -e broken", queue="shared") for _ in range(2))
    good = [project.push_change({"good.txt": "1"}, "Say it in both") for project in (one, other)]
    bad = [one.push_change({"fine.txt": "1"}, "Be fine"), other.push_change({"broken": "1"}, "Break it")]
    for topic, changes in (("good", good), ("bad", bad)):
        for change in changes:
            change.set_topic(topic)
    with gating(tmp_path, site, one, other) as system:
        store = system.store
        assert store is not None
        approve(*good, *bad)
        wait_until(lambda: merged(*good), LIMIT)
        wait_until(lambda: said(bad[1], "Build failed (gate pipeline)."), LIMIT)
        wait_until(lambda: not store.items(active_only=True), LIMIT)
    assert [change.status for change in bad] == ["NEW", "NEW"]
    assert [said(change, "Build succeeded (gate pipeline).") for change in good] == [1, 1]
    assert said(bad[0], "Build succeeded") == 0
