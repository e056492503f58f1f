"""Values to JSON text and back: the format of journal entries, snapshots and rows.

A union of dataclasses is tagged with its member's class name, an enum is its value, a tuple or set a list, a mapping whose keys
are not text a list of pairs. Defaults are written out, so that an entry keeps its meaning when a default changes; a key that is
missing takes the dataclass's default and one that is unknown is passed over, so that an older journal loads in a newer Torii.
Types are found by their annotations, which must therefore be importable at run time (no imports for type checkers only).

A gate's state names the same few job definitions thousands of times. `encode` writes each once, in a table ahead of the value.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import is_dataclass
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin

from cattrs import Converter
from cattrs.preconf.json import make_converter

from torii.errors import OperatorError
from torii.model.event import Event
from torii.model.job import JobDefinition, ProjectConfig

T = TypeVar("T")

TAG = "$type"
"""The key that names the class of a value where its type alone does not."""

SAME = "$same"
"""The key of a reference to an entry of the table that SHARED names."""

SHARED = "$shared"
_VALUE = "$value"
_SHARED_TYPES: dict[str, Any] = {"JobDefinition": JobDefinition, "ProjectConfig": ProjectConfig}

_to_text = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode
_from_text = json.JSONDecoder().decode


class _Table:
    """The shared values of one text being written. They are known by identity first, as comparing them costs more."""

    def __init__(self) -> None:
        self.entries: list[Any] = []
        self._by_identity: dict[int, int] = {}
        self._by_value: dict[Any, int] = {}

    def place(self, value: Any, write: Callable[[Any], Any]) -> int:
        """Return the place of `value` in the table, which `write` fills at its first sight."""
        place = self._by_identity.get(id(value))
        if place is None:
            place = self._by_value.get(value)
            if place is None:
                written = (value.__class__.__name__, write(value))
                place = self._by_value[value] = len(self.entries)
                self.entries.append(written)
            self._by_identity[id(value)] = place
        return place


class _Tables(threading.local):
    """The tables of the text that this thread writes or reads just now."""

    writing: _Table | None = None
    reading: list[Any] | None = None


_tables = _Tables()


class DecodeError(OperatorError):
    """Text that this version of Torii cannot read as the value it should be."""


def encode(value: Any, type_: Any = None) -> str:
    """Return `value` as one line of ASCII JSON. `type_` is needed only where `decode` is given a union or a generic type.

    Every text round-trips, also one that holds bytes of no encoding (Python's surrogate escapes), except a high surrogate that a
    low one follows, which no decoder produces.
    """
    table = _tables.writing = _Table()
    try:
        plain = _converter.unstructure(value, unstructure_as=type_ or value.__class__)
    finally:
        _tables.writing = None
    return _to_text({SHARED: table.entries, _VALUE: plain} if table.entries else plain)


def decode(type_: type[T], text: str) -> T:
    """Return the value of `type_` that `text` encodes, or raise DecodeError."""
    try:
        plain = _from_text(text)
        if isinstance(plain, dict) and SHARED in plain:
            return _read_shared(type_, plain)
        return _converter.structure(plain, type_)
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise DecodeError(f"stored text is no {_name(type_)}: {error!r}; was it written by another version of Torii?") from error


def _read_shared(type_: type[T], plain: dict[str, Any]) -> T:
    table = _tables.reading = []
    try:
        for kind, entry in plain[SHARED]:
            table.append(_converter.structure(entry, _SHARED_TYPES[kind]))
        return _converter.structure(plain[_VALUE], type_)
    finally:
        _tables.reading = None


def event_kind(event: Event) -> str:
    """Return the name an event's class goes by in the journal."""
    return event.__class__.__name__


def encode_event(event: Event) -> str:
    """Return `event` without its kind, as one line of ASCII JSON."""
    kind = event.__class__
    try:
        unstructure = _event_writers[kind]
    except KeyError:
        raise TypeError(f"{kind.__name__} is not an event") from None
    return _to_text(unstructure(event))


def decode_event(kind: str, text: str) -> Event:
    """Return the event that `event_kind` and `encode_event` made these of, or raise DecodeError."""
    type_ = _event_types.get(kind)
    if type_ is None:
        raise DecodeError(f"no event is called {kind!r} in this version of Torii; was the journal written by a newer one?")
    event: Event = decode(type_, text)
    return event


def _name(type_: Any) -> str:
    return getattr(type_, "__name__", None) or str(type_)


def _members(type_: Any) -> tuple[type, ...]:
    """Return the classes of a union of two or more dataclasses (and perhaps None), else nothing."""
    if get_origin(type_) not in (Union, UnionType):
        return ()
    members = tuple(member for member in get_args(type_) if member is not NoneType)
    return members if len(members) > 1 and all(is_dataclass(member) for member in members) else ()


def _tagged_writer(type_: Any) -> Callable[[Any], Any]:
    writers = {member: _converter.get_unstructure_hook(member) for member in _members(type_)}

    def write(value: Any) -> Any:
        if value is None:
            return None
        kind = value.__class__
        return {TAG: kind.__name__, **writers[kind](value)}

    return write


def _tagged_reader(type_: Any) -> Callable[[Any, Any], Any]:
    readers = {member.__name__: (member, _converter.get_structure_hook(member)) for member in _members(type_)}

    def read(value: Any, _: Any) -> Any:
        if value is None and NoneType in get_args(type_):
            return None
        member, reader = readers[value[TAG]]
        return reader(value, member)

    return read


def _has_rich_keys(type_: Any) -> bool:
    """Tell whether a mapping's keys are something else than text, which JSON's objects cannot have."""
    origin = get_origin(type_)
    if not (isinstance(origin, type) and issubclass(origin, Mapping)):
        return False
    key = get_args(type_)[0]
    while hasattr(key, "__supertype__"):
        key = key.__supertype__
    return key is not str


def _pairs_writer(type_: Any) -> Callable[[Any], Any]:
    key_type, value_type = get_args(type_)
    key, value = _converter.get_unstructure_hook(key_type), _converter.get_unstructure_hook(value_type)
    return lambda mapping: [(key(k), value(v)) for k, v in mapping.items()]


def _pairs_reader(type_: Any) -> Callable[[Any, Any], Any]:
    key_type, value_type = get_args(type_)
    key, value = _converter.get_structure_hook(key_type), _converter.get_structure_hook(value_type)
    return lambda pairs, _: {key(k, key_type): value(v, value_type) for k, v in pairs}


def _shared_writer(type_: Any) -> Callable[[Any], Any]:
    write = _converter.gen_unstructure_attrs_fromdict(type_)

    def place(value: Any) -> Any:
        table = _tables.writing
        return write(value) if table is None else {SAME: table.place(value, write)}

    return place


def _shared_reader(type_: Any) -> Callable[[Any, Any], Any]:
    read = _converter.gen_structure_attrs_fromdict(type_)

    def find(value: Any, _: Any) -> Any:
        table = _tables.reading
        if table is None or SAME not in value:
            return read(value, type_)
        found = table[value[SAME]]
        if not isinstance(found, type_):
            raise ValueError(f"shared entry {value[SAME]} is no {type_.__name__}")
        return found

    return find


def _is_shared(type_: Any) -> bool:
    return type_ in _SHARED_TYPES.values()


def _is_tuple(type_: Any) -> bool:
    return get_origin(type_) is tuple and get_args(type_) != ()


def _tuple_reader(type_: Any) -> Callable[[Any, Any], Any]:
    """Return a reader of tuples that looks at their type once, not at each value as cattrs' own does: three times as fast."""
    types = get_args(type_)
    readers = [_converter.get_structure_hook(member) for member in types if member is not Ellipsis]
    if len(types) == 2 and types[1] is Ellipsis:
        member, reader = types[0], readers[0]
        return lambda values, _: tuple([reader(value, member) for value in values]) if values else ()
    return lambda values, _: tuple([reader(value, member) for reader, value, member in zip(readers, values, types, strict=True)])


def _make_converter() -> Converter:
    converter = make_converter(detailed_validation=False, forbid_extra_keys=False, omit_if_default=False)
    converter.register_unstructure_hook_factory(_is_shared, _shared_writer)
    converter.register_structure_hook_factory(_is_shared, _shared_reader)
    converter.register_structure_hook_factory(_is_tuple, _tuple_reader)
    converter.register_unstructure_hook_factory(lambda type_: bool(_members(type_)), _tagged_writer)
    converter.register_structure_hook_factory(lambda type_: bool(_members(type_)), _tagged_reader)
    converter.register_unstructure_hook_factory(_has_rich_keys, _pairs_writer)
    converter.register_structure_hook_factory(_has_rich_keys, _pairs_reader)
    return converter


_converter = _make_converter()
_event_types: dict[str, Any] = {type_.__name__: type_ for type_ in get_args(Event)}
_event_writers: dict[type, Callable[[Any], Any]] = {type_: _converter.get_unstructure_hook(type_) for type_ in _event_types.values()}
