"""The pages that people read, made on the server from the templates beside this file."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from torii import __version__
from torii.errors import OperatorError
from torii.model.ids import BuildId, ChangeId, ItemId
from torii.model.pipeline import PipelineSpec
from torii.model.view import BuildView
from torii.results import layout
from torii.results.record import BuildRecord
from torii.results.stored import read_record
from torii.results.text import clean_line
from torii.runtime.ports import Health
from torii.store.blobs import Blobs
from torii.web import words
from torii.web.board import read_board, read_story
from torii.web.log import NOTHING, PIECE, START, LogReader, Piece, unpack_cursor
from torii.web.ports import Pages
from torii.web.static import asset_url

_TEMPLATES = Path(__file__).parent / "templates"
_BOARD_AGE = 0.4
"""Seconds for which a rendered status page is good for everyone who asks."""
ARTIFACTS_SHOWN = 500
_FOR_PROGRAMS = ("/api/", "/health", "/gerrit-checks/", "/webhooks/")


def templates() -> Environment:
    """Return the templates: everything is escaped, and a name that is not given is an error."""
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(words.FILTERS)
    environment.globals.update(version=__version__, asset=asset_url, now=time.time)
    return environment


class Site:
    """One method a page. They run in worker threads, and may block for as long as the store does."""

    def __init__(self, pages: Pages, blobs: Blobs, pipelines: tuple[PipelineSpec, ...], health: Callable[[], Health]) -> None:
        self._pages = pages
        self._blobs = blobs
        self._pipelines = pipelines
        self._health = health
        self._templates = templates()
        self._logs = LogReader(blobs)
        self._board_lock = threading.Lock()
        self._board: tuple[float, Response] | None = None

    def status(self, request: Request) -> Response:
        """All pipelines and queues as they are now. Many who look at once cost no more than one."""
        if "live" not in request.query_params:
            return self._status(request)
        with self._board_lock:
            made = self._board
            if made is None or time.monotonic() - made[0] > _BOARD_AGE:
                made = (time.monotonic(), self._status(request))
                self._board = made
        return _unless_known(request, made[1])

    def _status(self, request: Request) -> Response:
        return self._page(request, "status.html", board=read_board(self._pages, self._pipelines), health=self._health())

    def change(self, request: Request) -> Response:
        """What became of a change, and every decision on it."""
        change = ChangeId(request.path_params["change"])
        items = self._pages.items(change=change, limit=50)
        decisions = self._pages.decisions_of(change, limit=500)
        if not items and not decisions:
            raise HTTPException(404, f"Torii knows no change {clean_line(change)!r}. Was it pushed, and to a project Torii gates?")
        return self._live_page(request, "change.html", change=change, items=items, decisions=decisions)

    def item(self, request: Request) -> Response:
        """One stay of a change in a pipeline: on what it was built, and when and why it was built again."""
        item = self._pages.item(ItemId(request.path_params["item"]))
        if item is None:
            raise HTTPException(404, "There is no such queue item. It may have been deleted because of its age.")
        return self._live_page(request, "item.html", story=read_story(self._pages, item))

    def build(self, request: Request) -> Response:
        """One build: its facts, and its log."""
        build = self._known(request)
        record, damage = self._record(build.id)
        done = build.state == "done" or record is not None
        log_size = self._blobs.size(layout.console(build.id))
        facts: dict[str, Any] = {
            "build": build,
            "item": self._pages.item(build.item),
            "record": record,
            "damage": damage,
            "done": done,
            "log_size": log_size,
            "artifacts": self._artifacts(build.id, record),
            "linked": [(path, record.link(path)) for path in record.linked[:ARTIFACTS_SHOWN]] if record else [],
            "artifacts_more": _more(record.artifacts) + _more(record.linked) if record else 0,
        }
        if "live" in request.query_params:
            return self._live_page(request, "build.html", piece=NOTHING, **facts)
        key = layout.console(build.id)
        piece = self._logs.after(key, START) if (log_size or 0) <= PIECE else self._logs.tail(key)
        return self._live_page(request, "build.html", piece=piece, **facts)

    def log_rows(self, request: Request) -> Response:
        """A piece of a log as rows of HTML in JSON: `after` or `before` a cursor, the `tail`, or around a `line`."""
        build = self._known(request)
        # Asked before the log is read: were it after, the last lines could come between and be missed.
        done = build.state == "done" or self._record(build.id)[0] is not None
        piece = self._piece(request, layout.console(build.id))
        template = self._templates.get_template("rows.html")
        return JSONResponse(
            {
                "html": template.render(piece=piece),
                "start": piece.start.pack(),
                "end": piece.end.pack(),
                "first": piece.start.offset == 0,
                "more": piece.more,
                "size": piece.size,
                "done": done,
            }
        )

    def _piece(self, request: Request, key: str) -> Piece:
        asked = request.query_params
        if (line := asked.get("line", "")).isdecimal() and len(line) < 16:
            return self._logs.at_line(key, int(line))
        for name, read in (("after", self._logs.after), ("before", self._logs.before)):
            if name in asked:
                cursor = unpack_cursor(asked[name])
                if cursor is None:
                    raise HTTPException(400, f"{name} is not a place in a log, as an earlier answer gave it.")
                return read(key, cursor)
        return self._logs.tail(key)

    def _known(self, request: Request) -> BuildView:
        name = request.path_params["build"]
        build = self._pages.build(BuildId(name)) if layout.is_build_id(name) else None
        if build is None:
            raise HTTPException(404, "There is no build of that id. It may have been deleted because of its age.")
        return build

    def _record(self, build: BuildId) -> tuple[BuildRecord | None, str]:
        try:
            return read_record(self._blobs, build), ""
        except OperatorError as error:
            return None, str(error)

    def _artifacts(self, build: BuildId, record: BuildRecord | None) -> list[tuple[str, int | None]]:
        found = []
        for path in record.artifacts[:ARTIFACTS_SHOWN] if record else ():
            try:
                found.append((path, self._blobs.size(layout.artifact(build, path))))
            except (layout.UnfitNameError, OperatorError):
                found.append((path, None))
        return found

    def _live_page(self, request: Request, template: str, **values: Any) -> Response:
        page = self._page(request, template, **values)
        return _unless_known(request, page) if "live" in request.query_params else page

    def _page(self, request: Request, name: str, **values: Any) -> Response:
        """Return a whole page, or with `?live` only the part of it that changes."""
        template = self._templates.get_template(name)
        if "live" not in request.query_params:
            return HTMLResponse(template.render(layout="base.html", **values))
        body = template.render(layout="live.html", **values)
        return HTMLResponse(body, headers={"etag": f'"{hashlib.sha256(body.encode()).hexdigest()[:20]}"'})

    def problem(self, request: Request, status: int, text: str, headers: Mapping[str, str] | None = None) -> Response:
        """Return the page for what could not be shown; JSON where a program asked."""
        if request.url.path.startswith(_FOR_PROGRAMS) or request.url.path.endswith("/log/rows"):
            return JSONResponse({"error": text}, status, headers)
        return HTMLResponse(self._templates.get_template("problem.html").render(status=status, text=text), status, headers)


def _more(paths: Sequence[str]) -> int:
    return max(0, len(paths) - ARTIFACTS_SHOWN)


def _unless_known(request: Request, response: Response) -> Response:
    etag = response.headers["etag"]
    if request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers={"etag": etag})
    return response
