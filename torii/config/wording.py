"""How mistakes are put into words: paths in a document, values shown without harm, and what was perhaps meant."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable

_SIMPLE = re.compile(r"[A-Za-z0-9_-]+")
_LONGEST = 60


def shown(text: str, *, quote: bool = True) -> str:
    """Return `text` in one line, short, and with nothing in it that a terminal would obey."""
    short = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
    safe = "".join(char if char.isprintable() else f"\\u{ord(char):04x}" for char in short)
    return json.dumps(safe, ensure_ascii=False).replace("\\\\u", "\\u") if quote else safe


def path_text(path: Iterable[str | int]) -> str:
    """Return `path` as in `jobs.unit.needs[0]`."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            text += ("." if text else "") + (step if _SIMPLE.fullmatch(step) and len(step) <= _LONGEST else shown(step))
    return text


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the word of `known` that `word` was perhaps meant to be, None where none is near."""
    if len(word) > _LONGEST:
        return None
    names: dict[str, str] = {}
    for name in known:
        names.setdefault(name.lower(), name)
    near = difflib.get_close_matches(word.lower().replace("_", "-"), list(names), n=1, cutoff=0.6)
    return names[near[0]] if near else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return `did you mean "voting"?`, or nothing where no word of `known` is near."""
    near = nearest(word, known)
    return f'did you mean "{near}"?' if near is not None else ""


def listed(words: Iterable[str], most: int = 12) -> str:
    """Return `words` as `a, b, c`, cut after `most`."""
    words = list(words)
    return ", ".join(words[:most]) + (f" and {len(words) - most} more" if len(words) > most else "")
