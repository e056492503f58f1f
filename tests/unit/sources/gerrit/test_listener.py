"""The thread that reads, and the dog that watches it: neither dies nor hangs unseen."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence

import pytest

from tests.support.source_lab import Mailbox
from tests.support.waiting import wait_until
from torii.errors import OperatorError
from torii.model.event import BranchMoved
from torii.model.ids import ProjectName
from torii.runtime.ports import Cursor
from torii.sources.gerrit.errors import GerritUnavailableError
from torii.sources.gerrit.hints import RESYNC, Hint
from torii.sources.gerrit.listener import Listener, Tell
from torii.sources.gerrit.pending import Work
from torii.sources.gerrit.watchdog import Pulse, Watchdog, Watched

APP = ProjectName("app")


class Script:
    """Looks as it is told: `does` is called with the work and what tells."""

    def __init__(self) -> None:
        self.problems: dict[ProjectName, str] = {}
        self.states: list[str | None] = []
        self.works: list[Work] = []
        self.does: Callable[[Work, Tell], None] = lambda work, tell: None
        self.tell: Tell | None = None

    def open(self, state: str | None, tell: Tell) -> Look:
        self.states.append(state)
        return Look(self, tell)


class Look:
    def __init__(self, script: Script, tell: Tell) -> None:
        self.problems = script.problems
        self.script = script
        self.tell = tell

    def look(self, work: Work) -> None:
        self.script.works.append(work)
        self.script.does(work, self.tell)


def moved(key: str) -> Sequence[BranchMoved]:
    return [BranchMoved(APP, "main", None, None, key)]


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
def box() -> Mailbox:
    return Mailbox()


@pytest.fixture
def pulse() -> Pulse:
    return Pulse()


@pytest.fixture
def listener(script: Script, box: Mailbox, pulse: Pulse) -> Iterator[Listener]:
    listener = Listener("lab", script.open, 600.0, box, pulse, patience=0.001)
    yield listener
    listener.stop(5.0)


def changes(script: Script) -> list[int]:
    return [number for work in script.works for number in work.changes]


def test_everything_is_looked_at_first_and_then_what_hints_name(listener, script):
    listener.start(None)
    wait_until(lambda: script.works)
    listener.add([Hint(APP, change=1)])
    wait_until(lambda: changes(script) == [1])
    assert [work.everything for work in script.works] == [True, False]


def test_everything_is_looked_at_again_and_again(script, box, pulse):
    listener = Listener("lab", script.open, 0.01, box, pulse)
    listener.start(None)
    wait_until(lambda: len([work for work in script.works if work.everything]) > 3)
    assert listener.stop(5.0)


def test_what_gerrit_does_not_answer_is_asked_again_and_said(listener, script):
    def away(work: Work, tell: Tell) -> None:
        raise GerritUnavailableError("Gerrit is away")

    script.does = away
    listener.start(None)
    listener.add([Hint(APP, change=1)])
    wait_until(lambda: len(script.works) > 5)
    assert listener.problems() == ("Gerrit is away",)
    done: list[Work] = []
    script.does = lambda work, tell: done.append(work)
    wait_until(lambda: not listener.problems())
    assert (list(done[0].changes), done[0].everything) == ([1], True)
    assert all(not work.changes for work in done[1:])


def test_a_refusal_is_an_error_that_is_shown_and_tried_again(listener, script):
    def refuse(work: Work, tell: Tell) -> None:
        raise OperatorError("the password is wrong")

    script.does = refuse
    listener.start(None)
    wait_until(lambda: listener.problems() == ("the password is wrong",) and len(script.works) > 2)


def test_a_bug_in_a_look_does_not_end_the_thread(listener, script):
    def fail(work: Work, tell: Tell) -> None:
        if work.changes:
            raise KeyError("bug")

    script.does = fail
    listener.start(None)
    listener.add([Hint(APP, change=1)])
    wait_until(lambda: changes(script).count(1) > 2)
    assert listener.alive()
    assert "KeyError" in listener.problems()[0]


def test_before_the_first_answer_it_is_not_well(listener):
    assert listener.problems() == ("it was not asked yet",)


def test_one_that_hangs_is_replaced_and_tells_nothing_any_more(listener, script, box, pulse):
    hangs, go_on, late = threading.Event(), threading.Event(), []

    def hang(work: Work, tell: Tell) -> None:
        if not hangs.is_set():
            tell(moved("before"), Cursor("lab", "one"))
            hangs.set()
            go_on.wait(10.0)
            try:
                tell(moved("late"), Cursor("lab", "two"))
            except BaseException as error:
                late.append(error)
                raise

    script.does = hang
    watched = Watched("the reader", listener.alive, pulse, 0.05, listener.revive)
    dog = Watchdog("lab", [watched], every=0.01)
    listener.start(None)
    dog.start()
    wait_until(hangs.is_set)
    wait_until(lambda: len(script.states) > 1)
    assert "the reader got nowhere" in dog.problems()[0]
    assert script.states == [None, "one"]
    wait_until(lambda: len(script.works) > 1)
    go_on.set()
    wait_until(lambda: late)
    assert [event.key for event in box.events] == ["before"]
    assert dog.stop(5.0)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_one_that_dies_is_started_again_and_said(listener, script, pulse):
    died = threading.Event()

    def die(work: Work, tell: Tell) -> None:
        if not died.is_set():
            died.set()
            raise SystemExit

    script.does = die
    dog = Watchdog("lab", [Watched("the reader", listener.alive, pulse, 60.0, listener.revive)], every=0.01)
    listener.start(None)
    wait_until(died.is_set)
    dog.start()
    wait_until(lambda: len(script.works) > 1)
    assert "the reader died" in dog.problems()[0]
    assert listener.alive()
    assert dog.stop(5.0)


def test_a_dog_that_cannot_revive_keeps_watching():
    tried = []

    def fail() -> None:
        tried.append(1)
        raise RuntimeError("no threads left")

    dog = Watchdog("lab", [Watched("the reader", lambda: False, Pulse(), 60.0, fail)], every=0.01)
    dog.start()
    wait_until(lambda: len(tried) > 2)
    assert dog.stop(5.0)


def test_stopped_in_the_middle_it_tells_nothing_more(listener, script, box):
    looking, go_on = threading.Event(), threading.Event()

    def wait(work: Work, tell: Tell) -> None:
        looking.set()
        go_on.wait(10.0)
        tell(moved("late"), Cursor("lab", "two"))

    script.does = wait
    listener.start(None)
    wait_until(looking.is_set)
    listener.close()
    go_on.set()
    assert listener.stop(5.0)
    assert box.events == []


def test_a_look_at_everything_that_was_asked_for_is_followed_by_another_for_what_the_index_had_not_yet(listener, script):
    listener.start(None)
    wait_until(lambda: len(script.works) == 1)
    listener.add([RESYNC])
    wait_until(lambda: len(script.works) == 3)
    assert [(work.everything, work.thorough) for work in script.works] == [(True, False), (True, True), (True, False)]
