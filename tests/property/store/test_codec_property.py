"""Whatever the model can hold comes back from its text as it was."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import cache
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from torii.gate.state import State
from torii.model.change import Subject
from torii.model.command import Command
from torii.model.event import Event
from torii.model.view import BuildView, Decision, ItemView
from torii.store.codec import decode, decode_event, encode, encode_event, event_kind
from torii.store.tables import escape, unescape

# Every character there is, half of the time bytes of no encoding as `os.fsdecode` gives them. A high surrogate that a low one follows is
# one character to JSON; no decoder makes it.
TEXT = st.one_of(
    st.text(st.one_of(st.characters(exclude_categories=["Cs"]), st.characters(min_codepoint=0xDC80, max_codepoint=0xDCFF)), max_size=12),
    st.binary(max_size=12).map(lambda data: data.decode("utf-8", "surrogateescape")),
    st.sampled_from(["", "\x00", "\\u0000", "\\", "\ud800", '"', "\u2028", "$type", "$same"]),
)
PLAIN: dict[Any, st.SearchStrategy[Any]] = {
    str: TEXT,
    int: st.integers(),
    float: st.floats(allow_nan=False),
    bool: st.booleans(),
    NoneType: st.none(),
    None: st.none(),
}
FEW = settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])  # the values are whole trees


@cache
def values_of(type_: Any) -> st.SearchStrategy[Any]:
    """Values of `type_`, found by its annotations as the codec finds them."""
    while hasattr(type_, "__supertype__"):
        type_ = type_.__supertype__
    if type_ in PLAIN:
        return PLAIN[type_]
    origin, args = get_origin(type_), get_args(type_)
    if origin in (Union, UnionType):
        return st.one_of([values_of(member) for member in args])
    if origin is tuple and args[-1] is Ellipsis:
        return st.lists(values_of(args[0]), max_size=2).map(tuple)
    if origin is tuple:
        return st.tuples(*map(values_of, args))
    if origin is list:
        return st.lists(values_of(args[0]), max_size=2)
    if origin is dict:
        return st.dictionaries(values_of(args[0]), values_of(args[1]), max_size=2)
    if issubclass(type_, Enum):
        return st.sampled_from(list(type_))
    assert is_dataclass(type_), f"no values of {type_} are known"
    hints = get_type_hints(type_)
    return st.deferred(lambda: st.builds(type_, **{field.name: values_of(hints[field.name]) for field in fields(type_)}))


def named(*types: Any) -> Callable[[Any], Any]:
    members: Iterator[Any] = (member for type_ in types for member in (get_args(type_) or (type_,)))
    return pytest.mark.parametrize("type_", sorted(members, key=lambda type_: type_.__name__), ids=lambda type_: type_.__name__)


@named(Event)
@FEW
@given(data=st.data())
def test_every_event_comes_back_from_the_journal_as_it_was(type_, data):
    event = data.draw(values_of(type_))
    text = encode_event(event)
    assert text.isascii()
    assert "\n" not in text
    assert decode_event(event_kind(event), text) == event


@named(ItemView, BuildView, Decision, Command, State)
@FEW
@given(data=st.data())
def test_every_other_value_comes_back_as_it_was(type_, data):
    value = data.draw(values_of(type_))
    text = encode(value)
    assert text.isascii()
    assert decode(type_, text) == value


@given(value=values_of(Subject))
def test_a_union_comes_back_as_the_member_it_was(value):
    assert decode(Subject, encode(value, Subject)) == value


@given(text=TEXT)
def test_what_no_column_can_hold_is_escaped_and_comes_back(text):
    stored = escape(text)
    stored.encode("utf-8")
    assert "\0" not in stored
    assert unescape(stored) == text


@given(one=TEXT, other=TEXT)
def test_names_that_differ_are_stored_as_names_that_differ(one, other):
    assert (escape(one) == escape(other)) == (one == other)
