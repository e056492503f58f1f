"""What happens to HTTP requests, in words: why a connection failed, what a page is that came instead of an answer."""

from __future__ import annotations

import re
import socket
from email.utils import parsedate_to_datetime

import requests

_SHOWN = 500
_TITLE = re.compile(r"<title[^>]*>(.*?)</title>", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(r"<[^>]*>")


def unconnected(error: Exception, server: str) -> str:
    """Return why there is no connection to `server`, as it is called to users."""
    inner = _causes(error)
    if any(isinstance(each, socket.gaierror) or "NameResolution" in type(each).__name__ for each in inner):
        return "its host name is not known. Check `url`, and the name server of this machine"
    if any(isinstance(each, ConnectionRefusedError) for each in inner):
        return f"the connection is refused: nothing listens there. Is {server} up?"
    return f"the connection broke: {innermost(error)}"


def _causes(error: BaseException) -> list[BaseException]:
    """Return `error` and what it was made of: its causes, contexts, reasons and first arguments."""
    found: list[BaseException] = []
    waiting: list[object] = [error]
    while waiting and len(found) < 20:
        each = waiting.pop(0)
        if isinstance(each, BaseException) and all(each is not other for other in found):
            found.append(each)
            waiting += [each.__cause__, each.__context__, getattr(each, "reason", None), *each.args]
    return found


def innermost(error: Exception) -> str:
    """Return the shortest of what `error` and its causes say, which is the one that says it without wrapping."""
    words = [str(each) for each in _causes(error) if str(each)]
    return (min(words, key=len) if words else type(error).__name__)[:_SHOWN]


def described(text: str, kind: str) -> str:
    """Return what `text`, of the content type `kind`, looks like: the title of a page, or how it begins."""
    title = _TITLE.search(text)
    if title and title[1].strip():
        return f"a page titled {' '.join(title[1].split())[:100]!r}"
    plain = " ".join(_TAG.sub(" ", text[:4000]).split())
    return f"{kind or 'something'} that begins {plain[:100]!r}"


def retry_after(response: requests.Response) -> float | None:
    """Return the seconds of Retry-After (RFC 9110, 10.2.3), a number or a date by the server's own clock; None where it is neither."""
    value = response.headers.get("Retry-After", "").strip()
    if value.isascii() and value.isdecimal() and len(value) < 10:
        return float(value)
    try:
        now = parsedate_to_datetime(response.headers.get("Date", ""))
        return max(0.0, (parsedate_to_datetime(value) - now).total_seconds())
    except (TypeError, ValueError, OverflowError):
        return None
