from __future__ import annotations

import os
from pathlib import Path

import pytest

from torii.worker import harvest
from torii.worker.harvest import find, keep_artifacts


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
