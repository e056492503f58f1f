"""What keeps one change, one project or one moment of a Gerrit's from being read keeps nothing else from being told."""

from __future__ import annotations

from typing import Any, cast

import pytest

from tests.support.fake_gerrit import FakeGerrit
from tests.support.gerrit_news import Reading
from torii.model.event import BranchMoved
from torii.model.pipeline import Cause
from torii.sources.gerrit.cursor import Progress
from torii.sources.gerrit.errors import GerritError, GerritRefusedError, GerritReplyTooLargeError, GerritUnavailableError
from torii.sources.gerrit.identity import Identity
from torii.sources.gerrit.news import News
from torii.sources.gerrit.pending import Work
from torii.sources.gerrit.rest import GerritRest

PUSHED = Cause.PATCHSET_CREATED


@pytest.fixture
def gerrit() -> FakeGerrit:
    return FakeGerrit("app", "lib")


@pytest.fixture
def reading(gerrit: FakeGerrit) -> Reading:
    reading = Reading(gerrit)
    reading.catch_up()
    return reading


class Connection:
    """One connection to `gerrit`: like a real one, it has heard of no time before its first answer."""

    name = "lab"

    def __init__(self, gerrit: FakeGerrit, *, dated: bool = True) -> None:
        self._gerrit = gerrit
        self._dated = dated
        self._heard = False

    def get(self, path: str, params: Any = ()) -> Any:
        self._heard = self._dated
        return self._gerrit.get(path, params)

    def get_content(self, path: str) -> bytes:
        return self._gerrit.get_content(path)

    def server_time(self) -> float | None:
        return self._gerrit.now if self._heard else None


def connected(gerrit: FakeGerrit, *, dated: bool = True) -> Reading:
    reading = Reading(gerrit)
    other, own = cast(GerritRest, Connection(gerrit)), cast(GerritRest, Connection(gerrit, dated=dated))
    reading.news = News(reading.watch, own, Identity(reading.watch, other), reading._post, reading._add, Progress())
    return reading


def test_a_first_look_reaches_no_further_back_on_a_connection_that_was_not_used_yet(gerrit):
    old = gerrit.push()
    gerrit.now += 100_000
    new = gerrit.push()
    reading = connected(gerrit)
    reading.catch_up()
    assert (reading.causes(old), reading.causes(new)) == ([], [PUSHED])
    assert reading.since() > gerrit.now - 10


def test_a_gerrit_that_does_not_say_what_time_it_is_is_an_error(gerrit):
    with pytest.raises(GerritError, match="no Date"):
        connected(gerrit, dated=False).catch_up()


def test_what_gerrit_breaks_off_in_the_middle_of_many_changes_is_told_all_the_same(gerrit, reading, monkeypatch):
    below = gerrit.push()
    gerrit.push(on=below)
    gerrit.now += 1000
    reading.catch_up()
    reading.restart()
    first = gerrit.push()
    gerrit.amend(below)
    with monkeypatch.context() as patch:
        answer, related = gerrit.get, []

        def get(path: str, params: Any = ()) -> Any:
            if path.endswith("/revisions/1/related") and f"changes/{below}/" in path:
                related.append(path)
                raise GerritUnavailableError("Gerrit is away")
            return answer(path, params)

        patch.setattr(gerrit, "get", get)
        with pytest.raises(GerritUnavailableError):
            reading.catch_up()
        assert related
    reading.catch_up()
    assert reading.causes(first) == [PUSHED]
    assert reading.causes(below)[-1] is PUSHED


@pytest.mark.parametrize(
    "answer",
    [GerritRefusedError("400", status=400, text="cannot retrieve content of directories"), GerritReplyTooLargeError("too large")],
    ids=["a-directory", "endless"],
)
def test_a_configuration_that_is_no_file_keeps_nothing_from_being_told(gerrit, reading, monkeypatch, answer):
    def refuse(path: str) -> bytes:
        raise answer

    monkeypatch.setattr(gerrit, "get_content", refuse)
    gerrit.merge(gerrit.push())
    number = gerrit.push()
    reading.catch_up()
    assert reading.causes(number) == [PUSHED]
    assert [event.queue for event in reading.events if isinstance(event, BranchMoved) and not event.initial] == [None]


