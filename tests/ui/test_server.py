"""The server around the pages: real sockets, slow clients, and an end in time."""

from __future__ import annotations

import contextlib
import http.client
import logging
import socket
import threading
import urllib.request

import pytest
from structlog.testing import capture_logs

from tests.support.pages import build_id
from tests.support.waiting import within
from torii.config.settings import WebSettings
from torii.errors import OperatorError, WebhookSecretError
from torii.web import server
from torii.web.server import WebServer


def connect(web: WebServer) -> socket.socket:
    host, port = web.local_url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=10)


def test_it_listens_on_loopback_and_says_where(web):
    assert web.url.startswith("http://127.0.0.1:")
    assert not web.url.endswith(":0")
    with urllib.request.urlopen(f"{web.url}/health", timeout=10) as answer:
        assert answer.status == 200


def test_links_use_the_address_that_the_operator_gave(afternoon):
    settings = WebSettings(port=0, url="https://torii.example.com/")
    assert WebServer(settings, afternoon.store, afternoon.blobs).url == "https://torii.example.com"


def test_a_port_that_is_taken_is_an_operators_error(web, afternoon):
    second = WebServer(WebSettings(port=int(web.url.rpartition(":")[2])), afternoon.store, afternoon.blobs)
    with pytest.raises(OperatorError, match=r"cannot listen on 127\.0\.0\.1:\d+: .*in use"):
        second.start()
    second.stop()


