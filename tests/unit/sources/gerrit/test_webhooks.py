"""Webhooks: the same events as the stream's, from whoever knows the secret."""

from __future__ import annotations

import json

import pytest

from tests.support.gerrit_wires import recorded_events
from torii.config.settings import GerritConnection, Secret
from torii.errors import OperatorError
from torii.sources.gerrit.errors import WebhookError
from torii.sources.gerrit.hints import hint_of
from torii.sources.gerrit.webhooks import MAX_BODY, hints_of_body, is_secret


def test_a_webhook_says_the_same_as_the_stream() -> None:
    for event in recorded_events("3.13").values():
        assert hints_of_body(json.dumps(event).encode()) == hint_of(event)


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"", 400, "empty"),
        (b"  \n", 400, "empty"),
        (b"garbage", 400, "no JSON"),
        (b'{"type":"patchset-crea', 400, "no JSON"),
        (b"\xff\xfe\xff", 400, "no JSON"),
        (b"[" * 100_000, 400, "no JSON"),
        (b"[]", 400, "no event"),
        (b'"patchset-created"', 400, "no event"),
        (b'{"change":{"project":"demo","number":1}}', 400, "no event"),
        (b'{"type":7}', 400, "no event"),
        (b" " * (MAX_BODY + 1), 413, f"{MAX_BODY} are allowed"),
    ],
)
def test_what_is_no_event_is_refused_with_words(body: bytes, status: int, words: str) -> None:
    with pytest.raises(WebhookError, match=words) as raised:
        hints_of_body(body)
    assert raised.value.status == status


def test_the_secret_opens_and_nothing_else_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK", "töp secret")
    connection = GerritConnection("main", "https://gerrit.example.com", webhook_secret=Secret("env:HOOK"))
    assert is_secret(connection, "töp secret")
    assert is_secret(connection, "töp secret".encode())
    for wrong in ("", "töp secre", "töp secret ", "TÖP SECRET", "\udcff"):
        assert not is_secret(connection, wrong)


def test_where_no_secret_is_configured_nobody_knows_it() -> None:
    connection = GerritConnection("main", "https://gerrit.example.com")
    assert not is_secret(connection, "")
    assert not is_secret(connection, "None")


def test_a_secret_that_cannot_be_read_is_the_operators_affair(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOOK", raising=False)
    with pytest.raises(OperatorError, match="HOOK"):
        is_secret(GerritConnection("main", "https://gerrit.example.com", webhook_secret=Secret("env:HOOK")), "x")
