from __future__ import annotations

import json

import pytest

from benchmarks.__main__ import main, names
from benchmarks.measurement import Measurement

FIELDS = {"benchmark", "figure", "unit", "floor", "ratio", "target", "held"}


def last_line(printed: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(printed.splitlines()[-1])
    return found


def test_every_benchmark_is_listed_and_nothing_else():
    assert names() == [
        "events",
        "gate",
        "gate-fail",
        "gate-gerrit",
        "gearman",
        "jenkins-follow",
        "jenkins-overhead",
        "latency",
        "latency-gerrit",
        "merger",
        "restart",
        "step",
        "sync",
    ]


def test_a_benchmark_prints_its_measurement_last(capsys):
    assert main(["step", "short=5", "long=30", "turns=3"]) in (0, 1)
    printed = capsys.readouterr().out
    found = last_line(printed)
    assert found.keys() == FIELDS
    assert found["benchmark"] == "step"
    assert found["held"] is ("missed:" not in printed)


def test_unknown_benchmarks_and_sizes_that_are_no_numbers_are_refused(capsys):
    assert main(["speed"]) == 2
    assert "no benchmark is called speed; there are events, gate, gate-fail" in capsys.readouterr().err
    assert main(["step", "short=many"]) == 2
    assert "a size is a whole number: short=many" in capsys.readouterr().err


def test_a_missed_target_is_said_and_is_the_exit_code(monkeypatch, capsys):
    monkeypatch.setattr("benchmarks.step.run", lambda: Measurement("step", 3.0, "us", 1.0, 3.0, "at most 2.0x", False))
    assert main(["step"]) == 1
    assert "missed: at most 2.0x" in capsys.readouterr().out


@pytest.mark.parametrize("value", [True, False])
def test_a_measurement_is_one_line_of_json(value):
    line = Measurement("gate", 1.23456789, "s", 1.0, 1.2, "at most 1.5x", value).line()
    assert json.loads(line) == {
        "benchmark": "gate",
        "figure": 1.2346,
        "unit": "s",
        "floor": 1.0,
        "ratio": 1.2,
        "target": "at most 1.5x",
        "held": value,
    }
