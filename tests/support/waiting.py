"""Waiting for a state with a limit, and ports nobody listens on: what a test of real processes needs instead of sleeping."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from torii.testing.ports import free_ports

T = TypeVar("T")


def slowness() -> float:
    """How many times slower than alone things go here now: 1 on a machine with a core for everybody who wants one."""
    average, *_, running, _ = Path("/proc/loadavg").read_text().replace("/", " ").split()[:5]
    return max(1.0, max(float(average), float(running)) / (os.cpu_count() or 1))


def wait_until(condition: Callable[[], T], limit: float = 10.0, *, every: float = 0.01) -> T:
    """Call `condition` every `every` seconds until it answers something true, and return that answer.

    Raises `TimeoutError`, naming the condition and its last answer, after `limit` seconds, or as many more as the machine is slower now.
    """
    began = time.monotonic()
    pause = threading.Event()
    while True:
        answer = condition()
        if answer:
            return answer
        waited = time.monotonic() - began
        if waited >= limit and waited >= limit * slowness():
            name = getattr(condition, "__qualname__", repr(condition))
            raise TimeoutError(f"waited {waited:.1f} s for {name}; its last answer was {answer!r}")
        pause.wait(every)


@contextmanager
def within(promised: float) -> Iterator[None]:
    """Fail where what is done inside of the `with` takes more seconds than `promised`, or as many more as the machine is slower now.

    This is for what a user is promised; where a test only has to end, give it a limit that no load reaches.
    """
    before, began = slowness(), time.monotonic()
    yield
    took = time.monotonic() - began
    limit = promised * max(before, slowness())
    assert took < limit, f"took {took:.1f} s, and {promised:g} s are promised ({limit:.1f} s for a machine as busy as this)"


def free_port() -> int:
    """A TCP port on 127.0.0.1 that nothing listens on now, and that the kernel gives to nobody who binds port 0.

    So tests side by side do not take it from each other before its server is up; one that can bind port 0 itself should do so.
    """
    return free_ports(1)[0]
