"""One scheduler a state folder."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.contract.store.values import ROOT
from torii.store.lease import LeaseError, acquire_lease

HOLD = """
import sys
from pathlib import Path
from torii.store.lease import acquire_lease
lease = acquire_lease(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def test_a_second_scheduler_is_refused_and_told_who_is_first(tmp_path):
    with acquire_lease(tmp_path / "state") as lease:
        assert lease.held
        with pytest.raises(LeaseError, match=f"{tmp_path}/state already has its scheduler: process {os.getpid()}; stop that one first"):
            acquire_lease(tmp_path / "state")
    assert not lease.held
    lease.close()
    with acquire_lease(tmp_path / "state"):
        pass


def test_a_refused_one_does_not_end_the_lease_of_the_first(tmp_path):
    with acquire_lease(tmp_path):
        for _ in range(3):
            with pytest.raises(LeaseError):
                acquire_lease(tmp_path)


@pytest.mark.parametrize("end", ["kill", "terminate", "close"])
def test_a_lease_ends_with_its_process_however_that_ends(tmp_path, end):
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert holder.stdout.readline() == b"held\n"
    with pytest.raises(LeaseError, match=f"process {holder.pid}"):
        acquire_lease(tmp_path)
    if end == "close":
        holder.communicate(timeout=30)
    else:
        getattr(holder, end)()
        holder.communicate(timeout=30)
    with acquire_lease(tmp_path) as lease:
        assert lease.path.read_text() == f"{os.getpid()}\n"


def test_a_process_that_the_holder_starts_does_not_keep_the_lease(tmp_path):
    with acquire_lease(tmp_path):
        child = subprocess.Popen(["sleep", "60"], close_fds=False)
    try:
        acquire_lease(tmp_path).close()
    finally:
        child.kill()
        child.wait(30)


def test_a_folder_that_cannot_be_made_says_so(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(LeaseError, match=r"file/state/scheduler.lock cannot be made: Not a directory"):
        acquire_lease(tmp_path / "file" / "state")
