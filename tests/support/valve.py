"""A TCP relay that can be shut: an outage between two programs, without stopping either."""

from __future__ import annotations

import contextlib
import socket
import threading


class Valve:
    """Relays connections to 127.0.0.1:`port` from a free port of its own, `here`, until shut. Shut, it refuses and cuts what there is."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._lock = threading.Lock()
        self._listener: socket.socket | None = None
        self._open: set[socket.socket] = set()
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", 0))
            self.here: int = probe.getsockname()[1]
        self.open()

    def open(self) -> None:
        """Let connections through."""
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.here))
        listener.listen(64)
        self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), name=f"valve-{self.here}", daemon=True).start()

    def shut(self) -> None:
        """Refuse new connections and cut the old ones, in the middle of whatever they are at."""
        listener, self._listener = self._listener, None
        if listener is not None:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        self.cut()

    def cut(self) -> None:
        """Cut the connections there are; new ones go through."""
        with self._lock:
            ended, self._open = self._open, set()
        for each in ended:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                near, _ = listener.accept()
                far = socket.create_connection(("127.0.0.1", self._target), timeout=5.0)
            except OSError:
                if self._listener is not listener:
                    return
                continue
            far.settimeout(None)
            with self._lock:
                self._open |= {near, far}
            if self._listener is not listener:
                self.cut()
            for source, sink in ((near, far), (far, near)):
                source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=self._relay, args=(source, sink), daemon=True).start()

    def _relay(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while piece := source.recv(65536):
                sink.sendall(piece)
        for each in (source, sink):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        with self._lock:
            done = source not in self._open
            self._open -= {source}
        if not done:
            source.close()
