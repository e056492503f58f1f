"""Gearman as it was recorded between clients, a server and a real Jenkins' plug-in, said again to a server and the fake's plug-in."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from gear import constants

from tests.support.jenkins_recorded import RECORDINGS
from tests.support.waiting import wait_until
from torii.testing.jenkins import FakeJenkins

NAMES = dict(constants.types)
NUMBERS = {name: number for number, name in NAMES.items()}
_HEADER = struct.Struct("!4sii")
_ENDS = ("WORK_FAIL", "WORK_EXCEPTION")
_LIMIT = 10.0

Event = list[Any] | dict[str, str]


def events_of(scenario: str) -> list[Event]:
    found: list[Event] = json.loads((RECORDINGS / "gearman" / f"{scenario}.json").read_text())
    return found


class Wire:
    """Cuts what arrives over a connection into packets: the type's name, and its arguments."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._buffer = b""

    def read(self) -> tuple[str, list[bytes]] | None:
        """Return the next packet, None at the end. Raises TimeoutError."""
        while len(self._buffer) < _HEADER.size or len(self._buffer) < _HEADER.size + _HEADER.unpack_from(self._buffer)[2]:
            data = self.sock.recv(1 << 18)
            if not data:
                return None
            self._buffer += data
        _, kind, length = _HEADER.unpack_from(self._buffer)
        data, self._buffer = self._buffer[_HEADER.size : _HEADER.size + length], self._buffer[_HEADER.size + length :]
        return NAMES[kind], data.split(b"\0", _arguments(NAMES[kind])) if data else []


def _arguments(kind: str) -> int:
    return 3 if kind == "JOB_ASSIGN_UNIQ" else 2


class Client:
    """A client that says what it is told, and hears every packet."""

    def __init__(self, address: tuple[str, int]) -> None:
        sock = socket.create_connection(address, timeout=_LIMIT)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._wire = Wire(sock)

    def send(self, kind: str, *arguments: str | bytes) -> None:
        data = b"\0".join(each.encode() if isinstance(each, str) else each for each in arguments)
        self._wire.sock.sendall(_HEADER.pack(constants.REQ, NUMBERS[kind], len(data)) + data)

    def next(self, limit: float = _LIMIT) -> tuple[str, list[bytes]] | None:
        """Return the next packet, None where none comes within `limit` seconds."""
        self._wire.sock.settimeout(limit)
        try:
            return self._wire.read()
        except TimeoutError:
            return None

    def close(self) -> None:
        self._wire.sock.close()


def in_order(events: list[Event]) -> Iterator[tuple[int, Event]]:
    """Yield events with their numbers as a server took them: a job that is submitted after what others were told before its JOB_CREATED.

    On the wire it may stand before that, being on its way; a server that knew of it already would have told its client as well.
    """
    left = list(enumerate(events))
    while left:
        number, event = left.pop(0)
        if isinstance(event, list) and event[2:4] == ["c>s", "SUBMIT_JOB"]:
            while left and isinstance(left[0][1], list) and left[0][1][0] != event[0]:
                yield left.pop(0)
        yield number, event


