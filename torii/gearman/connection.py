"""Connections of a Gearman client or worker, as gear's but prompt: no Nagle, time limits, dead peers noticed, one reader a connection.

gear's own packet reader trusts the lengths it is sent and copies its buffer with every read; the one here does neither. Nothing in
this module knows what a job is.
"""

# ruff: noqa: N802  - gear calls these methods by these names

from __future__ import annotations

import contextlib
import os
import random
import select
import socket
import struct
import threading
import time

import gear
import structlog
from gear import constants

log = structlog.get_logger()

CONNECT_LIMIT = 3.0
"""Seconds within which a server must accept a connection."""
SEND_LIMIT = 10.0
"""Seconds within which the other side must take what we send."""
PACKET_LIMIT = 64 * 1024 * 1024
"""Bytes of the largest packet that is believed."""
ADMIN_LIMIT = 64 * 1024
"""Bytes of the longest line of the text protocol that is believed."""

HANDLERS = {
    kind: "handle" + "".join(word.capitalize() for word in name.split("_")).replace("ClientId", "ClientID")
    for kind, name in constants.types.items()
    if name != "JOB_ASSIGN_UNIQ"
} | {constants.JOB_ASSIGN_UNIQ: "handleJobAssignUnique"}
"""The method of gear's that deals with each type of packet. Called directly, since gear's own way formats a log line first, always."""

_READ = 16 * 1024
_HEADER = struct.Struct("!4sii")
_FIRST_PAUSE = 0.05
_LAST_PAUSE = 1.5
_STEADY = 2.0


