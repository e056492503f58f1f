"""Bare repositories on this disk."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.histories import Planned, Scene
from torii.git import GitError, Mirror
from torii.git.mirror import mirror_path, tracking
from torii.git.process import require_git, run
from torii.model.ids import Sha

FILES = {b"a": ("100644", b"a\n")}


def test_a_mirror_is_made_when_first_used(tmp_path: Path) -> None:
    mirror = Mirror(tmp_path / "deep" / "app.git")
    assert not mirror.path.exists()
    assert mirror.run("rev-parse", "--is-bare-repository").stdout == b"true\n"
    assert [entry.name for entry in mirror.path.parent.iterdir()] == ["app.git"]


def test_a_mirror_that_was_removed_is_made_again(tmp_path: Path) -> None:
    mirror = Mirror(tmp_path / "app.git")
    mirror.ensure()
    mirror.path.rename(tmp_path / "gone")
    assert mirror.run("rev-parse", "--is-bare-repository").stdout == b"true\n"


def test_many_threads_and_processes_make_one_mirror(tmp_path: Path) -> None:
    path = tmp_path / "app.git"
    code = f"from pathlib import Path; from torii.git import Mirror; Mirror(Path({str(path)!r})).ensure()"
    others = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(3)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: Mirror(path).run("rev-parse", "--git-dir"), range(8)))
    assert [process.wait(60) for process in others] == [0, 0, 0]
    assert [entry.name for entry in tmp_path.iterdir()] == ["app.git"]


def test_somebody_elses_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "app.git").mkdir()
    (tmp_path / "app.git" / "letter").write_text("dear")
    with pytest.raises(GitError, match="move it away"):
        Mirror(tmp_path / "app.git").ensure()
    run(["init", "--quiet", str(tmp_path / "work")], cwd=tmp_path, env={}, limit=10)
    with pytest.raises(GitError, match="work tree"):
        Mirror(tmp_path / "work").ensure()


def test_a_mirror_knows_what_it_has(tmp_path: Path) -> None:
    scene = Scene(tmp_path / "app.git")
    first, second, other = scene.build([Planned(FILES), Planned(FILES, (0,)), Planned(FILES, (), b"other\n")])
    mirror = Mirror(scene.path)
    assert mirror.has(first, second, other)
    assert not mirror.has(first, Sha("1" * 40))
    assert mirror.is_ancestor(first, second)
    assert not mirror.is_ancestor(first, other)
    assert mirror.resolve("refs/work/2") == second
    assert mirror.resolve("refs/heads/none") is None
    assert mirror.resolve("--all") is None


def test_upkeep_leaves_everything_readable_and_clears_old_scratch(tmp_path: Path) -> None:
    scene = Scene(tmp_path / "app.git")
    (first,) = scene.build([Planned(FILES)])
    mirror = Mirror(scene.path)
    left = mirror.scratch() / "fetch-left"
    left.mkdir()
    os.utime(left, (0, 0))
    mirror.maintain()
    assert mirror.has(first)
    assert not left.exists()


def test_variables_of_a_hook_do_not_lead_git_astray(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mirror = Mirror(tmp_path / "app.git")
    mirror.ensure()
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    monkeypatch.setenv("GIT_OBJECT_DIRECTORY", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("GIT_INDEX_FILE", "/nowhere/index")
    done = mirror.run("hash-object", "-w", "--stdin", given=b"hello")
    assert mirror.has(Sha(done.stdout.decode().strip()))
    assert not (tmp_path / "elsewhere").exists()


def test_projects_get_mirrors_of_their_own(tmp_path: Path) -> None:
    names = ["app", "tools/app", "tools%2Fapp", "../app", "x" * 300, "x" * 301, "."]
    paths = {mirror_path(tmp_path, name) for name in names}
    assert len(paths) == len(names)
    assert all(path.parent == tmp_path / "mirrors" and len(path.name) < 255 for path in paths)
    assert len({tracking("refs/heads/a"), tracking("refs/heads/a/b"), tracking("refs/heads/a%2Fb")}) == 3


def test_the_installed_git_is_new_enough() -> None:
    assert require_git() >= (2, 38)
