"""The benchmarks of whole runs, at sizes that only show that they run: what they measure here means nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SMALL = {
    "gate": ["changes=4"],
    "gate-fail": ["changes=3", "tenths=3"],
    "jenkins-follow": ["builds=5", "seconds=2"],
    "jenkins-overhead": ["rounds=2"],
    "latency": ["rounds=2"],
    "restart": ["items=30", "rounds=1"],
    "sync": ["jobs=3", "rounds=1"],
}
ON_GERRIT = {
    "gate-gerrit": ["changes=2"],
    "latency-gerrit": ["rounds=1"],
}


@pytest.mark.parametrize("name", SMALL)
def test_it_runs_and_prints_its_measurement(name):
    _runs(name, SMALL[name])


@pytest.mark.needs("gerrit", "ssh")
@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", ON_GERRIT)
def test_it_runs_on_a_gerrit_and_prints_its_measurement(name):
    _runs(name, ON_GERRIT[name])


def _runs(name: str, sizes: list[str]) -> None:
    command = [sys.executable, "-m", "benchmarks", name, *sizes]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode in (0, 1), done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["benchmark"] == name
    assert found["figure"] > 0
    assert found["floor"] > 0
    assert found["ratio"] == pytest.approx(found["figure"] / found["floor"], rel=0.5)
