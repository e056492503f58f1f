"""Ports of loopback for servers that cannot be told to take any free one, or that come back to the port they had."""

from __future__ import annotations

import random
import socket
from contextlib import ExitStack
from pathlib import Path

from torii.errors import OperatorError

_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_EPHEMERAL = 32768
"""From where on the kernel gives ports away, where it does not say."""
_CHOICE = 12_000
_TRIES = 1_000
_dice = random.SystemRandom()  # tests seed the common one, and would all get the same


def free_ports(count: int) -> list[int]:
    """Return `count` different ports of 127.0.0.1 that nothing listens on now.

    They are below those that the kernel gives to whoever asks for any: else somebody else's server might have been given one before
    ours is up, or while it restarts. Raises OperatorError where there are none.
    """
    lowest = _lowest_ephemeral()
    found: list[int] = []
    with ExitStack() as held:
        for _ in range(_TRIES):
            if len(found) == count:
                return found
            probe = held.enter_context(socket.socket())
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                # With hardly any below, as some machines are set up, one of the kernel's own has to do.
                probe.bind(("127.0.0.1", _dice.randrange(max(1024, lowest - _CHOICE), lowest) if lowest > 2 * 1024 else 0))
            except OSError:
                continue
            found.append(probe.getsockname()[1])
    raise OperatorError(f"of {_TRIES} ports of 127.0.0.1 below {lowest} not {count} are free")


def _lowest_ephemeral() -> int:
    try:
        return int(_RANGE.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return _EPHEMERAL
