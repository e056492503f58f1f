"""`torii replay`: step a journal through the gate and show what it decides, on any machine, touching nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import click

from torii.errors import UserError
from torii.gate import Gate
from torii.gate.state import State
from torii.model.view import Decision
from torii.results.text import clean_line
from torii.store.codec import decode
from torii.store.journal import RecordedJournal, read_journal
from torii.store.store import open_store


@click.command(name="replay")
@click.argument("journal", type=click.Path(exists=True, path_type=Path))
@click.option("--change", default="", help="Show only decisions about this change (its whole name, or how that ends).")
@click.option(
    "--export", type=click.Path(dir_okay=False, path_type=Path), help="Write the journal as JSON lines instead, to be sent to somebody."
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object a line.")
def command(journal: Path, change: str, export: Path | None, as_json: bool) -> None:
    """Step JOURNAL through the gate and print each decision: the same ones it took when it was written.

    JOURNAL is a state folder, its torii.db, or a file that --export wrote.

    \b
    Examples:
      torii replay torii-state
      torii replay torii-state --export journal.jsonl
      torii replay journal.jsonl --change main/fix-login
    """
    path = journal / "torii.db" if journal.is_dir() else journal
    if export is not None:
        _export(path, export)
        return
    shown = 0
    for decision in decisions(read_journal(path)):
        if decision.change == change or decision.change.endswith(change):
            click.echo(_json(decision) if as_json else _line(decision))
            shown += 1
    if change and not shown:
        raise UserError(f"nothing was decided about {change!r} in {path}; without --change every change is shown")


def _export(database: Path, export: Path) -> None:
    with open_store(database, database.parent / "blobs", read_only=True) as store, export.open("w", encoding="utf-8") as file:
        lines = list(store.export_journal())
        file.writelines(line.rstrip("\n") + "\n" for line in lines)
    click.echo(f"{len(lines) - 1} events written to {export}")


def decisions(journal: RecordedJournal) -> Iterator[Decision]:
    """Yield what the gate decides when `journal` is stepped through it, oldest first."""
    gate = Gate(decode(State, journal.snapshot.body)) if journal.snapshot else Gate()
    for _, at, event in journal.events:
        gate.step(event, at)
        yield from gate.drain().decisions


def _json(decision: Decision) -> str:
    return json.dumps(
        {"at": decision.at, "change": decision.change, "pipeline": decision.pipeline, "item": decision.item, "text": decision.text}
    )


def _line(decision: Decision) -> str:
    at = datetime.fromtimestamp(decision.at, UTC).strftime("%Y-%m-%d %H:%M:%S")
    where = f" [{decision.pipeline}]" if decision.pipeline else ""
    return clean_line(f"{at} {decision.change}{where} {decision.text}", 2000)
