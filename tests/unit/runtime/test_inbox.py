from __future__ import annotations

import threading
import time

from torii.model.event import Tick
from torii.runtime.inbox import Inbox, Posting
from torii.runtime.ports import Cursor


def test_what_is_posted_is_taken_in_order_with_its_cursor():
    inbox = Inbox()
    cursor = Cursor("local", "{}")
    inbox([Tick(), Tick()], cursor)
    inbox([Tick()])
    assert inbox.take(10, 0) == [Posting((Tick(), Tick()), cursor), Posting((Tick(),))]
    assert inbox.take(10, 0) == []


def test_events_posted_together_are_never_taken_apart():
    inbox = Inbox()
    inbox([Tick()] * 3)
    inbox([Tick()] * 3)
    assert [len(posting.events) for posting in inbox.take(1, 0)] == [3]
    assert [len(posting.events) for posting in inbox.take(4, 0)] == [3]


def test_a_reader_that_waits_is_woken_by_a_post():
    inbox = Inbox()
    taken: list[Posting] = []
    reader = threading.Thread(target=lambda: taken.extend(inbox.take(10, 30)))
    reader.start()
    inbox([Tick()])
    reader.join(10)
    assert taken == [Posting((Tick(),))]


def test_a_closed_inbox_keeps_nobody_waiting_and_still_gives_what_it_has():
    inbox = Inbox()
    inbox([Tick()])
    inbox.close()
    began = time.monotonic()
    assert inbox.take(10, 30) == [Posting((Tick(),))]
    assert inbox.take(10, 30) == []
    assert time.monotonic() - began < 5


def test_many_threads_may_post_and_nothing_is_dropped():
    inbox = Inbox()

    def post() -> None:
        for _ in range(500):
            inbox([Tick()])

    threads = [threading.Thread(target=post) for _ in range(8)]
    for thread in threads:
        thread.start()
    taken = 0
    while taken < 4000:
        found = inbox.take(100, 10)
        assert found
        taken += len(found)
    for thread in threads:
        thread.join(10)
    assert inbox.take(1, 0) == []
