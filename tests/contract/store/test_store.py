"""What the store promises: a batch is there whole or not at all, and whoever reads sees what was committed."""

from __future__ import annotations

import re
import threading
from dataclasses import replace

import pytest

from tests.contract.store.values import build, decision, ended, item, rows, updated
from torii.model.view import Records
from torii.runtime.ports import Cursor
from torii.store.errors import AmbiguousChangeError, StoreError
from torii.store.store import Retention, Store, open_store

DAY = 86400.0


@pytest.fixture
def where(tmp_path):
    return tmp_path / "state" / "torii.db"


def opened(where, **options) -> Store:
    return open_store(where, where.parent / "blobs", **options)


@pytest.fixture
def store(where):
    with opened(where) as store:
        yield store


def events(store: Store, **options) -> list[object]:
    return [entry.event for entry in store.load(**options).events]


def test_a_new_store_has_a_short_name_of_its_own_and_keeps_it(where, tmp_path):
    with opened(where) as store:
        name = store.instance
    assert re.fullmatch("[a-z2-7]{5}", name)
    with opened(where) as store:
        assert store.instance == name
    with open_store(f"sqlite:///{tmp_path}/other.db", tmp_path / "blobs") as other:
        assert other.instance != name


def test_a_new_store_is_readable_by_its_owner_only(store, where):
    assert where.stat().st_mode & 0o077 == 0


def test_a_new_store_has_nothing_to_go_on_from(store):
    recovery = store.load()
    assert recovery.snapshot is None
    assert list(recovery.events) == []
    assert store.last_seq() == 0
    assert store.cursor("git") is None
    assert store.items() == store.builds_of() == store.decisions_of() == ()


def test_what_was_appended_is_there_after_a_restart(where):
    with opened(where) as store:
        assert store.append([(1.0, updated("a")), (1.5, updated("b"))], rows(1), [Cursor("git", '{"x":1}')]) == 2
        assert store.append([(2.0, ended(1))]) == 3
        assert store.append([], rows(2)) == 3
        assert store.append([]) == 3
    with opened(where) as store:
        assert [tuple(entry) for entry in store.load().events] == [(1, 1.0, updated("a")), (2, 1.5, updated("b")), (3, 2.0, ended(1))]
        assert store.cursor("git") == Cursor("git", '{"x":1}')
        assert store.items() == (item(2), item(1))
        assert store.append([(3.0, ended(2))]) == 4


def test_a_batch_of_which_a_part_cannot_be_written_leaves_nothing(store):
    store.append([(1.0, updated())], rows(1), [Cursor("git", "1")])
    wrong = replace(item(2), enqueued_at=None)  # type: ignore[arg-type]
    with pytest.raises(StoreError):
        store.append([(2.0, ended(2))], Records((wrong,), (build(2),)), [Cursor("git", "2")])
    assert events(store) == [updated()]
    assert store.cursor("git") == Cursor("git", "1")
    assert store.build("2-unit") is None
    assert store.append([(3.0, ended(3))]) == 2


def test_a_second_writer_is_found_out_and_nothing_is_overwritten(where, store):
    with opened(where) as other:
        other.append([(1.0, updated("other"))])
        with pytest.raises(StoreError, match="another process writes"):
            store.append([(1.0, updated("mine"))])
        assert events(other) == [updated("other")]


def test_a_row_replaces_the_one_before_it(store):
    store.append([], Records((item(1), item(1, reason="newer in the same batch")), (build(1),)))
    store.append([], Records((item(1, state="done", left_at=9.0, position=None),), (build(1, state="done"),)))
    assert store.item("k3f9-1") == item(1, state="done", left_at=9.0, position=None)
    assert store.build("1-unit") == build(1, state="done")
    assert store.items() == (item(1, state="done", left_at=9.0, position=None),)


def test_a_start_goes_on_from_the_newest_snapshot(store):
    for number in range(1, 10):
        store.append([(float(number), ended(number))])
        if number in (3, 6):
            store.save_snapshot(number, 1, f"state {number} \\u00fc")
    snapshot, later = store.load()
    assert snapshot == (6, 1, "state 6 \\u00fc")
    assert [entry.seq for entry in later] == [7, 8, 9]


def test_where_the_newest_snapshot_cannot_be_read_the_one_before_it_serves(store):
    for number in range(1, 6):
        store.append([(float(number), ended(number))])
    store.save_snapshot(2, 1, "two")
    store.save_snapshot(4, 99, "of a newer version")
    older = store.load(before=4)
    assert older.snapshot == (2, 1, "two")
    assert [entry.seq for entry in older.events] == [3, 4, 5]
    oldest = store.load(before=2)
    assert oldest.snapshot is None
    assert [entry.seq for entry in oldest.events] == [1, 2, 3, 4, 5]


