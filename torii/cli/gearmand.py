"""`torii gearmand`: the embedded Gearman server alone, for a scheduler, mergers and workers in processes of their own."""

from __future__ import annotations

from pathlib import Path

import click

from torii.cli.logs import set_up_logging
from torii.cli.running import stop_signals
from torii.cli.where import configuration, where_options
from torii.gearman import Server


@click.command("gearmand")
@where_options
@click.option("--host", metavar="ADDRESS", help="Where to listen. Default: gearman.host of server.yml, else 127.0.0.1.")
@click.option("--port", type=click.IntRange(0, 65535), metavar="PORT", help="0: any free port. Default: gearman.port, else 4730.")
@click.option("--verbose", is_flag=True, help="Log more.")
def command(server: Path | None, state: Path | None, host: str | None, port: int | None, verbose: bool) -> None:
    """Run a Gearman server until interrupted.

    It keeps nothing: when it ends, whoever submitted jobs submits them again to the next one. Gearman has no passwords, so let it
    listen only where those who may reach it are those who may use it.

    \b
    Examples:
      torii gearmand
      torii gearmand --server server.yml
      torii gearmand --host 10.0.0.5 --port 4730
    """
    set_up_logging(verbose)
    settings = configuration(server, state).gearman
    gearmand = Server(host or settings.host, settings.port if port is None else port)
    with stop_signals() as stop:
        gearmand.start()
        try:
            click.echo(f"Gearman server on {gearmand.host} port {gearmand.port}. Ctrl-C stops it.")
            stop.wait()
        finally:
            gearmand.stop()
