"""The one thread that ends what takes too long."""

from __future__ import annotations

import threading
import time

from tests.support.waiting import wait_until
from torii.http.limits import Limits


def test_what_goes_on_past_its_limit_is_ended_and_what_is_over_before_is_not() -> None:
    limits, ended = Limits(), []
    with limits.after(30, lambda: ended.append("long")), limits.after(0.05, lambda: ended.append("short")):
        wait_until(lambda: bool(ended), 10)
    with limits.after(0.2, lambda: ended.append("over")):
        pass
    with limits.after(0.3, lambda: ended.append("later")):
        wait_until(lambda: len(ended) == 2, 10)
    assert ended == ["short", "later"]


def test_a_limit_that_comes_first_is_not_slept_through() -> None:
    limits, ended = Limits(), threading.Event()
    with limits.after(3600, lambda: None):
        began = time.monotonic()
        with limits.after(0.05, ended.set):
            assert ended.wait(10)
        assert time.monotonic() - began < 5


def test_one_thread_watches_over_all() -> None:
    limits = Limits()
    before = threading.active_count()
    with limits.after(60, lambda: None), limits.after(60, lambda: None):
        assert threading.active_count() == before + 1
    with limits.after(60, lambda: None):
        assert threading.active_count() == before + 1


def test_once_the_block_is_left_nothing_is_ended_any_more() -> None:
    limits, began, over = Limits(), threading.Event(), threading.Event()
    ended = []

    def end() -> None:
        began.set()
        over.wait(10)
        ended.append("it")

    with limits.after(0.05, end):
        assert began.wait(10)
        threading.Timer(0.2, over.set).start()
    assert ended == ["it"]


def test_one_that_cannot_be_ended_keeps_no_other_from_its_end() -> None:
    limits, ended = Limits(), threading.Event()
    with limits.after(0.05, lambda: 1 / 0), limits.after(0.1, ended.set):  # type: ignore[arg-type]  # it returns nothing
        assert ended.wait(10)
