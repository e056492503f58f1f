"""A database of an older Torii becomes one of this without losing a row; one of a newer is left alone."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.exc import OperationalError

from tests.contract.store.values import decision, ended, item, rows, updated
from torii.model.view import Records
from torii.runtime.ports import Cursor
from torii.store.errors import StoreError
from torii.store.sqlite import open_reader, open_writer
from torii.store.store import open_store
from torii.store.tables import SCHEMA, metadata
from torii.store.upgrade import MIGRATIONS, upgrade

DUMPS = sorted((Path(__file__).parent / "dumps").glob("schema-*.sql"))

NEXT = '''
"""A step that a later version might take."""
import sqlalchemy as sa
from alembic import op
revision = "9999"
down_revision = "{head}"

def upgrade():
    op.create_table("notes", sa.Column("id", sa.Integer, primary_key=True))
    with op.batch_alter_table("items") as items:
        items.add_column(sa.Column("score", sa.Float, nullable=False, server_default="1.5"))
    op.execute("UPDATE items SET score = enqueued_at")
    {trouble}
'''


@pytest.fixture
def where(tmp_path):
    return tmp_path / "torii.db"


def opened(where, **options):
    return open_store(where, where.parent / "blobs", **options)


def fill(store):
    for number in range(1, 51):
        store.append(
            [(float(number), updated(f"fix-{number}")), (float(number), ended(number))], rows(number), [Cursor("git", str(number))]
        )
    store.save_snapshot(60, 1, "state at 60")


def check(store):
    assert store.load().snapshot == (60, 1, "state at 60")
    assert [entry.event for entry in store.load(before=1).events][-2:] == [updated("fix-50"), ended(50)]
    assert [found.id for found in store.items(limit=None)] == [f"k3f9-{number}" for number in range(50, 0, -1)]
    assert store.item("k3f9-7") == item(7)
    assert store.builds_of("k3f9-7") == rows(7).builds
    assert store.decisions_of(item="k3f9-7") == rows(7).decisions
    assert store.cursor("git") == Cursor("git", "50")
    assert store.append([(99.0, ended(99))], Records((item(99),), (), (decision("new", 99),))) == 101


def with_next_step(folder: Path, trouble: str = "") -> Path:
    migrations = folder / "migrations"
    shutil.copytree(MIGRATIONS, migrations, ignore=shutil.ignore_patterns("__pycache__"))
    (migrations / "versions" / "v9999_next.py").write_text(NEXT.format(head=SCHEMA, trouble=trouble))
    return migrations


def test_there_is_one_newest_revision_and_the_tables_are_what_it_makes(where):
    assert ScriptDirectory(str(MIGRATIONS)).get_heads() == [SCHEMA]
    opened(where).close()
    with open_reader(where, 1.0).connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_there_is_a_filled_database_of_every_revision():
    revisions = sorted(script.revision for script in ScriptDirectory(str(MIGRATIONS)).walk_revisions())
    assert [dump.stem for dump in DUMPS] == [f"schema-{revision}" for revision in revisions]


@pytest.mark.parametrize("dump", DUMPS, ids=lambda dump: dump.stem)
def test_a_filled_database_of_every_revision_opens_with_all_that_is_in_it(dump, where):
    with sqlite3.connect(where) as database:
        database.executescript(dump.read_text())
    database.close()
    with opened(where) as store:
        assert store.instance == "k3f9q"
        check(store)


def test_a_step_on_a_filled_database_keeps_every_row(where, tmp_path):
    with opened(where) as store:
        fill(store)
        instance = store.instance
    engine = open_writer(where, 1.0)
    with engine.begin() as connection:
        upgrade(connection, where, migrations=with_next_step(tmp_path), target="9999")
        assert connection.exec_driver_sql("SELECT count(*), sum(score) FROM items").one() == (50, sum(range(51)))
        # Back to this version's number: what it reads, the newer schema still has.
        connection.exec_driver_sql(f"UPDATE alembic_version SET version_num = '{SCHEMA}'")
    engine.dispose()
    with opened(where, read_only=True) as store:
        assert store.instance == instance
    with sqlite3.connect(where) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    database.close()


def test_a_step_that_fails_half_way_leaves_all_as_it_was(where, tmp_path):
    with opened(where) as store:
        fill(store)
    engine = open_writer(where, 1.0)
    migrations = with_next_step(tmp_path, trouble='op.execute("SELECT no_such_function()")')
    with pytest.raises(OperationalError), engine.begin() as connection:
        upgrade(connection, where, migrations=migrations, target="9999")
    engine.dispose()
    with opened(where) as store:
        check(store)


def test_a_database_of_a_newer_torii_is_left_alone(where):
    opened(where).close()
    with sqlite3.connect(where) as database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
    database.close()
    before = where.read_bytes()
    for read_only in (False, True):
        with pytest.raises(StoreError, match=r"used by a newer Torii \(its schema is 9999, this one knows up to 0001\)"):
            opened(where, read_only=read_only)
    assert where.read_bytes() == before


def test_whoever_only_reads_upgrades_nothing(where):
    where.write_bytes(b"")
    with pytest.raises(StoreError, match="is empty; has `torii up` ever been started with it"):
        opened(where, read_only=True)
    assert where.read_bytes() == b""
