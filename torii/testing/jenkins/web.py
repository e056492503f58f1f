"""The HTTP server: keeps connections open, sends an answer in one piece, and can be taken away and brought back on the same port."""

from __future__ import annotations

import contextlib
import errno
import socket
import ssl
import sys
import threading
from collections import deque
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import structlog

from torii.testing.jenkins.faults import Fault, Faults
from torii.testing.jenkins.faults import response as faulty
from torii.testing.jenkins.http import Request, Response, missing

log = structlog.get_logger()

_IDLE = 60.0
_TRIES = 200
_TRY_EVERY = 0.05
App = Callable[[Request], Response]


class Web:
    """Serves `app` on loopback, on the same port whenever it is up. `base` is the path below which Jenkins is (`/jenkins`, or nothing)."""

    def __init__(self, app: App, faults: Faults, base: str, tls: ssl.SSLContext | None) -> None:
        self._app, self._faults, self._base, self._tls = app, faults, base, tls
        self._server: _Server | None = None
        self.port = 0
        self.requests: deque[tuple[str, str]] = deque(maxlen=200_000)
        """Method and target of the requests so far."""

    def up(self) -> None:
        """Listen; nothing happens where it does."""
        if self._server is None:
            self._server = self._listening()
            self.port = self._server.server_address[1]
            threading.Thread(target=self._server.serve_forever, args=(0.05,), name="fake-jenkins-web", daemon=True).start()

    def _listening(self) -> _Server:
        # While nobody listens, a client that tries again and again may be given this very port for its own end: it leaves soon.
        for left in range(_TRIES, -1, -1):
            try:
                return _Server(("127.0.0.1", self.port), self)
            except OSError as error:
                if error.errno != errno.EADDRINUSE or not left:
                    raise
            self._faults.over.wait(_TRY_EVERY)
        raise AssertionError("it was raised before")

    def down(self) -> None:
        """Refuse connections from now on, and break off those that there are."""
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()
            server.break_off()

    def answer(self, handler: _Handler) -> None:
        """Answer one request."""
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        self.requests.append((handler.command, handler.path))
        fault = self._faults.meet(handler.command, handler.path)
        if fault is not None and self._meet(fault, handler):
            return
        answer = self._respond(handler, body)
        if fault is not None and fault.kind == "after":
            handler.hang_up()
        else:
            handler.send(answer.squeezed(handler.headers.get("Accept-Encoding", "")), half=fault is not None and fault.kind == "half")

    def _meet(self, fault: Fault, handler: _Handler) -> bool:
        """Return whether there is nothing more to be answered."""
        if fault.kind == "slow":
            self._faults.over.wait(fault.seconds)
            return False
        if fault.kind == "cut":
            handler.hang_up()
            return True
        if (answer := faulty(fault, handler.path)) is not None:
            handler.send(answer)
            return True
        return False

    def _respond(self, handler: _Handler, body: bytes) -> Response:
        parts = urlsplit(handler.path)
        if self._base and not (parts.path + "/").startswith(f"{self._base}/"):
            return missing(handler.path)
        path = parts.path[len(self._base) :]
        query = parse_qs(parts.query, keep_blank_values=True)
        if "application/x-www-form-urlencoded" in handler.headers.get("Content-Type", ""):
            for name, values in parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True).items():
                query.setdefault(name, values)
        names = tuple(unquote(part) for part in path.split("/") if part)
        return self._app(
            Request(handler.command, handler.path, names, query, dict(handler.headers.items()), body, slash=path.endswith("/"))
        )


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256
    allow_reuse_address = True

    def __init__(self, address: tuple[str, int], web: Web) -> None:
        self.web = web
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        super().__init__(address, _Handler)

    def get_request(self) -> tuple[socket.socket, Any]:
        sock, address = super().get_request()
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.web._tls is not None:
            sock = self.web._tls.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
        with self._lock:
            self._open.add(sock)
        return sock, address

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        del request
        error = sys.exception()
        if not isinstance(error, OSError):
            log.error("fake_jenkins.request_failed", client=client_address, exc_info=True)

    def break_off(self) -> None:
        """End every connection."""
        with self._lock:
            for sock in self._open:
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    timeout = _IDLE
    rbufsize = 1 << 16

    def do_GET(self) -> None:
        self.server.web.answer(self)

    do_POST = do_HEAD = do_DELETE = do_PUT = do_GET  # noqa: N815

    def send(self, answer: Response, half: bool = False) -> None:
        """Send `answer`: bytes at once, anything else in chunks. With `half` the connection ends in the middle."""
        body = answer.body
        reason = HTTPStatus(answer.status).phrase
        headers = {"X-Content-Type-Options": "nosniff", **answer.headers, "Server": "Jetty(10.0.12)"}
        if isinstance(body, bytes):
            headers["Content-Length"] = str(len(body))
        else:
            headers["Transfer-Encoding"] = "chunked"
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        head = f"HTTP/1.1 {answer.status} {reason}\r\n{lines}\r\n".encode("latin-1")
        if self.command == "HEAD":
            self.wfile.write(head)
        elif isinstance(body, bytes):
            self.wfile.write(head + (body[: len(body) // 2] if half else body))
        else:
            self.wfile.write(head)
            for piece in body:
                if half:
                    self.wfile.write(b"%x\r\n%s" % (len(piece), piece[: len(piece) // 2]))
                    break
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            else:
                self.wfile.write(b"0\r\n\r\n")
        if half:
            self.hang_up()

    def hang_up(self) -> None:
        """End the connection."""
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # http.server's name
        del format, args
