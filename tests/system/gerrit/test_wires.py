"""The wires to a real Gerrit: its REST, its SSH and its stream of events, as it really speaks them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import paramiko
import pytest

from tests.support.waiting import wait_until, within
from torii.config.settings import GerritConnection, Secret
from torii.model.ids import ProjectName
from torii.sources.gerrit.errors import GerritHostKeyError, GerritRefusedError, GerritUnavailableError
from torii.sources.gerrit.hints import Hint
from torii.sources.gerrit.rest import GerritRest, quote
from torii.sources.gerrit.ssh import SshConnection
from torii.sources.gerrit.stream import EventStream
from torii.testing.gerrit import GerritSite, LabProject

pytestmark = [pytest.mark.needs("gerrit"), pytest.mark.timeout(300)]
FAST = 0.05


@pytest.fixture
def connect(gerrit: GerritSite, tmp_path: Path) -> Callable[..., GerritConnection]:
    """`connect(user="torii")`: how Torii would be set up for that user of the shared Gerrit."""

    def connection(user: str = "torii", **given: object) -> GerritConnection:
        account = gerrit.account(user)
        secret = tmp_path / f"password-of-{user}"
        secret.write_text(account.password)
        settings = {"ssh_host": "127.0.0.1", "ssh_port": gerrit.ssh_port, "key": account.key, "known_hosts": gerrit.known_hosts, **given}
        return GerritConnection("main", gerrit.url, user=user, password=Secret(f"file:{secret}"), **settings)  # type: ignore[arg-type]

    return connection


class Heard:
    """A stream, and what it said of one project."""

    def __init__(self, connection: GerritConnection, project: LabProject, patience: float = FAST) -> None:
        self._project = ProjectName(project.name)
        self.hints: list[Hint] = []
        self.ups = 0
        self.on_up: Callable[[], None] = lambda: None
        self.stream = EventStream(connection, self._take, self._up, patience)

    def _take(self, hints: Sequence[Hint]) -> None:
        self.hints += [hint for hint in hints if hint.project in {self._project, ""}]

    def _up(self) -> None:
        self.ups += 1
        self.on_up()

    def change(self, number: int) -> bool:
        return Hint(self._project, change=number) in self.hints

    def branch(self, name: str) -> bool:
        return Hint(self._project, branch=name) in self.hints

    def until_up(self, limit: float = 30.0) -> None:
        wait_until(lambda: self.stream.health() == "ok", limit)


@pytest.fixture
def hear(gerrit_project: LabProject, connect: Callable[..., GerritConnection]) -> Iterator[Callable[..., Heard]]:
    """`hear(user="torii")`: what that user's stream says of `gerrit_project`."""
    listening: list[Heard] = []

    def start(user: str = "torii", patience: float = FAST) -> Heard:
        heard = Heard(connect(user), gerrit_project, patience)
        listening.append(heard)
        heard.stream.start()
        return heard

    yield start
    assert all(heard.stream.stop(5.0) for heard in listening)


def test_rest_reads_and_writes_as_torii(gerrit: GerritSite, gerrit_project: LabProject, connect: Callable[..., GerritConnection]) -> None:
    rest = GerritRest(connect())
    assert rest.get("accounts/self")["username"] == "torii"
    assert rest.get("config/server/version") == gerrit.version
    change = gerrit_project.push_change({"a.txt": "a\n"}, "Grüße")
    path = f"changes/{quote(gerrit_project.name)}~{change.number}"
    assert rest.get(path, [("o", "CURRENT_REVISION"), ("o", "MESSAGES")])["subject"] == "Grüße"
    assert (
        rest.get("changes/", [("q", f'project:{gerrit_project.name} since:"2026-01-01 00:00:00"'), ("n", "5")])[0]["_number"]
        == change.number
    )
    assert rest.post(f"{path}/revisions/current/review", {"labels": {"Verified": 1}})["labels"] == {"Verified": 1}
    assert b"jobs:" in rest.get_content(f"projects/{quote(gerrit_project.name)}/branches/main/files/torii.yml/content")
    admin = GerritRest(connect("admin"))
    assert admin.put(f"{path}/topic", {"topic": "some/topic"}) == "some/topic"
    assert admin.delete(f"{path}/topic") is None
    told = rest.server_time()
    assert told is not None
    assert abs(told - time.time()) < 5


def test_rest_says_what_gerrit_refuses(gerrit_project: LabProject, connect: Callable[..., GerritConnection], tmp_path: Path) -> None:
    (tmp_path / "wrong").write_text("wrong")
    change = gerrit_project.push_change({"a.txt": "a\n"})
    path = f"changes/{change.number}"
    stranger = GerritRest(connect("dev"))
    for status, rest, ask in (
        (401, GerritRest(GerritConnection("main", connect().url, password=Secret(f"file:{tmp_path / 'wrong'}"))), "accounts/self"),
        (404, stranger, "changes/999999999"),
        (400, stranger, "changes/?q=((("),
    ):
        with pytest.raises(GerritRefusedError) as refused:
            rest.get(ask)
        assert refused.value.status == status
        assert refused.value.text in str(refused.value)
    for status, body in ((403, {"labels": {"Verified": 1}}), (400, {"message": "x" * 20_000})):
        with pytest.raises(GerritRefusedError) as refused:
            stranger.post(f"{path}/revisions/current/review", body)
        assert refused.value.status == status
    change.abandon()
    with pytest.raises(GerritRefusedError, match="abandoned") as refused:
        GerritRest(connect("admin")).post(f"{path}/submit")
    assert refused.value.status == 409


