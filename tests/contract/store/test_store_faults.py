"""What breaks around the store: none of it loses what was committed, and each ends in words that say what to do."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.contract.store.test_folder_blobs import nobody
from tests.contract.store.values import ROOT, ended, item, python, rows
from tests.support import parts
from torii.store.errors import StoreError, StoreUnavailableError
from torii.store.store import open_store

WRITE_UNTIL_KILLED = """
import sys
from pathlib import Path
from tests.contract.store.values import ended, rows
from torii.runtime.ports import Cursor
from torii.store.store import open_store
store = open_store(Path(sys.argv[1]), Path(sys.argv[2]))
print("opened", flush=True)
number = store.last_seq()
while True:
    number += 2
    batch = [(1.0, ended(number - 1)), (1.0, ended(number))]
    print(store.append(batch, rows(number), [Cursor("git", str(number))]), flush=True)
    if number % 40 == 0:
        store.save_snapshot(number, 1, str(number))
"""

WRITE_UNTIL_FULL = """
import sys
from pathlib import Path
from tests.contract.store.values import ended, rows
from torii.store.errors import StoreUnavailableError
from torii.store.store import open_store
state = Path(sys.argv[1])
store = open_store(state / "torii.db", state / "blobs")
state.joinpath("ballast").write_bytes(b"x" * 400_000)
number = 0
try:
    while number < 20_000:
        number = store.append([(1.0, ended(number + 1))], rows(number + 1))
except StoreUnavailableError as error:
    print(error)
else:
    sys.exit("nothing was refused")
def whole():
    with open_store(state / "torii.db", state / "blobs", read_only=True) as found:
        assert [entry.seq for entry in found.load().events] == list(range(1, number + 1))
        assert len(found.items(limit=None)) == number
whole()
state.joinpath("ballast").unlink()
if "--goes-on" in sys.argv:
    number = store.append([(2.0, ended(0))], rows(number + 1))
    whole()
