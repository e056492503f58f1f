"""The errors Torii raises on purpose. The message of each is the whole of what a user needs: what, where, what to do.

Two branches: `UserError` is mended by whoever wrote the file or typed the command, `OperatorError` by whoever runs the server. An
exception outside this tree that reaches a user is a bug in Torii.
"""

from __future__ import annotations


class ToriiError(Exception):
    """The root. `exit_code` is what the command line ends with when it meets one (see `torii --help`)."""

    exit_code = 70


class UserError(ToriiError):
    """Something a user wrote or typed is wrong."""

    exit_code = 2


class ConfigurationError(UserError):
    """A `torii.yml` or `server.yml` does not say what may be said; the message lists every problem."""

    exit_code = 3


class OperatorError(ToriiError):
    """Something around Torii is missing, refused or out of reach."""

    exit_code = 4


class WebhookSecretError(UserError):
    """A webhook came without the secret of its connection, or with another."""


class WebhookBodyError(UserError):
    """What a webhook brought is no event."""
