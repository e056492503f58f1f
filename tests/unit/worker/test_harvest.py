from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from torii.model.build import FileComment
from torii.results.comments import FILE_LIMIT
from torii.worker import harvest
from torii.worker.harvest import find, keep_artifacts, read_comments


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    top = tmp_path / "workspace"
    for name in ("a.xml", "b.txt", "dist/a.whl", "dist/deep/b.whl", ".git/config", "sub/.git/x", "[x].txt", "{y}.txt", "dist2/z"):
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_text(name)
    (tmp_path / "outside").write_text("secret")
    (top / "link").symlink_to(tmp_path / "outside")
    (top / "linked").symlink_to(tmp_path)
    os.mkfifo(top / "pipe")
    return top


@pytest.mark.parametrize(
    ("patterns", "found"),
    [
        (["*.xml"], ["a.xml"]),
        (["dist/*"], ["dist/a.whl"]),
        (["dist/**"], ["dist/a.whl", "dist/deep/b.whl"]),
        (["dist/"], ["dist/a.whl", "dist/deep/b.whl"]),
        (["**/*.whl"], ["dist/a.whl", "dist/deep/b.whl"]),
        (["?.txt", "a.xml", "a.xml"], ["a.xml", "b.txt"]),
        (["[x].txt", "{y}.txt"], ["[x].txt", "{y}.txt"]),
        (["[x].*", "{y}.*"], ["[x].txt", "{y}.txt"]),
        (["./a.xml"], ["a.xml"]),
        (["link", "linked/outside", "pipe", "dist", ".git/config", "../outside", "/etc/passwd", "**/../../outside"], []),
        (["linked/*", ".git/*", "**/config"], []),
    ],
)
def test_only_plain_files_below_the_workspace_are_found(workspace, patterns, found):
    assert find(workspace, patterns) == found


def test_everything_is_everything_but_links_pipes_and_git(workspace):
    assert find(workspace, ["**"]) == ["[x].txt", "a.xml", "b.txt", "dist/a.whl", "dist/deep/b.whl", "dist2/z", "{y}.txt"]


class Kept(dict[str, bytes]):
    def put(self, key: str, content: Path) -> None:
        self[key] = content.read_bytes()


def test_counts_and_sizes_of_artifacts_are_limited_with_a_note(workspace, monkeypatch):
    notes: list[str] = []
    kept = Kept()
    build = "4c7a3b1e-2f5d-5e0a-9d43-0f6b1c2d3e4f"
    monkeypatch.setattr(harvest, "FILES_LIMIT", 2)
    assert keep_artifacts(kept, build, workspace, ["**"], notes.append) == ("[x].txt", "a.xml")
    assert list(kept) == [f"builds/{build}/artifacts/[x].txt", f"builds/{build}/artifacts/a.xml"]
    assert notes == ["artifacts: only the first 2 files are kept"]
    monkeypatch.setattr(harvest, "SIZE_LIMIT", 6)
    assert keep_artifacts(kept, build, workspace, ["*.xml", "dist/*"], notes.append) == ("a.xml",)
    assert "dist/a.whl is not kept" in notes[-1]


def test_a_workspace_of_too_many_files_is_looked_at_in_part(workspace, monkeypatch):
    notes: list[str] = []
    monkeypatch.setattr(harvest, "ENTRIES_LIMIT", 3)
    assert len(find(workspace, ["**"], notes.append)) <= 3
    assert notes == ["only the first 3 files of the workspace were looked at"]


def comments_of(workspace: Path, *patterns: str, roots: tuple[str, ...] = ()) -> tuple[tuple[FileComment, ...], list[str]]:
    notes: list[str] = []
    return read_comments(workspace, patterns, notes.append, roots), notes


def test_comments_are_read_from_each_file_that_matches(workspace):
    (workspace / "lint.json").write_text('[{"path": "a.xml", "line": 2, "message": "one"}]')
    (workspace / "dist/lint.json").write_text('{"b.txt": [{"message": "two"}]}')
    found, notes = comments_of(workspace, "**/lint.json")
    assert sorted(found, key=lambda comment: comment.path) == [FileComment("a.xml", "one", 2), FileComment("b.txt", "two")]
    assert notes == []


def test_an_absolute_path_in_a_comment_means_the_workspace_as_the_build_saw_it_or_as_it_is(workspace):
    paths = ("/build/workspace/a.xml", f"{workspace}/b.txt", "/etc/passwd")
    (workspace / "c.json").write_text(json.dumps([{"path": path, "message": "m"} for path in paths]))
    found, notes = comments_of(workspace, "c.json", roots=("/build/workspace",))
    assert found == (FileComment("a.xml", "m"), FileComment("b.txt", "m"))
    assert "'/etc/passwd' is no path of a file below the workspace" in notes[0]


@pytest.mark.parametrize("name", ["link", "linked/outside", "pipe", "dist", "none.json", "../outside", ".git/config"])
def test_comments_behind_a_link_or_where_no_file_is_are_a_note(workspace, name):
    (workspace.parent / "outside").write_text('[{"path": "a", "message": "a secret"}]')
    found, notes = comments_of(workspace, name)
    assert found == ()
    assert f"no file of comments matches {name}" in notes


def test_a_file_of_comments_that_is_too_large_or_closed_is_not_read_and_said(workspace):
    (workspace / "large.json").write_bytes(b"[]".ljust(FILE_LIMIT + 1))
    assert comments_of(workspace, "large.json") == ((), ["comments in large.json: it is larger than 1024 KiB, and not read"])
    (workspace / "large.json").write_bytes(b"[]".ljust(FILE_LIMIT))
    assert comments_of(workspace, "large.json") == ((), [])


def test_of_many_files_of_comments_only_the_first_are_read(workspace, monkeypatch):
    for name in "xyz":
        (workspace / f"{name}.json").write_text(f'[{{"path": "{name}", "message": "m"}}]')
    monkeypatch.setattr(harvest, "COMMENT_FILES_LIMIT", 2)
    found, notes = comments_of(workspace, "*.json")
    assert [comment.path for comment in found] == ["x", "y"]
    assert notes == ["comments: only the first 2 files are read"]
