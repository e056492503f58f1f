"""What is written at the end of a build comes back, also from an older or a damaged file."""

from __future__ import annotations

import json

import pytest

from torii.model.build import FileComment, Result, TestSummary
from torii.results.record import BuildRecord, decode, encode

FULL = BuildRecord(
    result=Result.UNSTABLE,
    started_at=1_790_000_000.25,
    ended_at=1_790_000_010.5,
    duration=10.25,
    detail="2 tests failed",
    tests=TestSummary(10, 2, 1, ("a.b", "c.größer")),
    artifacts=("dist/app.whl", "docs/ünï.txt"),
    worker="worker-1",
    comments=(FileComment("src/ünï.py", "two\nlines", 3, 5), FileComment("README", "no newline at its end")),
)


def test_a_record_comes_back_as_it_was_written():
    assert decode(encode(FULL)) == FULL


def test_a_record_with_only_a_result_has_defaults():
    assert decode(b'{"result": "SUCCESS"}') == BuildRecord(Result.SUCCESS)


@pytest.mark.parametrize("strange", [None, "text", -1, [], {}, True, 10**400, {"failing": 3}])
def test_strange_values_become_defaults(strange):
    fields = dict.fromkeys(("started_at", "duration", "detail", "tests", "artifacts", "worker", "comments"), strange)
    record = decode(json.dumps({"result": "FAILURE", **fields}).encode())
    assert record is not None
    assert record.result is Result.FAILURE


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"null", b'{"result": "MAYBE"}', b'{"result": []}', b"\xff\xfe\x00", b"[" * 100_000])
def test_what_tells_no_result_is_no_record(data):
    assert decode(data) is None


def test_of_damaged_comments_the_whole_ones_are_kept():
    comments = [{"path": "a", "message": "m", "line": -3, "end_line": "x"}, {"path": "a"}, {"message": "m"}, 7, {"path": [], "message": {}}]
    record = decode(json.dumps({"result": "FAILURE", "comments": comments}).encode())
    assert record is not None
    assert record.comments == (FileComment("a", "m"),)


def test_text_that_is_not_unicode_does_not_break_the_writing():
    record = BuildRecord(Result.FAILURE, detail="\udcff")
    assert decode(encode(record)) == record
