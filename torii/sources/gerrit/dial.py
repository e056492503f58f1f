"""Connects a socket within a limit, and lets go at once when asked to, which neither the system's lookup nor its connect can."""

from __future__ import annotations

import contextlib
import errno
import os
import selectors
import socket
import threading
import time
from typing import Any

_SLICE = 0.1
"""Seconds after which we look whether we are still wanted."""

Found = tuple[int, int, int, str, Any]


def dial(host: str, port: int, limit: float, unwanted: threading.Event) -> socket.socket:
    """Return a socket connected to `host`, without Nagle's delay, within `limit` seconds.

    All addresses are tried in turn. Raises OSError (TimeoutError after `limit`, InterruptedError once `unwanted` is set).
    """
    deadline = time.monotonic() + limit
    problem: OSError = OSError(f"{host} has no address")
    for family, kind, protocol, _, address in _look_up(host, port, deadline, unwanted):
        connected = socket.socket(family, kind, protocol)
        try:
            _connect(connected, address, deadline, unwanted)
        except (TimeoutError, InterruptedError):
            connected.close()
            raise
        except OSError as error:
            connected.close()
            problem = error
            continue
        # Without this an SSH command takes 65 ms instead of 2.
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connected
    raise problem


def _look_up(host: str, port: int, deadline: float, unwanted: threading.Event) -> list[Found]:
    answer: list[list[Found] | OSError] = []
    done = threading.Event()

    def ask() -> None:
        try:
            answer.append(list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)))
        except (OSError, UnicodeError) as error:  # a name that cannot be one
            answer.append(error if isinstance(error, OSError) else socket.gaierror(socket.EAI_NONAME, str(error)))
        finally:
            done.set()

    threading.Thread(target=ask, name=f"look-up-{host}", daemon=True).start()
    while not done.wait(_SLICE):
        _check(deadline, unwanted, "the name server does not answer")
    found = answer[0]
    if isinstance(found, OSError):
        raise found
    return found


def _connect(connected: socket.socket, address: Any, deadline: float, unwanted: threading.Event) -> None:
    connected.setblocking(False)
    status = connected.connect_ex(address)
    with contextlib.closing(selectors.DefaultSelector()) as selector:
        selector.register(connected, selectors.EVENT_WRITE)
        while status == errno.EINPROGRESS and not selector.select(_SLICE):
            _check(deadline, unwanted, "nobody answers at this address")
    status = connected.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) if status == errno.EINPROGRESS else status
    if status:
        raise OSError(status, os.strerror(status))
    connected.setblocking(True)


def _check(deadline: float, unwanted: threading.Event, what: str) -> None:
    if unwanted.is_set():
        raise InterruptedError("not wanted any more")
    if time.monotonic() >= deadline:
        raise TimeoutError(what)
