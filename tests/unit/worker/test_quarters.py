"""Workers that come and go beside each other in one folder."""

from __future__ import annotations

import os
import threading

from tests.support.waiting import wait_until
from torii.worker.quarters import Quarters


def test_workers_that_start_at_the_same_moment_do_not_take_each_other_for_dead(tmp_path):
    made: list[Quarters] = []
    failed: list[Exception] = []
    together = threading.Barrier(8)

    def begin(number: int) -> None:
        together.wait(10)
        for turn in range(15):
            try:
                made.append(Quarters(tmp_path, f"worker-{number}-{turn}"))
            except Exception as error:
                failed.append(error)

    threads = [threading.Thread(target=begin, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert failed == []
    assert all(quarters.builds.is_dir() for quarters in made)
    for quarters in made:
        quarters.leave()
    assert list(tmp_path.iterdir()) == []


def test_what_a_dead_worker_left_is_cleared_and_what_a_living_one_has_is_not(tmp_path):
    living, dead = Quarters(tmp_path, "living"), Quarters(tmp_path, "dead")
    (dead.builds / "build-1").mkdir()
    os.close(dead._lock)
    (tmp_path / "somebody-elses").mkdir()
    new = Quarters(tmp_path, "new")
    assert {path.name for path in tmp_path.iterdir()} == {"living", "new", "somebody-elses"}
    for quarters in (living, new):
        quarters.leave()


def test_what_one_could_not_delete_in_time_the_next_one_deletes(tmp_path):
    (tmp_path / ".dead-worker" / "builds").mkdir(parents=True)
    Quarters(tmp_path, "new").leave()
    wait_until(lambda: not list(tmp_path.iterdir()))
