"""Real git servers for tests, on loopback: a folder of bare repositories served as files, by an sshd, or by git's smart HTTP.

Each can be made to fail as servers do: gone, hanging, answering 500, refusing a push. Every process is ended by its pid.
"""

from __future__ import annotations

import base64
import contextlib
import getpass
import os
import shutil
import signal
import socket
import stat
import subprocess
import threading
from collections.abc import Iterator
from enum import Enum
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from tests.support.parts import binary
from tests.support.waiting import free_port, wait_until

LIMIT = 30.0


class GitServer(Protocol):
    """A folder of bare repositories, and how a client reaches it."""

    root: Path
    user: str | None
    password: str | None
    key: Path | None
    known_hosts: Path | None

    def url(self, name: str) -> str:
        """Return the address of the repository `name` (a path under `root`)."""

    def go_away(self) -> None:
        """From now on nobody answers."""

    def come_back(self) -> None:
        """End whatever fault there is."""


def git(*arguments: str | Path, cwd: Path | None = None, given: str | bytes | None = None, env: dict[str, str] | None = None) -> str:
    """Run git and return what it printed, without the last newline. Raises AssertionError, with git's words, where it fails."""
    data = given.encode() if isinstance(given, str) else given
    environment = {**os.environ, **(env or {})}
    done = subprocess.run(["git", *map(str, arguments)], cwd=cwd, input=data, capture_output=True, timeout=60, env=environment, check=False)
    words = done.stderr.decode(errors="replace")
    assert done.returncode == 0, f"git {' '.join(map(str, arguments))}: {words}"
    return done.stdout.decode(errors="surrogateescape").removesuffix("\n")


def make_repository(root: Path, name: str) -> Path:
    """Make an empty bare repository that takes pushes over every transport; return where it is."""
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    git("init", "--quiet", "--bare", "--initial-branch=main", path)
    git("config", "http.receivepack", "true", cwd=path)
    git("config", "receive.denyDeleteCurrent", "ignore", cwd=path)
    return path


def set_hook(repository: Path, name: str, script: str | None) -> None:
    """Give `repository` the hook `name` (a shell script), or take it away."""
    hook = repository / "hooks" / name
    if script is None:
        hook.unlink(missing_ok=True)
        return
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\n{script}\n")
    hook.chmod(hook.stat().st_mode | stat.S_IXUSR)


def refuse_pushes(repository: Path, words: str | None) -> None:
    """Have `repository` refuse every push, saying `words`; take them again where `words` is None."""
    set_hook(repository, "pre-receive", None if words is None else f"echo '{words}' >&2\nexit 1")


class FileServer:
    """No server at all: the repositories by their path."""

    user = password = key = known_hosts = None

    def __init__(self, root: Path) -> None:
        self.root = root
        self._away = root.with_name(f"{root.name}.away")

    def url(self, name: str) -> str:
        return str(self.root / name)

    def go_away(self) -> None:
        if self.root.exists():
            self.root.rename(self._away)

    def come_back(self) -> None:
        if self._away.exists():
            self._away.rename(self.root)

    def close(self) -> None:
        self.come_back()


