"""What a build is asked for with: one flat JSON object of strings, read as strictly as Jenkins' Gearman plugin reads it."""

from __future__ import annotations

import json
from typing import Any, NoReturn

from torii.errors import OperatorError

SIZE_LIMIT = 4 * 1024 * 1024


class PayloadError(OperatorError):
    """The payload of a Gearman job is not a flat JSON object of strings."""


def read_payload(data: bytes) -> dict[str, str]:
    """Return the parameters in `data`. Numbers and booleans are taken as they are written, a null as not being there.

    Raises `PayloadError` for an empty payload, no JSON, an array, anything nested, a key that comes twice, and text after the object.
    """
    if len(data) > SIZE_LIMIT:
        raise PayloadError(f"the parameters are larger than {SIZE_LIMIT >> 20} MiB")
    try:
        found = json.loads(data.decode("utf-8"), object_pairs_hook=_once, parse_int=str, parse_float=str, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise PayloadError(f"the parameters are no flat JSON object of strings: {error}") from error
    if not isinstance(found, dict):
        raise PayloadError("the parameters are no JSON object")
    return {name: _text(name, value) for name, value in found.items() if value is not None}


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise PayloadError(f"the parameter {name[:80]!r} comes twice")
        found[name] = value
    return found


def _text(name: str, value: Any) -> str:
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
    raise PayloadError(f"the parameter {name[:80]!r} is not a string")


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")
