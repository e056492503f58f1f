"""Secrets are references: what they refer to is read at the moment of use and kept nowhere."""

from __future__ import annotations

import os
import re
from pathlib import Path

from torii.config.settings import Secret
from torii.errors import OperatorError

REFERENCE = r"env:[A-Za-z_][A-Za-z0-9_]*|file:[^\x00-\x1f]+"
_MAX_BYTES = 64 * 1024


def resolve(secret: Secret) -> str:
    """Return what `secret` refers to; the line's end of a file is not part of it. Raises OperatorError, which never shows a secret."""
    kind, _, name = secret.reference.partition(":")
    if not re.fullmatch(REFERENCE, secret.reference):
        raise OperatorError("a secret is no reference of the form env:NAME or file:PATH")
    if kind == "env":
        value = os.environ.get(name, "")
        if not value:
            raise OperatorError(f"the secret env:{name} is not there: set the environment variable {name} for the Torii process")
        return value
    try:
        data = Path(name).read_bytes()[: _MAX_BYTES + 1]
    except OSError as error:
        raise OperatorError(f"the secret file:{name} cannot be read: {error.strerror or error}") from None
    if len(data) > _MAX_BYTES:
        raise OperatorError(f"the secret file:{name} has more than {_MAX_BYTES} bytes: is it the right file?")
    try:
        value = data.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise OperatorError(f"the secret file:{name} is not UTF-8 text") from None
    if not value:
        raise OperatorError(f"the secret file:{name} is empty")
    return value
