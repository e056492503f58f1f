"""Bring a database to this version's schema, or say why that cannot be. One transaction: a step that fails leaves all as it was."""

from __future__ import annotations

from pathlib import Path

import structlog
from sqlalchemy import Connection, inspect, text

from torii.store.errors import StoreError
from torii.store.tables import SCHEMA

MIGRATIONS = Path(__file__).parent / "migrations"
_log = structlog.get_logger()


def schema_of(connection: Connection) -> str | None:
    """Return the revision the database is at, None where it is empty. Raises StoreError where it holds something else than Torii's."""
    tables = inspect(connection).get_table_names()
    if not tables:
        return None
    if "alembic_version" not in tables or "journal" not in tables:
        raise StoreError(f"the database holds tables that are not Torii's ({', '.join(sorted(tables)[:5])}); give Torii one of its own")
    revisions = connection.execute(text("SELECT version_num FROM alembic_version")).scalars().all()
    return str(revisions[0]) if revisions else None


def check_schema(connection: Connection, where: Path) -> None:
    """Raise StoreError unless the database is just at this version's schema, as whoever only reads needs it."""
    found = schema_of(connection)
    if found == SCHEMA:
        return
    if found is None:
        raise StoreError(f"{where} is empty; has `torii up` ever been started with it?")
    if found in _known():
        raise StoreError(f"{where} is of an older Torii (schema {found}, this one reads {SCHEMA}); start `torii up` to bring it up to date")
    raise _newer(where, found)


def upgrade(connection: Connection, where: Path, *, migrations: Path = MIGRATIONS, target: str = SCHEMA) -> None:
    """Step the database to `target` inside the caller's transaction. Raises StoreError where a newer Torii has been here."""
    found = schema_of(connection)
    if found == target:
        return  # the usual case, for which Alembic need not even be imported
    if found is not None and found not in _known(migrations):
        raise _newer(where, found)
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(migrations).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, target)
    if found is None:
        _log.info("store made", database=str(where), schema=target)
    else:
        _log.info("store upgraded", database=str(where), schema_before=found, schema=target)


def _known(migrations: Path = MIGRATIONS) -> frozenset[str]:
    from alembic.script import ScriptDirectory

    return frozenset(script.revision for script in ScriptDirectory(str(migrations)).walk_revisions())


def _newer(where: Path, found: str) -> StoreError:
    return StoreError(
        f"{where} was used by a newer Torii (its schema is {found}, this one knows up to {SCHEMA}); install that version again"
    )
