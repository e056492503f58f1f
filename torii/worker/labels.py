"""Jenkins' label expressions: `linux`, `linux && big`, `!windows`, `(a || b) && c`."""

from __future__ import annotations

import re
from collections.abc import Set

_TOKEN = re.compile(r"\s*(&&|\|\||[!()]|[^\s&|!()]+)")


class LabelError(ValueError):
    """The text is no label expression."""


def matches(expression: str | None, labels: Set[str]) -> bool:
    """Return whether a node with `labels` satisfies `expression`; none (or an empty one) is satisfied by every node. Raises LabelError."""
    if expression is None or not expression.strip():
        return True
    return _Reader(expression, labels).read()


def atoms(expression: str | None, labels: Set[str]) -> tuple[str, ...]:
    """Return the labels that `expression` names without a `!` and the node has, each once: each makes a `build:<job>:<label>`."""
    tokens = _TOKEN.findall(expression or "")
    named = [
        token for before, token in zip(["", *tokens], tokens, strict=False) if before != "!" and token not in ("&&", "||", "!", "(", ")")
    ]
    return tuple(dict.fromkeys(token for token in named if token in labels))


class _Reader:
    def __init__(self, text: str, labels: Set[str]) -> None:
        self._tokens = _TOKEN.findall(text)
        if "".join(self._tokens) != "".join(text.split()) or len(self._tokens) > 200:
            raise LabelError(f"{text[:80]!r} is no label expression")
        self._text, self._labels, self._at = text, labels, 0

    def read(self) -> bool:
        value = self._either()
        if self._at != len(self._tokens):
            raise LabelError(f"{self._text[:80]!r} is no label expression: {self._tokens[self._at]!r} is not expected there")
        return value

    def _next(self) -> str:
        token: str = self._tokens[self._at] if self._at < len(self._tokens) else ""
        return token

    def _either(self) -> bool:
        value = self._both()
        while self._next() == "||":
            self._at += 1
            value = self._both() or value
        return value

    def _both(self) -> bool:
        value = self._one()
        while self._next() == "&&":
            self._at += 1
            value = self._one() and value
        return value

    def _one(self) -> bool:
        token = self._next()
        self._at += 1
        match token:
            case "!":
                return not self._one()
            case "(":
                value = self._either()
                if self._next() != ")":
                    raise LabelError(f"{self._text[:80]!r} is no label expression: a parenthesis is open")
                self._at += 1
                return value
            case "" | "&&" | "||" | ")":
                raise LabelError(f"{self._text[:80]!r} is no label expression: a label is missing")
        return token in self._labels
