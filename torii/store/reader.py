"""What pages and the command line ask of the store. Nothing here writes; every method may be called from any thread."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, Select, func, or_, select, type_coerce, union
from sqlalchemy import String as PlainString

from torii.model.ids import BuildId, ChangeId, ItemId, PipelineName, ProjectName
from torii.model.view import BuildView, Decision, ItemView
from torii.runtime.ports import Cursor
from torii.store.codec import decode
from torii.store.errors import AmbiguousChangeError, StoreError
from torii.store.sqlite import explained
from torii.store.tables import builds, cursors, decisions, escape, items, journal, meta, snapshots

V = TypeVar("V")

_AT_ONCE = 500
"""How many ids one query names: databases have a limit."""

_BOUNDARIES = ":/@"
"""What may stand before the short name of a change."""


class StoreReader:
    """The rows of items, builds and decisions, as values of `torii.model.view`. Every method raises StoreError when the database fails."""

    def __init__(self, engine: Engine, path: Path) -> None:
        self._read_engine = engine
        self.path = path
        with self._reading() as connection:
            self.instance = self._instance(connection)

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with explained(self.path), self._read_engine.connect() as connection:
            yield connection

    def _instance(self, connection: Connection) -> str:
        value = connection.execute(select(meta.c.value).where(meta.c.name == "instance")).scalar()
        if value is None:
            raise StoreError(f"{self.path} has lost its instance id; put a backup in its place")
        return str(value)

    def last_seq(self) -> int:
        """Return the number of the newest journal entry, 0 where there is none yet."""
        with self._reading() as connection:
            return newest_seq(connection)

    def cursor(self, source: str) -> Cursor | None:
        """Return how far `source` had read when last it was committed, None where it never was."""
        with self._reading() as connection:
            state = connection.execute(select(cursors.c.state).where(cursors.c.source == source)).scalar()
        return None if state is None else Cursor(source, state)

    def items(
        self,
        *,
        active_only: bool = False,
        pipeline: PipelineName | None = None,
        project: ProjectName | None = None,
        change: ChangeId | None = None,
        before: float | None = None,
        limit: int | None = 100,
    ) -> tuple[ItemView, ...]:
        """Return up to `limit` items, the newest first; with `active_only` by pipeline, queue and position.

        `before` (seconds since the epoch) gives those enqueued earlier, for turning pages; `limit` None gives all.
        """
        wanted = select(items.c.body).order_by(items.c.enqueued_at.desc(), items.c.id.desc()).limit(limit)
        for column, value in ((items.c.pipeline, pipeline), (items.c.project, project), (items.c.change, change)):
            if value is not None:
                wanted = wanted.where(column == value)
        if active_only:
            wanted = wanted.where(items.c.left_at.is_(None))
        if before is not None:
            wanted = wanted.where(items.c.enqueued_at < before)
        found = self._values(ItemView, wanted)
        return tuple(sorted(found, key=_place) if active_only else found)

    def item(self, item: ItemId) -> ItemView | None:
        """Return one item, or None."""
        return self._value(ItemView, select(items.c.body).where(items.c.id == item))

    def builds_of(self, *wanted: ItemId) -> tuple[BuildView, ...]:
        """Return all builds of these items, by item and build set, each set's in the order in which they were asked for."""
        found: list[BuildView] = []
        for start in range(0, len(wanted), _AT_ONCE):
            found += self._values(BuildView, select(builds.c.body).where(builds.c.item.in_(wanted[start : start + _AT_ONCE])))
        return tuple(sorted(found, key=_order))

    def build(self, build: BuildId) -> BuildView | None:
        """Return one build, or None."""
        return self._value(BuildView, select(builds.c.body).where(builds.c.id == build))

    def decisions_of(self, change: ChangeId | None = None, item: ItemId | None = None, limit: int = 100) -> tuple[Decision, ...]:
        """Return the newest `limit` decisions on `change`, or on one `item`, in the order in which they were made."""
        wanted = select(decisions.c.body).order_by(decisions.c.id.desc()).limit(limit)
        if change is not None:
            wanted = wanted.where(decisions.c.change == change)
        if item is not None:
            wanted = wanted.where(decisions.c.item == item)
        return tuple(reversed(self._values(Decision, wanted)))

    def find_change(self, text: str) -> ChangeId | None:
        """Return the change whose id is `text`, or the one whose id ends so: `fix` or `main/fix` for `app:main/fix`.

        None where there is none; raises AmbiguousChangeError where there are several, naming them.
        """
        if not text:
            return None
        known = union(*(select(table.c.change.label("change")) for table in (items, decisions))).subquery()
        stored = type_coerce(known.c.change, PlainString)
        wanted = select(known.c.change).where(or_(stored == escape(text), stored.endswith(escape(text), autoescape=True)))
        with self._reading() as connection:
            names: Sequence[str] = connection.execute(wanted).scalars().all()
        if text in names:
            return ChangeId(text)
        found = sorted(name for name in names if name.endswith(text) and (text[0] in _BOUNDARIES or name[-len(text) - 1] in _BOUNDARIES))
        if len(found) > 1:
            shown = ", ".join(found[:5]) + (", ..." if len(found) > 5 else "")
            raise AmbiguousChangeError(f"{text!r} may be any of {len(found)} changes ({shown}); write more of its name")
        return ChangeId(found[0]) if found else None

    def _values(self, type_: type[V], query: Select[Any]) -> list[V]:
        with self._reading() as connection:
            bodies = connection.execute(query).scalars().all()
        return [decode(type_, body) for body in bodies]

    def _value(self, type_: type[V], query: Select[Any]) -> V | None:
        return next(iter(self._values(type_, query)), None)


def newest_seq(connection: Connection) -> int:
    """Return the number of the newest journal entry, also where pruning has taken all that a snapshot covers."""
    newest = [connection.execute(select(func.max(table.c.seq))).scalar() or 0 for table in (journal, snapshots)]
    return max(newest)


def _place(item: ItemView) -> tuple[str, str, float, float]:
    return item.pipeline, item.queue, math.inf if item.position is None else item.position, item.enqueued_at


def _order(build: BuildView) -> tuple[str, int, float, str, int]:
    *_, number = build.build_set.rpartition(".")
    asked = math.inf if build.requested_at is None else build.requested_at
    return build.item, int(number) if number.isdecimal() else 0, asked, build.job, build.attempt
