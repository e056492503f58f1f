"""A journal that is sent around steps the same as the one it was made of."""

from __future__ import annotations

import json

import pytest

from tests.contract.store.values import ended, updated
from torii import __version__
from torii.store.errors import JournalError, StoreError
from torii.store.journal import read_journal
from torii.store.store import Retention, open_store

DAY = 86400.0


@pytest.fixture
def store(tmp_path):
    with open_store(tmp_path / "torii.db", tmp_path / "blobs") as store:
        yield store


def export(store, path, **options):
    path.write_text("".join(f"{line}\n" for line in store.export_journal(**options)))
    return read_journal(path)


def test_a_journal_is_exported_as_lines_of_json(store):
    store.append([(1.25, ended(1)), (2.0, updated("naïve \udcff"))])
    header, *lines = map(json.loads, store.export_journal())
    assert header == {"torii": __version__, "journal": 1, "schema": "0001", "instance": store.instance, "snapshot": None}
    assert [sorted(line) for line in lines] == [["at", "event", "kind", "seq"]] * 2
    assert (lines[0]["seq"], lines[0]["at"], lines[0]["kind"], lines[0]["event"]["build"]) == (1, 1.25, "BuildDone", "build-1")


def test_the_file_and_the_database_itself_read_the_same(store, tmp_path):
    store.append([(1.25, ended(1)), (2.0, updated("naïve \udcff\u2028"))])
    store.save_snapshot(1, 3, "state é")
    from_file, from_database = export(store, tmp_path / "journal.jsonl"), read_journal(tmp_path / "torii.db")
    assert from_file[:3] == from_database[:3] == (__version__, store.instance, None)
    expected = [(1, 1.25, ended(1)), (2, 2.0, updated("naïve \udcff\u2028"))]
    assert list(map(tuple, from_file.events)) == list(map(tuple, from_database.events)) == expected


def test_a_journal_begins_at_a_snapshot_where_it_is_asked_to_or_its_beginning_is_gone(store, tmp_path):
    for day in range(1, 8):
        store.append([(day * DAY, ended(day))])
        store.save_snapshot(day, 1, f"state é {day}")
    journal = export(store, tmp_path / "late.jsonl", since=5.5 * DAY)
    assert journal.snapshot == (5, 1, "state é 5")
    assert [entry.seq for entry in journal.events] == [6, 7]
    assert export(store, tmp_path / "early.jsonl", since=0.5 * DAY).snapshot is None
    store.prune(7 * DAY, Retention(journal=3.5 * DAY))
    for journal in (export(store, tmp_path / "rest.jsonl"), read_journal(tmp_path / "torii.db")):
        assert journal.snapshot == (3, 1, "state é 3")
        assert [entry.seq for entry in journal.events] == [4, 5, 6, 7]


def test_a_journal_pruned_down_to_its_snapshot_is_still_one(store, tmp_path):
    store.append([(1.0, ended(1))])
    store.save_snapshot(1, 1, "one")
    with store._writer.begin() as connection:
        connection.exec_driver_sql("DELETE FROM journal")
    assert export(store, tmp_path / "journal.jsonl").snapshot == (1, 1, "one")


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ("", ":1: this line is no JSON"),
        ("\x00\xff\n", ":1: this line is no JSON"),
        ("[]\n", ":1: this line is no JSON object"),
        ("{}\n", ":1: no journal that this version of Torii reads"),
        ('{"journal":2}\n', ":1: no journal that this version of Torii reads"),
        ('{"journal":1}\n', ":1: the header of the journal is wrong"),
        ('{"journal":1,"torii":"1","instance":"x","snapshot":{"seq":"a"}}\n', ":1: the header of the journal is wrong"),
        ('{"journal":1,"torii":"1","instance":"x"}\n{"seq":1,"at":1,"ki', ":2: this line is no JSON .*was the file cut short"),
        ('{"journal":1,"torii":"1","instance":"x"}\n\n{"seq":1}\n', ":3: this line is no journal entry"),
        ('{"journal":1,"torii":"1","instance":"x"}\n{"seq":1,"at":1,"kind":"Eclipse","event":{}}\n', ":2: no event is called 'Eclipse'"),
        ('{"journal":1,"torii":"1","instance":"x"}\n{"seq":1,"at":1,"kind":"BuildDone","event":{}}\n', ":2: stored text is no BuildDone"),
    ],
)
def test_a_file_that_is_no_journal_is_told_where_it_goes_wrong(tmp_path, lines, says):
    path = tmp_path / "journal.jsonl"
    path.write_text(lines, encoding="latin-1")
    with pytest.raises(JournalError, match=says) as wrong:
        list(read_journal(path).events)
    assert str(path) in str(wrong.value)


def test_a_file_that_is_not_there_or_none_is_a_users_error(tmp_path):
    for path in (tmp_path, tmp_path / "missing"):
        with pytest.raises(JournalError, match="cannot be read"):
            read_journal(path)


def test_a_database_of_something_else_is_no_journal(tmp_path):
    import sqlite3

    with sqlite3.connect(tmp_path / "other.db") as other:
        other.execute("CREATE TABLE recipes (name)")
    other.close()
    with pytest.raises(StoreError, match="not Torii's"):
        read_journal(tmp_path / "other.db")
