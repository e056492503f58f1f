"""What the gate is told is on disk before anything follows from it, whatever the disk and the gate do."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.unit.runtime.conftest import approved
from torii.gate import Gate
from torii.model.build import Result
from torii.model.command import Merge, StartBuild
from torii.model.event import BuildDone, ChangeUpdated, Configured, Event, Tick
from torii.runtime import journalled as module
from torii.runtime.inbox import Posting
from torii.runtime.journalled import JournalledGate, UnreadableSnapshotError
from torii.runtime.ports import Cursor
from torii.store.codec import encode
from torii.store.errors import StoreUnavailableError
from torii.store.store import NOTHING
from torii.testing.story import story_config


class Disk:
    """A store that refuses as often as `refuses` says."""

    def __init__(self, store) -> None:
        self.store = store
        self.refuses = 0
        self.snapshots: list[int] = []

    def append(self, entries, records=NOTHING, cursors=()) -> int:
        if self.refuses:
            self.refuses -= 1
            raise StoreUnavailableError("the disk is full")
        return self.store.append(entries, records, cursors)

    def save_snapshot(self, seq, format, body) -> None:  # noqa: A002
        self.snapshots.append(seq)
        self.store.save_snapshot(seq, format, body)

    def load(self):
        return self.store.load()


@pytest.fixture
def disk(store) -> Disk:
    return Disk(store)


@pytest.fixture
def gate(disk) -> JournalledGate:
    made = JournalledGate(disk, lambda: 1000.0)
    made.take([Posting((Configured(story_config()),))])
    return made


@pytest.fixture
def poison(monkeypatch) -> Callable[[Callable[[Event], bool]], None]:
    """Have the gate raise on the events that are named, after it has half taken them."""

    def spoil(bad: Callable[[Event], bool]) -> None:
        step = Gate.step

        def spoilt(self: Gate, event: Event, now: float):
            commands = step(self, event, now)
            if bad(event):
                raise ZeroDivisionError("what is that?")
            return commands

        monkeypatch.setattr(Gate, "step", spoilt)

    return spoil


def again(disk: Disk) -> JournalledGate:
    return JournalledGate(disk, lambda: 1000.0)


def test_a_restart_finds_the_state_as_it_was(gate, disk, forge):
    gate.take([Posting(approved(forge))])
    gate.take([Posting(tuple(forge.stage(merge))) for merge in gate.gate.outstanding() if isinstance(merge, Merge)])
    assert gate.gate.running()
    assert encode(again(disk).gate.state) == encode(gate.gate.state)
    gate.snapshot()
    assert encode(again(disk).gate.state) == encode(gate.gate.state)


def test_while_the_store_refuses_nothing_follows_and_then_all_of_it_does(gate, disk, forge):
    postings = [Posting(approved(forge))]
    disk.refuses = 2
    for _ in range(2):
        with pytest.raises(StoreUnavailableError):
            gate.take(postings)
    commands = gate.take(postings)
    assert len([one for one in commands if isinstance(one, Merge)]) == 2
    assert encode(again(disk).gate.state) == encode(gate.gate.state)


def test_no_snapshot_is_written_of_what_the_store_refused(gate, disk, forge):
    before = encode(gate.gate.state)
    disk.refuses = 1
    with pytest.raises(StoreUnavailableError):
        gate.take([Posting(approved(forge))])
    gate.snapshot()
    assert encode(again(disk).gate.state) == before


def test_cursors_are_committed_with_their_events_or_not_at_all(gate, disk, forge, store):
    posting = Posting(approved(forge), Cursor("local", "read so far"))
    disk.refuses = 1
    with pytest.raises(StoreUnavailableError):
        gate.take([posting])
    assert store.cursor("local") is None
    gate.take([posting])
    assert store.cursor("local") == Cursor("local", "read so far")


def test_an_event_that_the_gate_cannot_take_is_left_out_and_put_on_record(gate, disk, forge, store, poison):
    poison(lambda event: isinstance(event, ChangeUpdated) and event.change.id.endswith("/bad"))
    commands = gate.take([Posting(approved(forge, "good")), Posting(approved(forge, "bad"), Cursor("local", "on")), Posting((Tick(),))])
    assert {stage.changes[0].change for one in commands if isinstance(one, Merge) for stage in one.stages} == {"app:main/good"}
    assert store.cursor("local") == Cursor("local", "on")
    (first, *_) = [made.text for made in store.decisions_of("app:main/bad")]
    assert first == "Torii could not take in ChangeUpdated, which is a bug in Torii: ZeroDivisionError: what is that?"
    assert [item.change for item in store.items()] == ["app:main/good"] * 2
    assert encode(again(disk).gate.state) == encode(gate.gate.state)


def test_what_was_posted_together_with_it_is_taken_all_the_same(gate, forge, store, poison):
    poison(lambda event: isinstance(event, ChangeUpdated) and event.change.id.endswith("/bad"))
    commands = gate.take([Posting((*approved(forge, "one"), *approved(forge, "bad"), *approved(forge, "two")))])
    assert len([one for one in commands if isinstance(one, Merge)]) == 3  # two checks, and a chain for the gate
    assert {item.change for item in store.items()} == {"app:main/one", "app:main/two"}


def test_an_answer_that_the_gate_cannot_take_is_on_record_at_its_item(gate, forge, store, poison):
    commands = gate.take([Posting(approved(forge))])
    commands = gate.take([Posting(tuple(forge.stage(one))) for one in commands if isinstance(one, Merge)])
    poison(lambda event: isinstance(event, BuildDone))
    build = next(one.request for one in commands if isinstance(one, StartBuild))
    assert gate.take([Posting((BuildDone(build.id, Result.SUCCESS),))]) == []
    (item,) = [one for one in store.items() if one.build_set == build.build_set]
    assert "could not take in BuildDone" in store.decisions_of(item=item.id)[-1].text


def test_commands_are_not_lost_where_the_store_refuses_between_two_postings_taken_one_by_one(gate, disk, forge, poison):
    poison(lambda event: isinstance(event, Tick))
    refusing = disk.append

    def append(entries, records=NOTHING, cursors=()) -> int:
        if any(getattr(event, "key", "") == late[1].key for _, event in entries) and not disk.snapshots:
            disk.snapshots.append(0)
            raise StoreUnavailableError("the disk is full")
        return refusing(entries, records, cursors)

    postings = [Posting(approved(forge, "early")), Posting((Tick(),)), Posting(late := approved(forge, "late"))]
    disk.append = append
    with pytest.raises(StoreUnavailableError):
        gate.take(postings)
    asked = {change.change for one in gate.take(postings) if isinstance(one, Merge) for stage in one.stages for change in stage.changes}
    assert asked == {"app:main/early", "app:main/late"}


def test_a_snapshot_is_due_by_the_number_of_events(gate, disk, monkeypatch):
    monkeypatch.setattr(module, "SNAPSHOT_EVERY", 10)
    for _ in range(8):
        gate.take([Posting((Tick(),))])
        gate.snapshot_if_due()
    assert disk.snapshots == []
    gate.take([Posting((Tick(),))])
    gate.snapshot_if_due()
    gate.snapshot_if_due()
    assert disk.snapshots == [10]


def test_a_snapshot_by_a_newer_torii_is_refused_with_advice(gate, disk, store):
    store.save_snapshot(1, 99, "{}")
    with pytest.raises(UnreadableSnapshotError, match="written by a newer Torii"):
        again(disk)
