"""Text from outside (a test's name, a worker's detail) made fit to stand in a line that Torii writes."""

from __future__ import annotations

import re

_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]?|[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?|[ -/]*[0-~]?)")
"""Control sequences as ECMA-48 has them: CSI, the string sequences (OSC, DCS, SOS, PM, APC), and the two-character ones."""
_UNFIT = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\ud800-\udfff\u2028\u2029]")
"""Control characters but tab and newline, what turns the direction of writing round, and lone surrogates."""


def clean(text: str) -> str:
    """Return `text` without escape sequences and control characters; its lines stay lines."""
    return _UNFIT.sub("", _ESCAPES.sub("", text.replace("\r\n", "\n").replace("\r", "\n")))


def clean_line(text: str, limit: int = 300) -> str:
    """Return `text` cleaned, as one line of at most `limit` characters, with an ellipsis where it was cut."""
    line = " ".join(clean(text[: limit * 4]).split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"
