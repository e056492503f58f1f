from __future__ import annotations

import os
import signal
import socket
import struct
import subprocess
import sys
import threading

import pytest

from tests.support.waiting import wait_until, within
from torii.errors import OperatorError
from torii.gearman import Client, Listener, Server, Worker
from torii.gearman.admin import functions

REQUEST = b"\x00REQ"


@pytest.fixture
def server():
    server = Server()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def echo(server):
    """A worker that gives back what it is given."""
    worker = Worker([server.address], "echo")
    worker.register("echo", lambda job: job.sendWorkComplete(job.arguments))
    worker.start()
    yield worker
    worker.stop(1)


@pytest.fixture
def client(server):
    client = Client([server.address], "client")
    yield client
    client.stop()


def packet(kind: int, data: bytes = b"", length: int | None = None) -> bytes:
    return struct.pack("!4sii", REQUEST, kind, len(data) if length is None else length) + data


def raw(server: Server) -> socket.socket:
    return socket.create_connection(server.address, timeout=5)


def closed(sock: socket.socket) -> bool:
    try:
        return sock.recv(4096) == b""
    except (ConnectionError, TimeoutError):
        return True


def test_nagle_is_off_and_dead_peers_are_noticed(server, echo, client):
    client.call("echo", b"", 20)
    accepted = [conn.conn for conn in server._gear.active_connections]
    connected = [conn.conn for conn in client._gear.active_connections + echo._gear.active_connections]
    assert accepted
    assert connected
    for sock in accepted + connected:
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)


@pytest.mark.parametrize("length", [-12, -1, -(2**31), 2**31 - 1])
def test_a_packet_of_impossible_length_ends_its_connection_and_no_other(server, echo, client, length):
    with raw(server) as sock:
        sock.sendall(packet(7, b"", length))
        assert closed(sock)
    assert client.call("echo", b"fine", 20) == b"fine"


@pytest.mark.parametrize("data", [b"\x00RES" + bytes(8), b"\x00\x00\x00\x00" * 3, b"x" * 100_000, packet(999), packet(13, b"H:no:1\x00x")])
def test_nonsense_does_not_keep_others_from_work(server, echo, client, data):
    with raw(server) as sock:
        sock.sendall(data)
        assert client.call("echo", b"fine", 20) == b"fine"


def test_cant_do_of_what_was_never_offered_is_no_offence(server):
    with raw(server) as sock:
        sock.sendall(packet(2, b"never") + packet(3) + packet(16, b"x"))
        sock.sendall(packet(9))
        wait_until(lambda: len(server._gear.active_connections) == 1)
        sock.sendall(packet(1, b"something"))
        wait_until(lambda: "something" in functions(server.address, 20))


def test_a_peer_that_floods_does_not_starve_others(server, echo, client):
    stop = threading.Event()

    def flood():
        with raw(server) as sock:
            burst = packet(16, b"x" * 10) * 1000
            while not stop.is_set():
                try:
                    sock.sendall(burst)
                except OSError:
                    return

    thread = threading.Thread(target=flood)
    thread.start()
    try:
        with within(10):
            for _ in range(10):
                assert client.call("echo", b"fine", 20) == b"fine"
    finally:
        stop.set()
        thread.join()


def test_a_peer_that_never_reads_is_dropped_before_it_eats_the_memory(server, monkeypatch):
    monkeypatch.setattr("torii.gearman.server.PACKET_LIMIT", 1_000_000)
    with raw(server) as sock:
        for number in range(1000):
            sock.sendall(packet(1, b"a-function-with-a-rather-long-name-%04d" % number + b"x" * 400))
        wait_until(lambda: len(server._gear.functions) == 1000)
        try:
            for _ in range(100):
                sock.sendall(b"status\n")
        except OSError:
            pass
        wait_until(lambda: not server._gear.active_connections)


def test_a_dead_client_does_not_cost_the_worker_its_connection(server):
    release, done = threading.Event(), threading.Event()

    def work(job):
        release.wait(60)
        job.sendWorkData(b"x" * 100)
        job.sendWorkComplete(b"done")
        done.set()

    worker = Worker([server.address], "w")
    worker.register("slow", work)
    worker.start()
    with raw(server) as sock:
        sock.sendall(packet(7, b"slow\x00unique\x00payload"))
        wait_until(lambda: functions(server.address, 20).get("slow") and functions(server.address, 20)["slow"].running)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection = worker._gear.active_connections[0]
    generation = connection.generation
    release.set()
    assert done.wait(30)
    other = Client([server.address], "c")
    release.set()
    assert other.call("slow", b"", 5) == b"done"
    assert connection.generation == generation
    other.stop()
    worker.stop(1)


def test_functions_that_nobody_has_any_more_are_not_listed(server, echo):
    wait_until(lambda: "echo" in functions(server.address, 20))
    echo.register("brief", lambda job: None)
    wait_until(lambda: "brief" in functions(server.address, 20))
    echo.unregister("brief")
    wait_until(lambda: "brief" not in functions(server.address, 20))
    echo.stop(1)
    wait_until(lambda: functions(server.address, 20) == {})


def test_an_unknown_command_is_answered(server):
    with raw(server) as sock:
        for command, answer in [(b"fetch\n", b"ERR"), (b"cancel job\n", b"ERR"), (b"version\n", b"OK"), (b"cancel job H:no:1\n", b"ERR")]:
            sock.sendall(command)
            assert sock.recv(100).startswith(answer)


def test_many_connect_at_once(server):
    socks = [raw(server) for _ in range(300)]
    wait_until(lambda: len(server._gear.active_connections) == 300)
    for sock in socks:
        sock.close()
    wait_until(lambda: not server._gear.active_connections)


def test_a_handle_is_never_given_twice_over_a_restart(server, client):
    handles: list[str] = []

    class Handles(Listener):
        def created(self, handle):
            handles.append(handle.handle)

    client.submit("nobody", b"", "1", listener=Handles())
    wait_until(lambda: handles)
    server.stop()
    server.start()
    client.submit("nobody", b"", "2", listener=Handles())
    wait_until(lambda: len(handles) == 2)
    assert handles[0] != handles[1]


def test_it_stops_within_five_seconds_with_everybody_connected(server, echo, client):
    client.call("echo", b"", 20)
    socks = [raw(server) for _ in range(50)]
    for sock in socks:
        sock.sendall(b"\x00RE")
    with within(5):
        server.stop()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("gearmand")]
    for sock in socks:
        sock.close()


def test_it_can_be_started_again_on_its_port_at_once(server, echo, client):
    for _ in range(3):
        assert client.call("echo", b"again", 20) == b"again"
        port = server.port
        server.stop()
        server.start()
        assert server.port == port


def test_an_address_that_is_taken_is_an_operators_error(server):
    with pytest.raises(OperatorError, match=f"port {server.port}"):
        Server(port=server.port).start()


def test_torii_gearmand_serves_until_it_is_told_to_stop(tmp_path):
    command = [sys.executable, "-c", "from torii.cli import main; main()", "gearmand", "--port", "0", "--state", str(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=tmp_path, env={**os.environ})
    try:
        assert process.stdout is not None
        port = int(process.stdout.readline().split("port ")[1].split(".")[0])
        assert functions(("127.0.0.1", port), 20) == {}
        with within(5):
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait(30)
