"""Jenkins' remote API as Stapler makes it: which fields of which objects are shown, by `depth` or by `tree`.

Each field has a visibility. With `depth=n` an object at level l shows its fields of visibility > l - n (what is asked for is at level 0);
with `tree=jobs[name,builds[number]{0,5}]` just what is named. See `TreePruner` and `NamedPathPruner` of https://github.com/jenkinsci/stapler.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

_WORD = re.compile(r"[A-Za-z_*][\w-]*")
_RANGE = re.compile(r"\{(\d*)(,?)(\d*)\}")


class TreeError(ValueError):
    """The `tree` parameter is no tree: Jenkins answers with 400."""


@dataclass(slots=True)
class Shown:
    """An object of the API: its class (empty: not named) and fields, each with its visibility and, as a call, its value."""

    kind: str
    fields: list[tuple[str, int, bool, Any]] = field(default_factory=list)

    def add(self, visibility: int, *, inline: bool = False, **values: Any) -> Shown:
        """Add fields with the given (or, of a call, computed) values. What is in `inline` ones counts as being at this level."""
        self.fields += [(name, visibility, inline, value) for name, value in values.items()]
        return self


@dataclass(slots=True)
class Tree:
    """What a `tree` parameter names: a field's own tree, and the range of a list."""

    names: dict[str, Tree] = field(default_factory=dict)
    first: int = 0
    last: int | None = None


def by_depth(shown: Any, depth: int) -> Any:
    """Return `shown` as JSON has it with `depth`."""
    return _pruned(shown, 1 - depth)


def by_tree(shown: Any, tree: Tree) -> Any:
    """Return of `shown` what `tree` names."""
    match shown:
        case Shown():
            found: dict[str, Any] = {"_class": shown.kind} if shown.kind else {}
            for name, _, _, value in shown.fields:
                inner = tree.names.get(name) or tree.names.get("*")
                if inner is not None:
                    found[name] = by_tree(value() if callable(value) else value, inner)
            return found
        case list():
            return [by_tree(each, tree) for each in shown[tree.first : tree.last]]
        case dict():
            return {name: by_tree(value, tree) for name, value in shown.items()}
    return shown


def _pruned(shown: Any, least: int) -> Any:
    match shown:
        case Shown():
            found = {"_class": shown.kind} if shown.kind else {}
            for name, visibility, inline, value in shown.fields:
                if visibility >= least:
                    found[name] = _pruned(value() if callable(value) else value, least if inline else least + 1)
            return found
        case list():
            return [_pruned(each, least) for each in shown]
    return shown


def parse_tree(text: str) -> Tree:
    """Return what `text` (the parameter `tree`) names. Raises `TreeError`."""
    tree, rest = _read(text.replace(" ", ""))
    if rest:
        raise TreeError(f"{text!r}: {rest[:40]!r} is not expected")
    return tree


def _read(text: str) -> tuple[Tree, str]:
    tree = Tree()
    while found := _WORD.match(text):
        inner, text = Tree(), text[found.end() :]
        if text.startswith("["):
            inner, text = _read(text[1:])
            if not text.startswith("]"):
                raise TreeError("a bracket is open")
            text = text[1:]
        if span := _RANGE.match(text):
            low = int(span[1] or 0)
            inner.first, inner.last = low, (int(span[3]) if span[3] else None) if span[2] else low + 1
            text = text[span.end() :]
        known = tree.names.setdefault(found[0], inner)
        known.names.update(inner.names)
        if not text.startswith(","):
            break
        text = text[1:]
    return tree, text
