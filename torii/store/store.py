"""The one store of a Torii: what the scheduler commits before it acts, and what it starts from after a restart.

Only whoever holds the lease (`torii.store.lease`) opens a store for writing. A batch of events, the rows it changed and the cursors
of the sources it came from are one transaction: all of it is there after a crash, or nothing.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, Engine, delete, func, insert, or_, select

from torii import __version__
from torii.config.settings import ServerConfig
from torii.model.event import Event
from torii.model.ids import BuildId
from torii.model.view import Records
from torii.runtime.ports import Cursor
from torii.store import tables
from torii.store.blobs import FolderBlobs
from torii.store.codec import encode, encode_event, event_kind
from torii.store.errors import StoreError
from torii.store.journal import JournalReader, Recovery, pack
from torii.store.reader import StoreReader
from torii.store.sqlite import database_path, explained, open_reader, open_writer, upsert
from torii.store.tables import builds, decisions, items, journal, meta, snapshots
from torii.store.upgrade import check_schema, upgrade

NOTHING = Records()

_DAY = 86400.0
_AT_ONCE = 500
_ID_LETTERS = "abcdefghijklmnopqrstuvwxyz234567"


@dataclass(frozen=True, slots=True)
class Retention:
    """How many seconds things are kept: journal entries, for `torii replay`, and the rows of items that left and their builds."""

    journal: float = 30 * _DAY
    rows: float = 180 * _DAY


class Store(StoreReader):
    """A store opened for writing (or not, with `read_only`). One thread writes; any thread may read meanwhile."""

    def __init__(self, path: Path, blobs: FolderBlobs, *, read_only: bool, patience: float) -> None:
        self.blobs = blobs
        self._writer: Engine | None = None
        self._lock = threading.Lock()
        if not read_only:
            self._writer = open_writer(path, patience)
            with explained(path), self._writer.begin() as connection:
                upgrade(connection, path)
                _name_instance(connection)
        reader = open_reader(path, patience)
        if read_only:
            with explained(path), reader.connect() as connection:
                check_schema(connection, path)
        super().__init__(reader, path)
        self._journal = JournalReader(reader, path)
        self._newest = self.last_seq()

    def append(self, entries: Sequence[tuple[float, Event]], records: Records = NOTHING, cursors: Sequence[Cursor] = ()) -> int:
        """Commit events (with their times), the rows they changed and the cursors of their sources; return the last entry's number.

        All or nothing: StoreError means that nothing of it was written. StoreUnavailableError says that the same call may yet succeed.
        """
        if not entries and not cursors and records == NOTHING:
            return self._newest
        with self._writing() as connection:
            rows = [
                {"seq": seq, "at": at, "kind": event_kind(event), "body": encode_event(event)}
                for seq, (at, event) in enumerate(entries, self._newest + 1)
            ]
            if rows:
                connection.execute(insert(journal), rows)
            _write_records(connection, records)
            upsert(connection, tables.cursors, [{"source": cursor.source, "state": cursor.state} for cursor in cursors])
        self._newest += len(rows)
        return self._newest

    def save_snapshot(self, seq: int, format: int, body: str) -> None:  # noqa: A002  the word for it
        """Keep the gate's state after entry `seq`. The last two are kept, and one a day for as long as the journal is."""
        with self._writing() as connection:
            at = connection.execute(select(journal.c.at).where(journal.c.seq == seq)).scalar() or 0.0
            upsert(connection, snapshots, [{"seq": seq, "at": at, "format": format, "body": pack(body)}])
            _thin_snapshots(connection)

    def load(self, before: int | None = None) -> Recovery:
        """Return the newest snapshot and the events after it.

        Where that snapshot turns out unreadable, its `seq` as `before` gives the one before it, or none and every event.
        """
        return self._journal.load(before)

    def export_journal(self, since: float | None = None) -> Iterator[str]:
        """Yield the lines of a journal file: a header with the snapshot it begins at, then an entry a line.

        It begins at the newest snapshot taken up to `since` (seconds since the epoch); None: as far back as the journal goes.
        """
        return self._journal.lines(since)

    def prune(self, now: float, retention: Retention = Retention(), limit: int = 5000) -> int:
        """Delete what is older than `retention` says, at most `limit` rows of a kind; return how many went.

        Of the journal only what no start needs goes: entries up to a snapshot that has a newer one behind it.
        """
        with self._writing() as connection:
            return _prune_journal(connection, now - retention.journal, limit) + _prune_rows(connection, now - retention.rows, limit)

    def outdated_builds(self, now: float, retention: Retention = Retention(), limit: int = 5000) -> tuple[BuildId, ...]:
        """Return the builds whose rows `prune` would delete, so that what else is kept of them can be deleted first."""
        found: list[str] = []
        with self._reading() as connection:
            old = _outdated_items(connection, now - retention.rows, limit)
            for start in range(0, len(old), _AT_ONCE):
                of_these = select(builds.c.id).where(builds.c.item.in_(old[start : start + _AT_ONCE]))
                found += connection.execute(of_these).scalars().all()
        return tuple(BuildId(build) for build in found)

    def close(self) -> None:
        """Let go of the database. What was committed stays."""
        self._read_engine.dispose()
        if self._writer is not None:
            self._writer.dispose()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        if self._writer is None:
            raise StoreError(f"{self.path} was opened to be read only")
        with self._lock, explained(self.path), self._writer.begin() as connection:
            yield connection


