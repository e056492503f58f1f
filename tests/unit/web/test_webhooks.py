"""Webhooks: who may bring them, what becomes of them, and that their secret is in no log."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from tests.support.asking import Answer, ask
from torii.errors import OperatorError, WebhookBodyError, WebhookSecretError
from torii.runtime.ports import TakesWebhooks
from torii.web import webhooks
from torii.web.app import Surroundings, make_app
from torii.web.guard import Guard

SECRET = "open-sesame-4711"
EVENT = b'{"type": "patchset-created"}'


class Source:
    """A source that knows a secret, and remembers what it was told."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []

    def take_webhook(self, secret: str, body: bytes) -> None:
        if secret != SECRET:
            raise WebhookSecretError("wrong")
        if not body.startswith(b"{"):
            raise WebhookBodyError("the body is no JSON object, which an event is")
        if b"unreadable" in body:
            raise OperatorError("the secret's file is gone")
        if b"bug" in body:
            raise ZeroDivisionError
        self.bodies.append(body)


@pytest.fixture
def source():
    return Source()


@pytest.fixture
def app(source):
    class Nothing:
        def __getattr__(self, name):
            raise AssertionError("a webhook reads no store")

    return Guard(make_app(Nothing(), Nothing(), Surroundings(webhooks={"review": source})), ())


def post(app, target: str = "/webhooks/review", body=EVENT, **headers: str) -> Answer:
    return ask(app, target, "POST", body, **headers)


def test_a_source_that_takes_webhooks_is_known_by_what_it_can(source):
    assert isinstance(source, TakesWebhooks)
    assert not isinstance(object(), TakesWebhooks)


@pytest.mark.parametrize(
    ("target", "headers"),
    [
        ("/webhooks/review", {"x_torii_secret": SECRET}),
        ("/webhooks/review", {"authorization": f"Bearer {SECRET}"}),
        ("/webhooks/review", {"authorization": f"bearer  {SECRET}"}),
        (f"/webhooks/review?secret={SECRET}", {}),
        (f"/webhooks/review?secret={SECRET}&event=patchset-created", {"authorization": "Basic dXNlcjpwYXNz"}),
    ],
)
def test_the_secret_may_stand_where_the_sender_can_put_it(app, source, target, headers):
    answer = post(app, target, **headers)
    assert (answer.status, answer.body) == (204, b"")
    assert source.bodies == [EVENT]


@pytest.mark.parametrize(
    ("target", "headers"),
    [
        ("/webhooks/review", {}),
        ("/webhooks/review?secret=", {}),
        ("/webhooks/review?secret=guess", {}),
        ("/webhooks/review", {"x_torii_secret": "guess"}),
        ("/webhooks/review", {"authorization": f"Basic {SECRET}"}),
        (f"/webhooks/review?secret={SECRET}", {"x_torii_secret": "guess"}),
        ("/webhooks/review?secret=%ff%00", {}),
    ],
)
def test_without_the_secret_nothing_is_taken(app, source, target, headers):
    answer = post(app, target, **headers)
    assert (answer.status, source.bodies) == (403, [])
    assert answer.text == "That is not the secret of this connection.\n"


def test_what_is_no_event_is_refused_with_the_sources_own_words(app):
    answer = post(app, f"/webhooks/review?secret={SECRET}", b"hello")
    assert (answer.status, answer.text) == (400, "the body is no JSON object, which an event is\n")


@pytest.mark.parametrize("target", ["/webhooks/nobody", "/webhooks/local", "/webhooks/", "/webhooks/review/more"])
def test_who_takes_none_is_not_there(app, target):
    assert post(app, f"{target}?secret={SECRET}").status == 404


def test_what_is_too_long_is_refused_before_it_is_here(app, source, monkeypatch):
    monkeypatch.setattr(webhooks, "BODY_LIMIT", 100)
    assert post(app, f"/webhooks/review?secret={SECRET}", b"{" + b" " * 99).status == 204
    assert post(app, f"/webhooks/review?secret={SECRET}", content_length="101").status == 413
    assert post(app, f"/webhooks/review?secret={SECRET}", content_length="9" * 40).status == 413

    assert post(app, f"/webhooks/review?secret={SECRET}", [b"{" + b" " * 9] * 1000).status == 413
    assert len(source.bodies) == 1


def test_what_cannot_be_taken_in_just_now_is_said_and_found_later(app, source):
    for body, status in ((b'{"unreadable": 1}', 503), (b'{"bug": 1}', 500)):
        answer = post(app, f"/webhooks/review?secret={SECRET}", body)
        assert answer.status == status
        assert "catch-up" in answer.text
    assert post(app, f"/webhooks/review?secret={SECRET}").status == 204


@pytest.mark.parametrize("host", ["evil.example.com", "torii", "", "["])
def test_a_webhook_may_come_under_any_name_for_it_knows_a_secret(app, host):
    assert post(app, f"/webhooks/review?secret={SECRET}", host=host).status == 204


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_nothing_but_post_is_taken(app, source, method):
    answer = ask(app, f"/webhooks/review?secret={SECRET}", method)
    assert (answer.status, answer.headers["allow"], source.bodies) == (405, "POST", [])


def test_the_secret_is_in_no_log_and_no_answer_whatever_happens(app):
    with capture_logs() as logs:
        answers = [
            post(app, target, body, **headers)
            for body in (EVENT, b"hello", b'{"unreadable": 1}', b'{"bug": 1}')
            for target, headers in (
                (f"/webhooks/review?secret={SECRET}", {}),
                (f"/webhooks/nobody?secret={SECRET}", {}),
                (f"/webhooks/review?secret={SECRET}x", {}),
                ("/webhooks/review", {"x_torii_secret": SECRET}),
            )
        ]
    assert logs
    assert SECRET not in str(logs)
    assert not [entry for entry in logs if entry.get("exc_info")]
    assert not [answer for answer in answers if SECRET.encode() in answer.body]


def test_many_refusals_are_one_line_of_the_log_for_a_while(app):
    with capture_logs() as logs:
        for _ in range(50):
            assert post(app, "/webhooks/review?secret=guess").status == 403
    assert len(logs) == 1
