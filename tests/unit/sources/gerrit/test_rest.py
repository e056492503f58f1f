"""What Gerrit's answers mean, without a server: see tests/system/gerrit/test_rest_faults.py for one that breaks."""

from __future__ import annotations

import pytest
import requests

from torii.config.settings import GerritConnection
from torii.sources.gerrit import replies
from torii.sources.gerrit.errors import GerritError, GerritRefusedError, GerritUnavailableError
from torii.sources.gerrit.rest import GerritRest, quote

MAIN = GerritConnection("main", "https://torii:hush@gerrit.example.com/r")


def reply(status: int, body: bytes = b"", **headers: str) -> requests.Response:
    made = requests.Response()
    made.status_code, made._content = status, body
    made.headers.update({name.replace("_", "-"): value for name, value in headers.items()})
    return made


def test_a_name_becomes_one_part_of_a_path() -> None:
    assert quote("tools/über project+1~x") == "tools%2F%C3%BCber%20project%2B1~x"


def test_every_message_says_which_gerrit_was_asked_for_what_and_no_secret() -> None:
    assert replies.where(MAIN, "get", "/changes/demo~1?o=X") == "Gerrit 'main' at https://***@gerrit.example.com/r, GET /changes/demo~1"
    assert len(replies.where(MAIN, "get", "x" * 5000)) < 400


@pytest.mark.parametrize("status", range(400, 600))
def test_a_refusal_is_final_and_a_servers_trouble_is_not(status: int) -> None:
    error = replies.refusal(MAIN, "post", "x", reply(status, b"no", Content_Type="text/plain"))
    passing = status >= 500 or status in {408, 425, 429}
    assert type(error) is (GerritUnavailableError if passing else GerritRefusedError)
    assert f": {status}: no" in str(error)
    assert "hush" not in str(error)


@pytest.mark.parametrize(
    ("said", "seconds"),
    [("0", 0.0), ("7", 7.0), (" 7 ", 7.0), ("-1", None), ("7.5", None), ("", None), ("\u0661", None), ("9" * 400, None)],
)
def test_retry_after_is_read_as_a_number_of_seconds(said: str, seconds: float | None) -> None:
    error = replies.refusal(MAIN, "get", "x", reply(429, Retry_After=said))
    assert isinstance(error, GerritUnavailableError)
    assert error.retry_after == seconds


def test_a_retry_after_by_date_goes_by_the_servers_own_clock() -> None:
    dated = {"Date": "Sun, 22 Nov 2026 10:00:00 GMT", "Retry_After": "Sun, 22 Nov 2026 10:00:30 GMT"}
    error = replies.refusal(MAIN, "get", "x", reply(503, **dated))
    assert isinstance(error, GerritUnavailableError)
    assert error.retry_after == 30.0


def test_a_long_refusal_is_cut_in_the_message_but_kept_as_it_is() -> None:
    error = replies.refusal(MAIN, "get", "x", reply(400, b"word " * 5000, Content_Type="text/plain"))
    assert isinstance(error, GerritRefusedError)
    assert len(str(error)) < 1000
    assert len(error.text) > 20_000


def test_a_stopped_interface_is_asked_no_more() -> None:
    rest = GerritRest(MAIN)
    rest.stop()
    with pytest.raises(GerritError, match="stopping"):
        rest.get("x")