class SshServer:
    """An sshd of the current user, with throw-away keys, that only runs git."""

    user = password = None

    def __init__(self, root: Path, folder: Path) -> None:
        self.root = root
        self.port = free_port()
        self._folder = folder
        self._sshd: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.key: Path | None = _make_key(folder / "user_key")
        host_key = _make_key(folder / "host_key")
        self.known_hosts: Path | None = folder / "known_hosts"
        self.known_hosts.write_text(f"[127.0.0.1]:{self.port} {host_key.with_suffix('.pub').read_text()}")
        (folder / "authorized_keys").write_text(self.key.with_suffix(".pub").read_text())
        (folder / "sshd_config").write_text(self._configuration(host_key))
        if os.getuid() == 0:  # where sshd is installed but its service never ran, this folder is missing
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        self.come_back()

    def url(self, name: str) -> str:
        return f"ssh://{getpass.getuser()}@127.0.0.1:{self.port}{self.root / name}"

    def go_away(self) -> None:
        if self._sshd is not None:
            _end(self._sshd)
            self._sshd = None

    def hang(self) -> None:
        """Take connections, but say nothing."""
        assert self._sshd is not None
        self._sshd.send_signal(signal.SIGSTOP)

    def come_back(self) -> None:
        if self._sshd is not None:
            self._sshd.send_signal(signal.SIGCONT)
            return
        program = binary("sshd")
        assert program is not None
        with (self._folder / "sshd.log").open("ab") as log:
            self._sshd = subprocess.Popen(
                [program, "-D", "-e", "-f", str(self._folder / "sshd_config")], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        wait_until(lambda: _answers(self.port), LIMIT)

    def close(self) -> None:
        self.go_away()

    def _configuration(self, host_key: Path) -> str:
        return "\n".join(
            (
                f"Port {self.port}",
                "ListenAddress 127.0.0.1",
                f"HostKey {host_key}",
                "PidFile none",
                f"AuthorizedKeysFile {self._folder / 'authorized_keys'}",
                "AuthenticationMethods publickey",
                "PasswordAuthentication no",
                "KbdInteractiveAuthentication no",
                "PermitRootLogin prohibit-password",
                "UsePAM no",
                "StrictModes no",
                "PrintMotd no",
                "AcceptEnv GIT_PROTOCOL",
                "SetEnv GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null",
                "AllowTcpForwarding no",
                "MaxStartups 100",
                "KexAlgorithms curve25519-sha256",  # the cheapest: every command is a connection of its own
                "",
            )
        )


class Fault(Enum):
    """What the HTTP server does instead of its work."""

    NONE = "none"
    HANG = "hang"
    ERROR = "500"
    NO_PUSH = "403 for pushes"
    HANG_PUSH = "hang in a push"


class HttpServer:
    """`git http-backend` behind Python's http.server; with `user`, it wants basic authentication."""

    key = known_hosts = None

    def __init__(self, root: Path, user: str | None = None, password: str | None = None) -> None:
        self.root = root
        self.user = user
        self.password = password
        self.fault = Fault.NONE
        self.requests: list[str] = []
        """Method and path of every request so far."""
        self.released = threading.Event()
        self.port = free_port()
        self._server: ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None
        self.come_back()

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.port}/{name}"

    def set_fault(self, fault: Fault) -> None:
        self.released.set()
        self.released = threading.Event()
        self.fault = fault

    def go_away(self) -> None:
        self.released.set()
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join(LIMIT)
            self._server = None

    def come_back(self) -> None:
        self.set_fault(Fault.NONE)
        if self._server is not None:
            return
        outer = self

        class Handler(_GitHandler):
            owner = outer

        self._server = _QuietServer(("127.0.0.1", self.port), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="http git server", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self.go_away()


class _QuietServer(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that was killed in the middle is nothing to tell."""


class _GitHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    owner: HttpServer

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name is the base class's
        """Say nothing: the test asks `requests`."""

    def _serve(self) -> None:
        owner = self.owner
        owner.requests.append(f"{self.command} {self.path}")
        body = self._body()
        pushing = "git-receive-pack" in self.path
        if owner.fault is Fault.HANG or (owner.fault is Fault.HANG_PUSH and pushing):
            owner.released.wait(LIMIT)
            self.close_connection = True
        elif owner.fault is Fault.ERROR:
            self._answer(HTTPStatus.INTERNAL_SERVER_ERROR, {}, b"something broke\n")
        elif not self._authorized():
            self._answer(HTTPStatus.UNAUTHORIZED, {"WWW-Authenticate": 'Basic realm="git"'}, b"who are you?\n")
        elif owner.fault is Fault.NO_PUSH and pushing:
            self._answer(HTTPStatus.FORBIDDEN, {}, b"pushing is not allowed\n")
        else:
            self._run_backend(body)

    def _authorized(self) -> bool:
        if self.owner.user is None:
            return True
        wanted = base64.b64encode(f"{self.owner.user}:{self.owner.password}".encode()).decode()
        return self.headers.get("Authorization") == f"Basic {wanted}"

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            return b"".join(self._chunks())
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _chunks(self) -> Iterator[bytes]:
        while size := int(self.rfile.readline().split(b";")[0], 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()

    def _run_backend(self, body: bytes) -> None:
        address = urlsplit(self.path)
        environment = {
            **os.environ,
            "GIT_PROJECT_ROOT": str(self.owner.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "REQUEST_METHOD": self.command,
            "PATH_INFO": address.path,
            "QUERY_STRING": address.query,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "REMOTE_USER": self.owner.user or "",
            "REMOTE_ADDR": "127.0.0.1",
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
        }
        done = subprocess.run(["git", "http-backend"], input=body, capture_output=True, env=environment, timeout=LIMIT, check=False)
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n") if ": " in line)
        status = int(headers.pop("Status", "200").split()[0])
        self._answer(HTTPStatus(status), headers, content)

    def _answer(self, status: HTTPStatus, headers: dict[str, str], content: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@contextlib.contextmanager
def serving(
    kind: str, folder: Path, *, user: str | None = None, password: str | None = None
) -> Iterator[FileServer | SshServer | HttpServer]:
    """Serve the repositories under `folder/repositories` by `kind`: `file`, `ssh` or `http`."""
    root = folder / "repositories"
    root.mkdir(parents=True, exist_ok=True)
    server: FileServer | SshServer | HttpServer
    match kind:
        case "file":
            server = FileServer(root)
        case "ssh":
            server = SshServer(root, folder / "ssh")
        case "http":
            server = HttpServer(root, user, password)
        case _:
            raise ValueError(kind)
    try:
        yield server
    finally:
        server.close()
        shutil.rmtree(folder / "ssh", ignore_errors=True)


def _make_key(path: Path) -> Path:
    program = binary("ssh-keygen")
    assert program is not None
    subprocess.run([program, "-q", "-t", "ed25519", "-N", "", "-C", "dev@example.com", "-f", str(path)], check=True, timeout=LIMIT)
    return path


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), 1.0) as connection:
            connection.settimeout(1.0)
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False


def _end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGCONT)
    process.terminate()
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(30)
