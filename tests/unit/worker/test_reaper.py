from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator

import pytest

from tests.support.waiting import wait_until
from torii.worker.reaper import descendants, offspring


@pytest.fixture
def family() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["/bin/sh", "-c", "sleep 60 & sh -c 'sleep 60; :' & wait"], start_new_session=True) as process:
        yield process
        for pid in reversed(descendants(process.pid)):
            os.kill(pid, 9)
        process.kill()


@pytest.mark.parametrize("look", [descendants, offspring])
def test_children_are_found_before_grandchildren(family, look):
    found = wait_until(lambda: here if len(here := look(family.pid)) == 3 else None, 10.0)
    assert set(found) == set(descendants(family.pid))
    (grandchild,) = set(found) - set(direct(family.pid))
    assert found[-1] == grandchild


@pytest.mark.parametrize("look", [descendants, offspring])
def test_nothing_is_below_a_process_that_is_gone(look):
    process = subprocess.Popen(["true"])
    process.wait(10)
    assert look(process.pid) == []


def direct(parent: int) -> list[int]:
    done = subprocess.run(["ps", "-o", "pid=", "--ppid", str(parent)], capture_output=True, text=True, timeout=10, check=False)
    return [int(word) for word in done.stdout.split()]
