"""Gearman servers for tests: the embedded one and Debian's gearmand, both on a loopback port that they keep over a restart."""

from __future__ import annotations

import socket
import subprocess
from typing import Protocol

from tests.support import parts
from tests.support.waiting import free_port, wait_until
from torii.gearman import Server


class GearmanServer(Protocol):
    """One that can be killed and started again, with nothing left of what it knew."""

    @property
    def address(self) -> tuple[str, int]: ...
    def start(self) -> None: ...
    def kill(self) -> None: ...


class EmbeddedServer:
    def __init__(self) -> None:
        self.server = Server()

    @property
    def address(self) -> tuple[str, int]:
        return self.server.address

    def start(self) -> None:
        self.server.start()

    def kill(self) -> None:
        self.server.stop()


class Gearmand:
    """`gearmand` in the foreground."""

    def __init__(self) -> None:
        self.address = ("127.0.0.1", free_port())
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        program = parts.binary("gearmand")
        assert program is not None
        command = [program, "-L", self.address[0], "-p", str(self.address[1]), "-l", "stderr"]
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(self._answers, 10)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(30)
            self._process = None

    def _answers(self) -> bool:
        try:
            with socket.create_connection(self.address, timeout=1) as sock:
                sock.sendall(b"version\n")
                return sock.recv(100).startswith(b"OK")
        except OSError:
            return False
