"""What every long-running subcommand does: start its parts, say that they are up, wait for a signal or a fault, stop within seconds."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import click
import structlog

from torii.errors import ToriiError
from torii.runtime.system import System

log = structlog.get_logger()


class FaultError(ToriiError):
    """A part died that the process cannot do without."""


@contextmanager
def stop_signals() -> Iterator[threading.Event]:
    """Yield an event that is set by SIGINT and SIGTERM instead of what they usually do."""
    stop = threading.Event()

    def ask(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - the signal module's signature
        stop.set()

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def run_until_stopped(system: System, ready: Callable[[System], str]) -> None:
    """Run `system` until SIGINT or SIGTERM. `ready` words what is printed once it is up. Raises `FaultError` when it cannot go on."""
    with stop_signals() as stop:
        system.start()
        try:
            click.echo(ready(system))
            while not stop.wait(1.0):
                if fault := system.fault():
                    raise FaultError(fault)
        finally:
            log.info("stopping")
            system.stop()
