"""Feeds the Checks tab of Gerrit's pages: `GET /gerrit-checks/runs?change=NUMBER&patchset=NUMBER`, as Gerrit's stock plug-in
`checks-jenkins` asks it of a Jenkins (https://plugins.jenkins.io/gerrit-checks-api, "Query Runs"). The values are those of Gerrit's checks
API (https://gerrit.googlesource.com/gerrit/+/master/polygerrit-ui/app/api/checks.ts). Nothing here changes what Torii does.

The browser asks from Gerrit's page, with cookies: only the addresses of configured Gerrits may read the answer.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from torii.config.settings import Connection, GerritConnection
from torii.model.ids import ChangeId
from torii.model.pipeline import PipelineSpec
from torii.model.view import ItemView
from torii.results.text import clean_line
from torii.web.ports import Pages
from torii.web.runs import runs_of

PATH = "/gerrit-checks/runs"
ITEMS_READ = 100
"""Stays of a change in pipelines that are looked at, the newest: of all its patch sets."""
ITEMS_SHOWN = 30
"""Stays of one patch set of which builds are read: a page that polls must not cost more than that."""
RUNS_SHOWN = 500
_PREFLIGHT_AGE = 600


class Checks:
    """The endpoint. `url` gives the address of Torii's own pages; where it does not know, it is the one that was asked."""

    def __init__(
        self,
        pages: Pages,
        pipelines: tuple[PipelineSpec, ...],
        connections: Sequence[Connection],
        url: Callable[[], str],
    ) -> None:
        self._pages = pages
        self._pipelines = {spec.name: spec for spec in pipelines}
        self._gerrits = tuple(_Gerrit(each.name, origin_of(each.url)) for each in connections if isinstance(each, GerritConnection))
        self._url = url

    @property
    def middleware(self) -> Middleware:
        """What lets the pages of the configured Gerrits, and of nobody else, read the answers."""
        origins = [gerrit.origin for gerrit in self._gerrits if gerrit.origin]
        return Middleware(
            CORSMiddleware,
            allow_origins=origins,
            allow_credentials=True,
            allow_methods=["GET"],
            allow_headers=["Content-Type"],
            allow_private_network=True,
            max_age=_PREFLIGHT_AGE,
        )

    def runs(self, request: Request) -> Response:
        """All runs of one patch set, as JSON. What is not known has none: a page asks for each change that is looked at."""
        if request.method == "OPTIONS":
            return Response(status_code=204, headers={"allow": "GET, HEAD, OPTIONS"})
        change, patchset = _number(request, "change"), _number(request, "patchset")
        items = self._items(request, change, patchset)
        builds = self._pages.builds_of(*(item.id for item in items))
        base = self._url() or str(request.base_url)
        runs = runs_of(items, builds, self._pipelines, base.rstrip("/"))[-RUNS_SHOWN:]
        return JSONResponse({"runs": [{"change": change, "patchset": patchset, "patchSet": patchset, **run} for run in runs]})

    def _items(self, request: Request, change: int, patchset: int) -> list[ItemView]:
        """Return the stays of the patch set, the oldest first."""
        repo = request.query_params.get("repo", "")
        found: dict[str, list[ItemView]] = {}
        for gerrit in self._candidates(request):
            stays = self._pages.items(change=ChangeId(f"{gerrit.name}:{change}"), limit=ITEMS_READ)
            mine = [item for item in stays if item.patchset == str(patchset) and (not repo or repo in _repositories(item))]
            if mine:
                found[gerrit.name] = mine[:ITEMS_SHOWN]
        if len(found) > 1:
            raise HTTPException(
                400, f"There is a change {change} on each of {', '.join(found)}: add &connection=NAME to say which is meant."
            )
        return sorted((item for items in found.values() for item in items), key=lambda item: item.enqueued_at)

    def _candidates(self, request: Request) -> Sequence[_Gerrit]:
        """Return the Gerrits that the request can be about: the one it names, else those on whose pages the user is, else all."""
        if not self._gerrits:
            raise HTTPException(404, "This Torii has no connection to a Gerrit in its server.yml.")
        if (name := request.query_params.get("connection", "")) != "":
            named = [gerrit for gerrit in self._gerrits if gerrit.name == name]
            if not named:
                known = ", ".join(gerrit.name for gerrit in self._gerrits)
                raise HTTPException(400, f"connection is {clean_line(name, 60)!r}, which is no Gerrit in server.yml: there is {known}.")
            return named
        origin = request.headers.get("origin", "")
        return [gerrit for gerrit in self._gerrits if origin and gerrit.origin == origin] or self._gerrits


@dataclass(frozen=True, slots=True)
class _Gerrit:
    name: str
    origin: str


def origin_of(url: str) -> str:
    """Return the origin of pages at `url` as a browser writes it (RFC 6454, 6.2), empty where they can have none."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return ""
    if parts.scheme not in ("http", "https") or not host:
        return ""
    host = f"[{host}]" if ":" in host else host
    usual = {"http": 80, "https": 443}[parts.scheme]
    return f"{parts.scheme}://{host}" if port in (None, usual) else f"{parts.scheme}://{host}:{port}"


def _number(request: Request, name: str) -> int:
    text = request.query_params.get(name)
    if text is None:
        raise HTTPException(400, f"{name} is missing: ask for {PATH}?change=NUMBER&patchset=NUMBER.")
    if not re.fullmatch(r"[0-9]{1,10}", text) or int(text) == 0:
        raise HTTPException(400, f"{name} is {clean_line(text, 40)!r}, but must be a number, as Gerrit counts them.")
    return int(text)


def _repositories(item: ItemView) -> tuple[str, ...]:
    """Return what the item's repository is called: here, and on its Gerrit."""
    path = urlsplit(item.url or "").path
    there = re.search(r"/c/(.+)/\+/", path)
    return (str(item.project), unquote(there[1])) if there else (str(item.project),)
