"""Gearman's text protocol: what is registered where, and the cancelling of jobs that wait. Each question is a connection of its own."""

from __future__ import annotations

import socket
import time
from dataclasses import dataclass

from torii.errors import OperatorError
from torii.gearman.connection import tune

_ANSWER_LIMIT = 16 * 1024 * 1024

Address = tuple[str, int]


class GearmanUnavailableError(OperatorError):
    """No Gearman server answered."""


@dataclass(frozen=True, slots=True)
class FunctionStatus:
    """One function: jobs that wait or run, those of them that run, and workers that have it registered."""

    queued: int
    running: int
    workers: int


def functions(server: Address, limit: float) -> dict[str, FunctionStatus]:
    """Return every function `server` lists; raises `GearmanUnavailableError` when it has not said so within `limit` seconds."""
    found = {}
    for line in _ask(server, b"status", limit, several=True).decode("utf-8", "replace").splitlines():
        parts = line.split("\t")
        if len(parts) == 4 and all(part.isdigit() for part in parts[1:]):
            found[parts[0]] = FunctionStatus(*(int(part) for part in parts[1:]))
    return found


def workers(server: Address, limit: float) -> dict[str, frozenset[str]]:
    """Return the functions of each client of `server` by its client id (`-`: of those without); raises `GearmanUnavailableError`."""
    found: dict[str, frozenset[str]] = {}
    for line in _ask(server, b"workers", limit, several=True).decode("utf-8", "replace").splitlines():
        client, colon, names = line.partition(" :")
        parts = client.split(" ", 2)  # file descriptor, address, client id
        if colon and len(parts) == 3:
            found[parts[2]] = found.get(parts[2], frozenset()) | frozenset(names.split())
    return found


def cancel(server: Address, handle: str, limit: float) -> bool:
    """Take the waiting job `handle` out of `server`'s queue; False when it does not wait there. Raises `GearmanUnavailableError`."""
    return _ask(server, b"cancel job " + handle.encode(), limit, several=False).startswith(b"OK")


def _ask(server: Address, command: bytes, limit: float, several: bool) -> bytes:
    """Return the answer to `command`: one line, or `several` up to the full stop."""
    end = time.monotonic() + limit
    answer = b""
    try:
        with socket.create_connection(server, timeout=limit) as sock:
            tune(sock)
            sock.sendall(command + b"\n")
            while not _complete(answer, several):
                sock.settimeout(max(0.001, end - time.monotonic()))
                segment = sock.recv(65536)
                if not segment or len(answer) > _ANSWER_LIMIT:
                    raise GearmanUnavailableError(
                        f"the Gearman server {server[0]}:{server[1]} broke off its answer to '{command.decode()}'"
                    )
                answer += segment
    except OSError as error:
        reason = f"cannot be reached: {error}"
        if isinstance(error, TimeoutError):
            reason = f"did not answer '{command.decode()}' within {limit:g} s"
        raise GearmanUnavailableError(f"the Gearman server {server[0]}:{server[1]} {reason}") from error
    return answer


def _complete(answer: bytes, several: bool) -> bool:
    if not several or answer.startswith(b"ERR"):
        return answer.endswith(b"\n")
    return answer in (b".\n", b".\r\n") or answer.endswith((b"\n.\n", b"\n.\r\n"))
