"""The embedded Gearman server: gear's, which calls itself a test server, made fit to be left running.

gear keeps the queues and hands out the jobs. Here its connections get limits, and those of its habits are changed that let one
client spoil it for others: packets with impossible lengths, a peer that never reads, a peer that never stops sending, a dead client
that cost the worker its connection, functions that nobody has any more and that stay listed for ever. What is queued is lost with
the process; whoever submitted it submits it again.
"""

# ruff: noqa: N802  - gear calls these methods by these names

from __future__ import annotations

import contextlib
import os
import random
import select
import socket
import threading
import time

import gear
import structlog
from gear import constants

from torii.errors import OperatorError
from torii.gearman.connection import HANDLERS, PACKET_LIMIT, Framed, packed, tune

log = structlog.get_logger()

_BACKLOG = 1024
_CHUNK = 256 * 1024
_STOP_LIMIT = 4.0


class _Peer(Framed, gear.ServerConnection):
    """A client or worker, as the server sees it. What it is sent is collected, and goes out when the event in hand is dealt with.

    Used on the server's poll thread alone.
    """

    def __init__(self, addr: tuple[str, int], conn: socket.socket, poll: select.epoll, dirty: set[_Peer]) -> None:
        super().__init__(addr, conn, False, None)
        self.input_buffer = bytearray()
        self._poll = poll
        self._dirty = dirty
        self._fd = conn.fileno()
        self._out = bytearray()
        self._waits = False

    def sendPacket(self, packet: gear.Packet) -> None:
        self.sendRaw(packed(packet))

    def sendRaw(self, data: bytes | bytearray) -> None:
        """Collect `data`. Never raises: a peer that is gone must not look like a fault of whoever sends to it."""
        self._out += data
        self._dirty.add(self)

    def sendQueuedData(self) -> None:
        """Send what the kernel takes; the rest goes when there is room. A peer that leaves too much of it is dropped."""
        sock = self.conn
        if sock is None:
            return
        try:
            while self._out:
                del self._out[: sock.send(self._out[:_CHUNK])]
        except BlockingIOError:
            pass
        except OSError:
            self._break_off(sock)
        if len(self._out) > PACKET_LIMIT:
            log.warning("gearman.peer_does_not_read", peer=self.host)
            self._break_off(sock)
        waits = bool(self._out)
        if waits != self._waits:
            self._waits = waits
            with contextlib.suppress(OSError):  # unregistered meanwhile: nobody waits for it any more
                self._poll.modify(self._fd, select.EPOLLIN | (select.EPOLLOUT if waits else 0))

    def _break_off(self, sock: socket.socket) -> None:
        """Forget what was to be sent and end the connection; the poll thread finds it closed and clears up."""
        self._out.clear()
        with contextlib.suppress(OSError):  # gone already
            sock.shutdown(socket.SHUT_RDWR)


