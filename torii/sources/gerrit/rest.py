"""Gerrit's REST interface, through pygerrit2: each call has its time limits, and an answer that is no answer becomes an error with words.

What alters something is sent once: whether it took effect is unknown where no answer came, and only the caller can find that out. See
Gerrit's "REST API" page for the paths; `/a/` before them and the `)]}'` before the JSON are pygerrit2's affair.
"""

from __future__ import annotations

import base64
import binascii
import logging
import random
import threading
import time
from collections.abc import Mapping, Sequence
from email.utils import parsedate_to_datetime
from types import MappingProxyType
from typing import Any, Literal, NoReturn
from urllib.parse import quote as _percent

import requests
import structlog
from pygerrit2 import Anonymous, GerritRestAPI, HTTPBasicAuth
from requests.auth import AuthBase

from torii.config.secrets import resolve
from torii.config.settings import GerritConnection, Secret
from torii.http.line import Line, TooLargeError
from torii.sources.gerrit import replies
from torii.sources.gerrit.errors import GerritError, GerritReplyTooLargeError, GerritUnavailableError

log = structlog.get_logger()

# pygerrit2 writes a whole reply to standard error where it is no JSON; we say that in our own words.
logging.getLogger("pygerrit2").setLevel(logging.CRITICAL + 1)

MAX_REPLY = 64 * 1024 * 1024
"""Bytes of a reply, unpacked. 500 changes with all their messages are about a tenth of that."""

_CONNECT = 5.0
"""Seconds for reaching the server: as long as a stop may take."""

_WHOLE = 4.0
"""How many times the time limit a whole reply may take: the limit itself is for the silence between two pieces."""

_PAUSES = (0.3, 1.0, 3.0)
"""Seconds before the second, third and fourth attempt at a GET."""

_AS_EVER: Mapping[str, str] = MappingProxyType({})
"""No headers beside those of every request."""

Method = Literal["get", "post", "put", "delete"]


def quote(name: str) -> str:
    """Return `name` (of a project, a branch, a file) as one part of a path."""
    return _percent(name, safe="")


