"""What a Gerrit looks like when it misbehaves: a web server and an SSH server on loopback that break in the way they are told to."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import struct
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import paramiko

from torii.config.settings import GerritConnection

RECORDINGS = Path(__file__).resolve().parents[1] / "recordings" / "gerrit"
JSON = "application/json; charset=UTF-8"
NOW = "Sun, 22 Nov 2026 10:00:00 GMT"


def recorded_events(version: str) -> dict[str, dict[str, Any]]:
    """The events that a Gerrit of `version` (`3.13`, `3.10`) really sent, by what had happened."""
    lines = (RECORDINGS / f"events-{version}.jsonl").read_text().splitlines()
    return {found["name"]: found["event"] for found in map(json.loads, lines)}


def recorded_refusals() -> list[dict[str, Any]]:
    """Refusals of a real Gerrit: `name`, `method`, `path`, `status`, `reply`."""
    return [json.loads(line) for line in (RECORDINGS / "rest-refusals.jsonl").read_text().splitlines()]


@dataclass(frozen=True, slots=True)
class Answer:
    """What the web server answers a request with.

    `holds`: nothing is said until the server closes. `cut`: the connection is reset after so many bytes of the body. `trickles`: the body
    goes on for ever, a byte now and then.
    """

    status: int = 200
    body: bytes = b")]}'\n{}"
    kind: str = JSON
    headers: tuple[tuple[str, str], ...] = ()
    holds: bool = False
    cut: int | None = None
    trickles: bool = False


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that the web server was sent. `line` is the client's port: the same for one kept connection."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    line: int


@dataclass
class WebServer:
    """Answers each request with the next of `answers`, the last one again and again. Use in a `with` statement."""

    answers: list[Answer] = field(default_factory=lambda: [Answer()])
    asked: list[Asked] = field(default_factory=list)
    tls: ssl.SSLContext | None = None

    def __enter__(self) -> WebServer:
        self._closing = threading.Event()
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        if self.tls is not None:
            self._server.socket = self.tls.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), name="misbehaving-web", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._server.shutdown()
        self._thread.join(20)
        self._server.server_close()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    def next_answer(self, asked: Asked) -> Answer:
        with self._lock:
            self.asked.append(asked)
            return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    def until_closing(self, seconds: float | None = None) -> bool:
        return self._closing.wait(seconds)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away is what the tests are about."""


