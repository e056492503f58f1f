"""What Gerrit's webhooks plug-in sends: one event a request, in the JSON of the stream. Like that, it is only a hint where to look.

The plug-in cannot sign what it sends, so the secret stands in the address that it is given.
"""

from __future__ import annotations

import hmac
import json

from torii.config.secrets import resolve
from torii.config.settings import GerritConnection
from torii.sources.gerrit.errors import WebhookError
from torii.sources.gerrit.hints import Hint, hint_of

MAX_BODY = 4 * 1024 * 1024
"""Bytes of a request's body: as long as a line of the stream may be."""


def is_secret(connection: GerritConnection, given: str | bytes) -> bool:
    """Say whether `given` is the secret of `connection`, in a time that tells nothing of it. No secret configured: never.

    Raises OperatorError where the secret cannot be read.
    """
    if connection.webhook_secret is None:
        return False
    guess = given.encode(errors="surrogatepass") if isinstance(given, str) else given
    return hmac.compare_digest(resolve(connection.webhook_secret).encode(), guess)


def hints_of_body(body: bytes) -> Hint | None:
    """Return where the event in `body` says to look; None where there is nothing to see. Raises WebhookError for what is no event."""
    if len(body) > MAX_BODY:
        raise WebhookError(f"the request has {len(body)} bytes, {MAX_BODY} are allowed", status=413)
    if not body.strip():
        raise WebhookError("the request is empty; an event of Gerrit's webhooks plug-in is due", status=400)
    try:
        event = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise WebhookError(
            f"the request is no JSON ({str(error)[:100]}); an event of Gerrit's webhooks plug-in is due", status=400
        ) from None
    if not isinstance(event, dict) or not isinstance(event.get("type"), str):
        raise WebhookError("the request is JSON, but no event of Gerrit's webhooks plug-in: an object with a `type` is due", status=400)
    return hint_of(event)