class GerritRest:
    """The REST interface of `connection`, for any number of threads. Connections are kept open and used again.

    Every method raises GerritUnavailableError, GerritRefusedError or another GerritError, and OperatorError where the password cannot be
    read. A path begins with what stands behind `/a/`: `changes/...`. `patience` multiplies the pauses between attempts; `largest` is bytes.
    """

    def __init__(self, connection: GerritConnection, patience: float = 1.0, largest: int = MAX_REPLY) -> None:
        self._connection = connection
        self._patience = patience
        self._largest = largest
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._idle: list[tuple[GerritRestAPI, Line]] = []
        self._busy: set[Line] = set()
        self._date: tuple[float, float] | None = None

    @property
    def name(self) -> str:
        """The connection's name in `server.yml`."""
        return self._connection.name

    def get(self, path: str, params: Sequence[tuple[str, str]] = ()) -> Any:
        """Return the JSON at `path`. What may pass is asked for again, a few times, in about twice the time limit."""
        return self._patiently(path, params)[0]

    def get_content(self, path: str) -> bytes:
        """Return the file that Gerrit gives, in base64, at `path` (`.../content`). As patient as `get`."""
        # Who accepts JSON is given the file as a JSON string, which cannot hold every file.
        body, response = self._patiently(path, (), {"Accept": "text/plain"})
        try:
            return base64.b64decode(body, validate=True)
        except (TypeError, ValueError, binascii.Error):
            raise replies.not_gerrit(self._connection, "get", path, response, "what should be a file in base64 is none") from None

    def post(self, path: str, body: object | None = None) -> Any:
        """POST `body` as JSON and return the JSON of the answer (None where it is empty). Sent once."""
        return self._once("post", path, (), body)[0]

    def put(self, path: str, body: object | None = None) -> Any:
        """PUT `body` as JSON and return the JSON of the answer (None where it is empty). Sent once."""
        return self._once("put", path, (), body)[0]

    def delete(self, path: str) -> Any:
        """DELETE what is at `path` and return the JSON of the answer (None where it is empty). Sent once."""
        return self._once("delete", path, (), None)[0]

    def exchange(self, path: str, service: str, body: bytes) -> bytes:
        """POST `body` to git's `service` at `path`, in version 2 of its protocol; return what it answers, which may be large. Sent once."""
        kinds = (("Content-Type", "request"), ("Accept", "result"))
        headers = {name: f"application/x-{service}-{kind}" for name, kind in kinds} | {"Git-Protocol": "version=2"}
        found, response = self._send("post", path, {"data": body, "headers": headers})
        if response.headers.get("Content-Type") != headers["Accept"] or not isinstance(found, bytes):
            raise replies.not_gerrit(self._connection, "post", path, response, "it answers with something that git does not say")
        return found

    def server_time(self) -> float | None:
        """Return what Gerrit's clock shows now, in seconds since the epoch, up to a second behind; None before the first answer."""
        if self._date is None:
            return None
        date, heard = self._date
        return date + (time.monotonic() - heard)

    def stop(self) -> None:
        """End the calls under way, and any later one, with GerritUnavailableError."""
        self._stopping.set()
        with self._lock:
            lines, idle = list(self._busy), self._idle
            self._idle = []
        for line in lines:
            line.cut()
        for api, _ in idle:
            api.session.close()

    def _patiently(
        self, path: str, params: Sequence[tuple[str, str]], headers: Mapping[str, str] = _AS_EVER
    ) -> tuple[Any, requests.Response]:
        deadline = time.monotonic() + 2 * self._connection.timeout
        for pause in _PAUSES:
            try:
                return self._once("get", path, params, None, headers)
            except GerritUnavailableError as error:
                wait = max(pause * self._patience * random.uniform(0.5, 1.0), error.retry_after or 0.0)
                if self._stopping.is_set() or time.monotonic() + wait >= deadline:
                    raise
                log.info("gerrit.asked_again", connection=self.name, path=path, next_in=round(wait, 1), reason=str(error))
            if self._stopping.wait(wait):
                break
        return self._once("get", path, params, None, headers)

    def _once(
        self, method: Method, path: str, params: Sequence[tuple[str, str]], body: object | None, headers: Mapping[str, str] = _AS_EVER
    ) -> tuple[Any, requests.Response]:
        """Send one request and return (JSON or text of the reply, the reply)."""
        named: dict[str, Any] = {"headers": headers} if body is None else {"headers": headers, "json": body}
        found, response = self._send(method, path, {"params": list(params), **named})
        return replies.content(self._connection, method, path, found, response), response

    def _send(self, method: Method, path: str, named: Mapping[str, Any]) -> tuple[Any, requests.Response]:
        """Send one request, with what requests calls it in `named`; return (what it brought, whatever that is, the reply)."""
        api, line = self._take()
        limit = self._connection.timeout
        usable = False
        try:
            with line.cut_after(limit * _WHOLE):
                found, response = getattr(api, method)(path, True, timeout=(min(limit, _CONNECT), limit), allow_redirects=False, **named)
            usable = True
        except requests.HTTPError as error:
            usable = True
            self._heard(error.response)
            raise replies.refusal(self._connection, method, path, error.response) from None
        except TooLargeError:
            raise GerritReplyTooLargeError(
                f"{replies.where(self._connection, method, path)}: the reply has more than {self._largest} bytes; ask for less"
            ) from None
        except (requests.RequestException, OSError, ValueError, LookupError) as error:
            self._failed(method, path, line, error)
        finally:
            self._give_back(api, line, usable)
        self._heard(response)
        return found, response

    def _failed(self, method: Method, path: str, line: Line, error: Exception) -> NoReturn:
        """Raise what `error`, which came instead of a reply, means."""
        if self._stopping.is_set():
            raise GerritUnavailableError(f"{replies.where(self._connection, method, path)}: Torii is stopping") from error
        if line.was_cut:
            raise GerritUnavailableError(
                f"{replies.where(self._connection, method, path)}: the reply did not end within {self._connection.timeout * _WHOLE:.0f} s"
            ) from error
        raise replies.no_reply(self._connection, method, path, error) from error

    def _take(self) -> tuple[GerritRestAPI, Line]:
        with self._lock:
            if self._stopping.is_set():
                raise GerritUnavailableError(f"Gerrit {self.name!r} is not asked any more: Torii is stopping")
            taken = self._idle.pop() if self._idle else self._open()
            self._busy.add(taken[1])
        return taken

    def _give_back(self, api: GerritRestAPI, line: Line, usable: bool) -> None:
        with self._lock:
            self._busy.discard(line)
            if usable and not line.was_cut and not self._stopping.is_set():
                self._idle.append((api, line))
                return
        api.session.close()

    def _open(self) -> tuple[GerritRestAPI, Line]:
        line = Line(self._largest)
        secret = self._connection.password
        login = Anonymous() if secret is None else _Login(self._connection.user, secret)
        verify = True if self._connection.ca is None else str(self._connection.ca)
        return GerritRestAPI(self._connection.url, auth=login, verify=verify, adapter=line), line

    def _heard(self, response: requests.Response) -> None:
        try:
            self._date = parsedate_to_datetime(response.headers["Date"]).timestamp(), time.monotonic()
        except (KeyError, ValueError, OverflowError):
            return


class _Login(AuthBase):
    """Logs each request in. The password is read anew each time, so that a new one is taken without a restart and none is kept."""

    def __init__(self, user: str, password: Secret) -> None:
        self._user = user
        self._password = password

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        done: requests.PreparedRequest = HTTPBasicAuth(self._user.encode(), resolve(self._password).encode())(request)
        return done


__all__ = ["MAX_REPLY", "GerritError", "GerritRest", "quote"]
