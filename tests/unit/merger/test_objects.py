"""Objects through commands that are kept open."""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.histories import Planned, Scene
from torii.git import GitError, Mirror
from torii.merger.objects import MAX_DATE, Commit, Entry, Objects
from torii.model.ids import Sha

FILES = {b"a": ("100644", b"a\n"), b"not-\xff\n": ("100644", b"b\n"), b"link": ("120000", b"a"), b"big": ("100644", b"x" * 3000)}


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path / "scene.git")


@pytest.fixture
def objects(scene: Scene) -> Iterator[Objects]:
    made = Objects(Mirror(scene.path))
    yield made
    made.close()


def test_a_commit_reads_as_it_was_written(scene: Scene, objects: Objects) -> None:
    (first,) = scene.build([Planned(FILES)])
    tree = scene.tree(first)
    commit = Commit(
        tree, (first,), b"A <a@example.com> 12 +0000", b"B \xff <b@example.com> 34 -0200", b"subject\nstill\n\nbody \xff", b"latin-1"
    )
    sha = objects.write(commit)
    again = Objects(objects.mirror)
    assert again.commit(sha) == commit
    assert (commit.date, commit.subject) == (34, "subject still")
    again.close()


def test_dates_that_git_could_not_keep_are_bounded() -> None:
    def dated(text: bytes) -> int:
        return Commit(Sha("0"), (), b"", b"A <a> " + text, b"").date

    assert dated(b"99999999999999999 +0000") == MAX_DATE
    assert dated(b"soon") == 0
    assert dated(b"-5 +0000") == 0


def test_entries_of_a_tree_come_with_their_modes(scene: Scene, objects: Objects) -> None:
    (first,) = scene.build([Planned(FILES)])
    tree = scene.tree(first)
    link = objects.entry(tree, b"link")
    assert isinstance(link, Entry)
    assert link.mode == 0o120000
    assert objects.entry(tree, b"nothing") is None
    big = objects.entry(tree, b"big")
    assert big is not None
    assert objects.read(big.sha, "blob", 2999) is None
    assert objects.read(big.sha, "blob", 3000) == b"x" * 3000


def test_changed_paths_may_hold_anything(scene: Scene, objects: Objects) -> None:
    moved = {b"b": FILES[b"a"], b"link": FILES[b"link"], b"big": ("100755", b"x" * 3000)}
    first, second = scene.build([Planned(FILES), Planned(moved, (0,))])
    before, after = scene.tree(first), scene.tree(second)
    assert objects.changed(before, after) == ("a", "b", "big", "not-\udcff\n")
    assert objects.changed(before, before) == ()
    assert objects.changed(after, before) == ("a", "b", "big", "not-\udcff\n")


def test_what_is_missing_or_something_else_is_said_to_be(scene: Scene, objects: Objects) -> None:
    (first,) = scene.build([Planned(FILES)])
    assert objects.has(first)
    assert not objects.has(Sha("1" * 40))
    with pytest.raises(GitError, match="is not in"):
        objects.commit(Sha("1" * 40))
    with pytest.raises(GitError, match="is a tree, not a commit"):
        objects.commit(scene.tree(first))
    assert objects.commit(first).message == b"change\n"


def test_objects_that_come_later_are_seen(scene: Scene, objects: Objects) -> None:
    (first,) = scene.build([Planned(FILES)])
    assert objects.has(first)
    (second,) = scene.build([Planned(FILES, message=b"later\n")])
    assert objects.commit(second).message == b"later\n"


def test_a_command_that_was_killed_is_started_again(scene: Scene, objects: Objects) -> None:
    (first, second) = scene.build([Planned(FILES), Planned(FILES, (0,))])
    objects.commit(first)
    for conversation in objects._open.values():
        os.killpg(conversation._process.pid, signal.SIGKILL)
    assert objects.commit(second).parents == (first,)


def test_it_reads_in_a_process_that_has_more_files_open_than_select_can_name(scene: Scene) -> None:
    (first,) = scene.build([Planned(FILES)])
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard if hard == resource.RLIM_INFINITY else max(soft, min(hard, 4096)), hard))
    taken = [os.open(os.devnull, os.O_RDONLY)]
    try:
        while taken[-1] < 1024:
            taken.append(os.dup(taken[0]))
        objects = Objects(Mirror(scene.path))
        try:
            assert objects.commit(first).tree == scene.tree(first)
        finally:
            objects.close()
    finally:
        for descriptor in taken:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
