"""Numbers of bytes, as `server.yml` writes them: `100MiB`, `2G`, or the bare number."""

from __future__ import annotations

import re
from typing import Annotated

from torii.config.fields import From, text, wrong
from torii.config.wording import shown


def _size(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    found = text(value)
    parts = re.fullmatch(r"([0-9]{1,12}) ?([KMG]?)(i?)B?", found)
    if parts is None:
        raise wrong(f"{shown(found)} is no size", "write it like 100MiB, or as a number of bytes")
    base = 1024 if parts[3] else 1000
    size: int = int(parts[1]) * base ** " KMG".index(parts[2] or " ")
    if not 64 * 1024 <= size <= 100 * 1024**3:
        raise wrong("must be from 64KiB to 100GiB")
    return size


Size = Annotated[int, From(_size, {"anyOf": [{"type": "integer"}, {"type": "string", "pattern": "^[0-9]+ ?[KMG]?i?B?$"}]})]
