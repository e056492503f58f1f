"""One connection of Jenkins' Gearman plug-in to a Gearman server, as a worker: the packets it sends and takes, in the recorded order."""

from __future__ import annotations

import contextlib
import itertools
import socket
import struct
from collections.abc import Iterable

from gear import constants

_HEADER = struct.Struct("!4sii")
_LIMIT = 5.0
_names = itertools.count(75)

SLEEPING, WAITING, GRABBING, WORKING = "sleeping", "waiting", "grabbing", "working"


class Link:
    """A connection of the worker called `name`. `state` is what the plug-in does with it; WAITING is neither asleep nor allowed to ask.

    Used under Jenkins' lock, but for `read`, which the plug-in's own thread calls.
    """

    def __init__(self, name: str, address: tuple[str, int]) -> None:
        self.name, self.address = name, address
        self.state = WAITING
        self.sock: socket.socket | None = None
        self.generation = 0
        self.retry_at = 0.0
        self._buffer = bytearray()
        self._known = False

    @property
    def up(self) -> bool:
        return self.sock is not None

    def connect(self) -> socket.socket | None:
        """Return a connection to the server, None where it takes none. Needs no lock."""
        try:
            sock = socket.create_connection(self.address, timeout=_LIMIT)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError:
            return None
        return sock

    def take(self, sock: socket.socket, functions: Iterable[str]) -> None:
        """Use `sock` from now on: say who this is and what it can do."""
        self.sock, self.state = sock, WAITING
        self._buffer.clear()
        if not self._known:
            self._known = True
            self.send(constants.SET_CLIENT_ID, f"GearmanWorker:{next(_names)}")
        self.send(constants.SET_CLIENT_ID, self.name)
        self.reset(functions)

    def reset(self, functions: Iterable[str]) -> None:
        """Register `functions` and nothing else."""
        self.send(constants.RESET_ABILITIES)
        self.change(functions, ())

    def change(self, more: Iterable[str], less: Iterable[str]) -> None:
        """Register `more`, and `less` no more."""
        for function in more:
            self.send(constants.CAN_DO, function)
        for function in less:
            self.send(constants.CANT_DO, function)

    def grab(self) -> None:
        """Ask for a job."""
        self.state = GRABBING
        self.send(constants.GRAB_JOB_UNIQ)

    def sleep(self) -> None:
        """Ask to be woken."""
        self.state = SLEEPING
        self.send(constants.PRE_SLEEP)

    def send(self, kind: int, *parts: str | bytes) -> None:
        """Send a packet; nothing happens where there is no connection."""
        if self.sock is None:
            return
        data = b"\0".join(part.encode() if isinstance(part, str) else part for part in parts)
        try:
            self.sock.sendall(_HEADER.pack(constants.REQ, kind, len(data)) + data)
        except OSError:
            self.cut()

    def read(self) -> list[tuple[int, bytes]] | None:
        """Return the packets that have arrived, None where the connection has ended."""
        sock = self.sock
        if sock is None:
            return None
        try:
            data = sock.recv(1 << 18)
        except OSError:
            return None
        if not data:
            return None
        self._buffer += data
        found = []
        while len(self._buffer) >= _HEADER.size:
            _, kind, length = _HEADER.unpack_from(self._buffer)
            end = _HEADER.size + length
            if len(self._buffer) < end:
                break
            found.append((kind, bytes(self._buffer[_HEADER.size : end])))
            del self._buffer[:end]
        return found

    def cut(self) -> None:
        """End the connection; the plug-in's thread finds it ended."""
        if self.sock is not None:
            with contextlib.suppress(OSError):
                self.sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Forget the connection."""
        sock, self.sock = self.sock, None
        self.generation += 1
        if sock is not None:
            sock.close()