def test_of_many_snapshots_two_stay_and_one_a_day(store):
    for number in range(1, 9):
        store.append([(number * DAY / 3, ended(number))])
        store.save_snapshot(number, 1, f"state {number}")
    kept = [store.load(before=before).snapshot for before in range(9, 0, -1)]
    assert sorted({snapshot.seq for snapshot in kept if snapshot}) == [1, 3, 6, 7, 8]


def test_more_entries_than_a_page_are_read_in_order(store):
    store.append([(float(number), ended(number)) for number in range(2500)])
    assert [entry.seq for entry in store.load().events] == list(range(1, 2501))


def test_a_journal_with_a_hole_is_not_stepped(store):
    store.append([(float(number), ended(number)) for number in range(5)])
    with store._writer.begin() as connection:
        connection.exec_driver_sql("DELETE FROM journal WHERE seq = 3")
    with pytest.raises(StoreError, match="entry 3 is missing"):
        events(store)


def test_an_entry_that_cannot_be_understood_is_named(store):
    store.append([(1.0, ended(1)), (2.0, ended(2))])
    with store._writer.begin() as connection:
        connection.exec_driver_sql("UPDATE journal SET kind = 'Eclipse' WHERE seq = 2")
    with pytest.raises(StoreError, match="journal entry 2: no event is called 'Eclipse'"):
        events(store)


def test_pruning_takes_what_is_old_and_leaves_what_a_start_needs(store):
    for day in range(1, 11):
        store.append([(day * DAY, ended(day))])
        store.save_snapshot(day, 1, f"state {day}")
    assert store.prune(10 * DAY, Retention(journal=4 * DAY)) == 6
    assert store.load().snapshot == (10, 1, "state 10")
    older = store.load(before=7)
    assert older.snapshot == (6, 1, "state 6")
    assert [entry.seq for entry in older.events] == [7, 8, 9, 10]
    assert store.prune(100 * DAY, Retention(journal=0.0)) == 3
    assert store.load(before=10).snapshot == (9, 1, "state 9")
    assert [entry.seq for entry in store.load(before=10).events] == [10]


def test_pruning_goes_in_steps_and_without_snapshots_not_at_all(store):
    store.append([(float(number), ended(number)) for number in range(1, 101)])
    assert store.prune(100 * DAY, Retention(journal=0.0)) == 0
    store.save_snapshot(100, 1, "")
    assert store.prune(100 * DAY, Retention(journal=0.0)) == 0
    store.append([(101.0, ended(101))])
    store.save_snapshot(101, 1, "")
    assert [store.prune(100 * DAY, Retention(journal=0.0), limit=60) for _ in range(3)] == [60, 40, 0]


def test_a_store_whose_journal_was_pruned_counts_on(where):
    with opened(where) as store:
        for number in range(1, 4):
            store.append([(1.0, ended(number))])
            store.save_snapshot(number, 1, "")
        with store._writer.begin() as connection:
            connection.exec_driver_sql("DELETE FROM journal")
    with opened(where) as store:
        assert store.append([(2.0, ended(4))]) == 4


def test_pruning_takes_the_rows_of_items_long_gone(store):
    gone, here = item(1, left_at=1 * DAY, position=None), item(2)
    stray = decision("it was refused", None, at=1 * DAY, change="app:main/other")
    store.append([], Records((gone, here), (build(1), build(2)), (decision("came"), decision("came", 2), stray)))
    assert store.prune(200 * DAY, Retention(rows=300 * DAY)) == 0
    assert store.prune(200 * DAY, Retention(rows=100 * DAY)) == 4
    assert store.items() == (here,)
    assert store.builds_of("k3f9-1", "k3f9-2") == (build(2),)
    assert [made.item for made in store.decisions_of()] == ["k3f9-2"]


def test_items_are_found_by_what_pages_ask_for(store):
    other = item(3, pipeline="check", project="lib", change="lib:main/x", left_at=5.0, position=None)
    store.append([], Records((item(1, position=70), item(2, position=8), other)))
    assert store.items() == (other, item(2, position=8), item(1, position=70))
    assert store.items(active_only=True) == (item(2, position=8), item(1, position=70))
    assert store.items(pipeline="check") == store.items(project="lib") == store.items(change="lib:main/x") == (other,)
    assert store.items(limit=1) == (other,)
    assert store.items(before=3.0, limit=1) == (item(2, position=8),)
    assert store.item("k3f9-9") is None


