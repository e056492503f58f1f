from __future__ import annotations

import threading

from torii.dispatch.mailbox import Mailbox


def test_calls_run_in_order_and_one_that_raises_stops_none():
    box, ran, over = Mailbox("test"), [], threading.Event()
    box.start()
    box.post(lambda: ran.append(1))
    box.post(lambda: 1 / 0)
    box.post(lambda: ran.append(2))
    box.post(over.set)
    assert over.wait(30)
    assert ran == [1, 2]
    box.stop(5)


def test_what_is_due_runs_even_when_posts_never_cease():
    box, over, rounds = Mailbox("test"), threading.Event(), [0]

    def again():
        rounds[0] += 1
        if not over.is_set():
            box.post(again)

    box.start()
    box.post(lambda: box.later(0.01, over.set))
    box.post(again)
    assert over.wait(30)
    box.stop(5)


def test_later_calls_run_soonest_first():
    box, ran, over = Mailbox("test"), [], threading.Event()

    def plan():
        box.later(0.06, over.set)
        box.later(0.03, lambda: ran.append("b"))
        box.later(0.0, lambda: ran.append("a"))

    box.start()
    box.post(plan)
    assert over.wait(30)
    assert ran == ["a", "b"]
    box.stop(5)


def test_a_stopped_mailbox_runs_nothing_more():
    box = Mailbox("test")
    box.start()
    box.stop(5)
    box.post(lambda: 1 / 0)
    assert not any(thread.name == "test" for thread in threading.enumerate())
