from __future__ import annotations

from pathlib import Path

import pytest

from torii.errors import OperatorError
from torii.store.blobs import FolderBlobs
from torii.worker.console import FLUSH_AFTER, Console
from torii.worker.errors import StorageError


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_output_waits_a_moment_and_is_then_due(tmp_path: Path):
    blobs, clock = FolderBlobs(tmp_path), Clock()
    console = Console(blobs, "log", 1000, clock)
    assert console.due() is None
    console.write(b"one")
    assert console.due() == FLUSH_AFTER
    assert blobs.size("log") == 0
    clock.now = 1.0
    assert console.due() == 0
    console.flush()
    assert blobs.read("log") == b"one"
    assert console.due() is None


def test_much_output_does_not_wait(tmp_path: Path):
    blobs = FolderBlobs(tmp_path)
    console = Console(blobs, "log", 10**9)
    console.write(b"x" * 1_000_000)
    assert blobs.size("log") == 1_000_000


def test_beyond_the_limit_nothing_is_kept_but_the_workers_own_notes(tmp_path: Path):
    blobs = FolderBlobs(tmp_path)
    console = Console(blobs, "log", 1024)
    for _ in range(10):
        console.write(b"y" * 500)
    console.note("the end\nof it")
    console.close()
    log = blobs.read("log").decode()
    assert log.startswith("y" * 1024 + "\n[torii] the log has reached its limit of 1 KiB;")
    assert log.count("limit") == 1
    assert log.endswith("\n[torii] the end of it\n")
    assert console.dropped == 5000 - 1024


def test_a_note_begins_a_line(tmp_path: Path):
    blobs = FolderBlobs(tmp_path)
    console = Console(blobs, "log", 1024)
    console.write(b"a prompt: ")
    console.note("stopped")
    console.close()
    assert blobs.read("log") == b"a prompt: \n[torii] stopped\n"


def test_a_store_that_refuses_is_a_storage_error(tmp_path: Path):
    class Refusing(FolderBlobs):
        def append(self, key: str):
            raise OperatorError("the disk is full")

    with pytest.raises(StorageError, match="the disk is full"):
        Console(Refusing(tmp_path), "log", 10)
