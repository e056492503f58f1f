from __future__ import annotations

import threading

import pytest

from tests.support.waiting import wait_until
from torii.errors import OperatorError
from torii.model.ids import ProjectName
from torii.sources.git import poller as module
from torii.sources.git.poller import Poller
from torii.sources.lanes import Lanes

A, B = ProjectName("a"), ProjectName("b")


class Looks:
    """What is looked at, and how each look ends."""

    def __init__(self) -> None:
        self.seen: list[ProjectName] = []
        self.errors: dict[ProjectName, Exception] = {}
        self.held: dict[ProjectName, threading.Event] = {}

    def __call__(self, project: ProjectName) -> str:
        self.seen.append(project)
        if project in self.held:
            self.held[project].wait(10.0)
        if project in self.errors:
            raise self.errors[project]
        return ""


@pytest.fixture
def looks():
    return Looks()


@pytest.fixture
def start(looks):
    started = []

    def make(projects=(A, B), interval=600.0):
        poller = Poller("lab", projects, looks, interval)
        started.append(poller)
        poller.start()
        return poller

    yield make
    for held in looks.held.values():
        held.set()
    for poller in started:
        assert poller.stop(5.0)


def test_every_project_is_looked_at_at_once_and_then_at_its_interval(start, looks):
    poller = start(interval=0.05)
    wait_until(lambda: looks.seen.count(A) >= 3 and looks.seen.count(B) >= 3)
    assert poller.health() == {A: "ok", B: "ok"}


def test_waking_looks_at_once_at_the_project_that_is_named(start, looks):
    poller = start()
    wait_until(lambda: set(poller.health().values()) == {"ok"})
    poller.wake(B)
    wait_until(lambda: looks.seen.count(B) == 2)
    poller.wake()
    wait_until(lambda: looks.seen.count(B) == 3 and looks.seen.count(A) == 2)


def test_waking_during_a_look_looks_again_after_it(start, looks):
    looks.held[A] = threading.Event()
    poller = start((A,))
    wait_until(lambda: looks.seen == [A])
    poller.wake(A)
    looks.held.pop(A).set()
    wait_until(lambda: looks.seen == [A, A])


def test_a_failure_is_told_and_tried_again_later_and_later(start, looks, monkeypatch):
    monkeypatch.setattr(module, "FIRST_PAUSE", 0.01)
    looks.errors[A] = OperatorError("the server is on fire")
    poller = start()
    wait_until(lambda: looks.seen.count(A) >= 4)
    assert poller.health() == {A: "the server is on fire", B: "ok"}
    assert poller.problems() == {A: "the server is on fire"}
    looks.errors.clear()
    wait_until(lambda: poller.health()[A] == "ok")


def test_a_bug_in_a_look_ends_no_thread(start, looks, monkeypatch):
    monkeypatch.setattr(module, "FIRST_PAUSE", 0.01)
    looks.errors[A] = ValueError("a bug")
    poller = start()
    wait_until(lambda: looks.seen.count(A) >= 3)
    assert poller.health()[A] == "ValueError: a bug"


def test_projects_that_hang_hold_up_no_other(start, looks, monkeypatch):
    monkeypatch.setattr(module, "SLOW", 0.05)
    hanging = [ProjectName(f"hang{number}") for number in range(4)]
    for name in hanging:
        looks.held[name] = threading.Event()
    poller = start((*hanging, A, B), interval=0.05)
    wait_until(lambda: looks.seen.count(A) >= 3 and looks.seen.count(B) >= 3)
    assert poller.health()[hanging[0]] == "not read yet"


def test_lanes_keep_the_order_of_a_key_and_hand_over_all_that_gathered():
    first = threading.Event()
    got: list[tuple[str, list[int]]] = []

    def work(key, things):
        got.append((key, list(things)))
        if things == [1]:
            first.wait(10.0)

    lanes: Lanes[str, int] = Lanes("lab", work)
    lanes.add("a", [1])
    wait_until(lambda: got)
    lanes.add("a", [2])
    lanes.add("a", [3])
    lanes.add("b", [4])
    wait_until(lambda: ("b", [4]) in got)  # another key waits for nobody
    first.set()
    wait_until(lambda: got[-1] == ("a", [2, 3]))
    assert lanes.close(5.0)
    lanes.add("a", [5])
    assert got[-1] == ("a", [2, 3])


def test_lanes_go_on_after_work_that_raises_and_do_not_wait_for_ever():
    release = threading.Event()
    got = []

    def work(key, things):
        got.extend(things)
        if things == [1]:
            raise ValueError("a bug")
        release.wait(10.0)

    lanes: Lanes[str, int] = Lanes("lab", work)
    lanes.add("a", [1])
    wait_until(lambda: got == [1])
    lanes.add("a", [2])
    wait_until(lambda: got == [1, 2])
    assert not lanes.close(0.05)
    release.set()
