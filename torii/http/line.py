"""What carries one HTTP request at a time: a kept connection whose replies have a largest size, and which another thread can cut.

requests gives each read a time limit, but neither the whole of a reply nor its size one, and nobody can end a request that another thread
waits for. Both are needed: a server that trickles would hold a thread for ever, and a stop must not wait for a slow answer.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any

from requests import PreparedRequest, Response
from requests.adapters import HTTPAdapter

from torii.http.limits import LIMITS


class TooLargeError(Exception):
    """A reply went on past the largest size."""


class Line(HTTPAdapter):
    """The adapter of one session, used by one thread at a time. `cut` may be called by any thread at any moment."""

    def __init__(self, largest: int) -> None:
        super().__init__(pool_connections=1, pool_maxsize=1, max_retries=0)
        self.largest: int | None = largest
        """Bytes of the next reply, after any decompression; None: whoever reads it sees to that."""
        self._socket: socket.socket | None = None
        self._lock = threading.Lock()
        self.was_cut = False
        """Whether it was cut: then it is of no more use."""

    def cut(self) -> None:
        """End the request under way, and any later one, with an error in the thread that waits for it."""
        with self._lock:
            self.was_cut = True
            self._shut()

    def cut_after(self, seconds: float) -> AbstractContextManager[None]:
        """Cut what still goes on after `seconds`, unless the block is left before."""
        return LIMITS.after(seconds, self.cut)

    def send(
        self,
        request: PreparedRequest,
        stream: bool = False,
        timeout: float | tuple[float, float] | tuple[float, None] | None = None,
        verify: bool | str = True,
        cert: bytes | str | tuple[bytes | str, bytes | str] | None = None,
        proxies: Mapping[str, str] | None = None,
    ) -> Response:
        """Send `request`. The body of what is returned raises TooLargeError when it is read past the largest size."""
        response = super().send(request, stream=stream, timeout=timeout, verify=verify, cert=cert, proxies=proxies)
        if self.largest is not None:
            response.raw = _Limited(response.raw, self.largest)
        return response

    def get_connection_with_tls_context(self, *arguments: Any, **named: Any) -> Any:
        """Return the pool to take a connection from; its connections tell us their sockets."""
        pool: Any = super().get_connection_with_tls_context(*arguments, **named)
        if not issubclass(pool.ConnectionCls, _Told):
            pool.ConnectionCls = _telling(pool.ConnectionCls, self)
        return pool

    def use(self, connected: socket.socket) -> None:
        """Take note of the socket that the request under way goes through."""
        with self._lock:
            self._socket = connected
            if self.was_cut:
                self._shut()

    def _shut(self) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError, ValueError):
                # The plain socket's own: that of a TLS socket would change the state of the session under its reader.
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)


class _Told:
    """Marks the connections that tell a `Line` their socket."""


def _telling(base: Any, line: Line) -> Any:
    class Connection(_Told, base):  # type: ignore[misc]  # base is a class of urllib3's, known only when it runs
        def connect(self) -> None:
            super().connect()
            line.use(self.sock)

    return Connection


class _Limited:
    """A urllib3 response of which no more than `largest` bytes can be read, after any decompression."""

    def __init__(self, raw: Any, largest: int) -> None:
        self._raw = raw
        self._largest = largest

    def stream(self, amt: int, decode_content: bool | None = None) -> Iterator[bytes]:
        """Yield the body in pieces of at most about `amt` bytes. Raises TooLargeError."""
        size = 0
        for piece in self._raw.stream(amt, decode_content=decode_content):
            size += len(piece)
            if size > self._largest:
                raise TooLargeError
            yield piece

    def __getattr__(self, name: str) -> Any:
        return getattr(self._raw, name)
