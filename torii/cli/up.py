"""`torii up`: everything in one process."""

from __future__ import annotations

from pathlib import Path

import click

from torii.cli.logs import set_up_logging
from torii.cli.running import run_until_stopped
from torii.cli.where import configuration, where_options
from torii.runtime.system import EVERYTHING, System


def ready_line(system: System) -> str:
    """Return what a user wants to know first."""
    servers = ", ".join(f"{host}:{port}" for host, port in system.gearman)
    projects = len(system.config.projects)
    watched = f"watching {projects} project{'s' if projects != 1 else ''}"
    pages = f"pages at {system.url}/, " if system.url else ""
    return f"Torii is up: {pages}Gearman on {servers}, {watched}. Ctrl-C stops it; nothing is lost by that."


@click.command(name="up")
@where_options
@click.option("--verbose", is_flag=True, help="Log debugging, too.")
def command(server: Path | None, state: Path | None, verbose: bool) -> None:
    """Run the whole of Torii in one process: scheduler, merger, worker, Gearman server, pages.

    \b
    Examples:
      torii up --server server.yml
      torii up --server server.yml 2> torii.log
    """
    set_up_logging(verbose)
    run_until_stopped(System(configuration(server, state), EVERYTHING), ready_line)
