"""Serves the pages from a thread of their own. asyncio begins and ends in here."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import h11
import structlog
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from torii.config.settings import Connection, WebSettings
from torii.errors import OperatorError
from torii.model.pipeline import PipelineSpec
from torii.runtime.ports import Health, TakesWebhooks
from torii.store.blobs import Blobs
from torii.web.address import listen, local_url, shown_url
from torii.web.app import Surroundings, make_app
from torii.web.guard import Guard, own_names
from torii.web.ports import Pages

_log = structlog.get_logger(__name__)

CONNECTIONS = 256
"""Connections at once; whoever comes after is told 503."""
REQUEST_LIMIT = 10.0
"""Seconds in which a request must have arrived."""
SEND_LIMIT = 30.0
"""Seconds in which a client must take what it asked for (64 KiB of it at a time) before it is dropped."""
_START_LIMIT = 10.0
_STOP_LIMIT = 4.5


class WebServer:
    """The pages of one Torii. `pipelines` shows those that are idle, too.

    `connections` are those of `server.yml`: the pages of a Gerrit among them may read its changes' runs. `webhooks` has, by connection, who
    takes webhooks. `health` is asked how Torii is; it may be called from any thread.
    """

    def __init__(
        self,
        settings: WebSettings,
        store: Pages,
        blobs: Blobs,
        pipelines: tuple[PipelineSpec, ...] = (),
        *,
        connections: Sequence[Connection] = (),
        webhooks: Mapping[str, TakesWebhooks] | None = None,
        health: Callable[[], Health] = Health,
    ) -> None:
        self._settings = settings
        around = Surroundings(pipelines, connections, dict(webhooks or {}), health, lambda: self.url)
        self._app = Guard(make_app(store, blobs, around), own_names(settings.host, settings.url))
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None
        self._port = settings.port

    @property
    def url(self) -> str:
        """Return how users reach the pages, without a slash at the end. With port 0 it is right once the server has started."""
        return shown_url(self._settings, self._port)

    @property
    def local_url(self) -> str:
        """Return how this machine reaches the pages."""
        return local_url(self._settings, self._port)

    def start(self, listener: socket.socket | None = None) -> None:
        """Serve on `listener` (of `torii.web.address.listen`; None: listen now). Returns when pages can be asked for.

        Raises OperatorError where the port cannot be had.
        """
        listener = listener or listen(self._settings)
        self._port = listener.getsockname()[1]
        server = uvicorn.Server(_config(self._app))
        thread = threading.Thread(target=self._serve, args=(server, listener), name="torii-web", daemon=True)
        self._server, self._thread = server, thread
        thread.start()
        waited = threading.Event()
        for _ in range(int(_START_LIMIT / 0.01)):
            if server.started or not thread.is_alive():
                break
            waited.wait(0.01)
        if not server.started:
            raise OperatorError(f"the web pages did not start on {self.local_url}; the log says why")
        _log.info("web-started", url=self.url)

    def stop(self) -> None:
        """Stop within 5 seconds, also with clients in the middle of an answer. A second call does nothing."""
        server, thread = self._server, self._thread
        if server is None or thread is None:
            return
        self._server = self._thread = None
        server.should_exit = True
        thread.join(_STOP_LIMIT - 1)
        if thread.is_alive():
            server.force_exit = True
            thread.join(1)
        if thread.is_alive():
            _log.warning("web-still-running", thread=thread.name)

    def _serve(self, server: uvicorn.Server, listener: socket.socket) -> None:
        try:
            server.run(sockets=[listener])
        except BaseException:  # uvicorn ends with SystemExit where it cannot start
            _log.exception("web-failed")
        finally:
            listener.close()
            if not server.should_exit:
                _log.error("web-ended", url=self.url)


def _config(app: Guard) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=_PatientProtocol,
        ws="none",
        lifespan="off",
        loop="asyncio",
        log_config=None,
        log_level="critical",  # it complains of what clients do; what we do is logged by the guard
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=CONNECTIONS,
        timeout_keep_alive=5,
        timeout_graceful_shutdown=1,
        h11_max_incomplete_event_size=16 * 1024,
    )


class _PatientProtocol(H11Protocol):
    """Patient, but not endlessly: uvicorn itself waits for ever for a client that sends its request, or takes its answer, byte by byte."""

    def connection_made(self, transport: Any) -> None:
        self._asking: asyncio.TimerHandle | None = None
        self._taking: asyncio.TimerHandle | None = None
        super().connection_made(transport)
        self._asking = self.loop.call_later(REQUEST_LIMIT, self._give_up)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        _cancel(self._asking)
        _cancel(self._taking)
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._taking = self.loop.call_later(SEND_LIMIT, self.transport.abort)

    def resume_writing(self) -> None:
        _cancel(self._taking)
        super().resume_writing()

    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        self._taking = self.loop.call_later(SEND_LIMIT, self.transport.abort)  # closing waits for the client to take the rest

    def _watch(self) -> None:
        """Time a request of which a part is here; stop timing one that is whole."""
        begun = self.conn.their_state is h11.SEND_BODY or (self.conn.their_state is h11.IDLE and bool(self.conn.trailing_data[0]))
        if not begun:
            _cancel(self._asking)
            self._asking = None
        elif self._asking is None:
            self._asking = self.loop.call_later(REQUEST_LIMIT, self._give_up)

    def _give_up(self) -> None:
        self._asking = None
        self.transport.abort()


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()
