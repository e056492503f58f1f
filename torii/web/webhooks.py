"""Takes in what the outside tells by HTTP: `POST /webhooks/<connection>`. The only thing on these pages that a request can bring about.

The secret may stand in the header `X-Torii-Secret`, in `Authorization: Bearer`, or in the query as `secret`, since Gerrit's plug-in can be
given nothing but an address. It goes to the source, which knows the right one, and to no log.
"""

from __future__ import annotations

import math
import time
import traceback
from collections.abc import Mapping

import structlog
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response

from torii.errors import OperatorError, WebhookBodyError, WebhookSecretError
from torii.results.text import clean_line
from torii.runtime.ports import TakesWebhooks

BODY_LIMIT = 4 * 1024 * 1024
"""Bytes of a request: a Gerrit's event with a long commit message has some tens of thousands."""
_LOG_PAUSE = 30.0
"""Seconds for which further refusals of a connection are not logged."""

_log = structlog.get_logger(__name__)


class Webhooks:
    """The endpoint. `takers` are those who take webhooks, by the names of their connections."""

    def __init__(self, takers: Mapping[str, TakesWebhooks]) -> None:
        self._takers = takers
        self._refused: dict[str, float] = {}

    async def take(self, request: Request) -> Response:
        """204 where it was taken in; 404, 413, 403 or 400 and why, where it was not; 503 where it could not be."""
        name = request.path_params["connection"]
        taker = self._takers.get(name)
        if taker is None:
            return _answer(404, "No connection of that name takes webhooks.")
        try:
            body = await _body(request)
        except ClientDisconnect:
            return _answer(400, "The request broke off.")
        if body is None:
            return _answer(413, f"An event has at most {BODY_LIMIT} bytes.")
        return await run_in_threadpool(self._tell, taker, name, _secret(request), body)

    def _tell(self, taker: TakesWebhooks, name: str, secret: str, body: bytes) -> Response:
        try:
            taker.take_webhook(secret, body)
        except WebhookSecretError:
            self._log_refusal(name, "it came without the secret of the connection, or with another")
            return _answer(403, "That is not the secret of this connection.")
        except WebhookBodyError as error:
            self._log_refusal(name, str(error))
            return _answer(400, clean_line(str(error), 500))
        except OperatorError as error:
            _log.error("webhook-not-taken", connection=name, reason=str(error))
            return _answer(503, "Torii could not take it in just now. Its log says why; what happened is found at the next catch-up.")
        except Exception:
            # Not as an exception of the logger: some ways of writing one show the variables, and the secret is among them.
            _log.error("webhook-failed", connection=name, trace=traceback.format_exc())
            return _answer(500, "Torii met an error of its own. Its log has the details; what happened is found at the next catch-up.")
        return Response(status_code=204)

    def _log_refusal(self, name: str, reason: str) -> None:
        """Say in the log that a webhook was refused, but not for each: whoever likes may send them."""
        now = time.monotonic()
        if now - self._refused.get(name, -math.inf) >= _LOG_PAUSE:
            self._refused[name] = now
            _log.warning("webhook-refused", connection=name, reason=reason, silent_for=_LOG_PAUSE)


async def _body(request: Request) -> bytes | None:
    """Return the body, None where it is too long, which is known before all of it is here."""
    length = request.headers.get("content-length", "")
    if length.isdecimal() and (len(length) > 18 or int(length) > BODY_LIMIT):
        return None
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > BODY_LIMIT:
            return None
        parts.append(part)
    return b"".join(parts)


def _secret(request: Request) -> str:
    if given := request.headers.get("x-torii-secret"):
        return given
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return token.strip()
    return request.query_params.get("secret", "")


def _answer(status: int, text: str) -> Response:
    return PlainTextResponse(f"{text}\n", status)
