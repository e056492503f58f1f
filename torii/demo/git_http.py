"""The demo's own git server: where builds in a Jenkins fetch the state that they test, over git's smart HTTP.

Whoever reaches it may read the repositories; pushing takes the password that only the demo's Torii knows. It hands on what
`git http-backend` says of the bare repositories in one folder, and serves nothing else. They are small: a request and its answer are held
in memory, within limits.
"""

from __future__ import annotations

import base64
import contextlib
import hmac
import re
import socket
import socketserver
import sys
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import structlog

from torii.errors import OperatorError
from torii.git.environment import local
from torii.git.errors import GitError
from torii.git.process import run

log = structlog.get_logger()

USER = "torii"
"""Who pushes."""

AT_ONCE = 64
"""Connections at the same time; whoever is one too many is hung up on, and may try again."""

_QUESTION, _PUSH = 1024 * 1024, 64 * 1024 * 1024
"""Bytes that somebody who reads may send, and somebody who pushes."""

_SILENCE = 30.0
"""Seconds for which a peer may say nothing."""

_COMMAND = 60.0
_GLANCE = 0.1
_STOP_LIMIT = 5.0
_PATH = re.compile(r"/(?P<name>[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}\.git)/(?P<what>info/refs|git-upload-pack|git-receive-pack)")
_PROTOCOL = re.compile(r"[A-Za-z0-9=:.-]{1,100}")


