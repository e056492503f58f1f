"""The same as the pages show, as JSON for scripts. Field names are those of `torii.model.view`; times are seconds since the epoch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from enum import Enum
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from torii import __version__
from torii.model.ids import BuildId, ChangeId, ItemId
from torii.model.pipeline import PipelineSpec
from torii.results import layout
from torii.results.stored import read_record
from torii.runtime.ports import Health
from torii.store.blobs import Blobs
from torii.web.board import Card, read_board, read_story
from torii.web.ports import Pages


class Api:
    """One method an address. They run in worker threads."""

    def __init__(self, pages: Pages, blobs: Blobs, pipelines: tuple[PipelineSpec, ...], health: Callable[[], Health]) -> None:
        self._pages = pages
        self._blobs = blobs
        self._pipelines = pipelines
        self._health = health

    def status(self, _: Request) -> Response:
        """Pipelines, queues and items as they are, and what left last."""
        board = read_board(self._pages, self._pipelines)
        pipelines = [
            {
                "name": pipeline.name,
                "manager": pipeline.manager,
                "count": pipeline.count,
                "queues": [
                    {"name": queue.name, "items": [_card(card) for card in queue.cards], "more": queue.more} for queue in pipeline.queues
                ],
            }
            for pipeline in board.pipelines
        ]
        return JSONResponse({"pipelines": pipelines, "recent": [plain(item) for item in board.recent]})

    def change(self, request: Request) -> Response:
        """Every stay of a change in a pipeline, and every decision on it."""
        change = ChangeId(request.path_params["change"])
        items = self._pages.items(change=change)
        decisions = self._pages.decisions_of(change, limit=500)
        if not items and not decisions:
            raise HTTPException(404, f"Torii knows no change {change!r}.")
        return JSONResponse({"change": change, "items": plain(items), "decisions": plain(decisions)})

    def item(self, request: Request) -> Response:
        """One item with its build sets and decisions."""
        item = self._pages.item(ItemId(request.path_params["item"]))
        if item is None:
            raise HTTPException(404, "There is no such queue item.")
        story = read_story(self._pages, item)
        sets = [{"id": each.id, "current": each.current, "builds": plain(each.builds)} for each in story.sets]
        return JSONResponse({**plain(item), "build_sets": sets, "decisions": plain(story.decisions)})

    def build(self, request: Request) -> Response:
        """One build, with what was written down when it ended (`record`, null until then)."""
        name = request.path_params["build"]
        build = self._pages.build(BuildId(name)) if layout.is_build_id(name) else None
        if build is None:
            raise HTTPException(404, "There is no build of that id.")
        record = read_record(self._blobs, build.id)
        log_size = self._blobs.size(layout.console(build.id))
        return JSONResponse({**plain(build), "record": plain(record) if record else None, "log_size": log_size})

    def health(self, _: Request) -> Response:
        """Whether Torii works: 200 where it does, also with sources that are not well (which it names), else 503."""
        self._pages.items(active_only=True, limit=1)  # where the store cannot be read, the error handler answers 503
        health = self._health()
        status = "down" if health.problem else "degraded" if health.degraded else "ok"
        said = {"status": status, "version": __version__, "problem": health.problem, "sources": dict(health.sources)}
        return JSONResponse(said, 503 if health.problem else 200)


def plain(value: Any) -> Any:
    """Return a value of the model as what JSON knows."""
    if isinstance(value, tuple | list):
        return [plain(each) for each in value]
    return _values(asdict(value))


def _values(value: Any) -> Any:
    match value:
        case dict():
            return {key: _values(each) for key, each in value.items()}
        case list() | tuple():
            return [_values(each) for each in value]
        case Enum():
            return value.value
    return value


def _card(card: Card) -> dict[str, Any]:
    return {**plain(card.item), "place": card.place, "builds": plain(card.builds)}
