"""Listens to `gerrit stream-events` over SSH for as long as Torii runs, and hands on where to look.

Gerrit does not repeat what happened while nobody listened. So the caller is told each time the stream listens (again), and asks by REST
for what is older; nothing falls between. Nothing here decides what happened: see `hints`.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence

import paramiko
import structlog

from torii.config.settings import GerritConnection
from torii.sources.gerrit.errors import GerritError, GerritLoginError, GerritUnavailableError
from torii.sources.gerrit.hints import Hint
from torii.sources.gerrit.lines import EventLines
from torii.sources.gerrit.ssh import SshConnection, take_complaint

log = structlog.get_logger()

COMMAND = "gerrit stream-events"
FIRST_PAUSE = 1.0
LONGEST_PAUSE = 60.0
LASTING = 30.0
"""Seconds after which a connection counts as good: the next pause is a first one again."""

KEEPALIVE = 30.0
SILENCE = 60.0
"""Seconds without a sign of life, though asked for one, after which the server is given up."""

_SETTLES = 0.3
_SETTLED = 5.0
"""Gerrit takes the command before it listens; by the first it does, by the second even a busy one. Then the caller is told (again)."""

_LOOKS = 1.0
"""Seconds for which nothing may come before we look whether the server still is there."""

_PIECE = 1024 * 1024
_AT_ONCE = 16
"""Pieces that are read before their hints are handed on: a burst is one batch."""


class EventStream:
    """The stream of `connection`. `on_hints` gets what it says, in batches; `on_up` is called when it listens, and once more soon after.

    Both are called in the stream's thread and must return at once. What one of them raises ends the connection, and the next one begins
    with `on_up`. `patience` multiplies the pauses between attempts, and the waits for signs of life.
    """

    def __init__(
        self,
        connection: GerritConnection,
        on_hints: Callable[[Sequence[Hint]], None],
        on_up: Callable[[], None],
        patience: float = 1.0,
    ) -> None:
        self._connection = connection
        self._on_hints = on_hints
        self._on_up = on_up
        self._patience = patience
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._ssh: SshConnection | None = None
        self._thread: threading.Thread | None = None
        self._state = "the stream was not started"

    def start(self) -> None:
        """Begin to listen; returns at once."""
        with self._lock:
            self._state = "connecting for the first time"
            self._begin()

    def stop(self, timeout: float = 5.0) -> bool:
        """Stop listening, also in the middle of connecting. Return whether the thread ended within `timeout` seconds."""
        self._stopping.set()
        with self._lock:
            ssh, thread = self._ssh, self._thread
        if ssh is not None:
            ssh.close()
        if thread is None:
            return True
        thread.join(timeout)
        return not thread.is_alive()

    def health(self) -> str:
        """Return `ok` while the stream listens, else in words what is wrong and what to do."""
        with self._lock:
            if self._thread is not None and not self._thread.is_alive() and not self._stopping.is_set():
                # It catches all there is, so this cannot be; if it is all the same, nobody else would notice.
                log.error("gerrit.stream_died", connection=self._connection.name)
                self._state = "the stream's thread died; it was started again"
                self._begin()
            return self._state

    def _begin(self) -> None:
        self._thread = threading.Thread(target=self._run, name=f"gerrit-stream-{self._connection.name}", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            began = time.monotonic()
            problem = self._try()
            if self._stopping.is_set():
                break
            failures = 1 if time.monotonic() - began >= LASTING * self._patience else failures + 1
            pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(failures - 1, 20)) * random.uniform(0.5, 1.0) * self._patience
            self._state = problem
            log.warning("gerrit.stream_down", connection=self._connection.name, reason=problem, next_in=round(pause, 1))
            self._stopping.wait(pause)
        self._state = "the stream was stopped"

    def _try(self) -> str:
        """Listen until that ends, and return why it did."""
        try:
            self._listen()
        except GerritError as error:
            return str(error)
        except BaseException as error:  # whatever it is, the thread goes on: a stream that ends unnoticed loses events
            log.exception("gerrit.stream_failed", connection=self._connection.name)
            return f"reading the stream failed: {type(error).__name__}: {error}"
        return "the stream ended"

    def _listen(self) -> None:
        ssh = SshConnection(self._connection)
        with self._lock:
            self._ssh = ssh
        try:
            if self._stopping.is_set():
                return
            ssh.open()
            channel = ssh.start(COMMAND)
            ssh.keep_alive(KEEPALIVE * self._patience)
            self._read(ssh, channel)
        finally:
            with self._lock:
                self._ssh = None
            ssh.close()

    def _read(self, ssh: SshConnection, channel: paramiko.Channel) -> None:
        """Hand on what comes until nothing comes any more. Raises GerritError that says why."""
        lines = EventLines()
        complaint = bytearray()
        up = _Announcement(self._say_up)
        channel.settimeout(_SETTLES)
        while True:
            piece = _next(channel)
            take_complaint(channel, complaint)
            if piece == b"":
                break
            if up.look():
                channel.settimeout(_LOOKS)
            if piece is not None:
                ssh.heard()
                self._hand_on(lines, piece, channel)
            elif ssh.silence() > SILENCE * self._patience:
                raise GerritUnavailableError(f"{ssh.shown}: not a word for {ssh.silence():.0f} s, though asked for one: the server is gone")
        if hints := lines.end():
            log.warning("gerrit.line_cut", connection=self._connection.name)
            self._on_hints(hints)
        raise self._ended(ssh, channel, complaint)

    def _say_up(self) -> None:
        if self._state != "ok":
            log.info("gerrit.stream_up", connection=self._connection.name)
        self._state = "ok"
        self._on_up()

    def _hand_on(self, lines: EventLines, piece: bytes, channel: paramiko.Channel) -> None:
        """Hand on the hints of `piece`, and of what else has come already."""
        before = lines.unreadable
        hints = dict.fromkeys(lines.feed(piece))
        for _ in range(_AT_ONCE):
            if not channel.recv_ready():
                break
            hints |= dict.fromkeys(lines.feed(channel.recv(_PIECE)))
        if unreadable := lines.unreadable - before:
            log.warning("gerrit.lines_unreadable", connection=self._connection.name, lines=unreadable, since_connected=lines.unreadable)
        if hints:
            self._on_hints(list(hints))

    def _ended(self, ssh: SshConnection, channel: paramiko.Channel, complaint: bytearray) -> GerritError:
        """Return why the stream is at its end, in words."""
        channel.status_event.wait(1.0)
        take_complaint(channel, complaint)
        said = " ".join(complaint.decode(errors="replace").split())[:500]
        user = self._connection.user
        if "not permitted" in said:
            return GerritLoginError(
                f"{ssh.shown}: Gerrit says {said!r}: the account {user!r} may not listen. Give it Stream Events, for example by adding it "
                "to the group `Service Users`; `torii gerrit setup` says how"
            )
        status = f"exit status {channel.exit_status}" if channel.exit_status >= 0 else "the connection was closed"
        return GerritUnavailableError(f"{ssh.shown}: the stream ended: {status}{f', {said}' if said else ''}")


class _Announcement:
    """Calls `say` when the command has had the time to listen, and once more when it surely does."""

    def __init__(self, say: Callable[[], None]) -> None:
        self._say = say
        self._began = time.monotonic()
        self._due = [_SETTLES, _SETTLED]

    def look(self) -> bool:
        """Call what is due; say whether it was."""
        if not self._due or time.monotonic() - self._began < self._due[0]:
            return False
        del self._due[0]
        self._say()
        return True


def _next(channel: paramiko.Channel) -> bytes | None:
    """Return what has come, nothing at the end of the stream, None where neither is there yet."""
    try:
        return channel.recv(_PIECE)
    except TimeoutError:
        return None


__all__ = ["EventStream"]