class _GearServer(gear.Server):
    # level-triggered, so that one read an event is enough and a flood of one peer takes turns with the others
    read_bitmask = select.EPOLLIN
    readwrite_bitmask = select.EPOLLIN

    def __init__(self, host: str, port: int) -> None:
        self._dirty: set[_Peer] = set()
        super().__init__(port, server_id="torii", host=host)
        self.socket.listen(_BACKLOG)
        # handles of another life of this server must not be taken for handles of this one
        self.max_handle = time.time_ns() // 1_000_000
        self.poll_thread.name = "gearmand-poll"
        self.connect_thread.name = "gearmand-accept"

    def connectLoop(self) -> None:
        poll = select.poll()
        poll.register(self.connect_wake_read, select.POLLIN)
        poll.register(self.socket.fileno(), select.POLLIN)
        while self.running:
            for fd, _ in poll.poll():
                if fd == self.connect_wake_read:
                    return
                self._accept()

    def _accept(self) -> None:
        sock, address = self.socket.accept()
        try:
            tune(sock)
        except OSError:
            sock.close()  # it hung up before it was looked at
            return
        peer = _Peer(address[:2], sock, self.poll, self._dirty)
        with self.connections_condition:
            self.active_connections.append(peer)
            self._registerConnection(peer)
            self.connections_condition.notify_all()

    def readFromConnection(self, conn: gear.ServerConnection) -> None:
        """Read once and act on every packet that is whole."""
        assert isinstance(conn, _Peer)
        try:
            if not conn.receive():
                raise gear.DisconnectError
            while (item := conn.take()) is not None:
                if isinstance(item, gear.Packet):
                    self.handlePacket(item)
                else:
                    self.handleAdminRequest(item)
        except gear.RetryIOError:
            return
        except gear.InvalidDataError as error:
            log.warning("gearman.bad_packet", peer=conn.host, error=str(error))
            raise gear.DisconnectError from error
        except OSError as error:
            raise gear.DisconnectError from error

    def writeToConnection(self, conn: gear.ServerConnection) -> None:
        conn.sendQueuedData()

    def wakeConnections(self, job: gear.ServerJob | None = None) -> None:
        """Wake every sleeper that could take `job`, in any order. One would do, were none of them ever hung or gone to another server."""
        sleepers = [conn for conn in self.active_connections if conn.state == "SLEEP" and (job is None or job.name in conn.functions)]
        random.shuffle(sleepers)
        for conn in sleepers:
            self.wakeConnection(conn)

    def _processPollEvent(self, conn: gear.ServerConnection, event: int) -> None:
        super()._processPollEvent(conn, event)
        while self._dirty:
            self._dirty.pop().sendQueuedData()

    def handlePacket(self, packet: gear.Packet) -> None:
        handler = HANDLERS.get(packet.ptype)
        if handler is None:
            raise gear.InvalidDataError(f"no packet is of type {packet.ptype}")
        getattr(self, handler)(packet)

    def handleEchoReq(self, packet: gear.Packet) -> None:
        packet.connection.sendPacket(gear.Packet(constants.RES, constants.ECHO_RES, packet.data))

    def handleOptionReq(self, packet: gear.Packet) -> None:
        """There is but one option, `exceptions`, and here it is always on."""
        packet.connection.sendPacket(gear.Packet(constants.RES, constants.OPTION_RES, packet.data))

    def _defaultPacketHandler(self, packet: gear.Packet) -> None:
        """A packet that no client or worker has to send, or (scheduled and background jobs apart) that nobody does."""
        self.sendError(packet.connection, 0, "not supported by this server")

    def _flushAllConnections(self) -> None:
        """Nothing to do: level-triggered events are told again."""

    def handleAdminRequest(self, request: gear.AdminRequest) -> None:
        command = request.command.strip()
        request.command = command
        if command.startswith(b"cancel job") and len(command.split()) != 3:
            request.connection.sendRaw(b"ERR INVALID_ARGUMENTS cancel+job+HANDLE\n")
        elif command == b"version":
            request.connection.sendRaw(b"OK torii\n")
        elif command in (b"status", b"workers") or command.startswith(b"cancel job"):
            super().handleAdminRequest(request)
        else:
            request.connection.sendRaw(b"ERR UNKNOWN_COMMAND Unknown+server+command\n")

    def handlePassthrough(self, packet: gear.Packet, finished: bool = False) -> None:
        """Pass a worker's word on to the client, if the job is that worker's: an answer from before a reconnect is nobody's."""
        job = self.jobs.get(packet.getArgument(0))
        if job is not None and job.worker_connection is packet.connection:
            super().handlePassthrough(packet, finished)

    def handleCantDo(self, packet: gear.Packet) -> None:
        name = packet.getArgument(0)
        packet.connection.functions.discard(name)
        self._forget({name})

    def handleResetAbilities(self, packet: gear.Packet) -> None:
        names = packet.connection.functions
        packet.connection.functions = set()
        self._forget(names)

    def _lostConnection(self, conn: gear.Connection) -> None:
        if conn.conn is None or conn.conn.fileno() < 0:
            return
        super()._lostConnection(conn)
        self._forget(conn.functions)

    def _forget(self, names: set[bytes]) -> None:
        """Drop those of `names` from the list of functions that no connection has any more."""
        had = set().union(*(conn.functions for conn in self.active_connections))
        self.functions -= names - had

    def _cleanup(self) -> None:
        for thread in (self.poll_thread, self.connect_thread):
            thread.join(_STOP_LIMIT / 2)
        self.socket.close()
        for conn in self.active_connections[:]:
            if conn.conn is not None:
                conn.conn.close()
        if self.poll_thread.is_alive() or self.connect_thread.is_alive():
            return  # what wakes them stays open: a closed descriptor could be somebody else's by the time a thread uses it
        self.poll.close()
        for descriptor in (self.wake_read, self.wake_write, self.connect_wake_read, self.connect_wake_write):
            os.close(descriptor)


class Server:
    """An embedded Gearman server on `host`:`port` (0: any free one). Listens from `start` on, until `stop`."""

    def __init__(self, host: str = "127.0.0.1", port: int = 0) -> None:
        self.host = host
        self._port = port
        self._gear: _GearServer | None = None
        self._lock = threading.Lock()

    @property
    def port(self) -> int:
        """The port that it listens on; before `start`, the one it was given."""
        return self._gear.port if self._gear is not None else self._port

    @property
    def address(self) -> tuple[str, int]:
        """Host and port, as `Client` and `Worker` take them."""
        return self.host, self.port

    def start(self) -> None:
        """Listen. Raises `OperatorError` where the address cannot be had."""
        with self._lock:
            if self._gear is not None:
                return
            try:
                self._gear = _GearServer(self.host, self._port)
            except Exception as error:  # gear raises a bare Exception here
                message = f"no Gearman server can listen on {self.host} port {self._port}: is it in use, or not this machine's address?"
                raise OperatorError(message) from error
        log.info("gearmand.listening", host=self.host, port=self.port)

    def stop(self) -> None:
        """Close every connection and stop listening, within five seconds. What was queued is gone."""
        with self._lock:
            server, self._gear = self._gear, None
        if server is not None:
            self._port = server.port
            server.shutdown()
            log.info("gearmand.stopped", port=self._port)
