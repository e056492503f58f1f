"""Tells Gerrit's answers from what only looks like one, and puts each refusal and failure in words: what, where, what to do."""

from __future__ import annotations

from typing import Any

import requests

from torii.config.settings import GerritConnection
from torii.git.names import redact
from torii.http.words import described, innermost, retry_after, unconnected
from torii.sources.gerrit.errors import GerritError, GerritRefusedError, GerritUnavailableError

_SHOWN = 500
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
    raise not_gerrit(connection, method, path, response, f"it answers with {described(text, kind)}")


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
    said = described(text, kind) if kind == "text/html" else text[:_SHOWN]
    start = f"{where(connection, method, path)}: {status} {response.reason or ''}".rstrip() + (f": {said}" if said else "")
    if status >= 500 or status in _PASSING:
        after = retry_after(response)
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
                f"{start}: TLS fails: {innermost(error)}. For a certificate of your own, give its file as `ca` of {key}"
            )
        case requests.exceptions.ProxyError():
            return GerritUnavailableError(f"{start}: the proxy that the environment names fails: {innermost(error)}")
        case requests.exceptions.ConnectTimeout():
            return GerritUnavailableError(f"{start}: nobody answers at this address; is Gerrit up, and does no firewall drop the packets?")
        case requests.exceptions.Timeout():
            return GerritUnavailableError(f"{start}: no answer within {limit:g} s. If this Gerrit is that slow, raise `timeout` of {key}")
        case (
            requests.exceptions.JSONDecodeError() | requests.exceptions.ChunkedEncodingError() | requests.exceptions.ContentDecodingError()
        ):
            return GerritUnavailableError(f"{start}: the reply is cut or garbled: {innermost(error)}")
        case requests.exceptions.ConnectionError():
            return GerritUnavailableError(f"{start}: {unconnected(error, 'Gerrit')}")
        case requests.exceptions.RequestException():
            return GerritError(f"{start}: {innermost(error)}. Check `url` of {key}")
        case ValueError() | LookupError():
            return GerritUnavailableError(f"{start}: the reply is cut or garbled: {error}"[:_SHOWN])
        case _:
            return GerritUnavailableError(f"{start}: {error}")


def _login(connection: GerritConnection) -> str:
    key = f"connections.{connection.name}"
    if connection.password is None:
        return f"Torii asks as nobody in particular: give `user` and `password` (env:NAME or file:PATH) in {key}"
    return f"Check `user` ({connection.user}) and `password` of {key}: the password is the HTTP one that Gerrit's settings page makes"
