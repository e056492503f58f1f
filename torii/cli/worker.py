"""`torii worker`: builds on this machine, for a scheduler here or elsewhere."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import click

from torii.cli.logs import set_up_logging
from torii.cli.running import stop_signals
from torii.cli.where import configuration, where_options
from torii.config.fields import NAME_PATTERN, NAME_WORDS
from torii.config.settings import ServerConfig
from torii.gearman import load_key
from torii.gearman.address import servers_of
from torii.gearman.admin import Address
from torii.store.blobs import FolderBlobs
from torii.worker import open_worker

_STOP_LIMIT = 4.5


def _legal(context: click.Context, option: click.Parameter, labels: tuple[str, ...]) -> tuple[str, ...]:  # noqa: ARG001 - click's signature
    for label in labels:
        if not re.fullmatch(NAME_PATTERN, label):
            raise click.BadParameter(f"{label!r} is no legal node label: {NAME_WORDS}")
    return labels


@click.command("worker")
@where_options
@click.option(
    "--label",
    "labels",
    metavar="LABEL",
    multiple=True,
    callback=_legal,
    help="A label this worker has; may be given several times. Default: server.yml's.",
)
@click.option("--executors", type=click.IntRange(1, 256), metavar="N", help="How many builds run at once. Default: server.yml's.")
@click.option("--verbose", is_flag=True, help="Log debugging, too.")
def command(server: Path | None, state: Path | None, labels: tuple[str, ...], executors: int | None, verbose: bool) -> None:
    """Run builds until interrupted.

    The worker connects to the Gearman servers that server.yml names and runs the jobs that its labels allow, each build in a sandbox
    of its own. It needs the scheduler's Gearman key, and has to write where the scheduler reads logs (`store.blobs`). Ctrl-C or SIGTERM
    stops it within 5 seconds; builds that it was running are run again elsewhere.

    \b
    Examples:
      torii worker --server server.yml
      torii worker --label linux --label gpu --executors 4 --server server.yml
    """
    set_up_logging(verbose)
    config = configuration(server, state)
    settings = dataclasses.replace(
        config.worker, labels=labels or config.worker.labels, executors=executors or config.worker.executors or 1
    )
    config = dataclasses.replace(config, worker=settings)
    blobs = FolderBlobs(config.store.blobs or config.state / "blobs")
    key = load_key(config.gearman, config.state)
    servers = servers_of(config.gearman, config.state)
    worker = open_worker(config, servers, key, blobs, hidden=[server.absolute()] if server else [])
    with stop_signals() as stop:
        try:
            worker.start()
            click.echo(_ready_line(config, servers))
            stop.wait()
        finally:
            worker.stop(_STOP_LIMIT)


def _ready_line(config: ServerConfig, servers: tuple[Address, ...]) -> str:
    where = ", ".join(f"{host}:{port}" for host, port in servers)
    labels = ", ".join(config.worker.labels)
    return f"Worker for {labels}: {config.worker.executors} builds at once, Gearman at {where}. Ctrl-C stops it."
