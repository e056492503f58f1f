"""A web server on loopback that answers as a test says: the fake Jenkins is as Jenkins is, this is whatever else one may meet."""

from __future__ import annotations

import json
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from torii.config.settings import JenkinsSettings, Secret

VERSION = "2.372"


@dataclass(frozen=True, slots=True)
class Asked:
    """A request. `query` has the parameters of the address, `form` those of the body; `line` is the client's port."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    line: int

    @property
    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.body.decode(), keep_blank_values=True))


@dataclass(frozen=True, slots=True)
class Answer:
    """What it is answered with. A `body` of pieces is sent in chunks, each when it is made. `cut`: reset after so many bytes.

    `holds`: nothing is said until the server closes.
    """

    status: int = 200
    body: bytes | Iterable[bytes] = b""
    kind: str = "text/html;charset=utf-8"
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None
    holds: bool = False


def said(found: object, **headers: str) -> Answer:
    """Jenkins' JSON."""
    return Answer(body=json.dumps(found).encode(), kind="application/json;charset=utf-8", headers={"X-Jenkins": VERSION, **headers})


def sent_on(location: str, status: int = 302) -> Answer:
    return Answer(status, headers={"Location": location})


def jetty(status: int, reason: str) -> Answer:
    """An error page of Jetty's, which says of itself what the status means."""
    rows = f"<tr><th>STATUS:</th><td>{status}</td></tr>\n<tr><th>MESSAGE:</th><td>{reason}</td></tr>"
    head = f"<html>\n<head>\n<title>Error {status} {reason}</title>\n</head>\n"
    page = f"{head}<body><h2>HTTP ERROR {status} {reason}</h2>\n<table>{rows}</table></body>"
    return Answer(status, page.encode(), "text/html;charset=iso-8859-1")


def oops(status: int = 500) -> Answer:
    """Jenkins' page for what it did not expect, with scripts and styles around little text."""
    head = "<html><head><style>body {color: red}</style></head>"
    page = f"{head}<body>Oops! A problem occurred while processing the request.<script>x('y')</script></body>"
    return Answer(status, page.encode(), headers={"X-Jenkins": VERSION})


def denied(user: str, permission: str, name: str) -> Answer:
    """Jenkins' page for somebody whom it knows, and does not let."""
    page = f"<html><title>Jenkins</title><body><a>log out</a><h1>Access Denied</h1>{user} is missing the {permission} permission</body>"
    return Answer(403, page.encode(), headers={"X-You-Are-Authenticated-As": user, "X-Required-Permission": name})


def login_needed(path: str = "/job/a/build") -> Answer:
    """Jenkins' page for nobody in particular: it sends a browser on to the login."""
    page = (
        f"<html><head><meta http-equiv='refresh' content='1;url=/login?from={path}'/>"
        "<script>window.location.replace('/login');</script></head>"
        "<body style='background-color:white; color:white;'>\n\n\nAuthentication required\n<!--\n-->\n\n</body></html>"
    )
    return Answer(403, page.encode(), headers={"X-Jenkins": VERSION})


def answering(answers: Mapping[str, Any], default: Answer | None = None) -> Callable[[Asked], Answer]:
    """Answers by `METHOD /path`; what is not in the list is 404, as Jetty says it."""

    def answer(asked: Asked) -> Answer:
        found = answers.get(f"{asked.method} {asked.path}", default or jetty(404, "Not Found"))
        answered: Answer = found if isinstance(found, Answer) else found(asked)
        return answered

    return answer


def in_turn(*answers: Answer) -> Callable[[Asked], Answer]:
    left = list(answers)
    return lambda _: left.pop(0) if len(left) > 1 else left[0]


@dataclass
class ScriptedJenkins:
    """Answers each request with what `answer` returns for it. Use in a `with` statement."""

    answer: Callable[[Asked], Answer]
    tls: ssl.SSLContext | None = None
    asked: list[Asked] = field(default_factory=list)

    def __enter__(self) -> ScriptedJenkins:
        self.closing = threading.Event()
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        if self.tls is not None:
            self._server.socket = self.tls.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), name="scripted-jenkins", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self._server.shutdown()
        self._thread.join(20)
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self._server.server_address[1]}"

    def settings(self, token: Secret | None = None, path: str = "", **given: Any) -> JenkinsSettings:
        return JenkinsSettings("ci", self.url + path, token=token, **{"timeout": 5.0, **given})

    @property
    def paths(self) -> list[str]:
        """What was asked, as `METHOD /path`."""
        return [f"{asked.method} {asked.path}" for asked in self.asked]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away is what the tests are about."""


def _handler(owner: ScriptedJenkins) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1

        def do_GET(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            parts = urlsplit(self.path)
            asked = Asked(
                self.command,
                unquote(parts.path),
                dict(parse_qsl(parts.query, keep_blank_values=True)),
                dict(self.headers),
                self.rfile.read(length),
                self.client_address[1],
            )
            owner.asked.append(asked)
            self._say(owner.answer(asked))

        do_POST = do_GET  # noqa: N815 - the names of http.server

        def _say(self, answer: Answer) -> None:
            if answer.holds:
                owner.closing.wait()
                self.close_connection = True
                return
            whole = isinstance(answer.body, bytes)
            self.send_response_only(answer.status, answer.headers.get("reason"))
            for name, value in {"Content-Type": answer.kind, **answer.headers}.items():
                self.send_header(name, value)
            self.send_header(
                *(("Content-Length", str(len(answer.body))) if isinstance(answer.body, bytes) else ("Transfer-Encoding", "chunked"))
            )
            self.end_headers()
            for piece in [answer.body] if isinstance(answer.body, bytes) else answer.body:
                shown = piece if answer.cut is None else piece[: answer.cut]
                self.wfile.write(shown if whole else b"%x\r\n%s\r\n" % (len(shown), shown))
                self.wfile.flush()
            if answer.cut is not None:
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.close_connection = True
                self.connection.close()
            elif not whole:
                self.wfile.write(b"0\r\n\r\n")

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of http.server
            pass

    return Handler
