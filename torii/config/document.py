"""YAML as a tree of values that know where they stand, read so that no file, however hostile, costs much.

It builds the tree from PyYAML's events and not with its constructors, since those follow aliases without end, recurse as deep as
the file nests, take the last of two equal keys, and forget how a scalar was written. Nothing here guesses a type: `3.10` stays the
text `3.10`, and `yes` stays `yes`, until somebody who knows what is wanted asks.
"""

from __future__ import annotations

import pathlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from torii.config.wording import path_text, shown
from torii.model.job import ConfigProblem

MAX_BYTES = 1024 * 1024
MAX_VALUES = 10_000
"""Values in a document once its aliases are written out."""
MAX_DEPTH = 20

Path = tuple[str | int, ...]

_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
# libyaml's parser where PyYAML was built with it (as its wheels are): ten times as fast, same events.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class Position:
    """Line and column, both from 1."""

    line: int
    column: int


@dataclass(slots=True, eq=False)
class Scalar:
    """`plain`: written without quotes and not as a block."""

    at: Position
    text: str
    plain: bool

    @property
    def empty(self) -> bool:
        return self.plain and self.text in _NULLS


@dataclass(slots=True, eq=False)
class Listing:
    """A YAML sequence."""

    at: Position
    items: list[Node] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Mapping:
    """`entries` has for each key where the key stands, and its value."""

    at: Position
    entries: dict[str, tuple[Position, Node]] = field(default_factory=dict)


Node = Scalar | Listing | Mapping


