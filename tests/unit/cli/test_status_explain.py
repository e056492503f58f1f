"""What `torii status` and `torii explain` say of a store, whoever has it open."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.contract.store.values import ROOT, build, decision, item
from torii.cli import explain, status
from torii.cli.explain import UnknownChangeError
from torii.model.build import Result, TestSummary
from torii.model.view import Records
from torii.store.errors import AmbiguousChangeError, StoreError
from torii.store.lease import acquire_lease
from torii.store.store import Store, open_store


@pytest.fixture
def state(tmp_path):
    return tmp_path / "state"


@pytest.fixture
def store(state):
    with open_store(state / "torii.db", state / "blobs") as store:
        yield store


def run(command, state: Path, *arguments: str, fails: type[Exception] | None = None) -> str:
    done = CliRunner().invoke(command, ["--state", str(state), *arguments])
    if fails:
        assert isinstance(done.exception, fails), done.output
        return str(done.exception)
    assert done.exception is None, done.exception
    return done.output


def queue(store: Store) -> None:
    """Three changes in the gate, the middle one failing, its first attempt lost; the first was in check before."""
    one = item(1, position=7, change="app:main/one", title="Add a page", reason="its builds run")
    two = item(
        2, position=30, change="app:main/two", state="failing", reason="unit failed on top of app:main/one", built_on=("app:main/one",)
    )
    three = item(3, position=31, change="app:main/three", state="waiting", build_set=None, commit=None, reason="the window is full")
    check = item(
        9, pipeline="check", change="app:main/one", state="done", outcome="success", position=None, left_at=64.0, reason="all passed"
    )
    builds = (
        build(1, "lint", state="done", result=Result.SUCCESS, duration=12.0, tests=None),
        build(1, "unit", requested_at=2.0),
        build(2, "unit", id="lost", state="done", result=Result.LOST, requested_at=1.0, tests=None),
        build(
            2,
            "unit",
            attempt=2,
            state="done",
            result=Result.FAILURE,
            duration=4.0,
            requested_at=3.0,
            tests=TestSummary(9, 1, 0, ("test_login",)),
        ),
        build(9, "unit", state="done", result=Result.SUCCESS, duration=5.0, tests=None),
    )
    decisions = (
        decision("it was pushed", 9, at=9.0, change="app:main/one"),
        decision("it was approved", 1, at=70.0, change="app:main/one"),
    )
    store.append([], Records((one, two, three, check), builds, decisions))


def test_an_empty_store_has_nothing_queued(store, state):
    assert run(status.command, state).splitlines()[-1].startswith("Nothing is queued (check, gate")


def test_status_shows_each_change_its_place_its_builds_and_why(store, state):
    queue(store)
    lines = run(status.command, state).splitlines()
    assert lines[0] == "No scheduler is running; this is how the last one left things."
    assert lines[1] == "gate, queue app: 3 changes"
    assert lines[2].startswith("  1. app:main/one (Add a page)  building for ")
    assert lines[2].endswith("  its builds run")
    assert lines[3] == "     lint: SUCCESS in 12s  http://127.0.0.1/builds/1-lint"
    assert lines[4].startswith("     unit: running for ")
    assert lines[6] == "     unit: FAILURE in 4s, 1 of 9 tests failed (test_login) (attempt 2)  http://127.0.0.1/builds/2-unit"
    assert lines[7].startswith("  3. app:main/three (Fix it)  waiting for ")
    assert lines[8].startswith("Nothing in check, ")


def test_how_many_tests_failed_is_said_once(store, state):
    unstable = {"state": "done", "result": Result.UNSTABLE, "duration": 4.0, "tests": TestSummary(9, 1, 0, ("test_login",))}
    counted = build(1, "counted", reason="1 of 9 tests failed", **unstable)
    other = build(1, "other", reason="the disk was full", **unstable)
    store.append([], Records((item(1),), (counted, other), ()))
    lines = run(status.command, state).splitlines()
    assert lines[3] == "     counted: UNSTABLE in 4s, 1 of 9 tests failed (test_login)  http://127.0.0.1/builds/1-counted"
    assert lines[4].startswith("     other: UNSTABLE in 4s, 1 of 9 tests failed (test_login): the disk was full  ")


def test_a_build_that_runs_in_a_jenkins_is_looked_at_on_toriis_own_page(store, state):
    running = build(1, url="https://ci.example.com/job/unit/7/")
    store.append([], Records((item(1, change="app:main/one"),), (running,), ()))
    assert run(status.command, state).splitlines()[3].endswith("  http://127.0.0.1:8090/builds/1-unit")
    assert "  http://127.0.0.1:8090/builds/1-unit\n" in run(explain.command, state, "one")
    assert "https://ci.example.com/job/unit/7/" in run(status.command, state, "--json"), "programs get both: the id, and where it runs"
    store.append([], Records((), (replace(running, state="done", result=Result.LOST),), ()))
    assert run(status.command, state).splitlines()[3].endswith("  https://ci.example.com/job/unit/7/")


def test_status_is_json_where_that_is_asked_for(store, state):
    queue(store)
    with acquire_lease(state):
        found = json.loads(run(status.command, state, "--json"))
    assert found["instance"] == store.instance
    assert found["scheduler"] == os.getpid()
    queues = {pipeline["name"]: pipeline["queues"] for pipeline in found["pipelines"]}
    assert {"check", "gate", "post"} <= set(queues)
    assert [(one["change"], one["place"], one["state"]) for one in queues["gate"][0]["items"]] == [
        ("app:main/one", 1, "building"),
        ("app:main/two", 2, "failing"),
        ("app:main/three", 3, "waiting"),
    ]
    assert queues["gate"][0]["items"][0]["builds"][0]["result"] == "SUCCESS"


def test_status_is_a_table_on_a_terminal(store, state):
    queue(store)
    ours, theirs = pty.openpty()
    program = "from torii.cli.status import command; command()"
    child = subprocess.Popen(
        [sys.executable, "-c", program, "--state", str(state)],
        cwd=ROOT,
        env={**os.environ, "COLUMNS": "160", "TERM": "xterm-256color"},
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    shown = b""
    try:
        while piece := os.read(ours, 65536):
            shown += piece
    except OSError:
        pass  # the other end is closed
    os.close(ours)
    assert child.wait(30) == 0, shown.decode()
    assert "┃" in shown.decode()
    assert "app:main/one" in shown.decode()
    assert b"\x1b[" in shown


def test_a_title_cannot_play_with_the_terminal(store, state):
    nasty = "red \x1b[31m\x1b]0;title\x07 [bold]x[/bold]\nsecond: line\u202e \udcff"
    one = item(1, title=nasty, reason=nasty, change=f"app:main/{nasty}")
    store.append([], Records((one,), (build(1, reason=nasty, url="javascript:\x1b[0m"),), (decision(nasty, change=one.change),)))
    for output in (run(status.command, state), run(explain.command, state, one.change)):
        assert "\x1b" not in output
        assert "\x07" not in output
        assert "\nsecond" not in output
        assert "[bold]x[/bold]" in output


def test_explain_tells_where_a_change_is_why_and_what_was_before(store, state):
    queue(store)
    lines = run(explain.command, state, "one").splitlines()
    assert lines[:2] == ["app:main/one: Add a page", "app, branch main, patch set aaaaaaaaaaaa by dev@example.com"]
    assert lines[3].startswith("In gate for ")
    assert lines[3].endswith(", 1st of 3 in queue app: building")
    assert lines[4:7] == [
        "  Why: its builds run",
        "  Built on: the tip of main, as commit bbbbbbbbbbbb (build set k3f9-1.1)",
        "  lint  SUCCESS in 12s  http://127.0.0.1/builds/1-lint",
    ]
    assert lines[9] == "What was decided, and why:"
    assert lines[10].endswith("  gate: it was pushed")
    assert lines[11].endswith("  gate: it was approved")
    assert lines[13] == "Earlier stays, the newest first:"
    assert lines[14].startswith("  check      k3f9-9  ")
    assert lines[14].endswith(", 55s  success: all passed")


def test_explain_tells_what_a_change_is_tested_on(store, state):
    queue(store)
    output = run(explain.command, state, "main/two")
    assert "2nd of 3 in queue app: failing\n  Why: unit failed on top of app:main/one\n" in output
    assert "  Built on: the tip of main with app:main/one merged, as commit bbbbbbbbbbbb" in output
    assert "LOST" not in output


def test_explain_tells_of_the_last_stay_where_there_is_none_now(store, state):
    left = item(1, position=None, left_at=64.0, state="done", outcome="merged", reason="merged as bbbbbbbbbbbb")
    other = build(1, "unit", build_set="k3f9-1.0", id="x")
    store.append([], Records((left,), (build(1, state="done", result=Result.SUCCESS, duration=1.0), other)))
    lines = run(explain.command, state, "fix-1").splitlines()
    assert lines[3] == "It is in no pipeline now."
    assert lines[5].startswith("Last in gate, ")
    assert lines[5].endswith(" for 1m 3s: merged")
    assert lines[6] == "  Why: merged as bbbbbbbbbbbb"
    assert lines[-1] == "  Before that, or beside it: 1 other build set (k3f9-1.0)"


def test_explain_tells_of_a_change_that_no_pipeline_took(store, state):
    store.append([], Records(decisions=(decision("not enqueued: it is not approved", None, change="app:main/idle"),)))
    lines = run(explain.command, state, "idle").splitlines()
    assert lines[0] == "app:main/idle"
    assert lines[2] == "It is in no pipeline now."
    assert lines[-1].endswith("  gate: not enqueued: it is not approved")


def test_explain_is_json_where_that_is_asked_for(store, state):
    queue(store)
    found = json.loads(run(explain.command, state, "one", "--json"))
    assert found["change"] == "app:main/one"
    assert [stay["id"] for stay in found["current"]] == ["k3f9-1"]
    assert [build["job"] for build in found["current"][0]["builds"]] == ["lint", "unit"]
    assert [made["text"] for made in found["decisions"]] == ["it was pushed", "it was approved"]
    assert [stay["id"] for stay in found["earlier"]] == ["k3f9-9"]


def test_a_change_nobody_knows_or_several_could_be_is_a_users_mistake(store, state):
    queue(store)
    store.append([], Records((item(5, change="lib:main/one"),)))
    assert "nothing is known of a change 'seven'" in run(explain.command, state, "seven", fails=UnknownChangeError)
    assert "app:main/one, lib:main/one" in run(explain.command, state, "one", fails=AmbiguousChangeError)


def test_where_no_server_ever_was_both_say_so_and_make_nothing(state):
    for command, arguments in ((status.command, ()), (explain.command, ("x",))):
        assert "has `torii up` been started there?" in run(command, state, *arguments, fails=StoreError)
    assert not state.exists()
