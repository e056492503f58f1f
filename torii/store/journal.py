"""The journal read back: to start from, to send to somebody, and to be stepped again by `torii replay`.

A journal sent around is a text file: a header line, then one line an entry, each a JSON object.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from sqlalchemy import Connection, Engine, Row, func, select

from torii import __version__
from torii.model.event import Event
from torii.store.codec import DecodeError, decode_event
from torii.store.errors import JournalError, StoreError
from torii.store.sqlite import explained, is_database, open_reader
from torii.store.tables import SCHEMA, journal, meta, snapshots
from torii.store.upgrade import check_schema

FILE_FORMAT = 1
"""The version of the text file's form."""

_PAGE = 1000


class Snapshot(NamedTuple):
    """The gate's state after journal entry `seq`. `format` is the version of `body`'s form, the gate's own affair."""

    seq: int
    format: int
    body: str


class Entry(NamedTuple):
    """One journalled event. `at` is the time it was stepped with, in seconds since the epoch."""

    seq: int
    at: float
    event: Event


class Recovery(NamedTuple):
    """What to go on from: a snapshot, None where none was taken, and the events after it, read as they are asked for.

    Reading them raises StoreError where one is missing or cannot be understood.
    """

    snapshot: Snapshot | None
    events: Iterator[Entry]


class RecordedJournal(NamedTuple):
    """A journal for `torii replay`: the version of Torii that wrote it, and of which instance it is."""

    version: str
    instance: str
    snapshot: Snapshot | None
    events: Iterator[Entry]


class JournalReader:
    """Reads the journal of a database. May be used from any thread."""

    def __init__(self, engine: Engine, path: Path) -> None:
        self._engine = engine
        self._path = path

    def load(self, before: int | None = None) -> Recovery:
        """Return the newest snapshot (older than entry `before`, where that is given: the newest cannot be read) and what follows."""
        wanted = select(snapshots).order_by(snapshots.c.seq.desc()).limit(1)
        if before is not None:
            wanted = wanted.where(snapshots.c.seq < before)
        with explained(self._path), self._engine.connect() as connection:
            found = connection.execute(wanted).one_or_none()
        return Recovery(_snapshot(found), self._entries(found.seq if found else 0))

    def recorded(self, since: float | None = None) -> RecordedJournal:
        """Return the journal from the newest snapshot taken up to `since` on (None: as far back as it goes)."""
        with explained(self._path), self._engine.connect() as connection:
            found = _starting_point(connection, since)
            instance = str(connection.execute(select(meta.c.value).where(meta.c.name == "instance")).scalar())
        return RecordedJournal(__version__, instance, _snapshot(found), self._entries(found.seq if found else 0))

    def lines(self, since: float | None = None) -> Iterator[str]:
        """Yield the same as the lines of a text file."""
        version, instance, snapshot, _ = self.recorded(since)
        start = snapshot._asdict() if snapshot else None
        yield json.dumps({"torii": version, "journal": FILE_FORMAT, "schema": SCHEMA, "instance": instance, "snapshot": start})
        for row in self._rows(snapshot.seq if snapshot else 0):
            yield f'{{"seq":{row.seq},"at":{row.at!r},"kind":"{row.kind}","event":{row.body}}}'

    def _entries(self, after: int) -> Iterator[Entry]:
        for row in self._rows(after):
            try:
                event = decode_event(row.kind, row.body)
            except DecodeError as error:
                raise StoreError(f"{self._path}: journal entry {row.seq}: {error}") from error
            yield Entry(row.seq, row.at, event)

    def _rows(self, after: int) -> Iterator[Row[Any]]:
        page = select(journal).order_by(journal.c.seq).limit(_PAGE)
        while True:
            with explained(self._path), self._engine.connect() as connection:
                rows = connection.execute(page.where(journal.c.seq > after)).all()
            for row in rows:
                if row.seq != after + 1:
                    raise StoreError(f"{self._path}: journal entry {after + 1} is missing; put a backup in its place")
                after = row.seq
                yield row
            if len(rows) < _PAGE:
                return


