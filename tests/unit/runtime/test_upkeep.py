"""What is too old goes, with its logs, and without ever keeping the gate waiting."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.store.values import build, item
from tests.support.waiting import wait_until
from torii.model.view import BuildView, Records
from torii.results.layout import console
from torii.runtime.upkeep import StoreUpkeep
from torii.store.store import Retention, Store, open_store

DAY = 86400.0


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "torii.db", tmp_path / "blobs") as opened:
        yield opened


def built(store: Store, number: int, left_at: float | None) -> BuildView:
    """Put an item with one build and its log there."""
    made = build(number, id=str(uuid.uuid4()))
    position = number if left_at is None else None
    store.append([], Records((item(number, left_at=left_at, position=position),), (made,)))
    store.blobs.put(console(made.id), b"the log")
    store.blobs.put(f"builds/{made.id}/artifacts/dist/app", b"the artifact")
    return made


def test_rows_go_after_180_days_and_their_logs_and_artifacts_with_them(store):
    old, young, running = built(store, 1, 1 * DAY), built(store, 2, 100 * DAY), built(store, 3, None)
    upkeep = StoreUpkeep(store, lambda: 180.5 * DAY)
    assert upkeep.look() == 0
    upkeep = StoreUpkeep(store, lambda: 181.5 * DAY)
    assert upkeep.look() == 2
    assert store.build(old.id) is None
    assert list(store.blobs.keys()) == sorted(
        f"builds/{kept.id}/{name}" for kept in (young, running) for name in ("console.log", "artifacts/dist/app")
    )
    assert upkeep.look() == 0


def test_a_build_whose_id_is_none_of_ours_is_forgotten_without_touching_the_blobs(store):
    strange = build(1, id="../../etc")
    store.append([], Records((item(1, left_at=1.0, position=None),), (strange,)))
    assert StoreUpkeep(store, lambda: 500 * DAY).look() == 2


def test_rows_stay_where_the_logs_cannot_be_deleted(store, tmp_path, monkeypatch):
    old = built(store, 1, 1 * DAY)

    def refuse(prefix: str) -> int:
        raise OSError(f"{prefix} is on fire")

    monkeypatch.setattr(store.blobs, "delete", refuse)
    with pytest.raises(OSError, match="on fire"):
        StoreUpkeep(store, lambda: 500 * DAY).look()
    assert store.build(old.id) == old


def test_it_looks_again_and_again_whatever_happens(store, monkeypatch):
    looks: list[float] = []

    def clock() -> float:
        looks.append(1.0)
        if len(looks) == 1:
            raise RuntimeError("no clock today")
        return 500 * DAY

    old = built(store, 1, 1 * DAY)
    upkeep = StoreUpkeep(store, clock, Retention(), every=0.01)
    upkeep.start()
    wait_until(lambda: store.build(old.id) is None)
    upkeep.stop(5)
    assert list(store.blobs.keys()) == []


def test_it_stops_at_once_though_it_looks_rarely(store):
    upkeep = StoreUpkeep(store)
    upkeep.start()
    upkeep.stop(1)
    assert not upkeep._thread.is_alive()