def tune(sock: socket.socket) -> None:
    """Switch Nagle's algorithm off and have the kernel notice within a minute that the other side is gone."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3), ("TCP_USER_TIMEOUT", 60_000)):
        if hasattr(socket, option):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)


def packed(packet: gear.Packet) -> bytes:
    """Return `packet` as it goes over the wire."""
    return _HEADER.pack(packet.code, packet.ptype, len(packet.data)) + packet.data


class Framed(gear.Connection):
    """Cuts what arrives into packets. `receive` reads once, `take` gives what is complete so far."""

    input_buffer: bytearray

    def changeState(self, state: str) -> None:
        self.state = state
        self.state_time = time.time()

    def receive(self) -> bool:
        """Read what is there; returns False when the other side has closed. For use when the socket is known to be readable."""
        segment = self._readRawBytes(_READ)
        self.input_buffer += segment
        return bool(segment)

    def take(self) -> gear.Packet | gear.AdminRequest | None:
        """Return the next whole packet or line of text, or None. Raises gear.InvalidDataError for what can be neither."""
        buffer = self.input_buffer
        if not buffer:
            return None
        if buffer[0] != 0:
            return self._take_text(buffer)
        if len(buffer) < _HEADER.size:
            return None
        magic, kind, length = _HEADER.unpack_from(buffer)
        if magic not in (constants.REQ, constants.RES) or not 0 <= length <= PACKET_LIMIT:
            raise gear.InvalidDataError(f"not a Gearman packet: {bytes(buffer[:12])!r}")
        end = _HEADER.size + length
        if len(buffer) < end:
            return None
        packet = gear.Packet(magic, kind, bytes(buffer[_HEADER.size : end]), connection=self)
        del buffer[:end]
        return packet

    def _take_text(self, buffer: bytearray) -> gear.AdminRequest | None:
        end = buffer.find(b"\n")
        if end < 0:
            if len(buffer) > ADMIN_LIMIT:
                raise gear.InvalidDataError("a line of text without end")
            return None
        request = self._getAdminRequest()
        request.isComplete(bytes(buffer[: end + 1]))
        del buffer[: end + 1]
        return request


class Connection(Framed):
    """A client's or worker's connection to one server. `generation` counts connects: an answer belongs to the one its job came with."""

    def __init__(self, host: str, port: int, client_id: str | bytes) -> None:
        self.generation = 0
        self.open = False
        self.submit_lock = threading.Lock()
        self.announced: set[bytes] = set()
        super().__init__(host, port, client_id=client_id)

    def connect(self) -> None:
        """Connect within `CONNECT_LIMIT`; raises gear.ConnectionError."""
        try:
            sock = socket.create_connection((self.host, self.port), timeout=CONNECT_LIMIT)
        except OSError as error:
            raise gear.ConnectionError(str(error)) from error
        tune(sock)
        sock.settimeout(SEND_LIMIT)
        self.conn = sock
        self.connected = True
        self.connect_time = time.monotonic()
        self.input_buffer = bytearray()
        self.announced = set()
        self.generation += 1
        self.open = True

    def sendRaw(self, data: bytes | bytearray) -> None:
        """Send all of `data` (gear's own begins anew after a partial send); raises OSError."""
        with self.send_lock:
            if self.conn is None or not self.open:
                raise OSError("not connected")
            self.conn.sendall(data)

    def sendPacket(self, packet: gear.Packet) -> None:
        self.sendRaw(packed(packet))

    def break_off(self) -> None:
        """End the connection from any thread: the poll thread notices and does the rest."""
        sock = self.conn
        if sock is not None:
            with contextlib.suppress(OSError):  # it may be broken already, which is what is wanted
                sock.shutdown(socket.SHUT_RDWR)

    def abandon(self) -> list[gear.Job]:
        """Mark the connection as gone; returns the jobs that no answer will come for."""
        with self.submit_lock:
            self.open = False
            jobs = list({id(job): job for job in self.related_jobs.values()}.values())
            jobs += [task.job for task in self.pending_tasks if isinstance(task, gear.SubmitJobTask)]
            self.related_jobs.clear()
            self.pending_tasks.clear()
        self.break_off()
        return jobs


class Lively(gear.BaseClient):
    """What client and worker share: connects in the background, again after a loss and ever more slowly; stops within its limit.

    A lost connection is dealt with on the poll thread and nowhere else, so whoever is told of jobs hears all of it in order.
    """

    def __init__(self, client_id: str) -> None:
        self._stopping = threading.Event()
        self._pause = _FIRST_PAUSE
        super().__init__(client_id)
        self.poll_thread.name = f"gearman-poll-{client_id}"
        self.connect_thread.name = f"gearman-connect-{client_id}"

    def add_server(self, host: str, port: int) -> None:
        """Connect to this server too, from now on."""
        with self.connections_condition:
            self.inactive_connections.append(Connection(host, port, self.client_id or b""))
            self.connections_condition.notify_all()

    def _doConnectLoop(self) -> None:
        while self.running:
            with self.connections_condition:
                while self.running and not self.inactive_connections:
                    self.connections_condition.wait()
            if self.running:
                self._connect_once()

    def _connect_once(self) -> None:
        try:
            if self._connectLoop():
                return
        except Exception:
            log.exception("gearman.connect_failed", client=self.client_id)
        self._pause = min(self._pause * 2, _LAST_PAUSE)
        self._stopping.wait(self._pause * random.uniform(0.7, 1.3))

    def _doPollLoop(self) -> None:
        while self.running:
            with self.connections_condition:
                while self.running and not self.active_connections:
                    self.connections_condition.wait()
            try:
                self._pollLoop()
            except Exception:
                log.exception("gearman.poll_failed", client=self.client_id)
                self._stopping.wait(0.1)  # whatever it is, it must not eat the processor

    def _pollLoop(self) -> None:
        """Serve the connections there are now, until that set changes."""
        poll = select.poll()
        poll.register(self.wake_read, select.POLLIN)
        served: dict[int, tuple[Connection, int]] = {}
        for conn in self.active_connections[:]:
            if isinstance(conn, Connection) and conn.conn is not None and conn.conn.fileno() >= 0:
                served[conn.conn.fileno()] = (conn, conn.generation)
                poll.register(conn.conn.fileno(), select.POLLIN)
        while self.running:
            for fd, event in poll.poll():
                if fd == self.wake_read:
                    os.read(self.wake_read, 4096)
                    return
                conn, generation = served[fd]
                if conn.generation != generation:
                    return  # a new connection in its place is not to be blamed
                if not self._serve(conn, event):
                    self._lostConnection(conn)
                    return

    def _serve(self, conn: Connection, event: int) -> bool:
        """Take in what `conn` has sent; returns False when it is of no more use."""
        try:
            if not event & select.POLLIN or not conn.receive():
                return False
            while (item := conn.take()) is not None:
                if isinstance(item, gear.Packet):
                    self._handle(item)
        except (OSError, gear.InvalidDataError) as error:
            log.warning("gearman.connection_failed", server=f"{conn.host}:{conn.port}", error=str(error))
            return False
        return True

    def handlePacket(self, packet: gear.Packet) -> None:
        handler = HANDLERS.get(packet.ptype)
        if handler is None:
            raise gear.InvalidDataError(f"no packet is of type {packet.ptype}")
        getattr(self, handler)(packet)

    def _handle(self, packet: gear.Packet) -> None:
        try:
            self.handlePacket(packet)
        except gear.UnknownJobError:
            pass  # the second WORK_COMPLETE of a job that was submitted twice, or an answer to a job that was let go
        except Exception:
            log.exception("gearman.packet_failed", client=self.client_id, type=constants.types.get(packet.ptype))

    def sendPacket(self, packet: gear.Packet, connection: gear.Connection) -> None:
        """Send, or break the connection off for the poll thread to find; raises what went wrong."""
        try:
            connection.sendPacket(packet)
        except Exception:
            if isinstance(connection, Connection):
                connection.break_off()
            raise

    def _lostConnection(self, conn: gear.Connection) -> None:
        if not isinstance(conn, Connection):
            return
        jobs = conn.abandon()
        lasted = time.monotonic() - (conn.connect_time or 0)
        self._pause = _FIRST_PAUSE if lasted > _STEADY else min(self._pause * 2, _LAST_PAUSE)
        if self.running:
            client = (self.client_id or b"").decode()
            log.warning("gearman.connection_lost", server=f"{conn.host}:{conn.port}", client=client, jobs=len(jobs))
        super()._lostConnection(conn)
        for job in jobs:
            self.handleDisconnect(job)

    def _shutdown(self) -> None:
        self._stopping.set()
        super()._shutdown()
        self.break_connections()

    def break_connections(self) -> None:
        """Break every connection off; they are made anew unless this is being shut down."""
        for conn in self.active_connections[:]:
            if isinstance(conn, Connection):
                conn.break_off()

    def _cleanup(self) -> None:
        for thread in (self.poll_thread, self.connect_thread):
            thread.join(CONNECT_LIMIT + 1)
        if self.poll_thread.is_alive() or self.connect_thread.is_alive():
            log.warning("gearman.slow_stop", client=(self.client_id or b"").decode())
            return  # its pipe stays open: a closed one could be somebody else's by the time the thread wakes
        for conn in (*self.active_connections, *self.inactive_connections):
            conn.disconnect()
        self.active_connections = []
        self.inactive_connections = []
        os.close(self.wake_read)
        os.close(self.wake_write)
