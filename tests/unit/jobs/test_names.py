from __future__ import annotations

import pytest

from torii.jobs import changed_job_name, job_name
from torii.jobs.names import NAME_LIMIT


def test_plain_names_are_kept_as_they_are():
    assert job_name("app", "main", "unit-py3.11") == "app--main--unit-py3.11"


@pytest.mark.parametrize(
    "parts", [("tools/app", "main", "unit"), ("app", "stable/1.0", "unit"), ("App", "main", "unit"), ("app", "main", "-x")]
)
def test_what_had_to_be_altered_is_followed_by_a_hash_of_the_real_name(parts):
    name = job_name(*parts)
    assert name.count("--") == 3
    assert name == job_name(*parts)


def test_parts_that_read_the_same_have_different_names():
    triples = [
        ("a/b", "c", "d"),
        ("a", "b/c", "d"),
        ("a-b", "c", "d"),
        ("a", "b-c", "d"),
        ("a", "b", "c-d"),
        ("a--b", "c", "d"),
        ("a", "b--c", "d"),
        ("A", "b-c", "d"),
        ("ä", "b-c", "d"),
        ("ö", "b-c", "d"),
        ("a\0b", "c", "d"),
        ("a", "b\0c", "d"),
    ]
    assert len({job_name(*triple).lower() for triple in triples}) == len(triples)


def test_a_job_that_is_called_like_the_hashed_name_of_another_is_still_told_apart():
    hashed = job_name("a", "b", "C")
    prefix, digest = hashed.rsplit("--", 1)
    assert job_name("a", "b", f"c--{digest}") != hashed
    assert prefix == "a--b--c"


@pytest.mark.parametrize("part", ["", ".", "..", "/", " ", "-", "x" * 5000, "ÄÖÜ", "a\nb", "\ud800", "nul.", ";|&$(id)"])
def test_whatever_a_part_holds_the_name_is_legal_and_bounded(part):
    for name in (job_name(part, "main", "unit"), job_name("app", part, "unit"), job_name("app", "main", part)):
        assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789_.+-")
        assert name[0] not in "-." and name[-1] not in "-."
        assert len(changed_job_name(name, b"xml")) <= NAME_LIMIT


def test_a_changed_job_is_named_after_its_content():
    assert changed_job_name("app--main--unit", b"one") != changed_job_name("app--main--unit", b"two")
    assert changed_job_name("app--main--unit", b"one").startswith("app--main--unit--x")
