"""Each merge mode on small histories: what is made, by whom, when, and what is left alone."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.histories import Files, Planned, Scene
from torii.git import Mirror
from torii.merger.merging import Clash, Merging
from torii.merger.modes import Identity, Modes, Tip, merge_message
from torii.model.ids import Sha
from torii.model.pipeline import MergeMode

ALL = list(MergeMode)
REBASING = [MergeMode.REBASE_IF_NECESSARY, MergeMode.REBASE_ALWAYS, MergeMode.CHERRY_PICK]
TEXT = b"".join(b"line %d\n" % number for number in range(9))
BASE: Files = {b"a": ("100644", TEXT), b"torii.yml": ("100644", b"jobs: {}\n")}


def with_file(name: bytes, files: Files = BASE, content: bytes = b"new\n") -> Files:
    return {**files, name: ("100644", content)}


class Bench:
    """A scene and the modes on it."""

    def __init__(self, folder: Path) -> None:
        self.scene = Scene(folder / "scene.git")
        self.merging = Merging(Mirror(self.scene.path))
        self.modes = Modes(Mirror(self.scene.path), self.merging, Identity())

    def tip(self, commit: Sha) -> Tip:
        return Tip(commit, self.scene.tree(commit))

    def apply(self, mode: MergeMode, onto: Sha, change: Sha, branch: str = "main") -> Tip:
        made = self.modes.apply(mode, self.tip(onto), change, branch)
        assert isinstance(made, Tip), made
        assert made.tree == self.scene.tree(made.commit)
        return made

    def clash(self, mode: MergeMode, onto: Sha, change: Sha) -> Clash:
        made = self.modes.apply(mode, self.tip(onto), change, "main")
        assert isinstance(made, Clash), made
        return made


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.merging.close()


@pytest.fixture
def forked(bench: Bench) -> tuple[Sha, Sha, Sha]:
    """A base, a branch one commit further, and a change of two commits beside it."""
    who = b"Th\xefs Author <author@example.com> 1600000000 -0330"
    plan = [
        Planned(BASE),
        Planned(with_file(b"ours"), (0,), committer=b"X <x@example.com> 1700000100 +0000"),
        Planned(with_file(b"one"), (0,), b"Add one\n\nBecause.\n\nChange-Id: I1\n", who, b"Y <y@example.com> 1700000200 +0900"),
        Planned(with_file(b"two", with_file(b"one")), (2,), b"Add two\n", who, b"Y <y@example.com> 1700000050 +0000"),
    ]
    base, branch, _, change = bench.scene.build(plan)
    return base, branch, change


@pytest.mark.parametrize("mode", ALL)
def test_a_change_the_branch_has_already_is_left_alone(bench: Bench, forked: tuple[Sha, Sha, Sha], mode: MergeMode) -> None:
    base, branch, _ = forked
    assert bench.apply(mode, branch, base).commit == branch
    assert bench.apply(mode, branch, branch).commit == branch


@pytest.mark.parametrize("mode", ALL)
def test_a_change_on_top_of_the_branch(bench: Bench, forked: tuple[Sha, Sha, Sha], mode: MergeMode) -> None:
    base, _, change = forked
    made = bench.apply(mode, base, change)
    assert made.tree == bench.scene.tree(change)
    if mode in (MergeMode.FAST_FORWARD_ONLY, MergeMode.MERGE_IF_NECESSARY, MergeMode.REBASE_IF_NECESSARY):
        assert made.commit == change
    else:
        assert made.commit != change
        assert bench.merging.objects.commit(made.commit).committer.startswith(b"Torii <torii@localhost> ")


def test_what_cannot_be_fast_forwarded_says_so(bench: Bench, forked: tuple[Sha, Sha, Sha]) -> None:
    _, branch, change = forked
    assert "rebase it" in bench.clash(MergeMode.FAST_FORWARD_ONLY, branch, change).reason


@pytest.mark.parametrize("mode", [MergeMode.MERGE_IF_NECESSARY, MergeMode.MERGE_ALWAYS])
def test_a_merge_commit_has_both_parents_and_the_later_date(bench: Bench, forked: tuple[Sha, Sha, Sha], mode: MergeMode) -> None:
    _, branch, change = forked
    commit = bench.merging.objects.commit(bench.apply(mode, branch, change, "stable/1").commit)
    assert commit.parents == (branch, change)
    assert commit.author == commit.committer == b"Torii <torii@localhost> 1700000100 +0000"
    assert commit.message == b'Merge "Add two" into stable/1\n'


@pytest.mark.parametrize("mode", REBASING)
def test_rebased_commits_keep_author_and_message_to_the_byte(bench: Bench, forked: tuple[Sha, Sha, Sha], mode: MergeMode) -> None:
    _, branch, change = forked
    objects = bench.merging.objects
    second = objects.commit(bench.apply(mode, branch, change).commit)
    first = objects.commit(second.parents[0])
    assert first.parents == (branch,)
    assert (first.message, second.message) == (b"Add one\n\nBecause.\n\nChange-Id: I1\n", b"Add two\n")
    assert first.author == second.author == b"Th\xefs Author <author@example.com> 1600000000 -0330"
    assert first.committer == b"Torii <torii@localhost> 1700000200 +0000"
    assert second.committer == b"Torii <torii@localhost> 1700000200 +0000"


def test_a_squashed_change_is_one_commit_that_lists_the_others(bench: Bench, forked: tuple[Sha, Sha, Sha]) -> None:
    _, branch, change = forked
    commit = bench.merging.objects.commit(bench.apply(MergeMode.SQUASH, branch, change).commit)
    assert commit.parents == (branch,)
    assert commit.author.startswith(b"Th\xefs Author")
    assert commit.message == b"Add one\n\nBecause.\n\n* Add two\n\nChange-Id: I1\n"


@pytest.mark.parametrize("mode", REBASING)
def test_a_change_with_a_merge_in_it_is_merged_and_not_taken_apart(bench: Bench, mode: MergeMode) -> None:
    plan = [Planned(BASE), Planned(with_file(b"ours"), (0,)), Planned(with_file(b"x"), (0,)), Planned(with_file(b"y"), (0,))]
    plan.append(Planned(with_file(b"y", with_file(b"x")), (2, 3), b"Merge y\n"))
    _, branch, _, _, change = bench.scene.build(plan)
    assert bench.merging.objects.commit(bench.apply(mode, branch, change).commit).parents == (branch, change)


@pytest.mark.parametrize("mode", REBASING)
def test_commits_that_become_empty_go_and_those_that_were_empty_stay(bench: Bench, mode: MergeMode) -> None:
    plan = [
        Planned(BASE),
        Planned(with_file(b"same", with_file(b"ours")), (0,)),
        Planned(with_file(b"same"), (0,), b"Becomes empty\n"),
        Planned(with_file(b"same"), (2,), b"Was empty\n"),
    ]
    _, branch, becomes, was = bench.scene.build(plan)
    assert bench.apply(mode, branch, becomes).commit == branch
    commit = bench.merging.objects.commit(bench.apply(mode, branch, was).commit)
    assert (commit.parents, commit.message) == ((branch,), b"Was empty\n")


@pytest.mark.parametrize("mode", REBASING)
def test_a_change_that_stands_on_one_rebased_before_brings_only_its_own(bench: Bench, mode: MergeMode) -> None:
    plan = [
        Planned(BASE),
        Planned(with_file(b"ours"), (0,)),
        Planned({**BASE, b"a": ("100644", TEXT.replace(b"line 4", b"first"))}, (0,), b"first\n"),
        Planned({**BASE, b"a": ("100644", TEXT.replace(b"line 4", b"second"))}, (2,), b"second\n"),
    ]
    _, branch, first, second = bench.scene.build(plan)
    below = bench.apply(mode, branch, first)
    made = bench.modes.apply(mode, below, second, "main", [first])
    assert isinstance(made, Tip)
    assert bench.merging.objects.commit(made.commit).parents == (below.commit,)
    assert b"second" in bench.scene.show(made.commit, "a")


@pytest.mark.parametrize("mode", ALL)
def test_histories_with_nothing_in_common_are_never_joined(bench: Bench, mode: MergeMode) -> None:
    branch, stranger = bench.scene.build([Planned(BASE), Planned(with_file(b"x"), (), b"stranger\n")])
    clash = bench.clash(mode, branch, stranger)
    assert "no commit in common" in clash.reason or mode is MergeMode.FAST_FORWARD_ONLY
    assert clash.files == ()


@pytest.mark.parametrize("mode", [mode for mode in ALL if mode is not MergeMode.FAST_FORWARD_ONLY])
def test_a_clash_names_its_files(bench: Bench, mode: MergeMode) -> None:
    plan = [Planned(BASE), Planned(with_file(b"a", BASE, b"ours\n"), (0,)), Planned(with_file(b"a", with_file(b"x"), b"theirs\n"), (0,))]
    _, branch, change = bench.scene.build(plan)
    clash = bench.clash(mode, branch, change)
    assert clash.files == ("a",)
    assert clash.reason == "CONFLICT (content): Merge conflict in a"


def test_a_message_in_another_encoding_is_kept_or_read_as_what_it_is(bench: Bench) -> None:
    latin = Planned(with_file(b"x"), (0,), b"Caf\xe9\n", encoding=b"ISO-8859-1")
    _, branch, change = bench.scene.build([Planned(BASE), Planned(with_file(b"y"), (0,)), latin])
    merged = bench.merging.objects.commit(bench.apply(MergeMode.MERGE_ALWAYS, branch, change).commit)
    assert merged.message == 'Merge "Café"\n'.encode()
    picked = bench.merging.objects.commit(bench.apply(MergeMode.CHERRY_PICK, branch, change).commit)
    assert (picked.message, picked.encoding) == (b"Caf\xe9\n", b"ISO-8859-1")


def test_a_merge_message_is_short_and_on_one_line() -> None:
    assert merge_message("Fix it", "main") == b'Merge "Fix it"\n'
    assert len(merge_message("x" * 5000, "main").decode()) < 220


def test_any_merger_makes_the_same_commits(bench: Bench, forked: tuple[Sha, Sha, Sha], tmp_path: Path) -> None:
    _, branch, change = forked
    here = [bench.modes.apply(mode, bench.tip(branch), change, "main") for mode in ALL]
    code = f"""
