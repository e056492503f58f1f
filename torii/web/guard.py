"""Stands in front of every page: for host names that are ours, with headers that forbid what a page does not need.

Pages are read only: GET and HEAD. Webhooks alone take POST, and the runs of a change OPTIONS, by which a browser asks whether it may ask.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable
from urllib.parse import urlsplit

import structlog
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_log = structlog.get_logger(__name__)

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_READING = ("GET", "HEAD")
_METHODS = {"/gerrit-checks/": (*_READING, "OPTIONS"), "/webhooks/": ("POST",)}
"""What may be asked of addresses that begin so; of all others, what reads."""
_HEADERS = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "x-frame-options": "DENY",
    "cache-control": "no-cache",
}


class Guard:
    """The outermost layer of the pages. `hosts` are the names, besides addresses and `localhost`, under which they are reached.

    A foreign name in `Host` is how a web page elsewhere reads ours through the user's browser (DNS rebinding): it is answered with 421.
    An address cannot be rebound, so any is taken. Webhooks are taken under any name, for there is nothing to read, and they know a secret.
    """

    def __init__(self, app: ASGIApp, hosts: Iterable[str]) -> None:
        self._app = app
        self._hosts = frozenset(host.lower().rstrip(".") for host in hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        try:
            await (self._refusal(scope) or self._app)(scope, receive, _guarded(send))
        except Exception:  # Starlette has sent what it could by now; the server closes the connection of an answer that is not whole
            _log.exception("page-failed", path=scope["path"])

    def _refusal(self, scope: Scope) -> PlainTextResponse | None:
        start, methods = next(((start, each) for start, each in _METHODS.items() if scope["path"].startswith(start)), ("", _READING))
        if scope["method"] not in methods:
            allowed = ", ".join(methods)
            text = f"Here {allowed} is taken." if start else "These pages are read only: GET and HEAD."
            return PlainTextResponse(f"{text}\n", 405, {"allow": allowed})
        if "POST" in methods:
            return None
        host = next((value for name, value in scope["headers"] if name == b"host"), b"").decode("latin-1")
        if not self._ours(host):
            return PlainTextResponse(
                "Torii is not known by this host name. An operator can set web.url in server.yml to the right one.\n", 421
            )
        return None

    def _ours(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        if name.rstrip(".") == "localhost" or name.rstrip(".") in self._hosts:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True


def _guarded(send: Send) -> Send:
    async def guarded(message: Message) -> None:
        if message["type"] == "http.response.start":
            given = {name.lower() for name, _ in message["headers"]}
            added = [(name.encode(), value.encode()) for name, value in _HEADERS.items() if name.encode() not in given]
            message = {**message, "headers": [*message["headers"], *added]}
        await send(message)

    return guarded


def own_names(host: str, url: str | None) -> set[str]:
    """Return the host names under which pages bound to `host`, and given to users as `url`, may be asked for."""
    names = {host, urlsplit(url).hostname or "" if url else ""}
    if host not in ("127.0.0.1", "::1", "localhost"):
        names |= {socket.gethostname(), socket.getfqdn()}
    return {name for name in names if name}
