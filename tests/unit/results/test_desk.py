"""Who is asked when, and what happens while nobody answers."""

from __future__ import annotations

import threading
import time

import pytest

from tests.support.waiting import wait_until
from torii.errors import OperatorError
from torii.jenkins import JenkinsUnavailableError
from torii.results.desk import Desk, Pace, Task
from torii.results.turns import Turns

PACE = Pace(threads=2, log_threads=1, rate=1000, retry=0.01, longest=0.05)


@pytest.fixture
def turns():
    made: list[Turns] = []

    def make(*arguments):
        made.append(Turns("test", *arguments))
        return made[-1]

    yield make
    for each in made:
        each.stop(5)


@pytest.fixture
def desk():
    desk = Desk("ci", PACE)
    desk.start()
    yield desk
    desk.stop(5)


class Jenkins:
    """Something that is asked, and may be away."""

    def __init__(self) -> None:
        self.away = False
        self.asked = 0

    def ask(self) -> None:
        self.asked += 1
        if self.away:
            raise JenkinsUnavailableError("ci does not answer")


def test_calls_are_made_in_the_order_in_which_they_are_due(turns):
    made: list[int] = []
    line = turns(1)
    for number in (5, 3, 1, 2, 4):
        line.add(lambda number=number: made.append(number), number / 100)
    assert made == []
    line.start()
    wait_until(lambda: len(made) == 5)
    assert made == [1, 2, 3, 4, 5]


def test_a_call_that_raises_stops_no_other(turns):
    made: list[int] = []
    line = turns(1)
    line.start()
    line.add(lambda: 1 // 0)
    line.add(lambda: made.append(1))
    wait_until(lambda: made)


def test_several_threads_work_side_by_side_and_wake_for_what_is_due_sooner(turns):
    line = turns(3)
    line.start()
    together = threading.Barrier(3)
    passed: list[int] = []
    line.add(lambda: None, 3600)
    for _ in range(3):
        line.add(lambda: passed.append(together.wait(10)))
    wait_until(lambda: len(passed) == 3)


def test_no_more_than_the_rate_are_made(turns):
    made: list[int] = []
    line = turns(2, 50.0)
    line.start()
    began = time.monotonic()
    for _ in range(100):
        line.add(lambda: made.append(1))
    wait_until(lambda: len(made) == 100)
    assert time.monotonic() - began >= 0.9  # 50 at once, and 50 more in a second


def test_nothing_is_made_after_the_end(turns):
    line = turns(1)
    line.start()
    entered, leave = threading.Event(), threading.Event()
    made: list[int] = []
    line.add(lambda: (entered.set(), leave.wait(10)))
    line.add(lambda: made.append(1))
    entered.wait(10)
    line.stop(0)
    leave.set()
    line.stop(10)
    assert made == []


def test_a_task_is_done_again_as_long_as_it_wants(desk):
    left = [3, 2, 1]
    desk.add(Task(lambda: 0.001 if left.pop() and left else None, lambda _: None))
    wait_until(lambda: not left)


def test_what_fails_is_tried_again_and_its_trouble_told_once_and_taken_back(desk):
    jenkins, said = Jenkins(), []
    jenkins.away = True
    desk.add(Task(jenkins.ask, said.append))
    wait_until(lambda: jenkins.asked > 10)
    assert said == ["ci does not answer"]
    jenkins.away = False
    wait_until(lambda: len(said) == 2)
    assert said[1] == ""


def test_a_jenkins_that_is_away_is_asked_one_question_at_a_time(desk):
    jenkins, said = Jenkins(), []
    jenkins.away = True
    for _ in range(500):
        desk.add(Task(jenkins.ask, said.append))
    wait_until(lambda: len(said) == 500)
    asked = jenkins.asked
    assert asked < 250, "most were held back without a question"
    wait_until(lambda: jenkins.asked > asked + 3)
    jenkins.away = False
    wait_until(lambda: len(said) == 1000)
    assert sorted(set(said)) == ["", "ci does not answer"]


def test_one_question_that_always_fails_holds_no_other_up(desk):
    done: list[int] = []

    def poisoned() -> None:
        raise JenkinsUnavailableError("500 for this build alone")

    for _ in range(5):
        desk.add(Task(poisoned, lambda _: None))
    for number in range(200):
        desk.add(Task(lambda number=number: done.append(number), lambda _: None))
    wait_until(lambda: len(done) == 200, 20)


def test_trouble_of_another_kind_leaves_jenkins_well(desk):
    said: list[str] = []
    done: list[int] = []

    def full() -> None:
        raise OperatorError("the disk is full")

    for _ in range(10):
        desk.add(Task(full, said.append))
    wait_until(lambda: len(said) == 10)
    desk.add(Task(lambda: done.append(1), said.append))
    wait_until(lambda: done)
    assert set(said) == {"the disk is full"}


def test_a_bug_is_trouble_too_and_loses_nothing(desk):
    tries: list[int] = []

    def odd() -> None:
        tries.append(1)
        if len(tries) < 3:
            raise KeyError("odd")

    said: list[str] = []
    desk.add(Task(odd, said.append))
    wait_until(lambda: len(said) == 2)
    assert said == ["'odd'", ""]
