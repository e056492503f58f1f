"""Stays of changes in pipelines, as `torii status` and `torii explain` read and word them. All text is cleaned for a terminal."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from torii.config.settings import WebSettings
from torii.model.build import Result
from torii.model.view import BuildView, ItemView
from torii.results.message import spoken_duration
from torii.results.text import clean_line
from torii.store.codec import encode
from torii.store.reader import StoreReader

Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Stay:
    """An item, its builds of all its build sets, and its `place` in its queue, counted from 1 (None once it left)."""

    item: ItemView
    builds: tuple[BuildView, ...]
    place: int | None

    @property
    def current_builds(self) -> tuple[BuildView, ...]:
        """The builds of the build set that speaks for the item, the newest attempt of each job."""
        newest = {build.job: build for build in self.builds if build.build_set == self.item.build_set}
        return tuple(newest.values())


def active_stays(store: StoreReader) -> tuple[Stay, ...]:
    """Return every item that is in a queue, by pipeline, queue and place."""
    items = store.items(active_only=True, limit=None)
    places: dict[tuple[str, str], int] = {}
    found = []
    builds = _by_item(store.builds_of(*(item.id for item in items)))
    for item in items:
        places[item.pipeline, item.queue] = place = places.get((item.pipeline, item.queue), 0) + 1
        found.append(Stay(item, tuple(builds.get(item.id, ())), place))
    return tuple(found)


def past_stays(store: StoreReader, items: Sequence[ItemView]) -> tuple[Stay, ...]:
    """Return items that left, with their builds."""
    builds = _by_item(store.builds_of(*(item.id for item in items)))
    return tuple(Stay(item, tuple(builds.get(item.id, ())), None) for item in items)


def document(stay: Stay) -> dict[str, Any]:
    """Return a stay as the JSON that `--json` prints: the item's fields, `place` and `builds`."""
    item: dict[str, Any] = json.loads(encode(stay.item))
    return {**item, "place": stay.place, "builds": [json.loads(encode(build)) for build in stay.builds]}


def build_words(build: BuildView, now: float) -> str:
    """Return how a build stands, such as `running for 1m 2s on worker-1` or `FAILURE in 4s, 2 of 30 tests failed`."""
    if build.result is not None:
        took = f" in {spoken_duration(build.duration)}" if build.duration is not None else ""
        words = f"{build.result.value}{took}{_tests(build)}"
    elif build.state == "running":
        since = f" for {spoken_duration(now - build.started_at)}" if build.started_at is not None else ""
        words = f"running{since}{f' on {build.node}' if build.node else ''}"
    elif build.state == "queued" and build.requested_at is not None:
        words = f"queued for {spoken_duration(now - build.requested_at)}"
    else:
        words = build.state
    attempt = f" (attempt {build.attempt})" if build.attempt > 1 else ""
    reason = f": {build.reason}" if build.reason and build.reason not in words else ""  # the tests may have said it
    return clean_line(f"{words}{attempt}{reason}") + ("" if build.voting else " (non-voting)")


def pages_of(web: WebSettings) -> str:
    """Return the address below which Torii's pages are; empty where a port is chosen only when they are served."""
    return (web.url or (f"http://{web.host}:{web.port}" if web.port else "")).rstrip("/")


def build_page(build: BuildView, pages: str) -> str | None:
    """Return where a build is looked at. While it runs its `url` may be where it runs; Torii's own page has the log from its start on."""
    return f"{pages}/builds/{build.id}" if pages and build.url and build.state == "running" else build.url


def build_colour(build: BuildView) -> str:
    """Return the colour in which a terminal shows a build."""
    match build.result:
        case None:
            return "cyan" if build.state == "running" else "bright_black"
        case Result.SUCCESS:
            return "green"
        case Result.SKIPPED | Result.CANCELED:
            return "bright_black"
        case _:
            return "red" if build.voting else "yellow"


def elapsed(since: float, until: float) -> str:
    """Return the time between two moments in words, never less than none: clocks jump."""
    return spoken_duration(max(until - since, 0.0))


def moment(at: float) -> str:
    """Return a time as the user's clock shows it."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))


def grouped(stays: Iterable[Stay]) -> Iterator[tuple[str, str, list[Stay]]]:
    """Yield each pipeline's queues with their items, in the order given."""
    queues: dict[tuple[str, str], list[Stay]] = {}
    for stay in stays:
        queues.setdefault((stay.item.pipeline, stay.item.queue), []).append(stay)
    for (pipeline, queue), members in queues.items():
        yield pipeline, queue, members


def _by_item(builds: Iterable[BuildView]) -> dict[str, list[BuildView]]:
    found: dict[str, list[BuildView]] = {}
    for build in builds:
        found.setdefault(build.item, []).append(build)
    return found


def _tests(build: BuildView) -> str:
    if build.tests is None or not build.tests.failed:
        return ""
    first = f" ({build.tests.failing[0]})" if build.tests.failing else ""
    return f", {build.tests.failed} of {build.tests.total} tests failed{first}"
