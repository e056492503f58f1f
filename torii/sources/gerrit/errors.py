"""What can go wrong between Torii and a Gerrit. Each message says what, where and what to do; none shows a secret."""

from __future__ import annotations

from torii.errors import OperatorError


class GerritError(OperatorError):
    """Something a Gerrit says, or does not say, is not what was asked for."""


class GerritUnavailableError(GerritError):
    """Gerrit is out of reach, overloaded, or somebody else answers in its place: this may pass, so asking again later makes sense.

    Whether a request that alters something took effect is unknown. `status` is the HTTP status, None where none came; `retry_after` the
    seconds for which Gerrit asks to be left alone, None where it does not say.
    """

    def __init__(self, message: str, *, status: int | None = None, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after


class GerritRefusedError(GerritError):
    """Gerrit understood and said no: nothing happened. `status` is the HTTP status (400 to 499), `text` what Gerrit says, as it says it."""

    def __init__(self, message: str, *, status: int, text: str) -> None:
        super().__init__(message)
        self.status = status
        self.text = text


class GerritReplyTooLargeError(GerritError):
    """A reply was longer than Torii is willing to hold in memory. Asking for the same again is no use; asking for less is."""


class GerritHostKeyError(GerritError):
    """The SSH host key of Gerrit is not known, or is another than the known one: nothing was sent to it."""


class GerritLoginError(GerritError):
    """Gerrit's SSH does not let us in, or our key cannot be used."""


class WebhookError(GerritError):
    """A webhook's request is not one of Gerrit's events. `status` is the HTTP status to answer it with."""

    def __init__(self, message: str, *, status: int) -> None:
        super().__init__(message)
        self.status = status