class Replay:
    """Says as clients what was recorded, and does in the lab what was done: `acts` by the number of an event, or by a note's text.

    Builds are held; where the end of one was recorded it is released with that result, or aborted by `abort`.
    """

    def __init__(self, lab: FakeJenkins, address: tuple[str, int], acts: Mapping[int | str, Callable[[], object]] | None = None) -> None:
        self.lab, self._address, self._acts = lab, address, acts or {}
        self._clients: dict[str, Client] = {}
        self._handles: dict[str, str] = {}
        self._waiting: dict[str, list[tuple[str, list[bytes]]]] = {}
        self.cancels = False
        """Whether a WORK_FAIL or WORK_EXCEPTION comes of an item that is taken out of Jenkins' queue."""
        self.abort: Callable[[str, int], object] = lambda job, number: lab.stop_build(job, number)

    def run(self, events: list[Event]) -> list[str]:
        """Return in what the packets differ that the clients get."""
        self._number(events)
        found: list[str] = []
        for number, event in in_order(events):
            self._acts.get(number, lambda: None)()
            if isinstance(event, dict):
                self._acts.get(event["note"], lambda: None)()
            elif event[0].startswith("C"):
                found += self._say(event) if event[2] == "c>s" else self._hear(number, event)
            if found:
                break
        for client in self._clients.values():
            client.close()
        return found

    def _number(self, events: list[Event]) -> None:
        """Have each job go on with the number that it had when it was recorded."""
        for event in reversed(events):
            if isinstance(event, list) and event[3] == "WORK_DATA" and event[0].startswith("C"):
                said = json.loads(event[4][1])
                if said["name"] in self.lab.jobs:
                    self.lab.jobs[said["name"]].next_number = said["number"]

    def _say(self, event: list[Any]) -> list[str]:
        conn, _, _, kind, arguments = event
        if conn not in self._clients:
            self._clients[conn] = Client(self._address)
        if arguments == "BIG":
            arguments = ["build:plain", "big", json.dumps({"PARAM_A": "x" * 65536})]
        said = [bytes.fromhex(each["hex"]) if isinstance(each, dict) else each for each in arguments]
        self._clients[conn].send(kind, *[self._handles.get(each, each) if isinstance(each, str) else each for each in said])
        return []

    def _hear(self, number: int, event: list[Any]) -> list[str]:
        conn, _, _, kind, arguments = event
        where = f"event {number} ({kind} {arguments!s:.150})"
        self._let_happen(kind, arguments)
        handle = arguments[0].partition("\0")[0] if kind.startswith(("WORK", "STATUS")) else ""
        packet = self._next(conn, kind, self._handles.get(handle, handle).encode())
        if packet is None:
            return [f"{where}: nothing came"]
        if packet[0] != kind:
            return [f"{where}: {packet[0]} {packet[1]!r:.300} came"]
        if kind == "JOB_CREATED":
            self._handles[arguments[0]] = packet[1][0].decode()
        return [f"{where}: {each}" for each in self._differ(kind, arguments, packet[1])]

    def _next(self, conn: str, kind: str, handle: bytes) -> tuple[str, list[bytes]] | None:
        """Return the next packet about the job with that handle, or of its kind where it is about none. Those of other jobs wait."""
        waiting = self._waiting.setdefault(conn, [])
        while True:
            for packet in waiting:
                if packet[1][:1] == [handle] if handle else packet[0] == kind:
                    waiting.remove(packet)
                    return packet
            came = self._clients[conn].next()
            if came is None:
                return waiting.pop(0) if waiting else None
            waiting.append(came)

    def _let_happen(self, kind: str, arguments: list[str]) -> None:
        if kind == "WORK_COMPLETE" and arguments[1].startswith("{"):
            said = json.loads(arguments[1])
            build = self.lab.wait(lambda: self.lab.build(said["name"], said["number"]), 5.0, required=False)
            if build is None or not build.held:
                return
            if said["result"] == "ABORTED":
                if not build.interrupted:
                    self.abort(said["name"], said["number"])
            else:
                self.lab.release(said["name"], said["number"], said["result"])
        elif kind in _ENDS and self.cancels and self.lab.wait(lambda: any(item.plugin for item in self.lab.queue())):
            with self.lab.core.lock:
                self.lab.core.cancel(max(self.lab.queue(), key=lambda item: (item.stuck_forever, item.id)))

    def _differ(self, kind: str, recorded: list[Any], actual: list[bytes]) -> list[str]:
        if kind in ("WORK_DATA", "WORK_COMPLETE") and recorded[1].startswith("{"):
            return _differ_facts(json.loads(recorded[1]), json.loads(actual[1]))
        if kind in ("WORK_COMPLETE", "WORK_EXCEPTION"):
            text = b"\0".join(actual[1:]).decode().partition("\n")[0]
            return [] if _exception(recorded[1]) == _exception(text) else [f"{text!r:.300}"]
        if kind in ("WORK_STATUS", "STATUS_RES") and len(recorded) != len(b"\0".join(actual).split(b"\0")):
            return [f"{actual!r} has another number of arguments"]
        return []