def test_builds_come_in_the_order_in_which_they_were_asked_for(store):
    late = build(1, "a", requested_at=5.0)
    waiting = build(1, "b", requested_at=None)
    again = build(1, "c", id="again", build_set="k3f9-1.10", requested_at=1.0)
    second = build(1, "d", build_set="k3f9-1.2", requested_at=9.0)
    store.append([], Records((), (again, waiting, late, second, build(1, "z", requested_at=1.0), build(2))))
    assert [found.job for found in store.builds_of("k3f9-1")] == ["z", "a", "b", "d", "c"]
    assert len(store.builds_of(*(f"k3f9-{number}" for number in range(2000)))) == 6


def test_decisions_come_in_the_order_in_which_they_were_made(store):
    made = [decision(f"{number}", 1 + number % 2, at=5.0) for number in range(6)]
    store.append([], Records(decisions=tuple(made)))
    assert list(store.decisions_of("app:main/fix-1")) == made
    assert list(store.decisions_of("app:main/fix-1", limit=2)) == made[-2:]
    assert list(store.decisions_of(item="k3f9-2")) == made[1::2]


@pytest.mark.parametrize("text", ["app:main/login", "main/login", "login"])
def test_a_change_is_found_by_the_end_of_its_name(store, text):
    names = ("app:main/login", "app:main/prelogin", "lib:stable/logout", "app@main")
    store.append([], Records(tuple(item(number, change=name) for number, name in enumerate(names))))
    assert store.find_change(text) == "app:main/login"


def test_a_change_that_is_not_clearly_one_is_not_guessed(store):
    names = ("app:main/a", "lib:main/a", "app:main/50%", "app:main/x_y", "app@main")
    store.append([], Records(tuple(item(number, change=name) for number, name in enumerate(names))))
    with pytest.raises(AmbiguousChangeError, match=r"2 changes \(app:main/a, lib:main/a\); write more of its name"):
        store.find_change("a")
    assert store.find_change("lib:main/a") == "lib:main/a"
    assert store.find_change("main") == "app@main"
    assert store.find_change("50%") == "app:main/50%"
    for text in ("", "%", "_y", "xzy", "A", "nothing", "in/a", "app"):
        assert store.find_change(text) is None


def test_a_change_of_which_there_is_only_a_decision_is_found_too(store):
    store.append([], Records(decisions=(decision("no pipeline wants it", None, change="app:main/idle"),)))
    assert store.find_change("idle") == "app:main/idle"


def test_text_of_every_kind_is_kept_and_found(store):
    for number, text in enumerate(
        ("naïve ☃", "nul \0 nul", "bytes \udcff\udc80", "back\\slash \\u0000", "'; DROP TABLE items; --", "line\nbreak")
    ):
        odd = item(number, change=f"app:main/{text}", title=text, pipeline=text)
        store.append([(1.0, updated(text))], Records((odd,), (), (decision(text, number, change=odd.change),)), [Cursor(text, text)])
        assert store.items(pipeline=text) == store.items(change=odd.change) == (odd,)
        assert store.find_change(text) == odd.change
        assert store.decisions_of(odd.change)[0].text == text
        assert store.cursor(text) == Cursor(text, text)
        assert events(store)[-1] == updated(text)


def test_reading_goes_on_in_other_threads_while_one_writes(store):
    stop = threading.Event()
    failures: list[BaseException] = []

    def read() -> None:
        try:
            while not stop.is_set():
                # The last row of each batch is written in the same transaction as its journal entry.
                seen = len(store.items(limit=None))
                assert store.last_seq() >= seen
        except BaseException as error:
            failures.append(error)

    readers = [threading.Thread(target=read, name=f"reader {number}", daemon=True) for number in range(3)]
    for reader in readers:
        reader.start()
    for number in range(1, 101):
        store.append([(1.0, ended(number))], rows(number))
    stop.set()
    for reader in readers:
        reader.join(20)
    assert failures == []
    assert len(store.items(limit=None)) == 100


def test_whoever_only_reads_sees_the_newest_and_cannot_write(where, store):
    with opened(where, read_only=True) as reader:
        store.append([(1.0, ended(1))], rows(1))
        assert reader.items() == (item(1),)
        assert reader.instance == store.instance
        for write in (lambda: reader.append([(1.0, ended(1))]), lambda: reader.save_snapshot(1, 1, ""), lambda: reader.prune(1.0)):
            with pytest.raises(StoreError, match="opened to be read only"):
                write()


def test_a_closed_store_is_read_without_a_scheduler(where):
    with opened(where) as store:
        store.append([(1.0, ended(1))], rows(1))
    with opened(where, read_only=True) as reader:
        assert reader.items() == (item(1),)


def test_a_store_that_is_not_there_is_not_made_by_reading(where):
    with pytest.raises(StoreError, match=r"no store at .*torii.db; has `torii up` been started there"):
        opened(where, read_only=True)
    assert not where.parent.exists()
