"""Writes the globs of a `torii.yml` as the patterns of Ant, in which Jenkins lists files: they know `*`, `?` and `**`, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

_LIMIT = 64
"""Patterns that one glob may stand for (see `torii.model.glob`); one with more is written as `**`, which matches whatever it does."""

_TOKEN = re.compile(r"\\(?P<plain>.)|(?P<set>\[[!^]?\]?[^\]]*\])|(?P<mark>[{},])|(?P<text>[^\\\[{},]+|.)", re.DOTALL)
_STARS = re.compile(r"\*{2,}")


def ant_list(globs: Sequence[str]) -> str:
    """Return `globs` as one list in Jenkins' form: what no pattern of Ant can say (a set, a comma) becomes `?`, which matches it too."""
    return ",".join(dict.fromkeys(pattern for glob in globs if glob.strip() for pattern in _patterns(glob)))


def _patterns(glob: str) -> list[str]:
    found: list[str] = []
    for plain in _alternatives(glob):
        for pattern in _written_out(plain.split("/")):
            found.append(pattern)
            if len(found) > _LIMIT:
                return ["**"]
    return found


def _alternatives(glob: str) -> list[str]:
    """Return the patterns that `glob` stands for, its braces written out."""
    stack: list[tuple[list[str], list[str]]] = []
    done: list[str] = []  # those that a comma has closed
    current = [""]
    for token in _TOKEN.finditer(glob):
        match token[0]:
            case "{":
                stack.append((done, current))
                done, current = [], [""]
            case "," if stack:
                done, current = done + current, [""]
            case "}" if stack:
                inner = done + current
                done, before = stack.pop()
                current = [left + right for left in before for right in inner]
            case _:
                current = [text + _text(token) for text in current]
        if len(done) + len(current) > _LIMIT:
            return ["**"]
    return current


def _text(token: re.Match[str]) -> str:
    if token["plain"] is not None:
        return "?" if token["plain"] in "*?," else token["plain"]
    return "?" if token["set"] is not None or token[0] == "," else token[0]


def _written_out(segments: Sequence[str]) -> Iterator[str]:
    """Yield the pattern of `segments` with `**` as whole segments only: in the midst of one, Ant takes it for `*`."""
    for number, segment in enumerate(segments):
        stars = _STARS.search(segment)
        if stars is not None and segment != stars[0]:
            before, after = segment[: stars.start()], segment[stars.end() :]
            for middle in ([f"{before}*{after}"], [f"{before}*", "**", f"*{after}"]):
                yield from _written_out([*segments[:number], *middle, *segments[number + 1 :]])
            return
    yield "/".join("**" if _STARS.fullmatch(segment) else segment for segment in segments)
