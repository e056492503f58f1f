"""All that is SQLite's own: how it is opened, how a row replaces another, and what its errors mean to whoever runs Torii.

Writers commit with synchronous=FULL. WAL with NORMAL survives a `kill -9` too, but a power cut could take back commits whose
commands were performed already, and ids would be given a second time. The price is one fdatasync a batch.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection, Engine, Table, create_engine, event
from sqlalchemy.dialects.sqlite import Insert, insert
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from torii.store.errors import StoreError, StoreUnavailableError

_MAGIC = b"SQLite format 3\0"


def database_path(where: str | Path) -> Path:
    """Return the database file that a path or an `sqlite:///` URL names, or raise StoreError."""
    if isinstance(where, Path) or "://" not in where:
        return Path(where)
    try:
        url = make_url(where)
    except ArgumentError as error:
        raise StoreError(f"store.url {where!r} is no database URL; write sqlite:////absolute/path/to/torii.db, or leave it out") from error
    if url.get_backend_name() != "sqlite" or not url.database:
        shown = url.render_as_string(hide_password=True)
        raise StoreError(f"store.url {shown} names no SQLite file, the one kind of database that this version keeps its store in")
    return Path(url.database)


def is_database(path: Path) -> bool:
    """Tell whether the file at `path` begins as an SQLite database does. Raises OSError where it cannot be read."""
    with path.open("rb") as file:
        return file.read(len(_MAGIC)) == _MAGIC


def open_writer(path: Path, patience: float) -> Engine:
    """Return an engine of one connection, each transaction of which holds the write lock from its begin on.

    `patience` is how many seconds to wait for that lock. The file is made where there is none, readable by its owner only.
    """

    def connect() -> sqlite3.Connection:
        if not path.exists():
            os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
        connection = _connect(path, "rw", patience)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA journal_size_limit=67108864")
        return connection

    return _engine(connect, "BEGIN IMMEDIATE", pool_size=1, max_overflow=0)


def open_reader(path: Path, patience: float) -> Engine:
    """Return an engine whose connections only read, from any thread, whether or not another process writes just now."""

    def connect() -> sqlite3.Connection:
        connection = _connect(path, "ro", patience)
        try:
            connection.execute("SELECT 1 FROM sqlite_master").fetchone()
        except sqlite3.OperationalError:
            connection.close()
            if os.access(path.parent, os.W_OK, effective_ids=True) or _beside(path, "-wal").exists() or not path.exists():
                raise
            # A reader needs the files beside a WAL database. Where it may not make them and nobody writes, the file stands still.
            connection = _connect(path, "ro&immutable=1", patience)
        connection.execute("PRAGMA query_only=ON")
        return connection

    return _engine(connect, "BEGIN", pool_size=4, max_overflow=16)


def upsert(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert `rows`, each in place of the one with its primary key; of several with one key the last stays."""
    if not rows:
        return
    connection.execute(_upsert_into(table), rows)


@cache
def _upsert_into(table: Table) -> Insert:
    keys = [column.name for column in table.primary_key]
    statement = insert(table)
    replaced = {column.name: statement.excluded[column.name] for column in table.columns if column.name not in keys}
    return statement.on_conflict_do_update(index_elements=keys, set_=replaced)


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Raise a StoreError that says what to do in place of whatever the database refuses inside."""
    try:
        yield
    except SQLAlchemyError as error:
        cause = getattr(error, "orig", None)
        raise _explain(cause if isinstance(cause, BaseException) else error, path) from error
    except (sqlite3.Error, OSError) as error:
        raise _explain(error, path) from error


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _connect(path: Path, mode: str, patience: float) -> sqlite3.Connection:
    address = f"file:{quote(os.fsencode(path.absolute()))}?mode={mode}"
    return sqlite3.connect(address, uri=True, timeout=patience, isolation_level=None, check_same_thread=False)


def _engine(connect: Callable[[], sqlite3.Connection], begin: str, *, pool_size: int, max_overflow: int) -> Engine:
    engine = create_engine("sqlite+pysqlite:///torii", creator=connect, pool_size=pool_size, max_overflow=max_overflow, pool_timeout=30)
    # The driver's own transactions begin late and only for some statements; with isolation_level None they are ours to begin.
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(begin))
    return engine


def _explain(error: BaseException, path: Path) -> StoreError:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    match code:
        case sqlite3.SQLITE_FULL:
            return StoreUnavailableError(
                f"{path}: the disk is full; nothing of this step was written, all before it is safe; free some space"
            )
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return StoreUnavailableError(f"{path} is locked by another process; end whatever has it open for writing (fuser {path})")
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            return StoreError(f"{path} is damaged, or no database of Torii's ({error}); move it away and put a backup in its place")
        case sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_PERM | sqlite3.SQLITE_READONLY | sqlite3.SQLITE_AUTH:
            return StoreError(f"{path} cannot be opened ({error}); check that it and its folder belong to the user that runs Torii")
        case sqlite3.SQLITE_CONSTRAINT:
            return StoreError(f"{path}: another process writes into it as well ({error}); run one scheduler a store")
        case sqlite3.SQLITE_IOERR:
            return StoreUnavailableError(
                f"{path} cannot be read or written ({error}); check the disk, its free space and the file size limit"
            )
    if isinstance(error, OSError):
        return StoreError(f"{path} cannot be opened: {error.strerror}; check that it and its folder belong to the user that runs Torii")
    return StoreError(f"{path}: {error}")
