"""One SSH connection to a Gerrit, through paramiko: the host key is always checked, no step waits for ever, and any thread may close it."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import paramiko
import structlog
from paramiko.pkey import UnknownKeyType
from paramiko.ssh_exception import IncompatiblePeer

from torii.config.settings import GerritConnection
from torii.sources.gerrit.dial import dial
from torii.sources.gerrit.errors import GerritError, GerritHostKeyError, GerritLoginError, GerritUnavailableError
from torii.sources.gerrit.host_keys import KnownKeys, read_known_keys

log = structlog.get_logger()

# paramiko writes tracebacks of what it raises as well; we say it in our own words.
logging.getLogger("paramiko").setLevel(logging.CRITICAL + 1)

MAX_OUTPUT = 16 * 1024 * 1024
"""Bytes of a command's output that are kept."""

_SYSTEM_KNOWN_HOSTS = Path("/etc/ssh/ssh_known_hosts")
_KEEPALIVE = "keepalive@openssh.com"
_NEVER = 86_400.0


@dataclass(frozen=True, slots=True)
class Ran:
    """What a command left behind. `status` is None where the server did not say one."""

    status: int | None
    output: bytes
    complaint: str


class SshConnection:
    """A connection to the SSH port of `connection`. One thread opens and uses it; `close` may be called by any, at any moment.

    In a `with` statement it is opened and closed.
    """

    def __init__(self, connection: GerritConnection) -> None:
        self._connection = connection
        self._host = connection.ssh_host or urlsplit(connection.url).hostname or ""
        self._client = paramiko.SSHClient()
        self._socket: socket.socket | None = None
        self._closed = threading.Event()
        self._expired: float | None = None
        self._lock = threading.Lock()
        self._heard = time.monotonic()

    def __enter__(self) -> SshConnection:
        try:
            self.open()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def shown(self) -> str:
        """The address as it may be shown to anybody."""
        return f"ssh://{self._connection.user}@{self._host}:{self._connection.ssh_port}"

    def open(self) -> None:
        """Connect and log in, each within the connection's time limit.

        Raises GerritUnavailableError, GerritHostKeyError or GerritLoginError.
        """
        known = self._known_keys()
        key = self._key()
        limit = self._connection.timeout
        try:
            connected = dial(self._host, self._connection.ssh_port, limit, self._closed)
        except OSError as error:
            raise self._failed(error) from error
        with self._limited(limit):
            try:
                self._hold(connected)
                self._log_in(connected, key, known)
            except GerritError:
                raise
            except paramiko.AuthenticationException as error:
                raise self._failed(error, GerritLoginError(self._refused(error))) from error
            except (OSError, EOFError, paramiko.SSHException) as error:
                raise self._failed(error) from error
        self._heard = time.monotonic()

    def start(self, command: str) -> paramiko.Channel:
        """Start `command` and return its channel, once Gerrit has taken it. Raises GerritUnavailableError."""
        with self._limited(self._connection.timeout):
            try:
                channel = self._transport().open_session()
                channel.exec_command(command)
            except (OSError, EOFError, paramiko.SSHException) as error:
                raise self._failed(error) from error
        return channel

    def run(self, command: str, limit: float) -> Ran:
        """Run `command` and return what it says, within `limit` seconds. Raises GerritUnavailableError.

        Of more than MAX_OUTPUT the rest is dropped.
        """
        with self._limited(limit):
            channel = self.start(command)
            output, complaint = bytearray(), bytearray()
            try:
                while piece := channel.recv(65_536):
                    output += piece[: MAX_OUTPUT - len(output)]
                    take_complaint(channel, complaint)
                while piece := channel.recv_stderr(65_536):
                    complaint += piece[: MAX_OUTPUT - len(complaint)]
                status = channel.recv_exit_status()
            except (OSError, EOFError, paramiko.SSHException) as error:
                raise self._failed(error) from error
            if self._closed.is_set():
                raise self._failed(EOFError("the connection broke"))
        return Ran(None if status < 0 else status, bytes(output), complaint.decode(errors="replace").strip())

    def keep_alive(self, interval: float) -> None:
        """From now on ask every `interval` seconds whether the server is there; `silence` says how it answers."""
        name = f"gerrit-pulse-{self._connection.name}"
        threading.Thread(target=self._ask_on, args=(interval,), name=name, daemon=True).start()

    def heard(self) -> None:
        """Take note that the server has just said something."""
        self._heard = time.monotonic()

    def silence(self) -> float:
        """Return the seconds since the server was last heard of."""
        return time.monotonic() - self._heard

    def close(self) -> None:
        """End the connection and whatever waits for it."""
        with self._lock:
            self._closed.set()
            held = self._socket
            self._socket = None
        if held is not None:
            # Without its socket paramiko gives up at once, whatever it was waiting for.
            with contextlib.suppress(OSError, EOFError):
                held.shutdown(socket.SHUT_RDWR)
        with contextlib.suppress(OSError, EOFError):
            self._client.close()
        if held is not None:
            held.close()

    def _log_in(self, connected: socket.socket, key: paramiko.PKey | None, known: KnownKeys) -> None:
        def transport(through: Any, **named: Any) -> paramiko.Transport:
            made = paramiko.Transport(through, **named)
            options = made.get_security_options()
            options.key_types = known.prefer(options.key_types)
            return made

        # It knows no host itself, so that each one is looked at by us.
        self._client.set_missing_host_key_policy(_Checked(lambda shown: self._check(shown, known)))
        # The limits are ours: paramiko's own go by a clock that may be set, and not every wait of its has one.
        self._client.connect(
            self._host,
            self._connection.ssh_port,
            username=self._connection.user,
            pkey=key,
            allow_agent=key is None,
            look_for_keys=key is None,
            sock=connected,
            timeout=_NEVER,
            banner_timeout=_NEVER,
            auth_timeout=_NEVER,
            channel_timeout=_NEVER,
            transport_factory=transport,
        )

    def _hold(self, connected: socket.socket) -> None:
        with self._lock:
            if self._closed.is_set():
                connected.close()
                raise InterruptedError("not wanted any more")
            self._socket = connected

    def _transport(self) -> paramiko.Transport:
        transport = self._client.get_transport()
        if transport is None or self._closed.is_set():
            raise EOFError("the connection is closed")
        return transport

    def _known_keys(self) -> KnownKeys:
        given = self._connection.known_hosts
        own = (Path("~/.ssh/known_hosts").expanduser(), _SYSTEM_KNOWN_HOSTS)
        try:
            return read_known_keys([given] if given is not None else [each for each in own if each.exists()], self._host_name())
        except OSError as error:
            raise GerritHostKeyError(
                f"{self.shown}: the known host keys in {error.filename} cannot be read: {error.strerror}. {self._scan()}"
            ) from error

    def _check(self, shown: paramiko.PKey, known: KnownKeys) -> None:
        """Raise GerritHostKeyError unless `shown` is one of the known keys."""
        what = f"the host key ({shown.get_name()}, {shown.fingerprint})"
        if shown in known.revoked:
            raise GerritHostKeyError(f"{self.shown}: {what} is marked as revoked in {self._known_file()}: nobody should use it any more")
        if shown in known.good:
            return
        if not known.good:
            raise GerritHostKeyError(
                f"{self.shown}: {what} is not known: {self._known_file()} has none for {self._host_name()}. "
                f"Compare it with what Gerrit's administrator says, then: {self._scan()}"
            )
        expected = ", ".join(f"{key.get_name()} {key.fingerprint}" for key in known.good)
        raise GerritHostKeyError(
            f"{self.shown}: THE HOST KEY HAS CHANGED: {what} is none of those in {self._known_file()}: {expected}. Somebody may be in "
            f"between. If Gerrit's administrator confirms it: ssh-keygen -R '{self._host_name()}' -f {self._known_file()}; {self._scan()}"
        )

    def _key(self) -> paramiko.PKey | None:
        path = self._connection.key
        if path is None:
            return None
        try:
            return paramiko.PKey.from_path(path)
        except TypeError as error:
            raise GerritLoginError(
                f"{self.shown}: the key {path} needs a passphrase. Give one without, that only Torii can read, "
                f"or leave `key` of connections.{self._connection.name} out and run an ssh-agent"
            ) from error
        except OSError as error:
            raise GerritLoginError(f"{self.shown}: the key {path} cannot be read: {error.strerror or error}") from error
        except (ValueError, UnknownKeyType, paramiko.SSHException) as error:
            raise GerritLoginError(
                f"{self.shown}: {path} is no private key that can be used: make one with ssh-keygen -t ed25519"
            ) from error

    @contextlib.contextmanager
    def _limited(self, limit: float) -> Iterator[None]:
        """Close the connection where the block lasts longer than `limit` seconds."""
        timer = threading.Timer(limit, self._expire, (limit,))
        timer.name, timer.daemon = f"gerrit-limit-{self._connection.name}", True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _expire(self, limit: float) -> None:
        self._expired = limit
        self.close()

    def _failed(self, error: Exception, meant: GerritError | None = None) -> GerritError:
        """Return what `error` means: what was `meant`, unless the end of the time or a stop made it."""
        if self._expired is not None:
            return GerritUnavailableError(f"{self.shown}: no answer {self._phase()}, within {self._expired:g} s")
        if isinstance(error, TimeoutError):
            return GerritUnavailableError(f"{self.shown}: {error}, within {self._connection.timeout:g} s")
        if self._closed.is_set():
            return GerritUnavailableError(f"{self.shown}: Torii closes the connection")
        if meant is not None:
            return meant
        match error:
            case socket.gaierror():
                return GerritUnavailableError(
                    f"{self.shown}: its host name is not known. Check `ssh.host` of connections.{self._connection.name}, "
                    "and the name server of this machine"
                )
            case ConnectionRefusedError():
                return GerritUnavailableError(f"{self.shown}: the connection is refused: nothing listens there. Is Gerrit up?")
            case IncompatiblePeer():
                return GerritUnavailableError(f"{self.shown}: no common algorithm: {error}")
        if str(error) == "No authentication methods available":
            return GerritLoginError(self._refused(error))
        return GerritUnavailableError(f"{self.shown}: the connection broke {self._phase()}: {str(error) or type(error).__name__}")

    def _phase(self) -> str:
        transport = self._client.get_transport()
        if transport is None:
            return "while connecting"
        if not transport.initial_kex_done:
            return "in the key exchange" if transport.remote_version else "before it said it speaks SSH"
        return "at a command" if transport.is_authenticated() else "in the login"

    def _refused(self, error: Exception) -> str:
        user, key = self._connection.user, self._connection.key
        tried = f"the key {key}" if key is not None else "the keys of the ssh-agent and of ~/.ssh"
        return (
            f"{self.shown}: Gerrit does not let {user!r} in with {tried} ({error}). "
            f"Add the public half to the SSH keys in the settings of Gerrit's account {user!r}"
        )

    def _host_name(self) -> str:
        port = self._connection.ssh_port
        return self._host if port == 22 else f"[{self._host}]:{port}"

    def _known_file(self) -> str:
        return str(self._connection.known_hosts or "~/.ssh/known_hosts")

    def _scan(self) -> str:
        return f"ssh-keyscan -p {self._connection.ssh_port} {self._host} >> {self._known_file()}"

    def _ask_on(self, interval: float) -> None:
        while not self._closed.wait(interval):
            try:
                transport = self._transport()
                transport.global_request(_KEEPALIVE)  # waits for the answer, which every server gives, if only to refuse
                if transport.is_active():
                    self.heard()
            except (OSError, EOFError, paramiko.SSHException):
                return
            except Exception:
                # Who waits for the answers sees the silence.
                log.exception("gerrit.pulse_failed", connection=self._connection.name)
                return


class _Checked(paramiko.MissingHostKeyPolicy):
    """Has `check` raise for a host key that is not to be trusted."""

    def __init__(self, check: Callable[[paramiko.PKey], None]) -> None:
        self._check = check

    def missing_host_key(self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey) -> None:  # noqa: ARG002 - paramiko's names
        self._check(key)


def take_complaint(channel: paramiko.Channel, complaint: bytearray) -> None:
    """Move what has come on the standard error of `channel` to `complaint`, which keeps no more than its beginning."""
    while channel.recv_stderr_ready():
        complaint += channel.recv_stderr(65_536)
        del complaint[65_536:]
