"""Byte ranges as RFC 9110 has them."""

from __future__ import annotations

import pytest

from torii.web.ranges import Range, Unsatisfiable, parse

OUTSIDE = Unsatisfiable.UNSATISFIABLE


@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        ("bytes=0-499", Range(0, 500)),
        ("bytes=500-", Range(500, 1000)),
        ("bytes=-200", Range(800, 1000)),
        ("bytes=-2000", Range(0, 1000)),
        ("bytes=0-99999", Range(0, 1000)),
        ("bytes=999-999", Range(999, 1000)),
        (" Bytes = 1-2 ", Range(1, 3)),
        ("bytes=1000-", OUTSIDE),
        ("bytes=1000-2000", OUTSIDE),
        ("bytes=-0", OUTSIDE),
        ("bytes=5-4", None),
        ("bytes=0-1,5-6", None),
        ("bytes=-", None),
        ("bytes=a-b", None),
        ("lines=0-1", None),
        ("bytes", None),
        ("", None),
        (None, None),
        ("bytes=" + "9" * 500 + "-", None),
    ],
)
def test_a_range_header_asks_for(header, wanted):
    assert parse(header, 1000) == wanted


def test_nothing_can_be_asked_of_an_empty_log():
    assert parse("bytes=0-", 0) is OUTSIDE
    assert parse("bytes=-5", 0) is OUTSIDE


def test_content_range_counts_inclusively():
    assert Range(0, 500).content_range(1000) == "bytes 0-499/1000"