def _differ_facts(recorded: dict[str, Any], actual: dict[str, Any]) -> list[str]:
    """Compare what is said of a build. Which node it runs on is chance, and so is what a real one says of it."""
    if recorded.keys() != actual.keys():
        return [f"keys {sorted(actual)} where {sorted(recorded)} were recorded"]
    found = [f"{name} is {actual[name]!r}" for name in recorded if type(recorded[name]) is not type(actual[name])]
    found += [f"{name} is {actual[name]!r}" for name in ("name", "number", "manager", "result") if recorded.get(name) != actual.get(name)]
    path = re.sub(r"^http://[^/]+", "", actual.get("url", ""))
    return found if path == re.sub(r"^http://[^/]+", "", recorded.get("url", "")) else [*found, f"url is {path!r}"]


def _exception(text: str) -> str:
    """Return what of an exception does not depend on where in the text gson was."""
    return re.sub(r" at line \d+ column \d+ path .*|[\s\d]+$", "", text.removeprefix("java.lang.RuntimeException: ")).strip()


class Tap:
    """Stands between workers and a Gearman server, and notes every packet: connection, direction, type, arguments."""

    def __init__(self, server: tuple[str, int]) -> None:
        self._server = server
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address: tuple[str, int] = self._listener.getsockname()[:2]
        self.packets: list[tuple[int, str, str, list[bytes]]] = []
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, name="tap", daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            for number in range(10_000):
                inside, _ = self._listener.accept()
                outside = socket.create_connection(self._server, timeout=_LIMIT)
                outside.settimeout(None)
                for sock in (inside, outside):
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    self._open.append(sock)
                for pair in ((inside, outside, "c>s"), (outside, inside, "s>c")):
                    threading.Thread(target=self._pass, args=(number, *pair), name=f"tap-{number}", daemon=True).start()

    def _pass(self, number: int, source: socket.socket, target: socket.socket, way: str) -> None:
        wire = Wire(source)
        with contextlib.suppress(OSError):
            while (packet := wire.read()) is not None:
                self.packets.append((number, way, *packet))
                magic = constants.REQ if way == "c>s" else constants.RES
                data = b"\0".join(packet[1])
                target.sendall(_HEADER.pack(magic, NUMBERS[packet[0]], len(data)) + data)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for sock in self._open:
            sock.close()

    def said(self, since: int = 0) -> dict[str, list[str]]:
        """Return what each worker said, by the name that it gave last: packets as `CAN_DO build:app`, in order."""
        found: dict[int, list[str]] = {}
        names: dict[int, str] = {}
        for place, (number, way, kind, arguments) in enumerate(self.packets[:]):
            if way == "c>s":
                if kind == "SET_CLIENT_ID":
                    names[number] = arguments[0].decode()
                if place >= since:
                    found.setdefault(number, []).append(" ".join([kind, *(each.decode("utf-8", "replace") for each in arguments)]))
        return {names[number]: said for number, said in found.items() if number in names}  # not the rest of one from before


def recorded_words(events: list[Event]) -> Iterator[tuple[str, list[str]]]:
    """Yield what each worker of the recorded Jenkins said, connection by connection, under the name that it gave last."""
    conns: dict[str, list[str]] = {}
    names: dict[str, str] = {}
    for event in events:
        if isinstance(event, list) and event[0].startswith("J") and event[2] == "c>s":
            names[event[0]] = event[1]
            conns.setdefault(event[0], []).append(" ".join([event[3], *event[4]]))
    for conn, said in conns.items():
        yield names[conn], said


def settled(tap: Tap, workers: int) -> dict[str, list[str]]:
    """Return what that many workers said once the last word of each is that it sleeps."""

    def all_asleep() -> dict[str, list[str]]:
        said = tap.said()
        return said if len(said) == workers and all(words[-1] == "PRE_SLEEP" for words in said.values()) else {}

    return wait_until(all_asleep)
