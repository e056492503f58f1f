"""Rows and events for the store's tests."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from torii.model.build import Result, TestSummary
from torii.model.change import Change
from torii.model.event import BuildDone, ChangeUpdated, Event
from torii.model.pipeline import Cause
from torii.model.view import BuildView, Decision, ItemView, Records

ROOT = Path(__file__).parents[3]


def change(name: str = "fix") -> Change:
    return Change(f"app:main/{name}", "app", "main", "a" * 40, "a" * 40, f"refs/heads/review/main/{name}", "Fix it", "dev")


def updated(name: str = "fix") -> ChangeUpdated:
    return ChangeUpdated(change(name), Cause.PATCHSET_CREATED, f"key of {name}")


def ended(number: int) -> Event:
    return BuildDone(f"build-{number}", Result.SUCCESS, float(number))


def item(number: int = 1, **values: object) -> ItemView:
    fields = {
        "id": f"k3f9-{number}",
        "pipeline": "gate",
        "queue": "app",
        "change": f"app:main/fix-{number}",
        "project": "app",
        "branch": "main",
        "patchset": "a" * 40,
        "title": "Fix it",
        "owner": "dev@example.com",
        "state": "building",
        "reason": "its builds run",
        "outcome": "",
        "position": number,
        "build_set": f"k3f9-{number}.1",
        "built_on": (),
        "commit": "b" * 40,
        "enqueued_at": float(number),
        "left_at": None,
    }
    return ItemView(**{**fields, **values})  # type: ignore[arg-type]


def build(number: int = 1, job: str = "unit", **values: object) -> BuildView:
    fields = {
        "id": f"{number}-{job}",
        "build_set": f"k3f9-{number}.1",
        "item": f"k3f9-{number}",
        "job": job,
        "attempt": 1,
        "voting": True,
        "state": "running",
        "result": None,
        "reason": "",
        "node": "worker-1",
        "url": f"http://127.0.0.1/builds/{number}-{job}",
        "requested_at": 1.0,
        "started_at": 2.0,
        "ended_at": None,
        "duration": None,
        "tests": TestSummary(3, 1, 0, ("test_login",)),
    }
    return BuildView(**{**fields, **values})  # type: ignore[arg-type]


def decision(text: str, number: int | None = 1, at: float = 1.0, change: str = "app:main/fix-1") -> Decision:
    return Decision(at, change, "gate", None if number is None else f"k3f9-{number}", text)


def rows(number: int) -> Records:
    return Records((item(number),), (build(number),), (decision("it came", number, change=f"app:main/fix-{number}"),))


def python(program: str, *arguments: object, wrapper: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    """Run `program` in a process of its own, at the top of the checkout."""
    command = [*wrapper, sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
