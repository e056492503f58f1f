"""Prove that a message on Gearman was made by somebody who has Torii's key. Gearman itself asks nobody who they are.

Torii's own functions take sealed envelopes; builds take flat parameters, as Jenkins' plug-in wants them, with a signature among
them. Both are HMAC-SHA256 over canonical JSON. It hides nothing: who can read Gearman's traffic reads the payloads.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torii.config.settings import GearmanSettings
from torii.errors import OperatorError

SIGNATURE = "TORII_SIGNATURE"
"""The build parameter that signs all others."""

_KEY_FILE = "gearman.key"
_KEY_BYTES = 32


class ForgedMessageError(OperatorError):
    """A message was not made with this Torii's key, or was changed on its way; nothing of it may be used."""


def seal(key: bytes, payload: Mapping[str, Any]) -> bytes:
    """Return `payload` (anything JSON can say) with its signature, as `open_sealed` takes it."""
    body = _canonical(payload)
    return json.dumps({"payload": body, "signature": _sign(key, "envelope", body)}).encode()


def open_sealed(key: bytes, data: bytes) -> dict[str, Any]:
    """Return the payload that was sealed with `key`; raises `ForgedMessageError` for everything else."""
    try:
        envelope = json.loads(data)
        body, signature = envelope["payload"], envelope["signature"]
    except (ValueError, TypeError, KeyError, RecursionError):
        raise ForgedMessageError("a Gearman message is not a sealed envelope; is something else calling Torii's functions?") from None
    if not (isinstance(body, str) and isinstance(signature, str) and _same(_sign(key, "envelope", body), signature)):
        raise ForgedMessageError("a Gearman message has a wrong signature; do all parts of this Torii have the same gearman key?")
    payload: Any = json.loads(body)
    if not isinstance(payload, dict):
        raise ForgedMessageError("a sealed Gearman message is not an object")
    return payload


def sign_parameters(key: bytes, parameters: Mapping[str, str]) -> str:
    """Return the value of `TORII_SIGNATURE` for `parameters` (one already among them is left out)."""
    return _sign(key, "parameters", _canonical({name: value for name, value in parameters.items() if name != SIGNATURE}))


def check_parameters(key: bytes, parameters: Mapping[str, str]) -> None:
    """Raise `ForgedMessageError` unless `parameters` carry the signature that `key` gives them."""
    signature = parameters.get(SIGNATURE)
    if signature is None:
        raise ForgedMessageError(f"the build's parameters have no {SIGNATURE}; this worker runs only what its Torii asks for")
    if not (isinstance(signature, str) and _same(sign_parameters(key, parameters), signature)):
        raise ForgedMessageError(f"the build's {SIGNATURE} is wrong; do the worker and the scheduler have the same gearman key?")


def load_key(settings: GearmanSettings, state: Path) -> bytes:
    """Return the key that `settings` refer to, else the one kept in `state`, made at the first call.

    Raises `OperatorError` where neither can be had. Processes that race for a first key all get the same one.
    """
    if settings.key is not None:
        from torii.config.server import resolve  # the reader of server.yml is not needed by a worker with a key file

        key = bytes(resolve(settings.key).strip().encode())
        if not key:
            raise OperatorError(f"the gearman key in {settings.key.reference} is empty")
        return key
    path = state / _KEY_FILE
    try:
        if not path.exists():
            _make_key(path)
        key = path.read_bytes().strip()
    except OSError as error:
        raise OperatorError(f"{path}: the key for Gearman cannot be kept there: {error.strerror or error}") from error
    if not key:
        raise OperatorError(f"{path} is empty; remove it and a new key will be made")
    return key


def _make_key(path: Path) -> None:
    """Put a new key at `path`, whole or not at all; whoever comes second keeps the first one's."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_hex(_KEY_BYTES).encode())
        try:
            os.link(draft, path)
        except FileExistsError:
            return
    finally:
        draft.unlink()


def _canonical(payload: Mapping[str, Any]) -> str:
    return json.dumps(payload, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def _sign(key: bytes, purpose: str, body: str) -> str:
    # the purpose keeps a signed set of parameters from being passed off as an envelope, and the other way round
    return hmac.new(key, f"torii:{purpose}:{body}".encode(), hashlib.sha256).hexdigest()


def _same(wanted: str, given: str) -> bool:
    return hmac.compare_digest(wanted.encode(), given.encode("utf-8", "replace"))
