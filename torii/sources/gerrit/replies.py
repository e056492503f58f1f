"""Tells Gerrit's answers from what only looks like one, and puts each refusal and failure in words: what, where, what to do."""

from __future__ import annotations

import re
import socket
from email.utils import parsedate_to_datetime
from typing import Any

import requests

from torii.config.settings import GerritConnection
from torii.git.names import redact
from torii.sources.gerrit.errors import GerritError, GerritRefusedError, GerritUnavailableError

_SHOWN = 500
_TITLE = re.compile(r"<title[^>]*>(.*?)</title>", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(r"<[^>]*>")
_PASSING = {408, 425, 429}
_TO_DO = {
    400: "This is a mistake of Torii's or a limit of this Gerrit's",
    403: "The account lacks a permission; `torii gerrit check` says which",
    404: "It is not there, or the account may not see it",
    405: "Is {url} the address of Gerrit's own pages?",
    413: "A server between Torii and Gerrit limits what may be sent",
}


def where(connection: GerritConnection, method: str, path: str) -> str:
    """Return the beginning of every message: which Gerrit, at which address, was asked for what."""
    shown = path.lstrip("/").partition("?")[0]
    shown = shown if len(shown) <= 200 else f"{shown[:200]}..."
    return f"Gerrit {connection.name!r} at {redact(connection.url)}, {method.upper()} /{shown}"


def content(connection: GerritConnection, method: str, path: str, found: Any, response: requests.Response) -> Any:
    """Return the JSON `found` in `response`, or its text where Gerrit gives files as text; None where it is empty.

    Raises GerritUnavailableError where it was not Gerrit who answered: a page of HTML, a redirect to a login page.
    """
    if 300 <= response.status_code < 400:
        target = redact(response.headers.get("Location", "nowhere"))[:_SHOWN]
        raise not_gerrit(connection, method, path, response, f"it sends us on to {target}")
    kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if kind == "application/json":
        return None if found in ("", b"") else found
    if found in ("", b""):
        return None
    if kind == "text/plain":
        return found
    text = found if isinstance(found, str) else bytes(found).decode(errors="replace")
    raise not_gerrit(connection, method, path, response, f"it answers with {_described(text, kind)}")


def not_gerrit(connection: GerritConnection, method: str, path: str, response: requests.Response, what: str) -> GerritUnavailableError:
    """Return the error for an answer that is none of Gerrit's."""
    return GerritUnavailableError(
        f"{where(connection, method, path)}: {what}, where Gerrit's JSON was due. Is `url` of connections.{connection.name} the address of "
        f"Gerrit itself, and does the server in front of it let /a/ through without a login page?",
        status=response.status_code,
    )


def refusal(connection: GerritConnection, method: str, path: str, response: requests.Response) -> GerritError:
    """Return the error for a reply whose status is 400 or more."""
    status = response.status_code
    kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    text = response.content.decode(errors="replace").strip()
    said = _described(text, kind) if kind == "text/html" else text[:_SHOWN]
    start = f"{where(connection, method, path)}: {status} {response.reason or ''}".rstrip() + (f": {said}" if said else "")
    if status >= 500 or status in _PASSING:
        after = _retry_after(response)
        hint = f"; it asks to be left alone for {after:.0f} s" if after else ""
        return GerritUnavailableError(f"{start}{hint}", status=status, retry_after=after)
    if status == 401:
        return GerritRefusedError(f"{start}. {_login(connection)}", status=status, text=text)
    if status == 403 and connection.password is None:
        return GerritRefusedError(f"{start}. {_login(connection)}", status=status, text=text)
    to_do = _TO_DO.get(status, "").format(url=redact(connection.url))
    return GerritRefusedError(f"{start}. {to_do}" if to_do else start, status=status, text=text)


def no_reply(connection: GerritConnection, method: str, path: str, error: Exception) -> GerritError:
    """Return the error for a request that was not answered at all, or with something broken."""
    start = where(connection, method, path)
    limit = connection.timeout
    key = f"connections.{connection.name}"
    match error:
        case requests.exceptions.SSLError():
            return GerritUnavailableError(
                f"{start}: TLS fails: {_innermost(error)}. For a certificate of your own, give its file as `ca` of {key}"
            )
        case requests.exceptions.ProxyError():
            return GerritUnavailableError(f"{start}: the proxy that the environment names fails: {_innermost(error)}")
        case requests.exceptions.ConnectTimeout():
            return GerritUnavailableError(f"{start}: nobody answers at this address; is Gerrit up, and does no firewall drop the packets?")
        case requests.exceptions.Timeout():
            return GerritUnavailableError(f"{start}: no answer within {limit:g} s. If this Gerrit is that slow, raise `timeout` of {key}")
        case (
            requests.exceptions.JSONDecodeError() | requests.exceptions.ChunkedEncodingError() | requests.exceptions.ContentDecodingError()
        ):
            return GerritUnavailableError(f"{start}: the reply is cut or garbled: {_innermost(error)}")
        case requests.exceptions.ConnectionError():
            return GerritUnavailableError(f"{start}: {_unconnected(error)}")
        case requests.exceptions.RequestException():
            return GerritError(f"{start}: {_innermost(error)}. Check `url` of {key}")
        case ValueError() | LookupError():
            return GerritUnavailableError(f"{start}: the reply is cut or garbled: {error}"[:_SHOWN])
        case _:
            return GerritUnavailableError(f"{start}: {error}")


def _unconnected(error: Exception) -> str:
    inner = _causes(error)
    if any(isinstance(each, socket.gaierror) or "NameResolution" in type(each).__name__ for each in inner):
        return "its host name is not known. Check `url`, and the name server of this machine"
    if any(isinstance(each, ConnectionRefusedError) for each in inner):
        return "the connection is refused: nothing listens there. Is Gerrit up?"
    return f"the connection broke: {_innermost(error)}"


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


def _innermost(error: Exception) -> str:
    words = [str(each) for each in _causes(error) if str(each)]
    return (min(words, key=len) if words else type(error).__name__)[:_SHOWN]


def _described(text: str, kind: str) -> str:
    title = _TITLE.search(text)
    if title and title[1].strip():
        return f"a page titled {' '.join(title[1].split())[:100]!r}"
    plain = " ".join(_TAG.sub(" ", text[:4000]).split())
    return f"{kind or 'something'} that begins {plain[:100]!r}"


def _login(connection: GerritConnection) -> str:
    key = f"connections.{connection.name}"
    if connection.password is None:
        return f"Torii asks as nobody in particular: give `user` and `password` (env:NAME or file:PATH) in {key}"
    return f"Check `user` ({connection.user}) and `password` of {key}: the password is the HTTP one that Gerrit's settings page makes"


def _retry_after(response: requests.Response) -> float | None:
    """Return the seconds of Retry-After (RFC 9110, 10.2.3), a number or a date by the server's own clock; None where it is neither."""
    value = response.headers.get("Retry-After", "").strip()
    if value.isascii() and value.isdecimal() and len(value) < 10:
        return float(value)
    try:
        now = parsedate_to_datetime(response.headers.get("Date", ""))
        return max(0.0, (parsedate_to_datetime(value) - now).total_seconds())
    except (TypeError, ValueError, OverflowError):
        return None