class GitHttp:
    """Serves the bare repositories in `root` on `host`:`port` (0: any free port) from `start` until `stop`.

    `host` is a name or an address of this machine. Pushing takes the user `USER` and `password`.
    """

    def __init__(self, root: Path, password: str, host: str = "127.0.0.1", port: int = 0) -> None:
        self._host = host
        self._wanted = port
        self._site = _Site(root, base64.b64encode(f"{USER}:{password}".encode()).decode())
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def port(self) -> int:
        """Where it listens, once it was started."""
        assert self._server is not None, "start() comes first"
        return int(self._server.server_address[1])

    def url(self, name: str) -> str:
        """Return the address of the repository `name` (a folder in the root)."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self.port}/{name}"

    def start(self) -> None:
        """Listen. Raises OperatorError where that cannot be."""
        try:
            family, _, _, _, address = socket.getaddrinfo(self._host, self._wanted, type=socket.SOCK_STREAM)[0]
            self._server = _Server(self._site, family, address)
        except OSError as error:
            raise OperatorError(
                f"the demo's git server cannot listen on {self._host}:{self._wanted}: {error.strerror or error}; "
                "name an address of this machine, and a port that is free or none"
            ) from error
        self._thread = threading.Thread(target=self._server.serve_forever, args=(_GLANCE,), name="demo-git-http", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Listen no more, and hang up on everybody."""
        if self._server is None or self._thread is None:
            return
        self._server.shutdown()
        self._server.server_close()
        self._server.hang_up()
        self._thread.join(_STOP_LIMIT)

    def __enter__(self) -> GitHttp:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class _Site:
    """What is served, and what whoever pushes has to send."""

    def __init__(self, root: Path, token: str) -> None:
        self.root = root
        self._authorization = f"Basic {token}".encode()

    def may_push(self, authorization: str) -> bool:
        return hmac.compare_digest(authorization.encode(errors="replace"), self._authorization)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 2 * AT_ONCE  # a farm of agents comes all at once

    def __init__(self, site: _Site, family: int, address: Any) -> None:
        self.site = site
        self.address_family = family
        self._places = threading.BoundedSemaphore(AT_ONCE)
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        """Bind, without asking the network what this machine is called, as the base class does."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._places.acquire(blocking=False):
            self.shutdown_request(request)
            return
        with self._lock:
            self._open.add(request)
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            with self._lock:
                self._open.discard(request)
            self._places.release()

    def hang_up(self) -> None:
        """End the connections that are left."""
        with self._lock:
            for request in self._open:
                with contextlib.suppress(OSError):  # it has hung up itself
                    request.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: object, client_address: object) -> None:  # noqa: ARG002 - the base class's signature
        """Whatever it was, this connection alone has ended of it. That a peer goes away, or talks nonsense, is its own business."""
        error = sys.exception()
        expected = isinstance(error, (OSError, ValueError))
        log.info("demo_git.broken_off", peer=str(client_address), reason=str(error), exc_info=not expected)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "torii-demo"
    sys_version = ""
    timeout = _SILENCE
    server: _Server

    def do_GET(self) -> None:
        self._serve(reads=True)

    def do_POST(self) -> None:
        self._serve(reads=False)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name is the base class's
        """Standard error is the demo's: requests are nothing to tell there."""

    def _serve(self, reads: bool) -> None:
        address = urlsplit(self.path)
        found = _PATH.fullmatch(address.path)
        if found is None or (found["what"] == "info/refs") != reads or not (self.server.site.root / found["name"]).is_dir():
            self._answer(HTTPStatus.NOT_FOUND, {}, b"There is no such repository here.\n")
            return
        service = address.query.removeprefix("service=") if reads else found["what"]
        pushes = service == "git-receive-pack"
        if service != "git-upload-pack" and not pushes:
            self._answer(HTTPStatus.FORBIDDEN, {}, b"Only git's smart protocol is spoken here.\n")
        elif pushes and not self.server.site.may_push(self.headers.get("Authorization", "")):
            self._answer(HTTPStatus.UNAUTHORIZED, {"WWW-Authenticate": 'Basic realm="torii demo"'}, b"Only the demo's Torii may push.\n")
        elif (body := self._body(_PUSH if pushes else _QUESTION)) is None:
            self._answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, {}, b"That is more than is taken here.\n")
        else:
            self._ask_git(address.path, address.query, body, USER if pushes else "")

    def _body(self, limit: int) -> bytes | None:
        """Return what the peer sends, None where it is more than `limit` bytes. Raises ValueError where it makes no sense."""
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            return self._chunks(limit)
        length = int(self.headers.get("Content-Length") or 0)
        if length < 0:
            raise ValueError(f"a length of {length} bytes")
        return None if length > limit else self._exactly(length)

    def _chunks(self, limit: int) -> bytes | None:
        body = bytearray()
        while size := int(self.rfile.readline(100).split(b";")[0], 16):
            if not 0 < size <= limit - len(body):
                return None
            body += self._exactly(size)
            self.rfile.readline(3)
        while self.rfile.readline(1000).strip():
            pass  # trailers, up to the empty line
        return bytes(body)

    def _exactly(self, length: int) -> bytes:
        data = self.rfile.read(length)
        if len(data) < length:
            raise ConnectionError("the peer has hung up in the middle of what it sent")
        return data

    def _ask_git(self, path: str, query: str, body: bytes, user: str) -> None:
        protocol = self.headers.get("Git-Protocol", "")
        environment = {
            **local(),
            "GIT_PROJECT_ROOT": str(self.server.site.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "REQUEST_METHOD": self.command,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": protocol if _PROTOCOL.fullmatch(protocol) else "",
            "REMOTE_ADDR": str(self.client_address[0]),
            "REMOTE_USER": user,  # without one git takes no push
        }
        try:
            done = run(["http-backend"], cwd=self.server.site.root, env=environment, limit=_COMMAND, given=body)
        except (GitError, OSError) as error:
            log.warning("demo_git.failed", path=path, reason=str(error))
            self._answer(HTTPStatus.INTERNAL_SERVER_ERROR, {}, b"git did not answer.\n")
            return
        if done.stderr:
            log.info("demo_git.said", path=path, words=done.stderr)
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode("latin-1").split("\r\n") if ": " in line)
        status = headers.pop("Status", "200 OK" if head else "500").split()[0]
        self._answer(HTTPStatus(int(status)), headers, content)

    def _answer(self, status: HTTPStatus, headers: dict[str, str], content: bytes) -> None:
        """Answer, and take no more on this connection: what the peer may still be sending is not read."""
        self.close_connection = True
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content)), "Connection": "close"}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)
