"""`torii worker`: builds on this machine, for a scheduler here or elsewhere."""

from __future__ import annotations

import dataclasses
import signal
import threading
from pathlib import Path

import click

from torii.cli.where import configuration, where_options
from torii.gearman import load_key
from torii.gearman.address import servers_of
from torii.store.blobs import FolderBlobs
from torii.worker import open_worker

_STOP_LIMIT = 4.5


@click.command("worker")
@where_options
@click.option(
    "--label", "labels", metavar="LABEL", multiple=True, help="A label this worker has; may be given several times. Default: server.yml's."
)
@click.option("--executors", type=click.IntRange(1, 256), metavar="N", help="How many builds run at once. Default: server.yml's.")
def command(server: Path | None, state: Path | None, labels: tuple[str, ...], executors: int | None) -> None:
    """Run builds until interrupted.

    The worker connects to the Gearman servers that server.yml names and runs the jobs that its labels allow, each build in a sandbox
    of its own. It needs the scheduler's Gearman key, and has to write where the scheduler reads logs (`store.blobs`). Ctrl-C or SIGTERM
    stops it within 5 seconds; builds that it was running are run again elsewhere.

    \b
    Examples:
      torii worker --server server.yml
      torii worker --label linux --label gpu --executors 4 --server server.yml
    """
    config = configuration(server, state)
    settings = dataclasses.replace(
        config.worker, labels=labels or config.worker.labels, executors=executors or config.worker.executors or 1
    )
    config = dataclasses.replace(config, worker=settings)
    blobs = FolderBlobs(config.store.blobs or config.state / "blobs")
    key = load_key(config.gearman, config.state)
    worker = open_worker(config, servers_of(config.gearman, config.state), key, blobs, hidden=[server.absolute()] if server else [])
    over = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: over.set())
    try:
        worker.start()
        over.wait()
    finally:
        worker.stop(_STOP_LIMIT)
