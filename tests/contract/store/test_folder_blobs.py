"""Blobs in a folder: the contract, and what only a folder can meet."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.contract.store.blobs import BlobsContract
from tests.support import parts
from torii.store.blobs import BlobError, BlobMissingError, FolderBlobs

ROOT = Path(__file__).parents[3]

FILL = """
import sys
from pathlib import Path
from torii.store.blobs import BlobError, FolderBlobs
blobs = FolderBlobs(Path(sys.argv[1]))
blobs.put("kept", b"kept")
log = blobs.append("log")
log.write(b"line\\n")
for use in (lambda: blobs.put("big", b"x" * 8_000_000), lambda: [log.write(b"x" * 65536) for _ in range(100)]):
    try:
        use()
    except BlobError as error:
        print(error)
    else:
        sys.exit("nothing was refused")
assert blobs.read("kept") == b"kept", "what was there is lost"
assert blobs.read("log", 0, 5) == b"line\\n"
assert not blobs.exists("big")
assert not list((Path(sys.argv[1]) / ".incoming").iterdir()), "half a blob was left"
log.close()
blobs.delete("log")
blobs.put("after", b"x" * 100_000)
"""


class TestFolderBlobs(BlobsContract):
    @pytest.fixture
    def blobs(self, tmp_path):
        return FolderBlobs(tmp_path / "state" / "blobs")


@pytest.fixture
def blobs(tmp_path):
    return FolderBlobs(tmp_path / "blobs")


def test_a_symlink_in_the_folder_leads_nowhere(blobs, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(b"secret")
    (blobs.path / "way").symlink_to(outside)
    (blobs.path / "file").symlink_to(outside / "secret")
    assert list(blobs.keys()) == []
    assert blobs.size("way/secret") is None
    for use in (blobs.read, blobs.append, lambda key: blobs.put(key, b"x")):
        with pytest.raises(BlobError):
            use("way/secret")
    for use in (blobs.read, blobs.size, blobs.append):
        with pytest.raises(BlobError, match="symlink"):
            use("file")
    blobs.put("file", b"in its place")
    assert blobs.delete("way") == 1
    assert (outside / "secret").read_bytes() == b"secret"


def test_a_symlink_or_a_pipe_is_not_put(blobs, tmp_path):
    (tmp_path / "link").symlink_to("/etc/passwd")
    os.mkfifo(tmp_path / "pipe")
    for name in ("link", "pipe"):
        with pytest.raises(BlobError, match=name):
            blobs.put("x", tmp_path / name)
    assert list(blobs.keys()) == []


def test_a_pipe_in_the_folder_stops_nobody(blobs):
    os.mkfifo(blobs.path / "pipe")
    assert blobs.size("pipe") is None
    assert list(blobs.keys()) == []
    with pytest.raises(BlobError):
        blobs.append("pipe")


def test_the_folder_of_incoming_blobs_is_no_key(blobs):
    with pytest.raises(BlobError, match=r"\.incoming"):
        blobs.put(".incoming/x", b"")


def test_what_a_crash_left_half_written_is_swept_away_a_day_later(blobs):
    old, young = blobs.path / ".incoming" / "old", blobs.path / ".incoming" / "young"
    for file in (old, young):
        file.write_bytes(b"half")
    os.utime(old, (1, 1))
    FolderBlobs(blobs.path)
    assert not old.exists()
    assert young.exists()


def test_a_blob_where_a_folder_should_be_says_so(blobs):
    blobs.put("a", b"")
    with pytest.raises(BlobError, match="not a folder"):
        blobs.put("a/b", b"")
    assert not blobs.exists("a/b")
    blobs.put("d/e", b"")
    with pytest.raises(BlobError, match="folder in its place"):
        blobs.put("d", b"")


def test_a_folder_that_cannot_be_made_is_an_operators_error(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(BlobError, match=r"file/blobs: a part of its path is a file"):
        FolderBlobs(tmp_path / "file" / "blobs")


def test_reading_only_makes_nothing(tmp_path):
    blobs = FolderBlobs(tmp_path / "blobs", read_only=True)
    with pytest.raises(BlobMissingError):
        blobs.read("x")
    with pytest.raises(BlobError, match="No such file"):
        blobs.put("x", b"")
    assert list(blobs.keys()) == []
    assert not blobs.path.exists()


@contextmanager
def nobody() -> Iterator[None]:
    """Be a user who may not write everywhere: root may."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_folder_of_somebody_else_is_an_operators_error():
    with tempfile.TemporaryDirectory() as folder:  # below tmp_path nobody but its owner sees anything
        Path(folder).chmod(0o755)
        blobs = FolderBlobs(Path(folder) / "blobs")
        blobs.put("x", b"")
        for path in (blobs.path, blobs.path / ".incoming"):
            path.chmod(0o555)
        with nobody():
            for use in (lambda: blobs.put("a", b""), lambda: blobs.append("a"), lambda: FolderBlobs(Path(folder) / "blobs" / "new")):
                with pytest.raises(BlobError, match="Permission denied; check that the folder belongs to the user that runs Torii"):
                    use()
        for path in (blobs.path, blobs.path / ".incoming"):
            path.chmod(0o755)


@pytest.mark.needs("bwrap")
def test_a_full_disk_loses_nothing_and_leaves_nothing_half_done(tmp_path):
    bwrap = [str(parts.binary("bwrap")), "--ro-bind", "/", "/", "--dev", "/dev", "--size", "2000000", "--tmpfs", str(tmp_path)]
    done = run([*bwrap, sys.executable, "-c", FILL, str(tmp_path / "blobs")])
    assert done.stdout.count("the disk is full; free some space") == 2, done.stderr
    assert f"{tmp_path}/blobs/big" in done.stdout
    assert done.returncode == 0, done.stderr


def test_a_file_size_limit_is_told_from_a_full_disk(tmp_path):
    limited = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))\n{FILL}"
    done = run([sys.executable, "-c", limited, str(tmp_path / "blobs")])
    assert done.stdout.count("raise its limit (ulimit -f)") == 2, done.stderr
    assert done.returncode == 0, done.stderr


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=60)