store.close()
"""


@pytest.fixture
def where(tmp_path):
    return tmp_path / "torii.db"


def opened(where, **options):
    return open_store(where, where.parent / "blobs", **options)


@pytest.mark.parametrize("lines", [0, 1, 7, 60])
def test_a_writer_killed_at_any_moment_loses_nothing_it_said_was_committed(where, lines):
    last = 0
    for _ in range(2):  # the second goes on from what the first left
        command = [sys.executable, "-c", WRITE_UNTIL_KILLED, str(where), str(where.parent / "blobs")]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as writer:
            while writer.stdout.readline() != "opened\n":
                pass
            said = [writer.stdout.readline() for _ in range(lines)]
            writer.kill()
            said += writer.stdout.readlines()
        last = int(said[-1]) if said else last
        with opened(where, read_only=True) as store:
            check(store, last)
        with opened(where) as store:
            check(store, last)


def check(store, last):
    """At least what was said is there, and of what was not said either all of a batch or nothing."""
    snapshot, events = store.load(before=1)
    assert snapshot is None
    seen = [entry.seq for entry in events]
    assert len(seen) in (last, last + 2)
    assert [int(found.id.removeprefix("k3f9-")) for found in store.items(limit=None)] == seen[1::2][::-1]
    cursor = store.cursor("git")
    assert (cursor.state if cursor else "0") == str(len(seen))


@pytest.mark.needs("bwrap")
def test_a_full_disk_loses_nothing_and_the_store_goes_on_when_there_is_room_again(tmp_path):
    bwrap = (str(parts.binary("bwrap")), "--ro-bind", "/", "/", "--dev", "/dev", "--size", "3000000", "--tmpfs", str(tmp_path))
    done = python(WRITE_UNTIL_FULL, tmp_path, "--goes-on", wrapper=bwrap)
    assert done.returncode == 0, done.stderr
    assert f"{tmp_path}/torii.db: the disk is full; nothing of this step was written, all before it is safe" in done.stdout


def test_a_file_size_limit_loses_nothing(tmp_path):
    limited = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, 600_000))\n{WRITE_UNTIL_FULL}"
    done = python(limited, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "torii.db" in done.stdout
    assert "free space" in done.stdout or "disk is full" in done.stdout


def test_a_file_that_is_no_database_is_left_alone(where):
    where.write_bytes(b"dear diary, " * 1000)
    for read_only in (False, True):
        with pytest.raises(StoreError, match=r"torii.db is damaged, or no database of Torii's .*put a backup in its place"):
            opened(where, read_only=read_only)
    assert where.read_bytes() == b"dear diary, " * 1000


def test_damage_is_reported_by_whatever_meets_it_and_not_read_past(where):
    with opened(where) as store:
        for number in range(1, 200):
            store.append([(1.0, ended(number))], rows(number))
    content = bytearray(where.read_bytes())
    content[8192:] = os.urandom(len(content) - 8192)
    where.write_bytes(content)
    with pytest.raises(StoreError, match="damaged"), opened(where) as store:
        list(store.load().events)
        store.items(limit=None)


def test_a_damaged_snapshot_is_an_error_that_names_it(where):
    with opened(where) as store:
        store.append([(1.0, ended(1))])
        store.save_snapshot(1, 1, "state")
        with store._writer.begin() as connection:
            connection.exec_driver_sql("UPDATE snapshots SET body = x'00'")
        with pytest.raises(StoreError, match="snapshot of entry 1 is damaged"):
            store.load()
        assert store.load(before=1).snapshot is None


def test_the_database_of_something_else_is_not_taken_over(where):
    with sqlite3.connect(where) as other:
        other.execute("CREATE TABLE recipes (name)")
    other.close()
    for read_only in (False, True):
        with pytest.raises(StoreError, match=r"not Torii's \(recipes\); give Torii one of its own"):
            opened(where, read_only=read_only)


def test_a_store_that_another_process_holds_locked_is_waited_for_and_then_refused(where):
    opened(where).close()
    holder = sqlite3.connect(where, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailableError, match="locked by another process"):
        opened(where, patience=0.1)
    with opened(where, read_only=True, patience=0.1) as reader:
        assert reader.items() == ()
    holder.execute("ROLLBACK")
    with opened(where, patience=0.1) as store:
        store.append([(1.0, ended(1))])
        holder.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailableError) as refused:
            store.append([(1.0, ended(2))])
        assert refused.value.temporary
        holder.execute("ROLLBACK")
        assert store.append([(1.0, ended(2))]) == 2
    holder.close()


def test_a_reader_that_stays_long_does_not_stop_the_writer(where):
    with opened(where, patience=0.1) as store:
        store.append([(1.0, ended(number)) for number in range(2500)])
        slow = store.load().events
        next(slow)
        assert store.append([(1.0, ended(0))], rows(1)) == 2501
        assert sum(1 for _ in slow) == 2500


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("postgresql://torii:hunter2@db.example.com/torii", r"postgresql://torii:\*\*\*@db.example.com/torii names no SQLite file"),
        ("sqlite://", "names no SQLite file"),
        ("://", "is no database URL"),
    ],
)
def test_a_url_that_this_version_cannot_use_is_refused_without_its_password(url, says, tmp_path):
    with pytest.raises(StoreError, match=says) as refused:
        open_store(url, tmp_path)
    assert "hunter2" not in str(refused.value)


def test_a_folder_that_cannot_be_made_says_so(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreError, match=r"file/torii.db cannot be opened: (Not a directory|File exists)"):
        opened(tmp_path / "file" / "torii.db")


def test_a_user_who_may_not_write_can_still_read_a_store_at_rest_and_is_told_why_else_not():
    with tempfile.TemporaryDirectory() as folder:  # below tmp_path nobody but its owner sees anything
        where = Path(folder) / "torii.db"
        with opened(where) as store:
            store.append([(1.0, ended(1))], rows(1))
        where.chmod(0o444)
        Path(folder).chmod(0o555)
        with nobody():
            with opened(where, read_only=True) as reader:
                assert reader.items() == (item(1),)
            with pytest.raises(StoreError, match="belong to the user that runs Torii"):
                opened(where)
        Path(folder).chmod(0o755)
        where.chmod(0o000)
        with nobody(), pytest.raises(StoreError, match="belong to the user that runs Torii"):
            opened(where, read_only=True)
