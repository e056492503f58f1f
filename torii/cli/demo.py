"""`torii demo`: see it work, on this machine, in half a minute."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import click
from rich.console import Console


@click.command(name="demo")
@click.argument("folder", metavar="[DIR]", default=Path("torii-demo"), type=click.Path(file_okay=False, path_type=Path))
@click.option("--gerrit", is_flag=True, help="Play on a real Gerrit, booted for it in DIR. Needs Java and Maven.")
@click.option("--keep", is_flag=True, help="Leave Torii running afterwards, to play with, until Ctrl-C.")
@click.option("--svg", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path), help="Write a picture of the screen, as SVG.")
@click.option("--plain", is_flag=True, help="Print lines instead of showing a screen, as when the output is not a terminal.")
@click.option("--json", "as_json", is_flag=True, help="Print what happened as one JSON object; everything else goes to standard error.")
def command(folder: Path, gerrit: bool, keep: bool, svg: Path | None, plain: bool, as_json: bool) -> None:
    """Gate real changes to two real git repositories, made in DIR (./torii-demo), and check that each came out right.

    Everything runs in this one process and on free ports: scheduler, merger, worker, Gearman server, pages. Nothing outside of DIR is
    touched. It may be run again and again: what an earlier demo made in DIR is made anew.

    With --gerrit the same story is played on a Gerrit, and judged by what that says of changes, votes and branches. Its jars are fetched
    with Maven once for a machine, into the user's cache (~/.cache/torii).

    Ends with status 0 if every change was checked, tested again, merged or turned away as it should be; else with 1, and says what is
    not as it should be and where the logs are.

    \b
    Examples:
      torii demo
      torii demo --keep /tmp/torii-demo
      torii demo --gerrit
      torii demo --plain --svg screen.svg
      torii demo --json | jq .right
    """
    from torii.cli.running import stop_signals  # what the demo needs takes long to import: `torii demo --help` does not wait for it
    from torii.demo.play import Options, run_demo
    from torii.demo.story import InterruptedStoryError

    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a change's title may hold what this terminal cannot show
    console = Console(highlight=False, emoji=False, markup=False, stderr=as_json)
    live = not plain and console.is_terminal and not console.is_dumb_terminal
    with stop_signals() as stop:
        try:
            right = run_demo(Options(folder, gerrit, keep, svg, live, _print_json if as_json else None), console, stop)
        except InterruptedStoryError:
            raise click.Abort from None
    if not right:
        raise click.exceptions.Exit(1)


def _print_json(document: dict[str, Any]) -> None:
    click.echo(json.dumps(document, indent=2))
