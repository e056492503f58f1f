"""Read a submit requirement's expression: could it hold, if Torii's own votes were as good as can be? Pure.

The language is Gerrit's "Submit Requirements" page: atoms such as `label:Code-Review=MAX`, `AND`, `OR`, `NOT` or `-`, parentheses; two
atoms side by side mean `AND`. Gerrit tells which atoms pass, so that none needs to be understood but for the label it speaks of.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

_TOKEN = re.compile(r"""\s*(?:(?P<mark>[()])|(?P<minus>-(?=\S))|(?P<word>(?:"[^"]*"|\{[^}]*\}|[^\s()"{])+))""")
_DEEPEST = 50


class UnreadableExpressionError(ValueError):
    """The expression is not of the language known here."""


@dataclass(frozen=True, slots=True)
class Demand:
    """An atom that stands against submitting: it must hold, or, where `wanted` is false, must not."""

    atom: str
    wanted: bool


Truth = Callable[[str, bool], bool]
"""Whether an atom (first argument) may come out as wanted (second argument)."""

Node = str | tuple[str, tuple["Node", ...]]
"""An atom; or `and`, `or`, `not` of others."""


def unmet(expression: str, may: Truth) -> tuple[Demand, ...]:
    """Return what keeps `expression` from being true, nothing where it may be. Raises UnreadableExpressionError."""
    return _against(_parse(expression), True, may)


def _against(node: Node, wanted: bool, may: Truth) -> tuple[Demand, ...]:
    if isinstance(node, str):
        return () if may(node, wanted) else (Demand(node, wanted),)
    kind, parts = node
    if kind == "not":
        return _against(parts[0], not wanted, may)
    found = [_against(part, wanted, may) for part in parts]
    if (kind == "or") == wanted:  # one is enough; where none can be, all are named
        return () if not all(found) else tuple(demand for each in found for demand in each)
    return tuple(demand for each in found for demand in each)


def _parse(expression: str) -> Node:
    tokens = list(_tokens(expression))
    tokens.reverse()
    node = _any(tokens, 0)
    if tokens:
        raise UnreadableExpressionError(f"{expression!r}: more than one expression")
    return node


def _tokens(expression: str) -> Iterator[tuple[str, str]]:
    position = 0
    end = len(expression.rstrip())
    while position < end:
        match = _TOKEN.match(expression, position)
        if match is None or match.lastgroup is None:
            raise UnreadableExpressionError(f"{expression!r}: cannot be read from character {position}")
        kind, text = match.lastgroup, match[match.lastgroup]
        if kind == "mark" or (kind == "word" and text in ("AND", "OR", "NOT")):
            kind = text
        elif kind == "minus":
            kind = "NOT"
        yield kind, text
        position = match.end()


def _any(tokens: list[tuple[str, str]], depth: int) -> Node:
    parts = [_all(tokens, depth)]
    while tokens and tokens[-1][0] == "OR":
        tokens.pop()
        parts.append(_all(tokens, depth))
    return parts[0] if len(parts) == 1 else ("or", tuple(parts))


def _all(tokens: list[tuple[str, str]], depth: int) -> Node:
    parts = [_one(tokens, depth)]
    while tokens and tokens[-1][0] not in ("OR", ")"):
        if tokens[-1][0] == "AND":
            tokens.pop()
        parts.append(_one(tokens, depth))
    return parts[0] if len(parts) == 1 else ("and", tuple(parts))


def _one(tokens: list[tuple[str, str]], depth: int) -> Node:
    if depth > _DEEPEST or not tokens:
        raise UnreadableExpressionError("an expression that ends too early, or is too deep")
    kind, text = tokens.pop()
    if kind == "NOT":
        return ("not", (_one(tokens, depth + 1),))
    if kind == "(":
        node = _any(tokens, depth + 1)
        if not tokens or tokens.pop()[0] != ")":
            raise UnreadableExpressionError("a parenthesis is not closed")
        return node
    if kind != "word":
        raise UnreadableExpressionError(f"{text!r} stands where an atom should")
    return text