def open_store(where: str | Path, blobs: Path, *, read_only: bool = False, patience: float = 10.0) -> Store:
    """Open the store at a path or `sqlite:///` URL, with its blobs in the folder `blobs`; make or upgrade it unless `read_only`.

    `patience` is how many seconds to wait where another process holds the write lock. Raises StoreError where it cannot be opened, is
    damaged, or was used by a newer Torii.
    """
    path = database_path(where)
    with explained(path):
        if not read_only:
            path.parent.mkdir(parents=True, exist_ok=True)
        elif not path.exists():
            raise StoreError(f"there is no store at {path}; has `torii up` been started there? (--state or --server says where to look)")
    return Store(path, FolderBlobs(blobs, read_only=read_only), read_only=read_only, patience=patience)


def open_configured(config: ServerConfig, *, read_only: bool = False) -> Store:
    """Open the store that `server.yml` names: by default `torii.db` and `blobs` in its state folder. Raises as `open_store` does."""
    where = config.store.url or config.state / "torii.db"
    return open_store(where, config.store.blobs or config.state / "blobs", read_only=read_only)


def _name_instance(connection: Connection) -> None:
    """Give a new store its instance id, which goes into item ids and tells them from those of another Torii."""
    if connection.execute(select(meta.c.value).where(meta.c.name == "instance")).scalar() is None:
        name = "".join(secrets.choice(_ID_LETTERS) for _ in range(5))
        connection.execute(insert(meta), [{"name": "instance", "value": name}, {"name": "created_by", "value": __version__}])


def _write_records(connection: Connection, records: Records) -> None:
    upsert(
        connection,
        items,
        [
            {
                "id": item.id,
                "pipeline": item.pipeline,
                "project": item.project,
                "change": item.change,
                "enqueued_at": item.enqueued_at,
                "left_at": item.left_at,
                "body": encode(item),
            }
            for item in records.items
        ],
    )
    upsert(connection, builds, [{"id": build.id, "item": build.item, "body": encode(build)} for build in records.builds])
    if records.decisions:
        rows = [{"at": made.at, "change": made.change, "item": made.item, "body": encode(made)} for made in records.decisions]
        connection.execute(insert(decisions), rows)


def _thin_snapshots(connection: Connection) -> None:
    kept = connection.execute(select(snapshots.c.seq, snapshots.c.at).order_by(snapshots.c.seq)).all()
    first_of_day = {int(row.at // _DAY): row.seq for row in reversed(kept)}
    surplus = [row.seq for row in kept[:-2] if row.seq not in first_of_day.values()]
    if surplus:
        connection.execute(delete(snapshots).where(snapshots.c.seq.in_(surplus)))


def _prune_journal(connection: Connection, until: float, limit: int) -> int:
    newest_two = connection.execute(select(snapshots.c.seq).order_by(snapshots.c.seq.desc()).limit(2)).scalars().all()
    if len(newest_two) < 2:
        return 0
    old = select(func.max(snapshots.c.seq)).where(snapshots.c.seq <= newest_two[-1], snapshots.c.at <= until)
    cut = connection.execute(old).scalar()
    if cut is None:
        return 0
    first = connection.execute(select(func.min(journal.c.seq))).scalar() or 0
    connection.execute(delete(snapshots).where(snapshots.c.seq < cut))
    return connection.execute(delete(journal).where(journal.c.seq <= min(cut, first + limit - 1))).rowcount


def _outdated_items(connection: Connection, until: float, limit: int) -> Sequence[str]:
    oldest_first = select(items.c.id).where(items.c.left_at < until).order_by(items.c.left_at, items.c.id).limit(limit)
    return connection.execute(oldest_first).scalars().all()


def _prune_rows(connection: Connection, until: float, limit: int) -> int:
    gone = 0
    old = _outdated_items(connection, until, limit)
    for start in range(0, len(old), _AT_ONCE):
        ids = old[start : start + _AT_ONCE]
        gone += connection.execute(delete(builds).where(builds.c.item.in_(ids))).rowcount
        gone += connection.execute(delete(decisions).where(decisions.c.item.in_(ids))).rowcount
        gone += connection.execute(delete(items).where(items.c.id.in_(ids))).rowcount
    ownerless = or_(decisions.c.item.is_(None), decisions.c.item.not_in(select(items.c.id)))
    stray = select(decisions.c.id).where(decisions.c.at < until, ownerless).limit(limit)
    gone += connection.execute(delete(decisions).where(decisions.c.id.in_(stray))).rowcount
    return gone