def test_it_stops_in_time_with_clients_in_the_middle_of_everything(web, afternoon):
    build = afternoon.builds[build_id("k3f9-1.1/unit/1")]
    afternoon.log(build, b"x" * 40_000_000)
    with contextlib.ExitStack() as stack:
        idle, half, slow, kept = (stack.enter_context(connect(web)) for _ in range(4))
        half.sendall(b"GET / HTTP/1.1\r\nHost: localh")
        slow.sendall(f"GET /builds/{build.id}/log HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        kept.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert slow.recv(16).startswith(b"HTTP/1.1 200")
        assert kept.recv(16).startswith(b"HTTP/1.1 200")
        with within(5):
            web.stop()
        assert idle.recv(1) == b""
    assert not [thread for thread in threading.enumerate() if thread.name == "torii-web" and thread.is_alive()]


def test_it_can_be_stopped_twice_and_before_it_started(afternoon):
    web = WebServer(WebSettings(port=0), afternoon.store, afternoon.blobs)
    web.stop()
    web.start()
    web.stop()
    web.stop()


def test_a_client_that_never_finishes_its_request_is_let_go(monkeypatch, afternoon):
    monkeypatch.setattr(server, "REQUEST_LIMIT", 0.3)
    web = WebServer(WebSettings(port=0), afternoon.store, afternoon.blobs)
    web.start()
    try:
        for begun in (
            b"",
            b"GET / HT",
            b"GET / HTTP/1.1\r\nHost: localhost\r\nX: y",
            b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nab",
        ):
            with connect(web) as client:
                client.sendall(begun)
                assert _closed(client)
        with connect(web) as client:  # the second request of a connection is timed, too
            client.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert client.recv(16).startswith(b"HTTP/1.1 200")
            client.sendall(b"GET /health HT")
            assert _closed(client)
    finally:
        web.stop()


def test_a_client_that_takes_nothing_is_dropped(monkeypatch, afternoon, wait_until):
    monkeypatch.setattr(server, "SEND_LIMIT", 0.3)
    build = afternoon.builds[build_id("k3f9-1.1/unit/1")]
    afternoon.log(build, b"x" * 40_000_000)
    web = WebServer(WebSettings(port=0), afternoon.store, afternoon.blobs)
    web.start()
    try:
        with connect(web) as client:
            client.sendall(f"GET /builds/{build.id}/log HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            connections = web._server.server_state.connections
            wait_until(lambda: connections)
            wait_until(lambda: not connections)
            taken = 0
            with contextlib.suppress(ConnectionResetError):
                while data := client.recv(1 << 20):
                    taken += len(data)
            assert taken < 40_000_000
    finally:
        web.stop()


def test_pages_are_answered_while_many_slow_clients_download(web, afternoon):
    build = afternoon.builds[build_id("k3f9-1.1/unit/1")]
    afternoon.log(build, b"x" * 20_000_000)
    with contextlib.ExitStack() as stack:
        answers = []
        for _ in range(40):
            client = stack.enter_context(connect(web))
            client.sendall(f"GET /builds/{build.id}/log HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            answers.append(client.recv(16)[9:12])
        assert answers.count(b"503") == 40 - 24
        connection = http.client.HTTPConnection(web.local_url.removeprefix("http://"), timeout=5)
        connection.request("GET", "/")
        assert connection.getresponse().status == 200
        connection.close()


def test_rubbish_is_answered_and_forgotten(web):
    for rubbish in (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 50, b"\x00" * 1000, b"GET / HTTP/9.9\r\n\r\n", b"A" * 100_000):
        with connect(web) as client:
            client.sendall(rubbish)
            assert _closed(client)
    with urllib.request.urlopen(f"{web.url}/health", timeout=10) as answer:
        assert answer.status == 200


class Taker:
    """Takes what it is told, with a secret."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []

    def take_webhook(self, secret: str, body: bytes) -> None:
        if secret != SECRET:
            raise WebhookSecretError("wrong")
        self.bodies.append(body)


SECRET = "open-sesame-4711"


@pytest.fixture
def taker():
    return Taker()


@pytest.fixture
def hooked(afternoon, taker):
    web = WebServer(WebSettings(port=0), afternoon.store, afternoon.blobs, webhooks={"review": taker})
    web.start()
    yield web
    web.stop()


def test_a_webhook_is_taken_and_its_secret_is_in_no_log(hooked, taker, caplog, capfd):
    caplog.set_level(logging.DEBUG)
    with capture_logs() as logs, connect(hooked) as client:
        for target, status in ((f"/webhooks/review?secret={SECRET}", 204), (f"/webhooks/review?secret={SECRET}x", 403)):
            client.sendall(f"POST {target} HTTP/1.1\r\nHost: torii\r\nContent-Length: 2\r\n\r\n{{}}".encode())
            assert client.recv(4096).startswith(b"HTTP/1.1 %d" % status)
        client.sendall(f"GARBAGE {SECRET}\r\n\r\n".encode())
        assert _closed(client)
    assert taker.bodies == [b"{}"]
    written = capfd.readouterr()
    assert SECRET not in f"{logs}{caplog.text}{written.out}{written.err}"


def test_a_webhook_that_is_too_long_is_refused_before_it_has_come(hooked, taker):
    start = f"POST /webhooks/review?secret={SECRET} HTTP/1.1\r\nHost: torii\r\n"
    with connect(hooked) as client:
        client.sendall(f"{start}Content-Length: 100000000\r\n\r\n{{".encode())
        assert client.recv(4096).startswith(b"HTTP/1.1 413")
    with connect(hooked) as client:
        client.sendall(f"{start}Transfer-Encoding: chunked\r\n\r\n".encode())
        chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
        for _ in range(70):
            client.sendall(chunk)
        assert client.recv(4096).startswith(b"HTTP/1.1 413")
    assert taker.bodies == []


def test_many_webhooks_at_once_are_answered_at_once(hooked, taker):
    request = f"POST /webhooks/review HTTP/1.1\r\nHost: torii\r\nX-Torii-Secret: {SECRET}\r\nContent-Length: 2\r\n\r\n{{}}".encode()
    with within(10):
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(connect(hooked)) for _ in range(20)]
            for _ in range(10):
                for client in clients:
                    client.sendall(request)
                for client in clients:
                    assert client.recv(4096).startswith(b"HTTP/1.1 204")
        assert len(taker.bodies) == 200


def _closed(client: socket.socket) -> bool:
    """Whether the server closes the connection within the client's time limit."""
    try:
        while client.recv(65536):
            pass
    except ConnectionResetError:
        pass
    return True
