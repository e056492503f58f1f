"""Merge requests on real repositories: what is answered, and what is pushed."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.git_servers import refuse_pushes, set_hook
from tests.support.histories import Planned, run
from tests.support.merge_lab import APP, BASE, CONFIG, Project, conflict, line, merger_of, request, stage, staged, unavailable
from torii.merger.merger import StagingMerger
from torii.model.command import StageBase, StageChange
from torii.model.ids import ChangeId, ProjectName, Sha
from torii.model.pipeline import MergeMode


@pytest.fixture
def app(tmp_path: Path) -> Project:
    return Project(tmp_path / "server")


@pytest.fixture
def merger(tmp_path: Path, app: Project) -> Iterator[StagingMerger]:
    made = merger_of(tmp_path / "mirrors", app)
    yield made
    made.close()


def plain(app: Project, number: int) -> StageChange:
    """A change that nothing clashes with."""
    return app.change(f"c{number}", {b"f%d" % number: ("100644", b"x\n")})


def test_each_stage_stands_on_the_one_before(app: Project, merger: StagingMerger) -> None:
    changes = [plain(app, number) for number in range(4)]
    answers = merger.stage(request(*(stage(number, change) for number, change in enumerate(changes))))
    before = app.base
    for number, (answer, change) in enumerate(zip(answers, changes, strict=True)):
        state = staged(answer)
        (own,) = state.branches
        assert (own.project, own.branch, own.base) == (APP, "main", app.base)
        parents = run("rev-parse", f"{own.commit}^@", cwd=app.scene.path).stdout.decode().split()
        assert parents == [before, change.commit]
        assert app.scene.tree(own.commit) == own.tree
        assert app.staged()[own.ref] == own.commit
        assert own.ref == f"refs/staging/gate/k-{number}.1/main"
        assert state.files == (f"f{number}",)
        assert state.config.content == state.tip_config.content == CONFIG
        before = own.commit


def test_a_conflict_leaves_no_trace_and_names_the_change_ahead(app: Project, merger: StagingMerger) -> None:
    changes = [app.change(f"c{number}", {b"a": ("100644", line(number * 8, b"by %d" % number))}) for number in range(3)]
    changes.insert(2, app.change("bad", {b"a": ("100644", line(8, b"bad"))}))
    answers = merger.stage(request(*(stage(number, change) for number, change in enumerate(changes))))
    clash = conflict(answers[2])
    assert (clash.files, clash.change) == (("a",), "c1")
    last = staged(answers[3]).branches[-1]
    assert b"bad" not in app.scene.show(last.commit, "a")
    assert sorted(app.staged()) == [f"refs/staging/gate/k-{number}.1/main" for number in (0, 1, 3)]


def test_a_conflict_with_the_branch_itself_blames_no_change(app: Project, merger: StagingMerger) -> None:
    ahead = app.change("c1", {b"a": ("100644", line(20, b"ahead"))})
    bad = app.change("bad", {b"a": ("100644", line(3, b"bad"))})
    app.scene.point("refs/heads/main", app.commit({**BASE, b"a": ("100644", line(3, b"landed"))}, on=app.base))
    answers = merger.stage(request(stage(1, ahead), stage(2, bad)))
    assert conflict(answers[1]).change is None
    assert conflict(answers[1]).files == ("a",)


@pytest.mark.parametrize("count", [1, 3])
def test_a_conflict_with_what_another_merger_staged_names_the_change(app: Project, tmp_path: Path, count: int) -> None:
    changes = [app.change(f"c{number}", {b"a": ("100644", line(number * 8, b"by %d" % number))}) for number in range(count)]
    first, second = merger_of(tmp_path / "one", app), merger_of(tmp_path / "two", app)
    state = staged(first.stage(request(*(stage(number, change) for number, change in enumerate(changes))))[-1]).branches[-1]
    base = StageBase(APP, "main", state.commit, state.base, tuple(change.change for change in changes))
    bad = app.change("bad", {b"a": ("100644", line(0, b"bad"))})
    good = app.change("good", {b"a": ("100644", line(28, b"good"))})
    answers = second.stage(request(stage(8, bad), stage(9, good), base=(base,)))
    assert conflict(answers[0]).change == "c0"
    own = staged(answers[1]).branches[-1]
    assert own.base == app.base
    assert run("rev-parse", f"{own.commit}^1", cwd=app.scene.path).stdout.decode().strip() == state.commit
    assert staged(answers[1]).files == ("a",)
    first.close()
    second.close()


def test_a_state_to_stand_on_that_nobody_has_any_more_is_unavailable(app: Project, merger: StagingMerger) -> None:
    base = StageBase(APP, "main", Sha("1" * 40), app.base)
    assert "no longer on" in unavailable(merger.stage(request(stage(1, plain(app, 1)), base=(base,)))[0])


def test_any_merger_asked_twice_makes_the_same(app: Project, tmp_path: Path) -> None:
    wanted = request(*(stage(number, dataclasses.replace(plain(app, number), mode=mode)) for number, mode in enumerate(MergeMode)))
    mergers = [merger_of(tmp_path / name, app) for name in ("one", "two")]
    assert mergers[0].stage(wanted) == mergers[0].stage(wanted) == mergers[1].stage(wanted)
    for merger in mergers:
        merger.close()


def test_a_ref_staged_before_on_another_tip_is_moved(app: Project, merger: StagingMerger) -> None:
    wanted = request(stage(1, plain(app, 1)))
    before = staged(merger.stage(wanted)[0]).branches[-1]
    tip = app.commit({**BASE, b"landed": ("100644", b"x\n")}, on=app.base)
    app.scene.point("refs/heads/main", tip)
    after = staged(merger.stage(wanted)[0]).branches[-1]
    assert (after.ref, after.base) == (before.ref, tip)
    assert app.staged() == {after.ref: after.commit}


def test_a_state_that_has_landed_is_staged_as_it_is(app: Project, merger: StagingMerger) -> None:
    tip = app.commit({**BASE, b"landed": ("100644", b"x\n")}, on=app.base)
    app.scene.point("refs/heads/main", tip)
    later = app.commit(BASE, on=tip)
    app.scene.point("refs/heads/main", later)
    state = staged(merger.stage(request(dataclasses.replace(stage(1), since=app.base), base=(StageBase(APP, "main", tip, tip),)))[0])
    assert (state.branches[-1].commit, state.branches[-1].base) == (tip, tip)
    assert state.files == ("landed",)
    assert app.staged() == {"refs/staging/gate/k-1.1/main": tip}
    gone = dataclasses.replace(stage(2), since=Sha("0" * 39 + "1"))
    assert staged(merger.stage(request(gone, base=(StageBase(APP, "main", tip, tip),)))[0]).files == ()


def test_a_change_goes_with_what_it_depends_on_over_projects(tmp_path: Path) -> None:
    app, lib = Project(tmp_path / "server"), Project(tmp_path / "server", "lib", apart=True)
    merger = merger_of(tmp_path / "mirrors", app, lib)
    needed, own = plain(lib, 1), plain(app, 2)
    state = staged(merger.stage(request(stage(1, needed, own)))[0])
    assert [one.project for one in state.branches] == ["lib", "app"]
    assert state.files == ("f2",)
    assert lib.staged() == {"refs/staging/gate/k-1.1/main": state.branches[0].commit}
    assert app.staged() == {"refs/staging/gate/k-1.1/main": state.branches[1].commit}
    merger.close()


def test_changes_of_one_branch_in_one_stage_are_merged_in_order(app: Project, merger: StagingMerger) -> None:
    state = staged(merger.stage(request(stage(1, plain(app, 1), plain(app, 2))))[0])
    (own,) = state.branches
    assert state.files == ("f2",)
    assert app.scene.show(own.commit, "f1") == app.scene.show(own.commit, "f2") == b"x\n"


def test_a_change_that_has_landed_already_adds_nothing(app: Project, merger: StagingMerger) -> None:
    change = plain(app, 1)
    app.scene.point("refs/heads/main", change.commit)
    state = staged(merger.stage(request(stage(1, change)))[0])
    assert state.branches[-1].commit == state.branches[-1].base == change.commit
    assert state.files == ()


# -- torii.yml


def test_a_change_to_torii_yml_is_in_its_own_answer(app: Project, merger: StagingMerger) -> None:
    edit = app.change("c1", {b"torii.yml": ("100644", b"jobs: {}\n")})
    answers = merger.stage(request(stage(1, edit), stage(2, plain(app, 2))))
    for answer in answers:
        assert staged(answer).config.content == b"jobs: {}\n"
        assert staged(answer).tip_config.content == CONFIG


def test_a_torii_yml_that_is_no_readable_file_says_why(app: Project, merger: StagingMerger) -> None:
    gone = app.commit({b"a": BASE[b"a"]}, on=app.base)
    app.scene.point("refs/changes/gone", gone)
    changes = [
        StageChange(ChangeId("gone"), APP, "main", "refs/changes/gone", gone, MergeMode.MERGE_ALWAYS),
        app.change("link", {b"torii.yml": ("120000", b"/etc/passwd")}),
        app.change("large", {b"torii.yml": ("100644", b"#" * (1 << 20) + b"\n")}),
        app.change("module", {b"torii.yml": ("160000", b"1" * 40)}),
    ]
    files = [staged(merger.stage(request(stage(number, change)))[0]).config for number, change in enumerate(changes)]
    assert (files[0].content, files[0].problem) == (None, "")
    assert "plain file" in files[1].problem
    assert "1 MiB" in files[2].problem
    assert "plain file" in files[3].problem
    assert all(file.content is None for file in files)


# -- what is not there


def test_a_branch_that_is_not_there_is_unavailable(app: Project, merger: StagingMerger) -> None:
    change = app.change("c1", {b"x": ("100644", b"x\n")}, branch="release")
    assert "has no branch release" in unavailable(merger.stage(request(stage(1, change)))[0])


def test_an_empty_repository_is_unavailable(tmp_path: Path) -> None:
    app = Project(tmp_path / "server")
    change = plain(app, 1)
    run("update-ref", "-d", "refs/heads/main", cwd=app.scene.path)
    merger = merger_of(tmp_path / "mirrors", app)
    assert "has no branch main" in unavailable(merger.stage(request(stage(1, change)))[0])
    merger.close()


def test_a_change_that_is_gone_stops_itself_and_those_behind_it(app: Project, merger: StagingMerger) -> None:
    changes = [plain(app, number) for number in range(3)]
    run("update-ref", "-d", changes[1].ref, cwd=app.scene.path)
    answers = merger.stage(request(*(stage(number, change) for number, change in enumerate(changes))))
    assert staged(answers[0])
    assert "it is gone" in unavailable(answers[1])
    assert "the state ahead could not be tried" in unavailable(answers[2])


def test_a_change_that_moved_on_is_said_to_have(app: Project, merger: StagingMerger) -> None:
    change = plain(app, 1)
    newer = app.change("c1", {b"other": ("100644", b"x\n")})
    assert f"it is at {newer.commit} now" in unavailable(merger.stage(request(stage(1, change)))[0])


def test_a_change_that_is_here_already_is_merged_though_its_ref_is_gone(app: Project, merger: StagingMerger) -> None:
    change = plain(app, 1)
    first = merger.stage(request(stage(1, change)))
    run("update-ref", "-d", change.ref, cwd=app.scene.path)
    assert merger.stage(request(stage(1, change))) == first


@pytest.mark.parametrize(
    "damage",
    [
        {"ref": "--upload-pack=touch x"},
        {"ref": "refs/heads/a..b"},
        {"branch": "-x"},
        {"branch": "a b"},
        {"commit": Sha("--all")},
        {"commit": Sha("HEAD")},
    ],
)
def test_bad_names_are_refused_and_those_ahead_staged(app: Project, merger: StagingMerger, damage: dict[str, str]) -> None:
    bad = dataclasses.replace(plain(app, 2), **damage)  # type: ignore[arg-type]
    answers = merger.stage(request(stage(1, plain(app, 1)), stage(2, bad)))
    assert staged(answers[0])
    assert unavailable(answers[1])


def test_a_project_nobody_configured_is_unavailable(app: Project, merger: StagingMerger) -> None:
    change = dataclasses.replace(plain(app, 1), project=ProjectName("other"))
    assert "no project other" in unavailable(merger.stage(request(stage(1, change)))[0])


def test_a_server_that_is_away_is_unavailable_until_it_is_back(app: Project, merger: StagingMerger) -> None:
    change = plain(app, 1)
    away = app.scene.path.rename(app.scene.path.with_name("away"))
    assert "does not appear to be a git repository" in unavailable(merger.stage(request(stage(1, change)))[0])
    away.rename(app.scene.path)
    assert staged(merger.stage(request(stage(1, change)))[0])


def test_a_refused_push_is_unavailable_in_the_servers_words(app: Project, merger: StagingMerger) -> None:
    refuse_pushes(app.scene.path, "no room")
    assert "no room" in unavailable(merger.stage(request(stage(1, plain(app, 1))))[0])


def test_those_behind_a_ref_that_was_refused_are_unavailable_too(app: Project, merger: StagingMerger) -> None:
    set_hook(app.scene.path, "update", 'case "$1" in */k-2.1/*) exit 1;; esac')
    answers = merger.stage(request(*(stage(number, plain(app, number)) for number in (1, 2, 3))))
    assert staged(answers[0])
    assert "refused refs/staging/gate/k-2.1/main" in unavailable(answers[1])
    assert unavailable(answers[2])


def test_unrelated_histories_conflict(app: Project, merger: StagingMerger) -> None:
    (stranger,) = app.scene.build([Planned(BASE, (), b"stranger\n")])
    app.scene.point("refs/changes/s", stranger)
    change = StageChange(ChangeId("s"), APP, "main", "refs/changes/s", stranger, MergeMode.MERGE_IF_NECESSARY)
    assert "no commit in common" in conflict(merger.stage(request(stage(1, change)))[0]).reason


def test_paths_that_are_not_utf8_are_shown_escaped(app: Project, merger: StagingMerger) -> None:
    change = app.change("c1", {b"not-\xff": ("100644", b"x\n"), "ü".encode(): ("100644", b"x\n")})
    other = app.change("c2", {b"not-\xff": ("100644", b"y\n")})
    answers = merger.stage(request(stage(1, change), stage(2, other)))
    assert staged(answers[0]).files == ("not-\\xff", "ü")
    assert conflict(answers[1]).files == ("not-\\xff",)
    assert conflict(answers[1]).change == "c1"


def test_a_mirror_that_was_lost_is_made_again(app: Project, merger: StagingMerger, tmp_path: Path) -> None:
    wanted = request(stage(1, plain(app, 1)))
    first = merger.stage(wanted)
    (tmp_path / "mirrors" / "app.git").rename(tmp_path / "lost")
    assert merger.stage(wanted) == first


# -- staging refs


def test_staging_refs_are_dropped_and_others_are_not(app: Project, merger: StagingMerger) -> None:
    merger.stage(request(stage(1, plain(app, 1)), stage(2, plain(app, 2))))
    merger.drop([(APP, "refs/staging/gate/k-1.1/main"), (APP, "refs/heads/main"), (APP, "refs/staging/gate/k-9.1/main")])
    merger.drop([(ProjectName("other"), "refs/staging/gate/k-2.1/main"), (APP, "--all")])
    assert list(app.staged()) == ["refs/staging/gate/k-2.1/main"]
    assert run("rev-parse", "refs/heads/main", cwd=app.scene.path).stdout.decode().strip() == app.base


def test_only_refs_of_this_torii_are_its_own(app: Project, merger: StagingMerger) -> None:
    merger.stage(request(stage(1, plain(app, 1))))
    for ref in ("refs/staging/gate/kk-1.1/main", "refs/staging/gate/other-1.1/main", "refs/staging/k-1.1", "refs/staging/gate/k-7.1/a/b"):
        app.staging.point(ref, app.base)
    assert set(merger.staged_by("k")) == {(APP, "refs/staging/gate/k-1.1/main"), (APP, "refs/staging/gate/k-7.1/a/b")}
