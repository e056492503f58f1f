"""`torii status`: what is queued, and how far each change is. Reads the store alone, whether or not a server runs."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from torii.cli.stays import Stay, active_stays, build_colour, build_page, build_words, document, elapsed, grouped, pages_of
from torii.cli.where import configuration, where_options
from torii.results.text import clean_line
from torii.store.lease import holder_of
from torii.store.store import open_configured

_STATE_COLOURS = {"failing": "red", "passed": "green", "submitting": "green", "reporting": "green", "building": "cyan"}


@click.command(name="status")
@where_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(server: Path | None, state: Path | None, as_json: bool) -> None:
    """Show each pipeline's queues: the changes in them, their builds, and why they are where they are.

    \b
    Examples:
      torii status
      torii status --server torii-demo/server.yml
      torii status --json | jq '.pipelines[].queues[].items[].reason'
    """
    config = configuration(server, state)
    pipelines = [pipeline.name for pipeline in config.pipelines]
    with open_configured(config, read_only=True) as store:
        stays = active_stays(store)
        scheduler = holder_of(config.state)
        if as_json:
            click.echo(json.dumps(_document(store.instance, scheduler, pipelines, stays), indent=2))
            return
    now = time.time()
    if scheduler is None:
        click.echo("No scheduler is running; this is how the last one left things.")
    if sys.stdout.isatty():
        _show(stays, now, pages_of(config.web))
    else:
        for line in _lines(stays, now, pages_of(config.web)):
            click.echo(line)
    idle = [name for name in pipelines if all(stay.item.pipeline != name for stay in stays)]
    if idle:
        click.echo(f"Nothing in {', '.join(idle)}." if stays else f"Nothing is queued ({', '.join(idle)}).")


def _document(instance: str, scheduler: int | None, pipelines: Sequence[str], stays: Sequence[Stay]) -> dict[str, Any]:
    queues: dict[str, list[dict[str, Any]]] = {name: [] for name in pipelines}
    for pipeline, queue, members in grouped(stays):
        queues.setdefault(pipeline, []).append({"name": queue, "items": [document(stay) for stay in members]})
    return {
        "instance": instance,
        "scheduler": scheduler,
        "pipelines": [{"name": name, "queues": found} for name, found in queues.items()],
    }


def _lines(stays: Sequence[Stay], now: float, pages: str) -> list[str]:
    lines = []
    for pipeline, queue, members in grouped(stays):
        lines.append(f"{pipeline}, queue {clean_line(queue)}: {len(members)} {'change' if len(members) == 1 else 'changes'}")
        for stay in members:
            item = stay.item
            lines.append(
                f"  {stay.place}. {_name(stay)}  {item.state} for {elapsed(item.enqueued_at, now)}  {clean_line(item.reason)}".rstrip()
            )
            lines += [
                f"     {clean_line(build.job)}: {build_words(build, now)}{_link(build_page(build, pages))}" for build in stay.current_builds
            ]
    return lines


def _show(stays: Sequence[Stay], now: float, pages: str) -> None:
    console = Console()
    for pipeline, queue, members in grouped(stays):
        table = Table(title=Text(f"{pipeline}, queue {clean_line(queue)}"), title_justify="left", title_style="bold", expand=True)
        table.add_column("#", justify="right", style="bright_black")
        table.add_column("change", ratio=3)
        table.add_column("state")
        table.add_column("since", justify="right")
        table.add_column("builds", ratio=4)
        table.add_column("why", ratio=3)
        for stay in members:
            item = stay.item
            builds = Text("\n").join(
                Text(f"{clean_line(build.job)}: {build_words(build, now)}", _linked(build_colour(build), build_page(build, pages)))
                for build in stay.current_builds
            )
            state = Text(item.state, _STATE_COLOURS.get(item.state, ""))
            table.add_row(str(stay.place), Text(_name(stay)), state, elapsed(item.enqueued_at, now), builds, Text(clean_line(item.reason)))
        console.print(table)


def _name(stay: Stay) -> str:
    title = clean_line(stay.item.title, 60)
    name = clean_line(stay.item.change)
    return f"{name} ({title})" if title else name


def _link(url: str | None) -> str:
    return f"  {clean_line(url)}" if url else ""


def _linked(colour: str, url: str | None) -> str:
    return f"{colour} link {url}" if url and url.isascii() and url.isprintable() and " " not in url else colour
