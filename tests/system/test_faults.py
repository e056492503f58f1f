"""Bad input and faults, end to end: each ends in a clear reason, none loses an accepted event, none stops other projects."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.git_servers import Fault, HttpServer, git, set_hook
from tests.support.rig import LIMIT, Rig
from torii.config.server import load_server
from torii.runtime.system import System

pytestmark = pytest.mark.timeout(300)  # for a machine that is busy with much else

CONFIG = ({"unit": {"run": "true"}}, {"check": ["unit"], "gate": ["unit"], "post": []})

# -- a server that fails, while another does not


@pytest.fixture
def two(tmp_path: Path) -> Iterator[tuple[Rig, HttpServer]]:
    """The project `app` on a server over HTTP, and `library` in a folder."""
    (tmp_path / "repositories").mkdir()
    server = HttpServer(tmp_path / "repositories")
    rig = Rig(tmp_path, http=server)
    rig.lab.add_project("library")
    rig.configure(
        {
            "connections": {"local": {"timeout": "2s"}, "folder": {"poll": "100ms"}},
            "projects": {
                "app": {"url": server.url("app.git"), "connection": "local"},
                "library": {"url": str(rig.lab.repository("library")), "connection": "folder"},
            },
        }
    )
    for project in ("app", "library"):
        rig.seed(*CONFIG, project=project)
    yield rig, server
    rig.close()


@pytest.mark.parametrize("fault", [Fault.HANG, Fault.ERROR, Fault.NO_PUSH, Fault.HANG_PUSH])
def test_a_server_that_fails_holds_up_no_other_and_is_asked_again(two, fault):
    rig, server = two
    up = rig.up()
    rig.wait(lambda: rig.events() >= 3)
    server.set_fault(fault)
    rig.change("held")
    rig.push(approve=["held"])
    rig.change("free", project="library")
    rig.push(approve=["free"], project="library")
    assert rig.wait_for_outcome("free") == "merged"
    if fault in (Fault.NO_PUSH, Fault.HANG_PUSH):
        reason = rig.wait(lambda: [text for text in rig.why("held") if "could not be merged for testing" in text])[0]
        assert {Fault.NO_PUSH: "403", Fault.HANG_PUSH: "2 s"}[fault] in reason
    else:
        assert rig.wait(lambda: up.logged("source.unavailable"))[0]["project"] == "app"
        assert rig.item("held") is None
    assert up.stop() == 0
    server.come_back()
    rig.up()
    assert rig.wait_for_outcome("held") == "merged"
    assert rig.history(project="app")[0] == "held"


def test_a_branch_that_its_server_protects_is_not_merged_into_and_the_server_is_quoted(two):
    rig, _ = two
    words = "main is protected; ask the release team"
    set_hook(rig.lab.repository(), "pre-receive", f"grep -q refs/heads/main || exit 0\necho '{words}' >&2\nexit 1")
    rig.up()
    rig.change("held")
    rig.push(approve=["held"])
    assert rig.wait_for_outcome("held") == "not merged"
    assert words in rig.item("held").reason
    rig.wait(lambda: rig.reports()[f"{rig.item('held').build_set}:not merged"] == 1)
    assert rig.history()[0] == "torii.yml"


# -- bad changes and branches, each in a project of its own


PROJECTS = ("bad", "forced", "gone", "withdrawn", "replaced", "strange", "empty", "past")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    rig = Rig(tmp_path_factory.mktemp("shared"))
    for project in PROJECTS:
        rig.lab.add_project(project)
    rig.configure({"projects": {name: {"url": str(rig.lab.repository(name))} for name in PROJECTS}, "worker": {"executors": 8}})
    for project in PROJECTS:
        if project != "empty":
            held = {"unit": rig.job(rig.until(project))}
            rig.seed(held, {"check": [], "gate": ["unit"], "post": []}, project=project)
    rig.up()
    rig.wait(lambda: rig.events() >= len(PROJECTS))
    yield rig
    rig.close()


def approve(rig: Rig, *names: str, project: str) -> None:
    for name in names:
        rig.change(name, project=project)
    rig.push(approve=names, project=project)


def building(rig: Rig, name: str, times: int = 1) -> None:
    rig.wait(lambda: len(rig.ran(name)) >= times)


BAD_FILES = {
    "not-yaml": ("jobs: [", "torii.yml:1:"),
    "unknown-key": ("jobs: {unit: {run: 'true', votng: false}}\n", 'did you mean "voting"?'),
    "cycle": ("jobs: {a: {run: x, needs: [b]}, b: {run: x, needs: [a]}}\n", "a circle: a -> b -> a"),
    "twice": ("jobs: {}\njobs: {}\n", "twice"),
    "bomb": (
        "a: &a [x,x,x,x,x,x,x,x]\n"
        + "".join(f"b{n}: &b{n} [*{'a' if not n else f'b{n - 1}'}" + f",*{'a' if not n else f'b{n - 1}'}" * 9 + "]\n" for n in range(9)),
        "alias",
    ),
    "job-name": ('jobs: {"a; rm -rf \\n..": {run: x}}\n', "jobs"),
}


def test_each_bad_torii_yml_is_told_to_its_change_and_stops_no_other(shared):
    rig = shared
    rig.say("bad")
    for name, (text, _) in BAD_FILES.items():
        rig.change(name, files={"torii.yml": text}, project="bad")
    rig.change("huge", files={"torii.yml": f"# {'x' * (1 << 20)}\n"}, project="bad")
    rig.change("good", project="bad")
    deleted = git_rm(rig, "torii.yml", "deletes-it", "bad")
    rig.lab.tips["deletes-it"] = deleted
    rig.push(approve=[*BAD_FILES, "huge", "good", "deletes-it"], project="bad")
    assert rig.wait_for_outcome("good", limit=2 * LIMIT) == "merged"
    for name in (*BAD_FILES, "huge", "deletes-it"):
        assert rig.wait_for_outcome(name, limit=2 * LIMIT) == "configuration error", name
        item = rig.item(name)
        rig.wait(lambda item=item: rig.reports("bad")[f"{item.build_set}:configuration error"] == 1)
    for name, (_, words) in BAD_FILES.items():
        assert words in rig.lab.said(rig.lab.tips[name], "bad"), name
    assert "there is no torii.yml" in rig.item("deletes-it").reason
    assert rig.history(project="bad")[0] == "good"


def git_rm(rig: Rig, path: str, title: str, project: str) -> str:
    """Return a commit that deletes `path` from the tip of main."""
    tip = rig.lab.branch("main", project)
    head = f"commit refs/work/rm\nmark :1\ncommitter Dev <dev@example.com> 1700000000 +0000\ndata {len(title)}\n{title}\n"
    script = f"{head}from {tip}\nD {path}\nget-mark :1\ndone\n"
    return git("fast-import", "--quiet", "--done", cwd=rig.lab.developer, given=script)


def test_a_branch_forced_to_other_history_in_mid_gate_tests_its_changes_on_that(shared):
    rig = shared
    approve(rig, "onward", project="forced")
    building(rig, "onward")
    before = rig.lab.branch("main", "forced")
    parent = git("rev-parse", f"{before}^", cwd=rig.lab.repository("forced"))
    text = git("show", f"{before}:torii.yml", cwd=rig.lab.repository("forced"))
    other = rig.lab.commit("rewritten", parent, files={"torii.yml": text, "rewritten.txt": "x"})
    rig.lab.push("main", other, "forced")
    building(rig, "onward", times=2)
    rig.say("forced")
    assert rig.wait_for_outcome("onward") == "merged"
    assert any("moved past the gate" in why for why in rig.why("onward"))
    tree = git("ls-tree", "--name-only", "main", cwd=rig.lab.repository("forced")).splitlines()
    assert {"rewritten.txt", "onward.txt"} <= set(tree)


def test_a_branch_deleted_in_mid_gate_takes_its_changes_out_with_that_reason(shared):
    rig = shared
    approve(rig, "late", project="gone")
    building(rig, "late")
    rig.lab.push("main", None, "gone")
    assert rig.wait_for_outcome("late") == "dequeued"
    assert "main was deleted" in rig.item("late").reason
    rig.wait(lambda: not [build for build in rig.builds("late") if build.state != "done"])


def test_a_change_withdrawn_in_mid_gate_leaves_and_its_builds_end(shared):
    rig = shared
    approve(rig, "unwanted", project="withdrawn")
    building(rig, "unwanted")
    for kind in ("review", "gate"):
        git("push", "--quiet", rig.lab.repository("withdrawn"), f":refs/heads/{kind}/main/unwanted", cwd=rig.lab.developer)
    assert rig.wait_for_outcome("unwanted") == "dequeued"
    assert "abandoned" in rig.item("unwanted").reason
    rig.wait(lambda: not rig.staging_refs("withdrawn"))


def test_a_change_replaced_in_mid_gate_merges_as_it_is_now_or_not_at_all(shared):
    rig = shared
    approve(rig, "moving", project="replaced")
    building(rig, "moving")
    rig.change("moving", files={"moving.txt": "second thoughts\n"}, project="replaced")
    rig.push(approve=["moving"], project="replaced")
    building(rig, "moving", times=2)
    rig.say("replaced")
    rig.wait(lambda: rig.outcome("moving") == "merged")
    assert git("show", "main:moving.txt", cwd=rig.lab.repository("replaced")) == "second thoughts"
    assert [item.outcome for item in rig.items("gate") if item.change.endswith("/moving")] == ["dequeued", "merged"]


def test_a_push_past_the_gate_restages_what_is_behind(shared):
    rig = shared
    approve(rig, "overtaken", project="past")
    building(rig, "overtaken")
    tip = rig.lab.commit("past the gate", rig.lab.branch("main", "past"), files={"past.txt": "x"})
    rig.lab.push("main", tip, "past")
    building(rig, "overtaken", times=2)
    rig.say("past")
    assert rig.wait_for_outcome("overtaken") == "merged"
    assert rig.history(project="past")[0] in ("overtaken", "past the gate")
    assert any("main moved past the gate" in why for why in rig.why("overtaken"))


STRANGE_FILES = {
    "line\nbreak.txt": "x",
    "-rf": "x",
    "quote'\"$(id).txt": "x",
    " spaces .txt": "x",
    "näme.txt": "x",
}
STRANGE_REFS = (
    b"review/main/$(id)",
    b"review/main/a;b",
    b"review/main/-rf",
    b'review/main/"q"',
    b"review/main/\xff\xfe",
    b"review/nowhere/x",
)


def test_hostile_names_of_files_and_refs_do_nothing_but_what_names_do(shared):
    rig = shared
    rig.say("strange")
    base = rig.lab.branch("main", "strange")
    lines = [
        b"commit refs/work/strange\nmark :1\ncommitter Dev <dev@example.com> 1700000000 +0000\ndata 8\nstrange\n\nfrom "
        + base.encode()
        + b"\n"
    ]
    lines += [b"M 100644 inline " + json.dumps(name, ensure_ascii=False).encode() + b"\ndata 1\nx\n" for name in STRANGE_FILES]
    lines += [b'M 100644 inline "\\377\\376.txt"\ndata 1\nx\nget-mark :1\ndone\n']
    rig.lab.tips["unicode-é"] = git("fast-import", "--quiet", "--done", cwd=rig.lab.developer, given=b"".join(lines))
    rig.lab.tips["clash"] = rig.lab.commit("clash", base, files={"-rf": "y"})
    repository = rig.lab.repository("strange")
    rig.push(approve=["unicode-é"], project="strange")
    assert rig.wait_for_outcome("unicode-é") == "merged"
    tip = rig.lab.branch("main", "strange")
    for ref in STRANGE_REFS:
        path = repository / "refs/heads" / os.fsdecode(ref)  # past git and any shell
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{tip}\n")
    rig.push(approve=["clash"], project="strange")
    assert rig.wait_for_outcome("clash") == "merge conflict"
    assert "-rf" in rig.item("clash").reason
    ignored = [entry for entry in rig.processes[0].logged("source.ref_ignored") if entry["project"] == "strange"]
    assert len({entry["ref"] for entry in ignored}) == len(STRANGE_REFS)
    assert all(entry["reason"] for entry in ignored)
    listed = git("ls-tree", "-z", "--name-only", "main", cwd=repository).split("\0")
    assert set(STRANGE_FILES) <= {os.fsencode(name).decode(errors="replace") for name in listed}


def test_a_change_of_unrelated_history_is_a_conflict_and_an_empty_repository_waits(shared):
    rig = shared
    commit = rig.lab.commit("stranger", files={"torii.yml": "other"})
    rig.lab.tips["stranger"] = commit
    rig.push(approve=["stranger"], project="withdrawn")
    assert rig.wait_for_outcome("stranger") == "merge conflict"
    assert rig.item("stranger").reason
    rig.say("empty")
    rig.seed({"unit": rig.job("true")}, {"check": [], "gate": ["unit"], "post": []}, project="empty")
    approve(rig, "first", project="empty")
    assert rig.wait_for_outcome("first") == "merged"


# -- the machine


def limit_files(pid: int, size: int) -> None:
    """Let the process `pid` write no file beyond `size` bytes, as if the disk were full; -1: again as it likes."""
    hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)[1]
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY if size < 0 else size, hard))


def test_with_the_disk_full_nothing_follows_unrecorded_and_with_room_again_it_goes_on(tmp_path):
    rig = Rig(tmp_path, {"worker": {"executors": 0}})
    try:
        rig.seed({"unit": rig.job(rig.until("go"))}, {"check": [], "gate": ["unit"], "post": []})
        up = rig.up()
        rig.run("worker", "--executors", "1").ready()
        approve(rig, "fix", project="app")
        building(rig, "fix")
        rig.wait(lambda: [build for build in rig.builds("fix") if build.state == "running"])
        before, tip, told = rig.events(), rig.lab.branch(), rig.reports()
        size = (rig.state / "torii.db-wal").stat().st_size
        assert up.log.stat().st_size < size
        limit_files(up.pid, size)
        rig.say("go")
        rig.wait(lambda: len(up.logged("the store refuses")) >= 3)
        assert "disk" in up.logged("the store refuses")[0]["reason"]
        assert (rig.events(), rig.lab.branch(), rig.reports()) == (before, tip, told)
        limit_files(up.pid, -1)
        assert rig.wait_for_outcome("fix") == "merged"
        assert len(rig.ran("fix")) == 1
        rig.wait(lambda: sorted(rig.reports().values()) == [1] * len(rig.items()))
        assert up.stop() == 0
    finally:
        rig.close()


def test_killed_with_the_disk_full_it_starts_again_where_it_was(tmp_path):
    rig = Rig(tmp_path)
    try:
        rig.seed({"unit": rig.job(rig.until("go"))}, {"check": [], "gate": ["unit"], "post": []})
        up = rig.up()
        approve(rig, "fix", project="app")
        building(rig, "fix")
        limit_files(up.pid, (rig.state / "torii.db-wal").stat().st_size)
        rig.change("next")
        rig.push(approve=["next"])
        rig.say("go")
        rig.wait(lambda: up.logged("the store refuses"))
        up.kill()
        rig.up()
        assert rig.wait_for_outcome("fix") == "merged"
        assert rig.wait_for_outcome("next") == "merged"
        rig.wait(lambda: sorted(rig.reports().values()) == [1] * len(rig.items()))
    finally:
        rig.close()


class Clock:
    """The machine's clock, set as one likes."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


