"""Glob patterns for paths and branch names, in time linear in the name: no pattern, however hostile, makes matching slow.

`*` matches within a segment, `**` across segments, `?` one character, `[a-z]` and `[!a-z]` one of a set, `{a,b}` either; a backslash
takes the next character as it is, and a pattern that ends in `/` means everything below. `**/x` matches `x` too.

A pattern is first written out to alternatives in which `**` stands only for whole segments. In each, whatever stands between two
stars is then found at its leftmost place and never tried again (an atomic group), which for globs is always the right place.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache

MAX_LENGTH = 512
"""Characters of a pattern."""

MAX_ALTERNATIVES = 64
"""How many plain patterns one with braces may stand for."""

_STAR, _STARS, _SLASH, _OPEN, _COMMA, _CLOSE = "*", "**", "/", "{", ",", "}"
_SET = re.compile(r"\[(?P<not>[!^]?)(?P<members>\]?[^\]]*)\]", re.DOTALL)

MAX_EXPRESSION = 8_000
"""Characters of the expression that a pattern becomes. Python takes some 3 us for each to compile it."""


class GlobError(ValueError):
    """A pattern that means nothing. The message is a sentence for whoever wrote it."""


def matches(patterns: tuple[str, ...], path: str) -> bool:
    """Return whether one of `patterns` matches the whole of `path`; no patterns at all match anything.

    Raises GlobError where a pattern is wrong, which `torii.yml` and `server.yml` are checked for when they are read.
    """
    return not patterns or any(compile_glob(pattern).fullmatch(path) is not None for pattern in patterns)


@lru_cache(maxsize=4096)
def compile_glob(pattern: str) -> re.Pattern[str]:
    """Return the expression whose `fullmatch` is `pattern`. Raises GlobError."""
    if not pattern:
        raise GlobError("the pattern is empty")
    if len(pattern) > MAX_LENGTH:
        raise GlobError(f"the pattern is longer than {MAX_LENGTH} characters")
    if pattern.startswith("!"):
        raise GlobError("a pattern cannot be negated (for a name that starts with !, write \\!)")
    alternatives = [
        _alternative(segments) for tokens in _expand(list(_tokens(pattern))) for segments in _written_out(_segments(tokens, pattern))
    ]
    if len(alternatives) > MAX_ALTERNATIVES:
        raise GlobError(f"the pattern stands for more than {MAX_ALTERNATIVES} patterns")
    expression = "|".join(alternatives)
    if len(expression) > MAX_EXPRESSION:
        raise GlobError("the pattern is too complicated")
    return re.compile(expression, re.DOTALL)


# A token is one of the marks above, or the expression of exactly one character, which is wrapped in a tuple.
_Token = str | tuple[str]
_Segment = list[_Token]


def _tokens(pattern: str) -> Iterator[_Token]:
    at, depth = 0, 0
    while at < len(pattern):
        char = pattern[at]
        step = 1
        match char:
            case "\\":
                if at + 1 == len(pattern):
                    raise GlobError("the pattern ends in a backslash")
                yield (re.escape(pattern[at + 1]),)
                step = 2
            case "*":
                while pattern.startswith("*", at + step):
                    step += 1
                yield _STAR if step == 1 else _STARS
            case "?":
                yield ("[^/]",)
            case "[":
                expression, step = _set(pattern, at)
                yield (expression,)
            case "{" | "}":
                depth += 1 if char == "{" else -1
                if depth < 0:
                    raise GlobError("a } has no {")
                yield char
            case "/":
                yield _SLASH
            case "," if depth:
                yield _COMMA
            case _:
                yield (re.escape(char),)
        at += step
    if depth:
        raise GlobError("a { has no }")


def _set(pattern: str, at: int) -> tuple[str, int]:
    found = _SET.match(pattern, at)
    if found is None:
        raise GlobError("a [ has no ]")
    members, pieces, place = found["members"], [], 0
    while place < len(members):
        first, last = members[place], members[place]
        if members[place + 1 : place + 2] == "-" and place + 2 < len(members):
            last = members[place + 2]
            place += 2
        if last < first:
            raise GlobError(f"{first}-{last} is no range: its end comes before its start")
        pieces.append(re.escape(first) if first == last else f"{re.escape(first)}-{re.escape(last)}")
        place += 1
    if not pieces:
        raise GlobError("an empty [] matches nothing")
    return f"(?!/)[{'^' if found['not'] else ''}{''.join(pieces)}]", found.end() - at


def _expand(tokens: Sequence[_Token]) -> list[_Segment]:
    """Write the braces of `tokens` out, with a stack, since they nest as deep as the pattern is long."""
    stack: list[tuple[list[_Segment], list[_Segment]]] = []
    done: list[_Segment] = []  # the alternatives that a comma has closed
    current: list[_Segment] = [[]]
    for token in tokens:
        if token == _OPEN:
            stack.append((done, current))
            done, current = [], [[]]
        elif token == _COMMA:
            done, current = done + current, [[]]
        elif token == _CLOSE:
            inner = done + current
            done, before = stack.pop()
            _bounded(len(before) * len(inner))
            current = [left + right for left in before for right in inner]
        else:
            for alternative in current:
                alternative.append(token)
        _bounded(len(done) + len(current))
    return current


def _bounded(count: int) -> None:
    if count > MAX_ALTERNATIVES:
        raise GlobError(f"the pattern stands for more than {MAX_ALTERNATIVES} patterns")


def _segments(tokens: _Segment, pattern: str) -> list[_Segment]:
    segments: list[_Segment] = [[]]
    for token in tokens:
        if token == _SLASH:
            segments.append([])
        elif token in (_STAR, _STARS) and segments[-1][-1:] in ([_STAR], [_STARS]):
            segments[-1][-1] = _STARS  # two stars that only the braces brought together
        else:
            segments[-1].append(token)
    if len(segments) > 1 and not segments[-1]:
        segments[-1] = [_STARS]
    if not segments[0]:
        raise GlobError(
            "patterns are relative to the top: drop the leading /" if pattern.startswith("/") else "a part of the pattern is empty"
        )
    if not all(segments):
        raise GlobError("two slashes follow each other")
    if any(segment in ([(r"\.",)], [(r"\.",), (r"\.",)]) for segment in segments):
        raise GlobError(". and .. cannot be matched: paths are relative to the top")
    return segments


def _written_out(segments: list[_Segment]) -> list[list[_Segment]]:
    """Rewrite `a**b` as what it stands for, `a*b` or `a*/**/*b`, so that `**` is only ever a segment of its own."""
    alternatives: list[list[_Segment]] = [[]]
    for segment in segments:
        readings: list[list[_Segment]] = [[[]]]
        for token in segment:
            mixed = token == _STARS and len(segment) > 1
            same = [[*before[:-1], [*before[-1], _STAR if mixed else token]] for before in readings]
            across: list[list[_Segment]] = [[*before[:-1], [*before[-1], _STAR], [_STARS], [_STAR]] for before in readings if mixed]
            readings = same + across
            _bounded(len(readings))
        _bounded(len(alternatives) * len(readings))
        alternatives = [left + right for left in alternatives for right in readings]
    return alternatives


def _alternative(segments: list[_Segment]) -> str:
    groups: list[list[str]] = [[]]
    crossed = False
    for segment in segments:
        if segment != [_STARS]:
            groups[-1].append(_segment(segment))
            crossed = False
        elif not crossed:
            groups.append([])
            crossed = True
    if len(groups) == 1:
        return "/".join(groups[0])
    head, *middle, tail = groups
    skip = "(?:[^/]*+/)*?"
    found = "".join(f"(?>{skip}{''.join(f'{segment}/' for segment in group)})" for group in middle)
    rest = f"{skip}{'/'.join(tail)}" if tail else ".*+"
    return "".join(f"{segment}/" for segment in head) + found + rest


def _segment(tokens: _Segment) -> str:
    pieces: list[str] = [""]
    for token in tokens:
        if isinstance(token, tuple):
            pieces[-1] += token[0]
        elif pieces[-1] or len(pieces) == 1:
            pieces.append("")
    first, *rest = pieces
    if not rest:
        return first
    *middle, last = rest
    ending = rf"(?>[^/]*{last}(?=/|\Z))" if last else "[^/]*+"
    return first + "".join(f"(?>[^/]*?{piece})" for piece in middle) + ending
