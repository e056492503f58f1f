"""Where the pages are: the socket and the address. Apart from the server, so that both are there before anybody has loaded that."""

from __future__ import annotations

import socket

from torii.config.settings import WebSettings
from torii.errors import OperatorError


def shown_url(settings: WebSettings, port: int) -> str:
    """Return how users reach the pages that are on `port`, without a slash at the end."""
    return settings.url.rstrip("/") if settings.url else local_url(settings, port)


def local_url(settings: WebSettings, port: int) -> str:
    """Return how this machine reaches them."""
    host = settings.host
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "": "127.0.0.1"}.get(host, f"[{host}]" if ":" in host else host)
    return f"http://{host}:{port}"


def listen(settings: WebSettings) -> socket.socket:
    """Return a socket that listens for the pages; raises OperatorError where the port cannot be had."""
    host, port = settings.host, settings.port
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(128)
        except OSError:
            listener.close()
            raise
    except OSError as error:
        reason = error.strerror or str(error)
        raise OperatorError(
            f"the web pages cannot listen on {host}:{port}: {reason}; set another web.host or web.port in server.yml (0: any free)"
        ) from error
    return listener
