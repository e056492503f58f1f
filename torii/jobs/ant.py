"""Writes the globs of a `torii.yml` as the patterns of Ant, in which Jenkins lists files: they know `*`, `?` and `**`, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import product

_LIMIT = 64
"""Patterns that one glob may stand for; one with more is written with `*` in the place of its braces."""
_TOKEN = re.compile(r"\\(?P<plain>.)|\[[!^]?\]?[^\]/]*\]|\{(?P<choice>[^{}]*)\}", re.DOTALL)


def ant_list(globs: Sequence[str]) -> str:
    """Return `globs` as one list in Jenkins' form: what no pattern of Ant can say (a set, a comma) becomes `?`, which matches it too."""
    return ",".join(dict.fromkeys(pattern for glob in globs if glob.strip() for pattern in _patterns(glob)))


def _patterns(glob: str) -> list[str]:
    pieces: list[tuple[str, ...]] = []
    at = 0
    for token in _TOKEN.finditer(glob):
        pieces += [(_plain(glob[at : token.start()]),), _token(token)]
        at = token.end()
    pieces.append((_plain(glob[at:]),))
    count = 1
    for piece in pieces:
        count *= len(piece)
    if count > _LIMIT:
        pieces = [piece if len(piece) == 1 else ("*",) for piece in pieces]
    return ["".join(choice) for choice in product(*pieces)]


def _token(token: re.Match[str]) -> tuple[str, ...]:
    if token["plain"] is not None:
        return ("?" if token["plain"] in "*?," else token["plain"],)
    if token["choice"] is not None:
        return tuple(_plain(each) for each in token["choice"].split(","))
    return ("?",)


def _plain(text: str) -> str:
    return text.replace(",", "?")
