"""Console logs as plain text and artifacts as files, with ranges. A stranger made them: a browser is to save or show, never to run them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from urllib.parse import quote

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from torii.errors import OperatorError
from torii.model.ids import BuildId
from torii.results import layout
from torii.store.blobs import Blobs
from torii.web.ranges import Range, Unsatisfiable, parse

AT_ONCE = 24
"""Downloads at once: slow clients shall not keep pages from others."""
_CHUNK = 256 * 1024
_SANDBOX = "sandbox; default-src 'none'"


class Downloads:
    """Streams blobs. What grows meanwhile is sent as long as it was when asked for."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs
        self._slots = threading.BoundedSemaphore(AT_ONCE)

    def log(self, request: Request) -> Response:
        """The console log, as the build wrote it. A browser shows it, as text only."""
        build = _build(request)
        return self._blob(
            request, layout.console(build), "There is no log of that build (yet).", {"content-type": "text/plain; charset=utf-8"}
        )

    def artifact(self, request: Request) -> Response:
        """A file that the build left. A browser saves it."""
        build, path = _build(request), request.path_params["path"]
        missing = "That build left no such file."
        try:
            key = layout.artifact(build, path)
        except layout.UnfitNameError:
            raise HTTPException(404, missing) from None
        name = quote(path.rpartition("/")[2], safe="")
        headers = {"content-type": "application/octet-stream", "content-disposition": f"attachment; filename*=UTF-8''{name}"}
        return self._blob(request, key, missing, headers)

    def _blob(self, request: Request, key: str, missing: str, headers: dict[str, str]) -> Response:
        size = self._blobs.size(key)
        if size is None:
            raise HTTPException(404, missing)
        # Logs only grow and artifacts are written once, so the size tells one state of a blob from another.
        etag = f'"{size:x}"'
        headers |= {"etag": etag, "accept-ranges": "bytes", "content-security-policy": _SANDBOX}
        if etag in [tag.strip() for tag in request.headers.get("if-none-match", "").split(",")]:
            return Response(status_code=304, headers={"etag": etag})
        # RFC 9110: If-Range compares strongly; what it does not match gets the whole, and a date never matches.
        wanted = None if request.headers.get("if-range", etag) != etag else parse(request.headers.get("range"), size)
        if isinstance(wanted, Unsatisfiable):
            return Response("", 416, {"content-range": f"bytes */{size}", "accept-ranges": "bytes", "content-type": "text/plain"})
        sent = wanted or Range(0, size)
        headers["content-length"] = str(sent.end - sent.start)
        if wanted is not None:
            headers["content-range"] = wanted.content_range(size)
        status = 206 if wanted is not None else 200
        if request.method == "HEAD":
            return Response(None, status, headers)
        return _Download(self._chunks(key, sent), status, headers, self._slots)

    def _chunks(self, key: str, sent: Range) -> Iterator[bytes]:
        position = sent.start
        while position < sent.end:
            chunk = self._blobs.read(key, position, min(position + _CHUNK, sent.end))
            if not chunk:
                raise OperatorError(f"the blob {key} became shorter while it was sent")
            position += len(chunk)
            yield chunk


class _Download(StreamingResponse):
    """A response that takes one of `slots` while it is sent, or says that there is none."""

    def __init__(self, content: Iterator[bytes], status: int, headers: dict[str, str], slots: threading.Semaphore) -> None:
        super().__init__(content, status, headers)
        self._slots = slots

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not self._slots.acquire(blocking=False):
            busy = PlainTextResponse("Too many downloads at once. Try again in a moment.\n", 503, {"retry-after": "5"})
            await busy(scope, receive, send)
            return
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._slots.release()


def _build(request: Request) -> BuildId:
    name = request.path_params["build"]
    if not layout.is_build_id(name):
        raise HTTPException(404, "There is no build of that id.")
    return BuildId(name)
