"""The table of addresses, and what becomes of an error in any of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from torii.config.settings import Connection
from torii.errors import OperatorError
from torii.model.pipeline import PipelineSpec
from torii.runtime.ports import Health, TakesWebhooks
from torii.store.blobs import Blobs
from torii.web.api import Api
from torii.web.checks import PATH as CHECKS
from torii.web.checks import Checks
from torii.web.downloads import Downloads
from torii.web.ports import Pages
from torii.web.site import Site
from torii.web.static import asset
from torii.web.webhooks import Webhooks

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the pages know of the Torii around them, besides its store.

    `connections` are those of `server.yml`; `webhooks` who takes webhooks, by connection; `health` how Torii is, asked for each page that
    shows it; `url` where users reach the pages, empty where that is not known.
    """

    pipelines: tuple[PipelineSpec, ...] = ()
    connections: Sequence[Connection] = ()
    webhooks: Mapping[str, TakesWebhooks] = field(default_factory=dict)
    health: Callable[[], Health] = Health
    url: Callable[[], str] = str


def make_app(pages: Pages, blobs: Blobs, around: Surroundings | None = None) -> Starlette:
    """Return the pages as an ASGI application. It must stand behind `torii.web.guard.Guard`."""
    around = around or Surroundings()
    site, api = Site(pages, blobs, around.pipelines, around.health), Api(pages, blobs, around.pipelines, around.health)
    downloads, runs, webhooks = Downloads(blobs), Checks(pages, around.pipelines, around.connections, around.url), Webhooks(around.webhooks)

    def http_problem(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        text = error.detail if error.status_code != 404 or error.detail != "Not Found" else "There is no such page."
        return site.problem(request, error.status_code, text, error.headers)

    def store_problem(request: Request, error: Exception) -> Response:
        _log.error("page-without-store", path=request.url.path, error=str(error))
        return site.problem(request, 503, "Torii cannot read its store just now. Its own log says why.", {"retry-after": "5"})

    def bug(request: Request, _: Exception) -> Response:
        return site.problem(request, 500, "Torii met an error of its own while it made this page. Its log has the details.")

    # Downloads are sent as they are: a range of something packed would be another range.
    packed = [Middleware(GZipMiddleware, minimum_size=1024, compresslevel=5)]
    routes = [
        Route("/", site.status, middleware=packed),
        Route("/changes/{change:path}", site.change, middleware=packed),
        Route("/items/{item}", site.item, middleware=packed),
        Route("/builds/{build}", site.build, middleware=packed),
        Route("/builds/{build}/log", downloads.log),
        Route("/builds/{build}/log/rows", site.log_rows, middleware=packed),
        Route("/builds/{build}/artifacts/{path:path}", downloads.artifact),
        Route("/api/status", api.status, middleware=packed),
        Route("/api/changes/{change:path}", api.change, middleware=packed),
        Route("/api/items/{item}", api.item, middleware=packed),
        Route("/api/builds/{build}", api.build, middleware=packed),
        Route("/health", api.health),
        Route(CHECKS, runs.runs, methods=["GET", "OPTIONS"], middleware=[runs.middleware, *packed]),
        Route("/webhooks/{connection}", webhooks.take, methods=["POST"]),
        Route("/static/{name}", asset, middleware=packed),
    ]
    return Starlette(
        routes=routes,
        exception_handlers={HTTPException: http_problem, OperatorError: store_problem, Exception: bug},
    )