def test_the_stream_says_where_to_look(gerrit_project: LabProject, hear: Callable[..., Heard]) -> None:
    heard = hear()
    heard.until_up()
    change = gerrit_project.push_change({"a.txt": "a\n"})
    wait_until(lambda: heard.change(change.number))
    for act in (
        change.approve,
        lambda: change.comment("recheck"),
        lambda: change.set_topic("t"),
        lambda: change.vote("Verified", 1, by="torii"),
    ):
        heard.hints.clear()
        act()
        wait_until(lambda: heard.change(change.number))
    heard.hints.clear()
    change.submit(by="torii")
    wait_until(lambda: heard.change(change.number) and heard.branch("main"))
    gerrit_project.create_branch("stable/1")
    wait_until(lambda: heard.branch("stable/1"))
    assert all(hint.change == change.number or hint.branch in {"main", "stable/1"} for hint in heard.hints)


def test_a_burst_of_300_events_is_heard_as_it_comes(gerrit_project: LabProject, hear: Callable[..., Heard]) -> None:
    heard = hear()
    heard.until_up()
    # Each is an event and two updates of refs.
    changes = gerrit_project.push_series([f"change {number}" for number in range(100)])
    wait_until(lambda: all(heard.change(change.number) for change in changes), 60)
    assert heard.stream.health() == "ok"
    assert heard.ups <= 2


def test_what_happens_once_it_is_said_to_listen_is_heard(
    gerrit_project: LabProject, hear: Callable[..., Heard], gerrit: GerritSite
) -> None:
    change = gerrit_project.push_change({"a.txt": "a\n"})
    for _ in range(3):
        heard = hear()
        act = threading.Thread(target=lambda: change.message("hello"))
        heard.on_up = lambda act=act: act.start() if act.ident is None else None
        wait_until(lambda heard=heard: heard.change(change.number), 30)
        assert heard.stream.stop(5.0)


def test_after_a_restart_of_gerrit_the_stream_is_heard_again(
    gerrit: GerritSite, gerrit_project: LabProject, hear: Callable[..., Heard]
) -> None:
    heard = hear()
    heard.until_up()
    ups = heard.ups
    gerrit.stop()
    wait_until(lambda: "refused" in heard.stream.health(), 30)
    assert "Is Gerrit up?" in heard.stream.health()
    gerrit.start()
    wait_until(lambda: heard.ups > ups and heard.stream.health() == "ok", 60)
    change = gerrit_project.push_change({"a.txt": "a\n"})
    wait_until(lambda: heard.change(change.number))


def test_a_gerrit_that_hangs_is_noticed_and_heard_again_when_it_goes_on(
    gerrit: GerritSite, gerrit_project: LabProject, hear: Callable[..., Heard]
) -> None:
    heard = hear()  # asks every 1.5 s, gives up after 3 s
    heard.until_up()
    gerrit.suspend()
    try:
        wait_until(lambda: "not a word" in heard.stream.health(), 30)
    finally:
        gerrit.resume()
    heard.until_up(60)


def test_gerrit_answers_when_it_is_asked_for_a_sign_of_life(connect: Callable[..., GerritConnection]) -> None:
    with SshConnection(connect()) as ssh:
        ssh.keep_alive(0.05)
        began = time.monotonic()
        wait_until(lambda: time.monotonic() - began > 1.0 and ssh.silence() < 0.5)
        assert ssh.run("gerrit version", 10).output.startswith(b"gerrit version 3.")


def test_an_account_that_may_not_listen_is_told_so(hear: Callable[..., Heard]) -> None:
    heard = hear("dev")
    wait_until(lambda: "not permitted" in heard.stream.health(), 30)
    assert "Stream Events" in heard.stream.health()
    assert heard.ups == 0


def test_a_host_key_that_is_not_the_known_one_is_refused(
    gerrit: GerritSite, connect: Callable[..., GerritConnection], tmp_path: Path
) -> None:
    other = paramiko.ECDSAKey.generate()
    for text, words in ((f"[127.0.0.1]:{gerrit.ssh_port} {other.get_name()} {other.get_base64()}\n", "HAS CHANGED"), ("", "is not known")):
        (tmp_path / "known_hosts").write_text(text)
        with pytest.raises(GerritHostKeyError, match=words), SshConnection(connect(known_hosts=tmp_path / "known_hosts")):
            pass


def test_a_gerrit_that_hangs_does_not_hold_up_rest_for_ever(gerrit: GerritSite, connect: Callable[..., GerritConnection]) -> None:
    rest = GerritRest(connect(timeout=2.0), patience=0.01)
    rest.get("config/server/version")
    gerrit.suspend()
    try:
        with within(8), pytest.raises(GerritUnavailableError, match="no answer within 2 s"):
            rest.get("config/server/version")
    finally:
        gerrit.resume()
    wait_until(lambda: GerritRest(connect()).get("config/server/version"), 20)
