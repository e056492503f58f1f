"""The first schema."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make every table."""
    op.create_table("meta", sa.Column("name", sa.String, primary_key=True), sa.Column("value", sa.String, nullable=False))
    op.create_table(
        "journal",
        sa.Column("seq", _NUMBER, primary_key=True, autoincrement=False),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
    )
    op.create_table(
        "snapshots",
        sa.Column("seq", _NUMBER, primary_key=True, autoincrement=False),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("format", sa.Integer, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    op.create_table("cursors", sa.Column("source", sa.String, primary_key=True), sa.Column("state", sa.String, nullable=False))
    _make_rows()


def _make_rows() -> None:
    op.create_table(
        "items",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("pipeline", sa.String, nullable=False),
        sa.Column("project", sa.String, nullable=False),
        sa.Column("change", sa.String, nullable=False),
        sa.Column("enqueued_at", sa.Float, nullable=False),
        sa.Column("left_at", sa.Float),
        sa.Column("body", sa.Text, nullable=False),
    )
    op.create_index("items_by_change", "items", ["change", "enqueued_at"])
    op.create_index("items_by_enqueued_at", "items", ["enqueued_at"])
    op.create_index("items_by_left_at", "items", ["left_at"])
    op.create_table(
        "builds",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("item", sa.String, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
    )
    op.create_index("builds_by_item", "builds", ["item"])
    op.create_table(
        "decisions",
        sa.Column("id", _NUMBER, primary_key=True, autoincrement=True),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("change", sa.String, nullable=False),
        sa.Column("item", sa.String),
        sa.Column("body", sa.Text, nullable=False),
    )
    op.create_index("decisions_by_change", "decisions", ["change", "id"])
    op.create_index("decisions_by_item", "decisions", ["item", "id"])
    op.create_index("decisions_by_at", "decisions", ["at"])