class Plain(str):
    """The text of a scalar that was written without quotes: it may stand for a number or a truth value where one is due."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Document:
    """A file that is YAML. `problems` are mistakes that still let the rest be looked at."""

    file: str
    root: Mapping
    problems: tuple[ConfigProblem, ...] = ()

    def find(self, path: Path) -> tuple[Path, Position, Node]:
        """Return how much of `path` there is, where its last key stands, and the value there (for a list item, the value's own place).

        One value may stand for a list that has no other: then what `path` says of the list's items is there without their index.
        """
        node: Node = self.root
        at = node.at
        there: list[str | int] = []
        for step in path:
            if isinstance(step, int) and not isinstance(node, Listing):
                continue
            if isinstance(node, Mapping) and isinstance(step, str) and step in node.entries:
                at, node = node.entries[step]
            elif isinstance(node, Listing) and isinstance(step, int) and 0 <= step < len(node.items):
                node = node.items[step]
                at = node.at
            else:
                break
            there.append(step)
        return tuple(there), at, node

    def problem(self, path: Path, message: str, suggestion: str = "", *, key: bool = False) -> ConfigProblem:
        """Return a problem of the value at `path`, or of its key."""
        there, key_at, node = self.find(path)
        at = key_at if key or (isinstance(node, Scalar) and node.empty) else node.at
        return ConfigProblem(self.file, at.line, at.column, path_text(there), message, suggestion)


def native(node: Node) -> object:
    """Return `node` as dicts, lists, str, `Plain` and None, for pydantic."""
    match node:
        case Scalar():
            return None if node.empty else Plain(node.text) if node.plain else node.text
        case Listing():
            return [native(item) for item in node.items]
        case Mapping():
            return {key: native(value) for key, (_, value) in node.entries.items()}


def read_bytes(path: pathlib.Path) -> bytes:
    """Return what is in the file at `path`, cut off where it is longer than what `read_document` takes. Raises OSError."""
    with path.open("rb") as file:
        return file.read(MAX_BYTES + 1)


def read_document(data: bytes, file: str, *, may_be_empty: bool = False) -> Document | tuple[ConfigProblem, ...]:
    """Return the document in `data`, or why there is none. Costs no more than some tens of milliseconds."""
    try:
        return _Composer(file, may_be_empty).compose(_text(data, file))
    except _UnreadableError as unreadable:
        return (unreadable.problem,)


class _UnreadableError(Exception):
    """There is no going on after this problem."""

    def __init__(self, problem: ConfigProblem) -> None:
        super().__init__(str(problem))
        self.problem = problem


def _text(data: bytes, file: str) -> str:
    if len(data) > MAX_BYTES:
        raise _UnreadableError(ConfigProblem(file, 1, 1, "", f"the file has more than {MAX_BYTES} bytes (1 MiB), the most that is read"))
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8", "replace")
        message = f"not UTF-8: the byte 0x{data[error.start]:02x} cannot stand here"
        raise _UnreadableError(_at_index(before, len(before), file, message, "save the file as UTF-8")) from None
    if found := _UNPRINTABLE.search(text):
        name = "a NUL character" if found[0] == "\0" else f"the control character U+{ord(found[0]):04X}"
        raise _UnreadableError(_at_index(text, found.start(), file, f"{name} cannot stand in YAML", "remove it"))
    return text


def _at_index(text: str, index: int, file: str, message: str, suggestion: str) -> ConfigProblem:
    lines = re.split("\r\n|[\r\n\x85\u2028\u2029]", text[:index])
    return ConfigProblem(file, len(lines), len(lines[-1]) + 1, "", message, suggestion)


@dataclass(slots=True)
class _Open:
    """A list or mapping that is being read; `key` is the one whose value comes next. `size` counts values, aliases written out."""

    node: Listing | Mapping
    anchor: str | None
    key: tuple[str, Position] | None = None
    merges: list[tuple[Position, Node]] = field(default_factory=list)
    size: int = 1


class _Composer:
    def __init__(self, file: str, may_be_empty: bool) -> None:
        self.file = file
        self.may_be_empty = may_be_empty
        self.problems: list[ConfigProblem] = []
        self.stack: list[_Open] = []
        self.anchors: dict[str, tuple[Node, int]] = {}
        self.values = 0
        self.root: Node | None = None

    def compose(self, text: str) -> Document:
        documents = 0
        try:
            for event in yaml.parse(text, Loader=_LOADER):
                if isinstance(event, yaml.DocumentStartEvent):
                    documents += 1
                    if documents > 1:
                        raise self.stop(event, "a second document starts here; one file is one document", "remove the ---")
                elif isinstance(event, yaml.NodeEvent | yaml.CollectionEndEvent):
                    self.take(event)
        except yaml.YAMLError as error:
            raise _UnreadableError(_syntax(error, text, self.file)) from None
        if self.root is None or (isinstance(self.root, Scalar) and self.root.empty):
            if self.may_be_empty:
                return Document(self.file, Mapping(Position(1, 1)), tuple(self.problems))
            raise _UnreadableError(ConfigProblem(self.file, 1, 1, "", "the file is empty"))
        if not isinstance(self.root, Mapping):
            at = self.root.at
            kind = "a list" if isinstance(self.root, Listing) else "text"
            raise _UnreadableError(
                ConfigProblem(self.file, at.line, at.column, "", f"the file must be a mapping of keys to values, not {kind}")
            )
        return Document(self.file, self.root, tuple(self.problems))

    def take(self, event: yaml.Event) -> None:
        at = _position(event.start_mark)
        if (tag := getattr(event, "tag", None)) is not None:
            self.problems.append(self.problem(at, f"YAML tags are not allowed: {shown(tag)}", "remove the tag"))
        match event:
            case yaml.ScalarEvent():
                self.place(Scalar(at, event.value, event.implicit[0] and not event.style), event.anchor, 1)
            case yaml.AliasEvent():
                self.alias(event, at)
            case yaml.SequenceStartEvent() | yaml.MappingStartEvent():
                if len(self.stack) == MAX_DEPTH:
                    raise self.stop(event, f"nested more than {MAX_DEPTH} deep")
                opened = Listing(at) if isinstance(event, yaml.SequenceStartEvent) else Mapping(at)
                if self.stack and isinstance(self.stack[-1].node, Mapping) and self.stack[-1].key is None:
                    raise self.stop(event, "a key must be text, not a list or a mapping", "is a { or [ meant as text? quote it")
                self.stack.append(_Open(opened, event.anchor))
            case _:
                closed = self.stack.pop()
                self.merge(closed)
                self.place(closed.node, closed.anchor, closed.size)

    def alias(self, event: yaml.AliasEvent, at: Position) -> None:
        name = event.anchor or ""
        if any(opened.anchor == name for opened in self.stack):
            raise self.stop(event, f"the alias *{shown(name, quote=False)} stands inside of what it names")
        if name not in self.anchors:
            raise self.stop(event, f"the alias *{shown(name, quote=False)} has no anchor &{shown(name, quote=False)} before it")
        node, size = self.anchors[name]
        if self.stack and isinstance(self.stack[-1].node, Mapping) and self.stack[-1].key is None:
            raise self.stop(event, "an alias cannot be a key")
        self.place(node, None, size, at)

    def place(self, node: Node, anchor: str | None, size: int, at: Position | None = None) -> None:
        """Put a finished value where it belongs. `at` is where the file says so, if that is elsewhere (an alias)."""
        if anchor is not None:
            self.anchors[anchor] = (node, size)
        self.values += size if at is not None else 1
        if self.values > MAX_VALUES:
            where = at or node.at
            message = f"more than {MAX_VALUES} values, aliases written out"
            raise _UnreadableError(self.problem(where, message, "is this an alias bomb?" if at else ""))
        if not self.stack:
            self.root = node
            return
        parent = self.stack[-1]
        parent.size += size
        match parent.node:
            case Listing(items=items):
                items.append(node)
            case Mapping() if parent.key is None:
                parent.key = self.key(node)
            case Mapping(entries=entries):
                (key, key_at), parent.key = parent.key or ("", node.at), None
                if key == "<<":
                    parent.merges.append((at or node.at, node))
                elif key in entries:
                    first = entries[key][0]
                    self.problems.append(self.problem(key_at, f"the key is given twice, first in line {first.line}", "keep one", key))
                else:
                    entries[key] = (key_at, node)

    def key(self, node: Node) -> tuple[str, Position]:
        assert isinstance(node, Scalar)  # lists and mappings were refused when they began
        if not node.text:
            raise _UnreadableError(self.problem(node.at, "a key is missing before the :"))
        return (node.text, node.at) if node.plain or node.text != "<<" else ('"<<"', node.at)

    def merge(self, closed: _Open) -> None:
        """Add what `<<` brings in; a key's own value wins, then the first of those merged."""
        if not isinstance(closed.node, Mapping):
            return
        for at, source in closed.merges:
            for brought in source.items if isinstance(source, Listing) else [source]:
                if not isinstance(brought, Mapping):
                    self.problems.append(self.problem(at, "<< merges mappings only", "write <<: *name, where &name is a mapping"))
                    continue
                for key, entry in brought.entries.items():
                    closed.node.entries.setdefault(key, entry)

    def path(self) -> Iterator[str | int]:
        for opened in self.stack:
            if isinstance(opened.node, Listing):
                yield len(opened.node.items)
            elif opened.key is not None:
                yield opened.key[0]

    def problem(self, at: Position, message: str, suggestion: str = "", key: str | None = None) -> ConfigProblem:
        path = (*self.path(), *(() if key is None else (key,)))
        return ConfigProblem(self.file, at.line, at.column, path_text(path), message, suggestion)

    def stop(self, event: yaml.Event, message: str, suggestion: str = "") -> _UnreadableError:
        return _UnreadableError(self.problem(_position(event.start_mark), message, suggestion))


def _position(mark: Any) -> Position:
    return Position(mark.line + 1, mark.column + 1)


# What PyYAML says (in its C and its Python parser), and what a user makes more of.
_TAB = ("a tab cannot indent YAML", "use spaces")
_WORDS = (
    (r"found a tab|tab character", *_TAB),
    (r"that cannot start any token", "a value cannot start with this character", "quote the text"),
    (r"mapping values are not allowed", "a : cannot stand here", 'quote text that holds ": ", or check the indentation'),
    (r"could not find expected ':'", "a : is missing after this key", "write key: value"),
    (r"unexpected end of stream|unexpected document separator", "a quote or bracket is not closed", ""),
    (r"did not find expected (key|'-' indicator)|expected <block end>", "this does not fit what stands above it", "check the indentation"),
    (r"did not find expected ',' or|expected ',' or", "a , or a closing bracket is missing", ""),
    (r"did not find expected node content|expected the node content", "a value is missing, or a bracket is not closed", ""),
    (r"unknown escape|escape character", "an unknown \\ escape between double quotes", "write \\\\, or use single quotes"),
)


def _syntax(error: yaml.YAMLError, text: str, file: str) -> ConfigProblem:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    at = _position(mark) if mark is not None else Position(1, 1)
    said = str(getattr(error, "problem", None) or getattr(error, "reason", None) or "cannot be read")
    message, suggestion = next(((words, hint) for pattern, words, hint in _WORDS if re.search(pattern, said)), (said, ""))
    if mark is not None and "cannot start" in said and text[mark.index : mark.index + 1] == "\t":
        message, suggestion = _TAB
    if mark is not None and mark.index >= len(text):  # libyaml takes the end of the text for a line of its own
        return _at_index(text, len(text), file, f"not YAML: {message}", suggestion)
    return ConfigProblem(file, at.line, at.column, "", f"not YAML: {message}", suggestion)
