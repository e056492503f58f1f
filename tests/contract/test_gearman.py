"""Client and worker, on the embedded server and on Debian's gearmand."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest

from tests.support.gearman_servers import EmbeddedServer, Gearmand
from tests.support.waiting import wait_until, within
from torii.errors import OperatorError
from torii.gearman import Client, GearmanUnavailableError, JobFailedError, JobHandle, Listener, Worker
from torii.gearman.admin import functions
from torii.model.pipeline import Precedence


@pytest.fixture(params=["embedded", pytest.param("gearmand", marks=pytest.mark.needs("gearmand"))])
def server(request):
    server = EmbeddedServer() if request.param == "embedded" else Gearmand()
    server.start()
    yield server
    server.kill()


@pytest.fixture
def parts():
    """Whatever is put in is stopped in the end."""
    parts: list[Client | Worker] = []
    yield parts
    for part in parts:
        part.stop()


@pytest.fixture
def client(server, parts):
    client = Client([server.address], "client")
    parts.append(client)
    return client


@pytest.fixture
def worker(server, parts):
    worker = Worker([server.address], "worker")
    worker.register("echo", lambda job: job.sendWorkComplete(job.arguments))
    worker.start()
    parts.append(worker)
    return worker


class Ear(Listener):
    def __init__(self):
        self.heard: list[tuple[str, object]] = []
        self.threads: set[str] = set()

    def _hear(self, what, said=None):
        self.threads.add(threading.current_thread().name)
        self.heard.append((what, said))

    def created(self, handle):
        self._hear("created", handle)

    def data(self, data):
        self._hear("data", data)

    def status(self, numerator, denominator):
        self._hear("status", (numerator, denominator))

    def complete(self, data):
        self._hear("complete", data)

    def fail(self):
        self._hear("fail")

    def exception(self, data):
        self._hear("exception", data)

    def lost(self):
        self._hear("lost")

    def words(self):
        return [what for what, _ in list(self.heard)]


def test_a_listener_hears_all_of_a_job_in_order_on_one_thread(client, worker):
    def work(job):
        job.sendWorkData(b"some\x00data")
        job.sendWorkStatus(1, 2)
        job.sendWorkComplete(b"all\x00done")

    worker.register("work", work)
    ear = Ear()
    client.submit("work", b"", "u1", listener=ear)
    wait_until(lambda: "complete" in ear.words())
    assert ear.heard[1:] == [("data", b"some\x00data"), ("status", ("1", "2")), ("complete", b"all\x00done")]
    assert ear.threads == {"gearman-poll-client"}


@pytest.mark.parametrize("size", [0, 1, 4083, 4084, 65_536, 3_000_000])
def test_payloads_of_any_size_arrive_whole(client, worker, size):
    payload = bytes(range(256)) * (size // 256) + b"\x00" * (size % 256)
    assert client.call("echo", payload, 20) == payload


def test_submitting_waits_for_nobody(client, worker):
    release = threading.Event()
    worker.register("slow", lambda job: (release.wait(60), job.sendWorkComplete())[0])
    ears = [Ear() for _ in range(1000)]
    with within(5):
        for number, ear in enumerate(ears):
            client.submit("slow", b"", str(number), listener=ear)
    release.set()
    wait_until(lambda: all("complete" in ear.words() for ear in ears), 30)
    assert all(ear.words().count("complete") == 1 for ear in ears)


def test_a_handler_that_raises_or_forgets_to_answer_fails_its_job_and_the_next_is_done(client, worker):
    worker.register("raises", lambda job: 1 / 0)
    worker.register("forgets", lambda job: None)
    for function in ("raises", "forgets"):
        with pytest.raises(JobFailedError, match=function):
            client.call(function, b"", 20)
    assert client.call("echo", b"x", 20) == b"x"


def test_a_listener_that_raises_stops_nobody(client, worker):
    class Clumsy(Listener):
        def created(self, handle):
            raise RuntimeError("clumsy")

    client.submit("echo", b"", "1", listener=Clumsy())
    assert client.call("echo", b"x", 20) == b"x"


def test_functions_may_come_and_go_while_the_worker_waits_or_works(client, worker, server):
    started, release = threading.Event(), threading.Event()

    def slow(job):
        started.set()
        release.wait(60)
        job.sendWorkComplete()

    worker.register("slow", slow)
    ear = Ear()
    client.submit("slow", b"", "1", listener=ear)
    assert started.wait(30)
    worker.register("new", lambda job: job.sendWorkComplete(b"new"))
    worker.unregister("echo")
    wait_until(lambda: functions(server.address, 20)["new"].workers == 1)
    wait_until(lambda: "echo" not in functions(server.address, 20) or functions(server.address, 20)["echo"].workers == 0)
    release.set()
    assert client.call("new", b"", 20) == b"new"


def test_a_job_that_waits_can_be_cancelled_and_never_runs(client, worker, server):
    release, ran = threading.Event(), []

    def slow(job):
        ran.append(job.unique)
        release.wait(60)
        job.sendWorkComplete()

    worker.register("slow", slow)
    first, second = Ear(), Ear()
    client.submit("slow", b"", "first", listener=first)
    wait_until(lambda: ran)
    client.submit("slow", b"", "second", listener=second)
    wait_until(lambda: second.heard)
    assert client.cancel(second.heard[0][1]) is True
    assert client.cancel(JobHandle(server.address, "H:nobody:1")) is False
    release.set()
    wait_until(lambda: "complete" in first.words())
    assert client.call("slow", b"", 20) == b""
    assert b"second" not in ran


def test_jobs_are_lost_with_their_connection_and_told_so_once(client, worker, server):
    ears = [Ear() for _ in range(20)]
    for number, ear in enumerate(ears):
        client.submit("nobody", b"", str(number), listener=ear)
    wait_until(lambda: all(ear.heard for ear in ears))
    server.kill()
    wait_until(lambda: all("lost" in ear.words() for ear in ears))
    server.start()
    assert client.call("echo", b"back", 15) == b"back"
    assert all(ear.words() == ["created", "lost"] for ear in ears)


def test_what_is_submitted_with_no_server_there_is_done_when_there_is_one(client, worker, server):
    server.kill()
    wait_until(lambda: not client.connected)
    ear = Ear()
    client.submit("echo", b"patience", "1", listener=ear)
    with pytest.raises(GearmanUnavailableError, match="cannot be reached"):
        client.functions()
    server.start()
    wait_until(lambda: ("complete", b"patience") in ear.heard, 15)


def test_a_worker_learns_that_its_connection_is_lost_and_its_answer_goes_nowhere(client, worker, server):
    started, told, answered = threading.Event(), threading.Event(), threading.Event()

    def slow(job):
        job.on_lost(told.set)
        started.set()
        told.wait(10)
        wait_until(lambda: worker.connected)
        job.sendWorkComplete(b"an answer from another life")
        answered.set()

    worker.register("slow", slow)
    ear = Ear()
    client.submit("slow", b"", "1", listener=ear)
    assert started.wait(30)
    server.kill()
    assert told.wait(30)
    server.start()
    assert answered.wait(30)
    assert client.call("echo", b"x", 15) == b"x"
    assert "complete" not in ear.words()


def test_a_second_answer_is_not_sent(client, worker):
    worker.register("twice", lambda job: (job.sendWorkComplete(b"1"), job.sendWorkComplete(b"2"))[0])
    assert client.call("twice", b"", 20) == b"1"
    assert client.call("echo", b"x", 20) == b"x"


def test_one_unique_id_twice_is_heard_by_both(client, worker):
    release = threading.Event()
    worker.register("slow", lambda job: (release.wait(60), job.sendWorkComplete(b"x"))[0])
    first, second = Ear(), Ear()
    client.submit("slow", b"", "same", listener=first)
    client.submit("slow", b"", "same", listener=second)
    wait_until(lambda: first.heard and second.heard)
    release.set()
    wait_until(lambda: "complete" in first.words() and "complete" in second.words())


def test_asking_after_a_job_that_is_unknown_tells_that_it_is_lost(client, worker, server):
    ear, known = Ear(), Ear()
    client.submit("nobody", b"", "1", listener=ear)
    client.submit("nobody", b"", "2", listener=known)
    wait_until(lambda: ear.heard and known.heard)
    other = Client([server.address], "other")
    assert other.cancel(ear.heard[0][1])
    other.stop()
    client.ask_after(ear.heard[0][1])
    client.ask_after(known.heard[0][1])
    wait_until(lambda: {"lost", "fail"} & set(ear.words()))
    assert client.call("echo", b"", 20) == b""
    assert known.words() == ["created"]


def test_an_empty_unique_id_is_refused_at_once(client):
    with pytest.raises(ValueError, match="unique"):
        client.submit("echo", b"", "")


def test_precedence_is_gearmans_priority(client, worker):
    started, release, order = threading.Event(), threading.Event(), []

    def work(job):
        order.append(job.arguments.decode())
        started.set()
        release.wait(60)
        job.sendWorkComplete()

    worker.register("work", work)
    ears = []
    client.submit("work", b"first", "0")
    assert started.wait(30)
    for precedence in (Precedence.LOW, Precedence.NORMAL, Precedence.HIGH):
        ears.append(Ear())
        client.submit("work", precedence.value.encode(), precedence.value, precedence, ears[-1])
    wait_until(lambda: all(ear.heard for ear in ears))
    release.set()
    wait_until(lambda: all("complete" in ear.words() for ear in ears))
    assert order == ["first", "high", "normal", "low"]


def test_several_servers_share_the_work_and_one_that_dies_is_done_without(server, parts):
    other = EmbeddedServer()
    other.start()
    try:
        both = [server.address, other.address]
        done: list[int] = []
        workers = [Worker(both, f"w{number}") for number in range(2)]
        for number, worker in enumerate(workers):
            worker.register("work", lambda job, number=number: (done.append(number), job.sendWorkComplete(job.arguments))[1])
            worker.start()
            parts.append(worker)
        client = Client(both, "c")
        parts.append(client)
        wait_until(lambda: client.functions().get("work") and client.functions()["work"].workers == 4)
        wait_until(lambda: len(client._gear.active_connections) == 2)
        for number in range(40):
            assert client.call("work", b"%d" % number, 10, unique=str(number)) == b"%d" % number
        other.kill()
        wait_until(lambda: len(client._gear.active_connections) == 1)
        for number in range(20):
            assert client.call("work", b"%d" % number, 10, unique=str(number)) == b"%d" % number
        assert client.functions()["work"].workers == 2
        assert len(done) == 60
    finally:
        other.kill()


def test_everything_stops_within_its_limit_with_a_job_in_hand(server, client, worker):
    started, release = threading.Event(), threading.Event()
    worker.register("stuck", lambda job: (started.set(), release.wait(30))[0])
    client.submit("stuck", b"", "1")
    assert started.wait(30)
    with within(5):
        assert worker.stop(0.5) is False
        client.stop()
    release.set()


def test_a_server_that_hangs_does_not_hang_those_who_ask(parts):
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        client = Client([deaf.getsockname()], "client")
        parts.append(client)
        with within(5), pytest.raises(OperatorError, match="did not answer"):
            client.functions()


def test_a_server_that_says_nonsense_is_left(parts):
    with socket.create_server(("127.0.0.1", 0)) as mad:
        client = Client([mad.getsockname()], "client")
        parts.append(client)
        for _ in range(3):
            sock, _ = mad.accept()
            with sock:
                sock.sendall(b"\x00RES\x00\x00\x00\x08\xff\xff\xff\xf4")
                sock.settimeout(5)
                while sock.recv(100):
                    pass


def test_a_server_that_has_stopped_leaves_no_file_open():
    def opened() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    first = EmbeddedServer()  # whatever the first one loads for good
    first.start()
    first.kill()
    before = opened()
    for _ in range(5):
        server = EmbeddedServer()
        server.start()
        with socket.create_connection(server.address, timeout=10) as peer:
            peer.sendall(b"version\n")
            assert peer.recv(100)
        server.kill()
    wait_until(lambda: opened() <= before, 10)
