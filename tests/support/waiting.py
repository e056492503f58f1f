"""Waiting for a state with a limit, and ports nobody listens on: what a test of real processes needs instead of sleeping."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_until(condition: Callable[[], T], limit: float = 10.0, *, every: float = 0.01) -> T:
    """Call `condition` every `every` seconds until it answers something true, and return that answer.

    Raises `TimeoutError`, naming the condition and its last answer, after `limit` seconds.
    """
    deadline = time.monotonic() + limit
    pause = threading.Event()
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() >= deadline:
            name = getattr(condition, "__qualname__", repr(condition))
            raise TimeoutError(f"waited {limit:g} s for {name}; its last answer was {answer!r}")
        pause.wait(every)


def free_port() -> int:
    """A TCP port on 127.0.0.1 that nothing listens on now.

    The kernel hands out such ports in turn, so that tests running side by side do not get the same one; a server that can
    bind port 0 itself should do so.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