def test_the_clock_may_jump_back_an_hour_in_a_build_and_between_two_lives(tmp_path):
    rig = Rig(tmp_path)
    clock = Clock()
    config = load_server(tmp_path / "server.yml")
    with contextlib.ExitStack() as cleanup:
        cleanup.callback(rig.close)
        rig.seed({"unit": rig.job(rig.until("go"))}, {"check": [], "gate": ["unit"], "post": []})
        first = System(config, clock=clock)
        first.start()
        cleanup.callback(first.stop)
        approve(rig, "fix", project="app")
        building(rig, "fix")
        clock.ahead = -3600.0
        rig.say("go")
        assert rig.wait_for_outcome("fix") == "merged"
        first.stop()
        rig.hush("go")
        clock.ahead = -7200.0
        second = System(config, clock=clock)
        second.start()
        cleanup.callback(second.stop)
        approve(rig, "next", project="app")
        building(rig, "next")
        rig.lab.server.go_away()
        rig.say("go")
        rig.wait(lambda: [text for text in rig.why("next") if "could not be merged yet" in text], 2 * LIMIT)
        clock.ahead = -10800.0
        rig.lab.server.come_back()
        assert rig.wait_for_outcome("next", limit=2 * LIMIT) == "merged"


@pytest.mark.needs("bwrap")
def test_a_build_under_torii_up_sees_no_secret_of_the_server(tmp_path):
    key = tmp_path / "gearman.key"
    key.write_text("a key that nobody may see\n")
    rig = Rig(tmp_path, {"worker": {"sandbox": "bubblewrap"}, "gearman": {"key": f"file:{key}"}})
    try:
        rig.seed(
            {"unit": {"run": f"! cat {key}\n! ls {rig.state}/gearman.key {rig.state}/torii.db"}},
            {"check": ["unit"], "gate": [], "post": []},
        )
        rig.up()
        rig.change("spy")
        rig.push(check=["spy"])
        assert rig.wait_for_outcome("spy", "check") == "success"
    finally:
        rig.close()


def test_a_repository_behind_a_password_is_gated_and_the_password_is_shown_nowhere(tmp_path):
    password = "open-sesame-4711"
    (tmp_path / "repositories").mkdir()
    server = HttpServer(tmp_path / "repositories", "torii", password)
    rig = Rig(tmp_path, {"connections": {"local": {"user": "torii", "password": "env:GIT_PASSWORD", "poll": "100ms"}}}, http=server)
    try:
        rig.seed({"unit": rig.job("env; cat .git/config")}, {"check": [], "gate": ["unit"], "post": []})
        up = rig.up(env={"GIT_PASSWORD": password})
        rig.change("fix")
        rig.push(approve=["fix"])
        assert rig.wait_for_outcome("fix") == "merged"
        rig.wait(lambda: len(rig.reports()) == len(rig.items()))
        assert up.stop() == 0
        kept = [path for folder in (rig.state, rig.folder / "logs") for path in folder.rglob("*") if path.is_file()]
        assert [path for path in kept if password.encode() in path.read_bytes()] == []
    finally:
        rig.close()
