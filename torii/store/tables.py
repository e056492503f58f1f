"""The tables of the store. Columns are what queries select by; `body` is the whole value as `torii.store.codec` writes it.

A value that gains a field therefore needs no migration, unless queries are to select by it. The tables change only together with a
revision in `torii/store/migrations/versions`; a test compares the two.
"""

from __future__ import annotations

import re
from typing import Any

from sqlalchemy import BigInteger, Column, Dialect, Float, Index, Integer, LargeBinary, MetaData, String, Table, Text, TypeDecorator

SCHEMA = "0001"
"""The newest revision, which this version of Torii works on."""

_UNSTORABLE = re.compile("[\\\\\0\ud800-\udfff]")
_ESCAPED = re.compile(r"\\(\\|u[0-9a-f]{4})")


def escape(text: str) -> str:
    """Return `text` with what no database stores as text (NUL, bytes of no encoding) written as `\\uXXXX`, and `\\` doubled."""
    return _UNSTORABLE.sub(lambda found: "\\\\" if found[0] == "\\" else f"\\u{ord(found[0]):04x}", text)


def unescape(text: str) -> str:
    """Return the text that `escape` made `text` of."""
    return _ESCAPED.sub(lambda found: "\\" if found[1] == "\\" else chr(int(found[1][1:], 16)), text)


class Name(TypeDecorator[str]):
    """Text that may come from outside, so may hold anything a Python string can."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002  SQLAlchemy's signature
        return None if value is None else escape(value)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> str | None:  # noqa: ARG002  SQLAlchemy's signature
        return None if value is None else unescape(value)


metadata = MetaData()

_Number = BigInteger().with_variant(Integer, "sqlite")
"""64 bits everywhere. SQLite's own INTEGER has them, and only that name makes a column the row's address."""

meta = Table("meta", metadata, Column("name", String, primary_key=True), Column("value", String, nullable=False))

journal = Table(
    "journal",
    metadata,
    Column("seq", _Number, primary_key=True, autoincrement=False),
    Column("at", Float, nullable=False),
    Column("kind", String, nullable=False),
    Column("body", Text, nullable=False),
)

snapshots = Table(
    "snapshots",
    metadata,
    Column("seq", _Number, primary_key=True, autoincrement=False),
    Column("at", Float, nullable=False),
    Column("format", Integer, nullable=False),
    Column("body", LargeBinary, nullable=False),
)

cursors = Table("cursors", metadata, Column("source", Name, primary_key=True), Column("state", Name, nullable=False))

items = Table(
    "items",
    metadata,
    Column("id", Name, primary_key=True),
    Column("pipeline", Name, nullable=False),
    Column("project", Name, nullable=False),
    Column("change", Name, nullable=False),
    Column("enqueued_at", Float, nullable=False),
    Column("left_at", Float),
    Column("body", Text, nullable=False),
    Index("items_by_change", "change", "enqueued_at"),
    Index("items_by_enqueued_at", "enqueued_at"),
    Index("items_by_left_at", "left_at"),
)

builds = Table(
    "builds",
    metadata,
    Column("id", Name, primary_key=True),
    Column("item", Name, nullable=False),
    Column("body", Text, nullable=False),
    Index("builds_by_item", "item"),
)

decisions = Table(
    "decisions",
    metadata,
    Column("id", _Number, primary_key=True, autoincrement=True),
    Column("at", Float, nullable=False),
    Column("change", Name, nullable=False),
    Column("item", Name),
    Column("body", Text, nullable=False),
    Index("decisions_by_change", "change", "id"),
    Index("decisions_by_item", "item", "id"),
    Index("decisions_by_at", "at"),
)
