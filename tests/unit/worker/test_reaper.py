from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.waiting import wait_until
from torii.worker.reaper import descendants, offspring, send


@pytest.fixture
def family() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(["/bin/sh", "-c", "sleep 60 & sh -c 'sleep 60; :' & wait"], start_new_session=True)
    yield process
    send([process.pid, *descendants(process.pid)], signal.SIGKILL)
    process.wait(10)


@pytest.mark.parametrize("look", [descendants, offspring])
def test_children_are_found_before_grandchildren(family, look):
    found = wait_until(lambda: here if len(here := look(family.pid)) == 3 else None, 10.0)
    assert sorted(found) == sorted(descendants(family.pid))
    assert [parent(pid) for pid in found[:2]] == [family.pid, family.pid]
    assert parent(found[2]) in found[:2]


@pytest.mark.parametrize("look", [descendants, offspring])
def test_nothing_is_below_a_process_that_is_gone(look):
    process = subprocess.Popen(["true"])
    process.wait(10)
    assert look(process.pid) == []


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