def _handler(owner: WebServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # one packet an answer, as Gerrit's

        def do_GET(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            asked = Asked(self.command, self.path, dict(self.headers), self.rfile.read(length), self.client_address[1])
            answer = owner.next_answer(asked)
            if answer.holds:
                owner.until_closing()
                self.close_connection = True
                return
            self._say(answer)

        do_POST = do_PUT = do_DELETE = do_GET  # noqa: N815 - the names of http.server

        def _say(self, answer: Answer) -> None:
            self.send_response_only(answer.status)
            headers = dict(answer.headers)
            self.send_header("Date", headers.pop("Date", NOW))
            if answer.body or answer.kind != JSON:
                self.send_header("Content-Type", answer.kind)
            for name, value in headers.items():
                self.send_header(name, value)
            if "Transfer-Encoding" not in headers:
                self.send_header("Content-Length", str(10_000_000 if answer.trickles else len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body if answer.cut is None else answer.body[: answer.cut])
            self.wfile.flush()
            while answer.trickles and not owner.until_closing(0.02):
                self.wfile.write(b" ")
                self.wfile.flush()
            if answer.cut is not None:
                # A reset, not an orderly end.
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.close_connection = True
                self.connection.close()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of http.server
            pass

    return Handler


HANGS = ("banner", "key exchange", "login", "channel", "command")
"""Where the SSH server can be told to say nothing any more."""


class SshServer:
    """Speaks SSH as Gerrit does, as far as `gerrit stream-events` goes, and breaks where it is told to. Use in a `with` statement.

    `hangs` is the step (of HANGS) at which nothing more is said, or `everything` for a server that dies once the stream runs. `refuses`
    is what the command is answered with on standard error, with status 1. `users` may log in, with `user_key`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.host_key: paramiko.PKey = paramiko.ECDSAKey.generate()
        self.other_host_key: paramiko.PKey | None = None
        self.user_key: paramiko.PKey = paramiko.ECDSAKey.generate()
        self.hangs = ""
        self.refuses = b""
        self.answers: dict[str, tuple[bytes, int]] = {"gerrit version": (b"gerrit version 3.13.5\n", 0)}
        self.commands: list[str] = []
        self.connections = 0
        self.pulses = 0
        self.key_file = folder / "key"
        self.known_hosts = folder / "known_hosts"

    def __enter__(self) -> SshServer:
        self.closing = threading.Event()
        self._lock = threading.Lock()
        self._channels: list[paramiko.Channel] = []
        self._open: list[socket.socket] = []
        self._transports: list[paramiko.Transport] = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        write_key(self.user_key, self.key_file)
        self.know_host()
        self._thread = threading.Thread(target=self._accept, name="misbehaving-ssh", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self.drop()
        self._thread.join(20)

    def know_host(self) -> None:
        """Write the host key as it is now into the file of known ones."""
        self.known_hosts.write_text(f"[127.0.0.1]:{self.port} {self.host_key.get_name()} {self.host_key.get_base64()}\n")

    def connection(self, **given: Any) -> GerritConnection:
        """The settings of a connection to this server."""
        plain = GerritConnection(
            "main", "http://127.0.0.1:1", ssh_host="127.0.0.1", ssh_port=self.port, key=self.key_file, known_hosts=self.known_hosts
        )
        return replace(plain, **given)

    @property
    def listeners(self) -> int:
        """How many streams run."""
        with self._lock:
            return sum(not channel.closed for channel in self._channels)

    def say(self, *events: object) -> None:
        """Send events, one a line, on each stream that runs."""
        self.send(b"".join(json.dumps(event).encode() + b"\n" for event in events))

    def send(self, text: bytes) -> None:
        """Send `text` as it is."""
        with self._lock:
            channels = [channel for channel in self._channels if not channel.closed]
        for channel in channels:
            channel.sendall(text)

    def end(self, status: int = 0) -> None:
        """End the streams in an orderly way."""
        with self._lock:
            channels, self._channels = self._channels, []
        for channel in channels:
            channel.send_exit_status(status)
            channel.close()

    def drop(self) -> None:
        """Break all connections."""
        with self._lock:
            sockets, self._open = self._open, []
            transports, self._transports = self._transports, []
            self._channels = []
        for each in sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for transport in transports:
            transport.close()
        for each in sockets:
            each.close()

    def _accept(self) -> None:
        while not self.closing.is_set():
            try:
                connected, _ = self._listening.accept()
            except OSError:
                return
            with self._lock:
                self.connections += 1
                self._open.append(connected)
            if self.hangs == "banner":
                continue
            if self.hangs == "key exchange":
                connected.sendall(b"SSH-2.0-Hanging\r\n")
                continue
            transport = _Transport(connected)
            transport.add_server_key(self.host_key)
            if self.other_host_key is not None:
                transport.add_server_key(self.other_host_key)
            with self._lock:
                self._transports.append(transport)
            # Without the event it would wait for the negotiation; with one it does not.
            transport.start_server(event=threading.Event(), server=_Session(self))

    def take(self, command: str, channel: paramiko.Channel) -> None:
        """Carry out what a client asks for, once that was told yes."""
        self.commands.append(command)
        thread = threading.Thread(target=self._carry_out, args=(command, channel), name="misbehaving-ssh-command", daemon=True)
        transport = channel.get_transport()
        assert isinstance(transport, _Transport)
        transport.begin_after_reply = thread

    def _carry_out(self, command: str, channel: paramiko.Channel) -> None:
        if command == "gerrit stream-events" and not self.refuses:
            with self._lock:
                self._channels.append(channel)
            return
        said, status = self.answers.get(command, (b"", 1))
        with contextlib.suppress(OSError, EOFError):
            channel.sendall_stderr(self.refuses)
            channel.sendall(said)
            channel.send_exit_status(1 if self.refuses else status)
            channel.close()


class _Transport(paramiko.Transport):
    """Begins a command when the client has been told that it will be: no earlier, or its end could overtake that."""

    begin_after_reply: threading.Thread | None = None

    def _send_user_message(self, data: paramiko.Message) -> None:
        super()._send_user_message(data)  # type: ignore[misc]
        if self.begin_after_reply is not None and data.asbytes()[:1] == paramiko.common.cMSG_CHANNEL_SUCCESS:
            self.begin_after_reply.start()
            self.begin_after_reply = None


class _Session(paramiko.ServerInterface):
    """What one connection of the SSH server may do. A method that waits hangs that connection as a whole."""

    def __init__(self, owner: SshServer) -> None:
        self._owner = owner

    def _hang_at(self, step: str) -> None:
        if self._owner.hangs == step:
            self._owner.closing.wait()

    def get_allowed_auths(self, username: str) -> str:
        return "publickey"

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        self._hang_at("login")
        known = username == "torii" and key == self._owner.user_key
        return paramiko.AUTH_SUCCESSFUL if known else paramiko.AUTH_FAILED

    def check_channel_request(self, kind: str, chanid: int) -> int:
        self._hang_at("channel")
        return paramiko.OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        self._hang_at("command")
        self._owner.take(command.decode(), channel)
        return True

    def check_global_request(self, kind: str, msg: paramiko.Message) -> bool:
        self._hang_at("everything")
        self._owner.pulses += 1
        return False


def write_key(key: paramiko.PKey, path: Path, password: str | None = None) -> Path:
    """Write `key` as a private key file, and return its path."""
    assert isinstance(key, paramiko.ECDSAKey)
    key.write_private_key_file(path, password=password)
    return path


@contextlib.contextmanager
def deaf_port() -> Iterator[int]:
    """A port on loopback at which nobody answers: what connects there waits, as for a machine that is gone."""
    with socket.socket() as listening, contextlib.ExitStack() as waiting:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        port = listening.getsockname()[1]
        for _ in range(4):  # the queue of those who wait to be accepted is full then
            each = waiting.enter_context(socket.socket())
            each.setblocking(False)
            each.connect_ex(("127.0.0.1", port))
        yield port


def patchset_created(number: int, project: str = "demo") -> dict[str, Any]:
    """An event as Gerrit tells it, as far as it counts here."""
    return {"type": "patchset-created", "change": {"project": project, "branch": "master", "number": number}, "eventCreatedOn": 1}


def noise(refs: Sequence[str] = ("refs/changes/01/1/meta",)) -> list[dict[str, Any]]:
    """Events in which there is nothing to see."""
    return [{"type": "ref-updated", "refUpdate": {"project": "demo", "refName": ref}, "eventCreatedOn": 1} for ref in refs]
