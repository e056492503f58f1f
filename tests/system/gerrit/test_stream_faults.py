"""The stream of events against an SSH server that breaks in each step: it comes back, says what is wrong, and loses nothing silently."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import paramiko
import pytest

from tests.support.gerrit_wires import HANGS, SshServer, WebServer, deaf_port, noise, patchset_created, write_key
from tests.support.waiting import free_port, wait_until, within
from torii.config.settings import GerritConnection
from torii.model.ids import ProjectName
from torii.sources.gerrit.dial import dial
from torii.sources.gerrit.errors import GerritError, GerritHostKeyError, GerritLoginError, GerritUnavailableError
from torii.sources.gerrit.hints import RESYNC, Hint
from torii.sources.gerrit.ssh import SshConnection
from torii.sources.gerrit.stream import EventStream

FAST = 0.02
DEMO = ProjectName("demo")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SshServer]:
    with SshServer(tmp_path) as server:
        yield server


class Listener:
    """A stream and what it said."""

    def __init__(self, connection: GerritConnection, patience: float = FAST) -> None:
        self.batches: list[list[Hint]] = []
        self.ups = 0
        self.breaks: list[BaseException] = []
        self.stream = EventStream(connection, self._take, self._up, patience)

    def _take(self, hints: Sequence[Hint]) -> None:
        self.batches.append(list(hints))
        self._break()

    def _up(self) -> None:
        self.ups += 1
        self._break()

    def _break(self) -> None:
        if self.breaks:
            raise self.breaks.pop(0)

    @property
    def hints(self) -> list[Hint]:
        return [hint for batch in self.batches for hint in batch]

    def until(self, words: str) -> str:
        wait_until(lambda: words in self.stream.health())
        return self.stream.health()


@pytest.fixture
def listen() -> Iterator[Callable[..., Listener]]:
    listeners: list[Listener] = []

    def start(connection: GerritConnection, patience: float = FAST) -> Listener:
        listener = Listener(connection, patience)
        listeners.append(listener)
        listener.stream.start()
        return listener

    yield start
    assert all(listener.stream.stop(5.0) for listener in listeners)


def refusal(connection: GerritConnection) -> GerritError:
    with pytest.raises(GerritError) as raised, SshConnection(connection):
        pass
    return raised.value


def test_events_come_filtered_and_in_order(server: SshServer, listen: Callable[..., Listener]) -> None:
    listener = listen(server.connection())
    listener.until("ok")
    assert listener.ups == 1
    server.say(patchset_created(1), *noise(), patchset_created(2))
    wait_until(lambda: len(listener.hints) == 2)
    assert listener.hints == [Hint(DEMO, change=1), Hint(DEMO, change=2)]
    assert server.commands == ["gerrit stream-events"]


def test_a_burst_of_500_is_read_as_fast_as_it_comes(server: SshServer, listen: Callable[..., Listener]) -> None:
    listener = listen(server.connection())
    listener.until("ok")
    with within(3):
        server.say(*(event for number in range(1, 501) for event in (*noise(), patchset_created(number))))
        wait_until(lambda: len(listener.hints) == 500)
    assert [hint.change for hint in listener.hints] == list(range(1, 501))
    assert len(listener.batches) < 100


def test_garbage_is_told_as_a_resync_and_the_stream_goes_on(server: SshServer, listen: Callable[..., Listener]) -> None:
    listener = listen(server.connection())
    listener.until("ok")
    server.send(b"garbage\n" * 1000)
    server.send(b'{"type":"dropped-output","eventCreatedOn":1}\n')
    server.send(b"x" * (4 * 1024 * 1024 + 1) + b"\n")
    server.say(patchset_created(1))
    wait_until(lambda: Hint(DEMO, change=1) in listener.hints, 20)
    assert set(listener.hints) == {RESYNC, Hint(DEMO, change=1)}
    assert listener.stream.health() == "ok"
    assert server.connections == 1


def test_a_line_cut_by_the_end_asks_for_a_resync_and_the_next_connection_is_told(
    server: SshServer, listen: Callable[..., Listener]
) -> None:
    listener = listen(server.connection())
    listener.until("ok")
    server.send(b'{"type":"patchset-created","change":{"proj')
    server.end()
    wait_until(lambda: listener.ups >= 2)
    assert listener.hints == [RESYNC]
    server.say(patchset_created(5))
    wait_until(lambda: Hint(DEMO, change=5) in listener.hints)


def test_after_each_break_it_listens_again_and_says_so(server: SshServer, listen: Callable[..., Listener]) -> None:
    listener = listen(server.connection())
    for broken in range(1, 4):
        wait_until(lambda broken=broken: listener.ups >= broken and server.listeners == 1)
        server.drop()
        wait_until(lambda: server.listeners == 0)
    wait_until(lambda: listener.ups >= 4)
    listener.until("ok")


def test_it_is_said_again_soon_that_the_stream_listens(server: SshServer, listen: Callable[..., Listener]) -> None:
    # Gerrit takes the command before it listens: what falls between is found by the second look.
    listener = listen(server.connection(), patience=1.0)
    wait_until(lambda: listener.ups == 2, 10)
    assert server.connections == 1


def test_an_account_that_may_not_listen_is_told_what_it_lacks(server: SshServer, listen: Callable[..., Listener]) -> None:
    server.refuses = b"stream events not permitted\n"
    listener = listen(server.connection())
    words = listener.until("not permitted")
    assert "Service Users" in words
    assert "'torii'" in words
    assert listener.ups == 0
    server.refuses = b""
    listener.until("ok")


def test_what_ends_the_stream_is_said_with_status_and_complaint(server: SshServer, listen: Callable[..., Listener]) -> None:
    server.refuses = b"fatal: internal server error\n"
    assert "exit status 1, fatal: internal server error" in listen(server.connection()).until("internal")


@pytest.mark.parametrize("step", HANGS)
def test_a_server_that_hangs_is_given_up_in_time_and_asked_again(step: str, server: SshServer, listen: Callable[..., Listener]) -> None:
    server.hangs = step
    listener = listen(server.connection(timeout=1.5))
    assert "within 1.5 s" in listener.until("no answer")
    assert listener.ups == 0
    wait_until(lambda: server.connections >= 2)
    server.hangs = ""
    listener.until("ok")


@pytest.mark.parametrize("step", [*HANGS, "address"])
def test_a_stop_does_not_wait_for_a_server_that_hangs(step: str, server: SshServer) -> None:
    server.hangs = step
    with deaf_port() as deaf:
        listener = Listener(server.connection(timeout=60.0, **({"ssh_port": deaf} if step == "address" else {})))
        listener.stream.start()
        if step != "address":
            wait_until(lambda: server.connections == 1)
        with within(2):
            assert listener.stream.stop(5.0)
        assert listener.stream.health() == "the stream was stopped"


def test_a_server_that_is_gone_without_a_word_is_noticed(server: SshServer, listen: Callable[..., Listener]) -> None:
    listener = listen(server.connection())  # asks every 0.6 s, gives up after 1.2 s
    listener.until("ok")
    wait_until(lambda: server.pulses >= 3)
    assert listener.stream.health() == "ok"
    assert server.connections == 1
    server.hangs = "everything"
    assert "the server is gone" in listener.until("not a word")


def test_an_unknown_host_key_is_refused_with_the_command_that_mends_it(server: SshServer, tmp_path: Path) -> None:
    server.known_hosts.write_text("# nobody is known\n[127.0.0.1]:1 ssh-ed25519 AAAA\n")
    error = refusal(server.connection())
    assert isinstance(error, GerritHostKeyError)
    assert f"ssh-keyscan -p {server.port} 127.0.0.1 >> {server.known_hosts}" in str(error)
    assert server.host_key.fingerprint in str(error)
    assert server.commands == []


def test_a_changed_host_key_is_refused_until_it_is_known(server: SshServer, listen: Callable[..., Listener]) -> None:
    before = server.host_key
    listener = listen(server.connection())
    listener.until("ok")
    server.host_key = paramiko.ECDSAKey.generate()
    server.drop()
    words = listener.until("HAS CHANGED")
    assert server.host_key.fingerprint in words
    assert before.fingerprint in words
    assert f"ssh-keygen -R '[127.0.0.1]:{server.port}'" in words
    server.know_host()
    listener.until("ok")


def test_known_hosts_that_cannot_be_read_are_an_error_that_names_the_file(server: SshServer, tmp_path: Path) -> None:
    for path in (tmp_path / "missing", tmp_path):
        error = refusal(server.connection(known_hosts=path))
        assert isinstance(error, GerritHostKeyError)
        assert f"in {path} cannot be read" in str(error)


def test_a_revoked_host_key_is_refused_even_if_it_is_known(server: SshServer) -> None:
    server.known_hosts.write_text(
        server.known_hosts.read_text() + f"@revoked * {server.host_key.get_name()} {server.host_key.get_base64()}\n"
    )
    assert "revoked" in str(refusal(server.connection()))


def test_the_kind_of_host_key_that_is_known_is_asked_for(server: SshServer, listen: Callable[..., Listener]) -> None:
    server.other_host_key = paramiko.RSAKey.generate(2048)
    server.host_key, server.other_host_key = server.other_host_key, server.host_key
    server.know_host()
    listen(server.connection()).until("ok")


def test_the_users_own_known_hosts_are_the_default(server: SshServer, nobodys_environment: Path, listen: Callable[..., Listener]) -> None:
    own = nobodys_environment / ".ssh" / "known_hosts"
    assert isinstance(refusal(server.connection(known_hosts=None)), GerritHostKeyError)
    own.parent.mkdir(exist_ok=True)
    own.write_text(server.known_hosts.read_text())
    try:
        listen(server.connection(known_hosts=None)).until("ok")
    finally:
        own.unlink()


def test_a_key_that_gerrit_does_not_know_is_told_whose_it_is(server: SshServer, tmp_path: Path) -> None:
    server.user_key = paramiko.ECDSAKey.generate()
    error = refusal(server.connection())
    assert isinstance(error, GerritLoginError)
    assert str(server.key_file) in str(error)
    assert "SSH keys in the settings" in str(error)
    assert "ssh-agent" in str(refusal(server.connection(key=None)))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: None, "cannot be read"),
        (lambda path: path.write_text("garbage"), "no private key"),
        (lambda path: path.write_bytes(b"\xff" * 100), "no private key"),
        (lambda path: path.mkdir(), "cannot be read"),
        (lambda path: write_key(paramiko.ECDSAKey.generate(), path, "a passphrase"), "needs a passphrase"),
    ],
)
def test_a_key_that_cannot_be_used_is_an_error_that_names_it(
    make: Callable[[Path], Any], words: str, server: SshServer, tmp_path: Path
) -> None:
    path = tmp_path / "another-key"
    make(path)
    error = refusal(server.connection(key=path))
    assert isinstance(error, GerritLoginError)
    assert words in str(error)
    assert str(path) in str(error)
    assert server.connections == 0


def test_where_nobody_is_the_reason_is_said(server: SshServer) -> None:
    assert "host name is not known" in str(refusal(server.connection(ssh_host="gerrit.invalid", timeout=3.0)))
    assert "host name is not known" in str(refusal(server.connection(ssh_host="a" * 70 + ".example.com", timeout=3.0)))
    assert "nothing listens there" in str(refusal(server.connection(ssh_port=free_port())))
    with deaf_port() as deaf:
        assert "nobody answers at this address, within 0.3 s" in str(refusal(server.connection(ssh_port=deaf, timeout=0.3)))


def test_a_server_that_does_not_speak_ssh_is_told_from_one_that_is_away(server: SshServer) -> None:
    with WebServer() as web:
        error = refusal(server.connection(ssh_port=web.port, timeout=2.0))
    assert isinstance(error, GerritUnavailableError)
    assert "before it said it speaks SSH" in str(error)


def test_the_socket_of_a_connection_sends_at_once(server: SshServer) -> None:
    # With Nagle's delay every command waits for an acknowledgement that is itself delayed.
    with dial("127.0.0.1", server.port, 5.0, threading.Event()) as connected:
        assert connected.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    with pytest.raises(InterruptedError), deaf_port() as deaf:
        unwanted = threading.Event()
        unwanted.set()
        dial("127.0.0.1", deaf, 60.0, unwanted)


def test_a_command_is_run_and_what_it_said_comes_back(server: SshServer) -> None:
    with SshConnection(server.connection()) as ssh:
        ran = ssh.run("gerrit version", 5)
        assert (ran.status, ran.output, ran.complaint) == (0, b"gerrit version 3.13.5\n", "")
        assert ssh.run("gerrit nonsense", 5).status == 1
        server.answers["gerrit ls-projects"] = (b"demo\n" * 500_000, 0)
        assert len(ssh.run("gerrit ls-projects", 20).output) == 2_500_000


def test_a_command_that_hangs_has_an_end(server: SshServer) -> None:
    with SshConnection(server.connection()) as ssh, within(3), pytest.raises(GerritUnavailableError, match=r"within 0\.3 s"):
        ssh.run("gerrit stream-events", 0.3)


@pytest.mark.parametrize("broken", [ValueError("a bug"), SystemExit(3), MemoryError()], ids=lambda error: type(error).__name__)
def test_whatever_a_listener_raises_the_stream_begins_anew(
    broken: BaseException, server: SshServer, listen: Callable[..., Listener]
) -> None:
    listener = listen(server.connection())
    listener.until("ok")
    listener.breaks.append(broken)
    server.say(patchset_created(1))
    wait_until(lambda: listener.ups >= 2)
    server.say(patchset_created(2))
    wait_until(lambda: Hint(DEMO, change=2) in listener.hints)


def test_a_thread_that_died_is_started_again_by_whoever_asks_for_its_health(server: SshServer, monkeypatch: pytest.MonkeyPatch) -> None:
    listener = Listener(server.connection())
    with monkeypatch.context() as patched:
        patched.setattr(EventStream, "_run", lambda self: None)
        listener.stream.start()
        wait_until(lambda: "died" in listener.stream.health())
    listener.until("ok")
    assert listener.stream.stop()


def test_several_gerrits_are_heard_by_one_process(tmp_path: Path, listen: Callable[..., Listener]) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    with SshServer(tmp_path / "a") as a, SshServer(tmp_path / "b") as b:
        first, second = listen(a.connection(name="a")), listen(b.connection(name="b"))
        first.until("ok")
        second.until("ok")
        a.say(patchset_created(1))
        b.say(patchset_created(2))
        wait_until(lambda: first.hints and second.hints)
        assert (first.hints, second.hints) == ([Hint(DEMO, change=1)], [Hint(DEMO, change=2)])
        a.drop()
        a.host_key = paramiko.ECDSAKey.generate()
        first.until("HAS CHANGED")
        assert second.stream.health() == "ok"


def test_a_stream_that_was_never_started_says_so(server: SshServer) -> None:
    listener = Listener(server.connection())
    assert listener.stream.health() == "the stream was not started"
    assert listener.stream.stop()


def test_nothing_is_left_behind(server: SshServer) -> None:
    listener = Listener(server.connection())
    listener.stream.start()
    listener.until("ok")
    assert [each for each in threading.enumerate() if each.name.startswith("gerrit-")]
    assert listener.stream.stop()
    wait_until(lambda: not [each for each in threading.enumerate() if each.name.startswith("gerrit-")])
