"""The thread that owns the gate, between a real store and adapters that answer when told."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.support.waiting import wait_until
from tests.unit.runtime.conftest import Adapters, approved
from torii.gate import Gate
from torii.model.build import BuildRequest, Result
from torii.model.command import Merge, Report, Submit
from torii.model.event import BuildDone, ChangeUpdated, Event, MergeDone
from torii.runtime.inbox import Inbox
from torii.runtime.performer import Performer
from torii.runtime.scheduler import Scheduler, Surroundings
from torii.store.errors import StoreUnavailableError
from torii.store.lease import Lease, LeaseError, acquire_lease
from torii.testing.story import story_config


class Life:
    """One life of a scheduler."""

    def __init__(self, lease: Lease, store, adapters: Adapters) -> None:
        self.now = 1_000_000.0
        self.adapters = adapters
        self.inbox = Inbox()
        adapters.post = self.inbox
        self.scheduler = Scheduler(lease, store, story_config(), self.inbox, lambda: self.now)

    def start(self) -> Life:
        performer = Performer({"app": self.adapters}, self.adapters, self.adapters, self.inbox)
        self.scheduler.start(Surroundings(performer, self.adapters, self.adapters))
        return self

    def builds(self, count: int = 1) -> list[BuildRequest]:
        wait_until(lambda: len(self.adapters.of(BuildRequest)) >= count)
        return self.adapters.of(BuildRequest)

    def pass_all(self) -> None:
        for build in self.builds():
            self.inbox([BuildDone(build.id, Result.SUCCESS, 1.0)])

    def stop(self) -> None:
        self.scheduler.stop(5)
        assert not self.scheduler.alive


@pytest.fixture
def lease(tmp_path) -> Iterator[Lease]:
    with acquire_lease(tmp_path) as held:
        yield held


@pytest.fixture
def live(lease, store, adapters) -> Iterator[Callable[[], Life]]:
    lives: list[Life] = []

    def begin() -> Life:
        lives.append(Life(lease, store, adapters))
        return lives[-1].start()

    yield begin
    for life in lives:
        life.scheduler.stop(5)


def test_a_change_goes_in_and_a_merge_and_reports_come_out(live, adapters, forge):
    life = live()
    life.inbox(approved(forge))
    life.builds(3)
    life.pass_all()
    wait_until(lambda: forge.merged == ["app:main/fix"])
    wait_until(lambda: len(adapters.of(Report)) == 2)
    life.stop()


def test_a_stop_writes_a_snapshot_and_the_next_start_goes_on_from_it(live, adapters, forge, store):
    life = live()
    life.inbox(approved(forge))
    builds = life.builds(3)
    life.stop()
    assert store.load().snapshot is not None
    assert list(store.load().events) == []
    second = live()
    assert {one.id for one in adapters.reconciled} == {build.id for build in builds}
    assert adapters.kept[-1] == {build.build_set for build in builds}
    second.pass_all()
    wait_until(lambda: forge.merged == ["app:main/fix"])


def test_what_was_asked_for_and_not_answered_is_asked_for_again(live, adapters, forge):
    adapters.answers = False
    life = live()
    life.inbox(approved(forge))
    merges = wait_until(lambda: adapters.of(Merge) if len(adapters.of(Merge)) == 2 else None)
    life.stop()
    adapters.asked.clear()
    adapters.answers = True
    second = live()
    assert set(wait_until(lambda: adapters.of(Merge))) == set(merges)
    second.builds(3)
    adapters.answers = False
    second.pass_all()
    wait_until(lambda: adapters.of(Submit))
    second.stop()
    adapters.asked.clear()
    adapters.answers = True
    live()
    wait_until(lambda: forge.merged == ["app:main/fix"])
    assert {one.key for one in adapters.of(Report)} == {f"{one.build_set}:success" for one in store_items(second)}


def store_items(life: Life):
    return life.scheduler._journalled._journal.items()


def test_an_adapter_that_raises_on_hand_over_is_answered_and_asked_again_later(live, adapters, forge):
    adapters.broken = {"merge"}
    life = live()
    life.inbox(approved(forge))
    wait_until(lambda: len(adapters.of(Merge)) == 2)
    adapters.broken = set()
    wait_until(lambda: life.scheduler._journalled.gate.next_due() is not None)
    life.now += 100
    life.inbox([])  # wakes the thread, which looks at the clock
    life.builds(3)


def test_while_the_store_refuses_nothing_is_done_and_it_goes_on_when_it_takes_again(live, adapters, forge, store, monkeypatch):
    append = store.append
    full = True

    def refuse(entries, *rest):
        if full and entries:
            raise StoreUnavailableError("the disk is full")
        return append(entries, *rest)

    life = live()
    monkeypatch.setattr(store, "append", refuse)
    life.inbox(approved(forge))
    assert wait_until(lambda: life.scheduler.problem) == "nothing can be recorded, so nothing is done: the disk is full"
    assert adapters.asked == []
    full = False
    life.builds(3)
    assert life.scheduler.problem == ""


def test_it_stops_at_once_while_the_store_refuses_and_nothing_is_lost(live, adapters, forge, store, monkeypatch):
    life = live()
    with monkeypatch.context() as patch:
        patch.setattr(store, "append", refuse_everything)
        life.inbox(approved(forge))
        wait_until(lambda: life.scheduler.problem)
        life.stop()
    second = live()
    second.inbox(approved_again(forge))
    second.builds(3)


def refuse_everything(*_: object) -> int:
    raise StoreUnavailableError("the disk is full")


def approved_again(forge) -> list[Event]:
    """What a source tells after the start, since its cursor was not committed: the same events."""
    return list(approved(forge))


def test_an_event_that_the_gate_cannot_take_does_not_stop_the_rest(live, adapters, forge, store, monkeypatch):
    step = Gate.step

    def spoilt(self: Gate, event: Event, now: float):
        if isinstance(event, ChangeUpdated) and event.change.id.endswith("/bad"):
            raise KeyError("bad")
        return step(self, event, now)

    monkeypatch.setattr(Gate, "step", spoilt)
    life = live()
    life.inbox((*approved(forge, "bad"), *approved(forge, "good")))
    life.builds(3)
    life.pass_all()
    wait_until(lambda: forge.merged == ["app:main/good"])
    assert life.scheduler.alive
    assert "which is a bug in Torii" in store.decisions_of("app:main/bad")[0].text


def test_a_timer_is_kept_though_the_clock_jumps_back(live, adapters, forge):
    forge.away = "the server does not answer"
    life = live()
    life.inbox(approved(forge))
    wait_until(lambda: life.scheduler._journalled.gate.next_due() is not None)
    forge.away = ""
    life.now -= 5000
    life.inbox([])
    due = wait_until(lambda: due if (due := life.scheduler._journalled.gate.next_due()) < life.now + 100 else None)
    life.now = due + 1
    life.inbox([])
    life.builds(3)


def test_the_gate_is_asked_for_nothing_without_the_lease(tmp_path, lease, store, adapters):
    with pytest.raises(LeaseError, match=r"already has its scheduler: process \d+; stop that one first"):
        acquire_lease(tmp_path)
    lease.close()
    with pytest.raises(AssertionError):
        Life(lease, store, adapters).start()


def test_a_configuration_that_the_gate_cannot_take_does_not_start(lease, store, adapters, monkeypatch):
    def spoilt(self: Gate, event: Event, now: float):
        raise KeyError("bad")

    monkeypatch.setattr(Gate, "step", spoilt)
    with pytest.raises(RuntimeError, match="could not take this configuration"):
        Life(lease, store, adapters).start()


def test_an_answer_that_comes_twice_does_nothing(live, adapters, forge):
    life = live()
    adapters.answers = False
    life.inbox(approved(forge))
    merges = wait_until(lambda: adapters.of(Merge) if len(adapters.of(Merge)) == 2 else None)
    answers = [event for merge in merges for event in forge.stage(merge)]
    assert all(isinstance(event, MergeDone) for event in answers)
    life.inbox(answers)
    life.builds(3)
    life.inbox(answers)
    life.pass_all()
    life.pass_all()
    wait_until(lambda: len(adapters.of(Submit)) == 1 and len(adapters.of(Report)) == 2)
    life.stop()
    assert len(adapters.of(BuildRequest)) == 3