@pytest.mark.parametrize(
    "trouble",
    [
        GerritRefusedError("409", status=409, text="broken"),
        GerritUnavailableError("500", status=500),
        GerritReplyTooLargeError("too large"),
    ],
    ids=["refused", "damaged", "endless"],
)
def test_a_change_that_gerrit_cannot_show_keeps_no_other_from_being_told(gerrit, reading, monkeypatch, trouble):
    bad, good = gerrit.push(), gerrit.push()
    answer = gerrit.get

    def get(path: str, params: Any = ()) -> Any:
        if path == "changes/":
            return [each for each in answer(path, params) if each["_number"] != bad]
        if path.endswith(f"~{bad}"):
            raise trouble
        return answer(path, params)

    monkeypatch.setattr(gerrit, "get", get)
    reading.look(bad)
    reading.look(bad, good)
    assert (reading.causes(bad), reading.causes(good)) == ([], [PUSHED])
    assert reading.news.problems == {"app": f"change {bad} cannot be read: {trouble}"}


def test_a_trouble_of_gerrits_own_is_no_damaged_change(gerrit, reading, monkeypatch):
    number, answer = gerrit.push(), gerrit.get

    def get(path: str, params: Any = ()) -> Any:
        if path.endswith(f"~{number}"):
            raise GerritUnavailableError("500", status=500)
        return answer(path, params)

    with monkeypatch.context() as patch:
        patch.setattr(gerrit, "get", get)
        with pytest.raises(GerritUnavailableError):
            reading.look(number)
    reading.look(number)
    assert reading.causes(number) == [PUSHED]


def test_a_catch_up_asks_for_less_at_once_where_pages_are_too_large(gerrit, reading, monkeypatch):
    numbers = [gerrit.push() for _ in range(120)]
    huge, answer = numbers[60], gerrit.get

    def get(path: str, params: Any = ()) -> Any:
        reply = answer(path, params)
        if path == "changes/" and (len(reply) > 20 or any(each["_number"] == huge for each in reply)):
            raise GerritReplyTooLargeError("too large")
        return reply

    monkeypatch.setattr(gerrit, "get", get)
    reading.catch_up()
    assert [reading.causes(number) for number in numbers] == [[] if number == huge else [PUSHED] for number in numbers]


def test_a_change_that_a_catch_up_cannot_understand_keeps_no_other_from_being_told(gerrit, reading, monkeypatch):
    bad, good = gerrit.push(), gerrit.push()
    tell = reading.news._tell

    def fail(found: Any, first: float | None = None) -> None:
        if bad in found:
            raise KeyError("nobody has seen that")
        tell(found, first)

    monkeypatch.setattr(reading.news, "_tell", fail)
    reading.catch_up()
    assert reading.causes(good) == [PUSHED]
    assert f"change {bad} could not be looked at" in reading.news.problems["app"]


def test_a_series_longer_than_calls_can_be_nested_is_told(gerrit, reading):
    number = gerrit.push()
    for _ in range(500):
        number = gerrit.push(on=number)
    reading.look(number)
    assert len(reading.told(number)[-1].change.depends_on) == 500


def test_texts_of_changes_are_not_kept_in_memory(gerrit, reading):
    number = gerrit.push()
    gerrit.comment(number, "a long story")
    reading.look(number)
    known = reading.news._memory.known(number)
    assert [(each.text, each.raw) for each in known.facts.messages] == [("", "")] * 2


def test_the_address_of_a_change_is_one_whatever_its_project_is_called():
    gerrit = FakeGerrit("a b#c/100% d")
    reading = Reading(gerrit)
    number = gerrit.push("a b#c/100% d")
    reading.news.look(Work(changes={number: None}))
    assert reading.told(number)[-1].change.url == "http://gerrit.example.com/c/a%20b%23c/100%25%20d/+/1"


def test_a_change_that_is_hidden_twice_is_abandoned_twice(gerrit, reading):
    number = gerrit.push()
    reading.look(number)
    for private in (True, False, True):
        gerrit.set_private(number, private)
        reading.look(number)
    abandoned = [event.key for event in reading.told(number) if event.cause is Cause.ABANDONED]
    assert len(set(abandoned)) == 2
