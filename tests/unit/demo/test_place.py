"""The demo's folder: made, recognised, cleared of the demo's own things, and refused where it is somebody else's."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from torii.config.server import load_server
from torii.demo.place import MARK, FolderError, occupied
from torii.demo.plain import plain_workshop
from torii.errors import OperatorError
from torii.store.lease import acquire_lease


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "my demo" / "it's here"


def test_a_folder_is_made_and_git_leaves_it_alone(folder):
    with occupied(folder) as place:
        assert place.root == folder
        assert (folder / ".gitignore").read_text() == "*\n"


def test_on_plain_git_its_server_yml_is_right(folder):
    with occupied(folder) as place, plain_workshop(place) as shop:
        place.server_yml.write_text(shop.server_yml())
        config = load_server(place.server_yml, None)
        assert {(project.name, project.url) for project in config.projects} == {
            (name, str(shop.repository(name))) for name in ("app", "library")
        }
        assert config.state == folder / "state"


def test_what_an_earlier_demo_made_is_cleared_and_nothing_else(folder):
    with occupied(folder) as place:
        (place.root / "state").mkdir()
        (place.root / "state" / "torii.db").touch()
        place.log.touch()
        place.server_yml.touch()
    (folder / "my notes").write_text("mine")
    with occupied(folder):
        assert sorted(path.name for path in folder.iterdir()) == [".gitignore", MARK, "my notes"]


def test_a_link_in_the_place_of_what_the_demo_made_is_removed_and_not_followed(folder, tmp_path):
    with occupied(folder):
        pass
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").touch()
    (folder / "state").symlink_to(tmp_path / "precious")
    with occupied(folder):
        assert not (folder / "state").exists()
    assert (tmp_path / "precious" / "file").exists()


def test_a_folder_that_is_not_empty_and_not_the_demos_is_refused_and_left_alone(folder):
    folder.mkdir(parents=True)
    (folder / "state").mkdir()
    with pytest.raises(FolderError, match="is not empty, and no demo was ever here"), occupied(folder):
        pass
    assert [path.name for path in folder.iterdir()] == ["state"]


def test_an_empty_folder_is_taken(folder):
    folder.mkdir(parents=True)
    with occupied(folder) as place:
        assert place.root == folder


def test_a_file_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(FolderError, match="is a file"), occupied(tmp_path / "file"):
        pass


def test_a_folder_below_a_file_is_refused_in_words(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OperatorError, match="cannot be used for the demo"), occupied(tmp_path / "file" / "below"):
        pass


def test_a_second_demo_in_the_same_folder_is_refused(folder):
    with occupied(folder), pytest.raises(FolderError, match="another `torii demo` is running"), occupied(folder):
        pass


def test_a_folder_in_which_torii_runs_is_refused(folder):
    with occupied(folder):
        (folder / "state").mkdir()
    with (
        acquire_lease(folder / "state"),
        pytest.raises(FolderError, match=r"a Torii is running in .* \(process \d+\)"),
        occupied(folder),
    ):
        pass
    assert (folder / "state").is_dir()


def test_a_relative_folder_is_meant_from_here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with occupied(Path("demo")) as place:
        assert place.root == tmp_path / "demo"


def daemon_of(site: Path) -> subprocess.Popen[bytes]:
    """A process that says of itself what Gerrit's does."""
    command = [sys.executable, "-c", "print(flush=True); input()", "daemon", "-d", str(site)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    return process


def test_a_gerrit_that_a_killed_demo_left_is_ended_and_no_other_one(folder, tmp_path):
    mine, other = daemon_of(folder / "gerrit" / "site"), daemon_of(tmp_path / "gerrit" / "site")
    try:
        with occupied(folder):
            assert mine.wait(30) == -signal.SIGKILL
            assert other.poll() is None
    finally:
        for process in (mine, other):
            process.kill()
            process.communicate(timeout=30)