from pathlib import Path
from torii.git import Mirror
from torii.merger.merging import Merging
from torii.merger.modes import Identity, Modes, Tip
from torii.model.pipeline import MergeMode
mirror = Mirror(Path("other.git"))
merging = Merging(mirror)
modes = Modes(mirror, merging, Identity())
for mode in MergeMode:
    print(getattr(modes.apply(mode, Tip("{branch}", "{bench.scene.tree(branch)}"), "{change}", "main"), "commit", "clash"))
merging.close()
"""
    subprocess.run(["git", "clone", "--quiet", "--bare", str(bench.scene.path), "other.git"], cwd=tmp_path, check=True, timeout=30)
    subprocess.run(
        ["git", "fetch", "--quiet", str(bench.scene.path), "+refs/work/*:refs/work/*"], cwd=tmp_path / "other.git", check=True, timeout=30
    )
    elsewhere = {
        **os.environ,
        "TZ": "Asia/Kathmandu",
        "LC_ALL": "C",
        "PYTHONPATH": str(Path(__file__).parents[3]),
        "GIT_COMMITTER_NAME": "Somebody",
        "GIT_COMMITTER_DATE": "1999-01-01T00:00:00Z",
        "GIT_AUTHOR_DATE": "1999-01-01T00:00:00Z",
    }
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=elsewhere, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == [getattr(one, "commit", "clash") for one in here]