def pack(body: str) -> bytes:
    """Return a snapshot's body as it is stored: a queue of a thousand is some megabytes of repetitive text."""
    return zlib.compress(body.encode(), 1)


def _snapshot(row: Row[Any] | None) -> Snapshot | None:
    if row is None:
        return None
    try:
        return Snapshot(row.seq, row.format, zlib.decompress(row.body).decode())
    except (zlib.error, UnicodeDecodeError) as error:
        raise StoreError(f"the snapshot of entry {row.seq} is damaged: {error}") from error


def _starting_point(connection: Connection, since: float | None) -> Row[Any] | None:
    """Return the snapshot to begin at: one that the journal goes on from without a gap; None where it begins at its first entry."""
    first = connection.execute(select(func.min(journal.c.seq))).scalar()
    oldest_first = select(snapshots).order_by(snapshots.c.seq).limit(1)
    if since is not None:
        chosen = select(snapshots).where(snapshots.c.at <= since).order_by(snapshots.c.seq.desc()).limit(1)
        if found := connection.execute(chosen.where(snapshots.c.seq >= (first or 1) - 1)).one_or_none():
            return found
    if first == 1:
        return None
    return connection.execute(oldest_first if first is None else oldest_first.where(snapshots.c.seq >= first - 1)).one_or_none()


def read_journal(path: Path) -> RecordedJournal:
    """Return the journal in `path`, a text file or the database itself; its events are read as they are asked for.

    Raises JournalError (also while events are read) where it is neither, StoreError where the database cannot be read.
    """
    try:
        if is_database(path):
            return _from_database(path)
        return _from_lines(path, _text_lines(path))
    except OSError as error:
        raise JournalError(f"{path} cannot be read: {error.strerror}") from error


def _from_database(path: Path) -> RecordedJournal:
    engine = open_reader(path, patience=10.0)
    with explained(path), engine.connect() as connection:
        check_schema(connection, path)
    recorded = JournalReader(engine, path).recorded()
    return recorded._replace(events=_until_read(recorded.events, engine))


def _until_read(events: Iterator[Entry], engine: Engine) -> Iterator[Entry]:
    try:
        yield from events
    finally:
        engine.dispose()


def _text_lines(path: Path) -> Iterator[str]:
    file: TextIO
    with closing(path.open(encoding="utf-8", errors="replace")) as file:
        yield from file


def _from_lines(path: Path, lines: Iterator[str]) -> RecordedJournal:
    header = _object(path, 1, next(lines, ""))
    if header.get("journal") != FILE_FORMAT:
        raise JournalError(f'{path}:1: no journal that this version of Torii reads (its first line lacks "journal": {FILE_FORMAT})')
    snapshot = header.get("snapshot")
    try:
        start = Snapshot(int(snapshot["seq"]), int(snapshot["format"]), str(snapshot["body"])) if snapshot else None
        return RecordedJournal(str(header["torii"]), str(header["instance"]), start, _parsed(path, lines))
    except (LookupError, TypeError, ValueError) as error:
        raise JournalError(f"{path}:1: the header of the journal is wrong: {error!r}") from error


def _parsed(path: Path, lines: Iterator[str]) -> Iterator[Entry]:
    for number, line in enumerate(lines, 2):
        if not line.strip():
            continue
        entry = _object(path, number, line)
        try:
            yield Entry(int(entry["seq"]), float(entry["at"]), decode_event(str(entry["kind"]), json.dumps(entry["event"])))
        except DecodeError as error:
            raise JournalError(f"{path}:{number}: {error}") from error
        except (LookupError, TypeError, ValueError) as error:
            raise JournalError(f"{path}:{number}: this line is no journal entry: {error!r}") from error


def _object(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError as error:
        raise JournalError(f"{path}:{number}: this line is no JSON ({error}); was the file cut short?") from error
    if not isinstance(found, dict):
        raise JournalError(f"{path}:{number}: this line is no JSON object")
    return found
