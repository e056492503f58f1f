"""`torii merger`: speculative merges on this machine, for a scheduler here or elsewhere."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import click

from torii.cli.logs import set_up_logging
from torii.cli.running import run_until_stopped
from torii.cli.where import configuration, where_options
from torii.config.settings import ServerConfig
from torii.gearman.address import servers_of
from torii.runtime.system import Role, System


@click.command("merger")
@where_options
@click.option("--mergers", type=click.IntRange(1, 64), metavar="N", help="How many merges run at once. Default: server.yml's.")
@click.option("--verbose", is_flag=True, help="Log debugging, too.")
def command(server: Path | None, state: Path | None, mergers: int | None, verbose: bool) -> None:
    """Make speculative merges until interrupted.

    The merger connects to the Gearman servers that server.yml names, keeps a mirror of each project in its state folder, and pushes
    staging refs. It needs the scheduler's Gearman key (`gearman.key`) and whatever logs in to the git servers. Any number of mergers
    share the work; one that dies loses none of it.

    \b
    Examples:
      torii merger --server server.yml
      torii merger --server server.yml --state /var/lib/torii-merger --mergers 4
    """
    set_up_logging(verbose)
    config = configuration(server, state)
    config = dataclasses.replace(config, mergers=mergers or max(1, config.mergers))
    where = ", ".join(f"{host}:{port}" for host, port in servers_of(config.gearman, config.state))
    run_until_stopped(System(config, frozenset({Role.MERGER})), lambda _: _ready_line(config, where))


def _ready_line(config: ServerConfig, where: str) -> str:
    return f"Merger for {len(config.projects)} projects, {config.mergers} merges at once, Gearman at {where}. Ctrl-C stops it."
