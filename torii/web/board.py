"""What stands on the status page, and on an item's: rows of the store, put together as people look at them. Pure but for the reading."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby

from torii.model.ids import BuildSetId, ItemId
from torii.model.pipeline import PipelineSpec
from torii.model.view import BuildView, Decision, ItemView
from torii.web.ports import Pages

QUEUE_SHOWN = 100
"""Items of one queue that are shown; more are counted."""
RECENT_SHOWN = 25


@dataclass(frozen=True, slots=True)
class Card:
    """An item with the builds of its present build set. `place` counts from 1 at the head of its queue."""

    item: ItemView
    builds: tuple[BuildView, ...]
    place: int = 0


@dataclass(frozen=True, slots=True)
class Queue:
    """One change queue: the first cards, and how many more there are."""

    name: str
    cards: tuple[Card, ...]
    more: int


@dataclass(frozen=True, slots=True)
class Pipeline:
    """One pipeline and its queues that are not empty."""

    name: str
    description: str
    manager: str
    queues: tuple[Queue, ...]

    @property
    def count(self) -> int:
        return sum(len(queue.cards) + queue.more for queue in self.queues)


@dataclass(frozen=True, slots=True)
class Board:
    """Everything that is in a pipeline, and what left last."""

    pipelines: tuple[Pipeline, ...]
    recent: tuple[ItemView, ...]


@dataclass(frozen=True, slots=True)
class BuildSet:
    """The builds of one speculative state of an item."""

    id: BuildSetId
    builds: tuple[BuildView, ...]
    current: bool


@dataclass(frozen=True, slots=True)
class Story:
    """An item, its build sets from the newest on, and what was decided on it, in order."""

    item: ItemView
    sets: tuple[BuildSet, ...]
    decisions: tuple[Decision, ...]


def read_board(pages: Pages, specs: Iterable[PipelineSpec] = ()) -> Board:
    """Return the board as the store has it now: configured pipelines first, in their order, then any other that has items."""
    by_pipeline: dict[str, list[ItemView]] = {spec.name: [] for spec in specs}
    active = pages.items(active_only=True, limit=None)
    for item in active:
        by_pipeline.setdefault(item.pipeline, []).append(item)
    shown = [item.id for items in by_pipeline.values() for _, queue in _queues(items) for item in queue[:QUEUE_SHOWN]]
    builds = _current_builds(pages, shown)
    about = {str(spec.name): (spec.description, spec.manager.value) for spec in specs}
    pipelines = []
    for name, items in by_pipeline.items():
        queues = tuple(_queue(queue, cards, builds) for queue, cards in _queues(items))
        description, manager = about.get(name, ("", ""))
        pipelines.append(Pipeline(name, description, manager, queues))
    # The store orders by when items came in; those that are still here stand among them.
    newest = pages.items(limit=min(len(active) + RECENT_SHOWN * 4, 1000))
    left = [item for item in newest if item.left_at is not None]
    left.sort(key=lambda item: item.left_at or 0.0, reverse=True)
    return Board(tuple(pipelines), tuple(left[:RECENT_SHOWN]))


def read_story(pages: Pages, item: ItemView) -> Story:
    """Return all that is known of `item`."""
    sets = [
        BuildSet(build_set, tuple(builds), build_set == item.build_set)
        for build_set, builds in groupby(pages.builds_of(item.id), key=lambda build: build.build_set)
    ]
    return Story(item, tuple(reversed(sets)), pages.decisions_of(item=item.id, limit=500))


def _queues(items: list[ItemView]) -> list[tuple[str, list[ItemView]]]:
    return [(name, list(members)) for name, members in groupby(items, key=lambda item: str(item.queue))]


def _current_builds(pages: Pages, items: list[ItemId]) -> dict[tuple[ItemId, BuildSetId], list[BuildView]]:
    found: dict[tuple[ItemId, BuildSetId], list[BuildView]] = {}
    for build in pages.builds_of(*items):
        found.setdefault((build.item, build.build_set), []).append(build)
    return found


def _queue(name: str, items: list[ItemView], builds: dict[tuple[ItemId, BuildSetId], list[BuildView]]) -> Queue:
    cards = tuple(
        Card(item, tuple(builds.get((item.id, item.build_set), ())) if item.build_set else (), place)
        for place, item in enumerate(items[:QUEUE_SHOWN], 1)
    )
    return Queue(name, cards, max(0, len(items) - QUEUE_SHOWN))
