"""`torii scheduler`: the gate, its sources and its pages, without mergers and workers of their own."""

from __future__ import annotations

from pathlib import Path

import click

from torii.cli.logs import set_up_logging
from torii.cli.running import run_until_stopped
from torii.cli.up import ready_line
from torii.cli.where import configuration, where_options
from torii.runtime.system import Role, System


@click.command(name="scheduler")
@where_options
@click.option("--verbose", is_flag=True, help="Log debugging, too.")
def command(server: Path | None, state: Path | None, verbose: bool) -> None:
    """Run the gate and its pages; mergers and workers run as processes of their own and meet it at the Gearman server.

    There is one scheduler a store; a second one is refused.

    \b
    Examples:
      torii gearmand --port 4730 &
      torii merger --server server.yml &
      torii worker --server server.yml --label linux &
      torii scheduler --server server.yml
    """
    set_up_logging(verbose)
    run_until_stopped(System(configuration(server, state), frozenset({Role.SCHEDULER})), ready_line)
