from __future__ import annotations

import threading

from torii.model.ids import ProjectName
from torii.sources.gerrit.hints import RESYNC, Hint
from torii.sources.gerrit.pending import Pending, Work

APP, LIB = ProjectName("app"), ProjectName("lib")


def change(number: int) -> Hint:
    return Hint(APP, change=number)


def test_many_hints_of_one_thing_are_one_thing_to_do():
    pending = Pending()
    pending.add([change(1), change(2), change(1), RESYNC, RESYNC, Hint(LIB, branch="main"), Hint(LIB, branch="main")])
    assert pending.take(50, 0.0) == Work({1: APP, 2: APP}, {LIB: frozenset({"main"})}, everything=True, thorough=True)
    assert not pending.take(50, 0.0)


def test_no_more_than_the_limit_is_taken_at_once_the_oldest_first():
    pending = Pending()
    pending.add(change(number) for number in range(120))
    taken = [list(pending.take(50, 0.0).changes) for _ in range(3)]
    assert [len(each) for each in taken] == [50, 50, 20]
    assert [number for each in taken for number in each] == list(range(120))


def test_of_many_branches_all_are_looked_at():
    pending = Pending()
    pending.add(Hint(APP, branch=str(number)) for number in range(10))
    pending.add([Hint(LIB)])
    assert pending.take(1, 0.0).branches == {APP: None, LIB: None}


def test_what_is_put_back_comes_first_and_is_not_doubled():
    pending = Pending()
    pending.add([change(1), Hint(LIB, branch="a"), RESYNC])
    work = pending.take(50, 0.0)
    pending.add([change(2), change(1), Hint(LIB, branch="b")])
    pending.put_back(work)
    assert pending.take(50, 0.0) == Work({1: APP, 2: APP}, {LIB: frozenset({"a", "b"})}, everything=True, thorough=True)


def test_a_hint_wakes_whoever_waits_and_so_does_the_end():
    pending = Pending()
    taken: list[Work] = []

    def take() -> None:
        taken.append(pending.take(50, 10.0))
        taken.append(pending.take(50, 10.0))

    thread = threading.Thread(target=take)
    thread.start()
    pending.add([change(1)])
    while not taken:
        thread.join(0.01)
    pending.close()
    thread.join(5.0)
    assert taken == [Work({1: APP}), Work()]
