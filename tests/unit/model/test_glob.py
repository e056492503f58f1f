from __future__ import annotations

import time

import pytest

from torii.model.glob import MAX_ALTERNATIVES, GlobError, compile_glob, matches


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        ("*.py", ["a.py", ".py"], ["src/a.py", "a.pyc", "a"]),
        ("src/**", ["src/a", "src/a/b/c.py"], ["src", "srcs/a", "lib/src/a"]),
        ("src/", ["src/a", "src/a/b"], ["src", "a/src/b"]),
        ("**", ["a", "a/b", ""], []),
        ("**/*.py", ["a.py", "x/y/a.py"], ["a.pyx", "a.py/x"]),
        ("**/test/**", ["test/a", "x/test/a/b"], ["test", "testing/a"]),
        ("a/**/b", ["a/b", "a/x/b", "a/x/y/b"], ["ab", "a/xb", "b"]),
        ("src/**.py", ["src/a.py", "src/x/y/a.py", "src/.py"], ["src.py", "a.py"]),
        ("**a**", ["a", "x/a/y", "xay"], ["b/c"]),
        ("?at", ["cat", "bat"], ["at", "/at", "chat"]),
        ("[a-c]x", ["ax", "bx"], ["dx", "-x"]),
        ("[!a-c]x", ["dx"], ["ax", "/x"]),
        ("[]-]x", ["]x", "-x"], ["ax"]),
        ("{a,b}/{c,d{e,f}}", ["a/c", "b/de", "a/df"], ["a/d", "c/c"]),
        ("{src,tests/unit}/**", ["src/a", "tests/unit/b"], ["tests/b"]),
        ("a,b", ["a,b"], ["a", "b"]),
        (r"\*\{\!", ["*{!"], ["x{!"]),
        ("stable/*", ["stable/1.x"], ["stable", "stable/1/2"]),
        ("a*b*c", ["abc", "axbxc", "abcbc"], ["acb", "ab/c"]),
        ("*ab*ab", ["abab", "xabyab"], ["ab", "aba"]),
        ("docs/ü*.md", ["docs/über.md"], ["docs/uber.md"]),
        ("a.b", ["a.b"], ["axb"]),
        ("*", ["a\nb"], []),
    ],
)
def test_a_glob_matches_what_a_user_expects(pattern: str, yes: list[str], no: list[str]) -> None:
    assert [path for path in yes if not matches((pattern,), path)] == []
    assert [path for path in no if matches((pattern,), path)] == []


@pytest.mark.parametrize(
    "pattern",
    [
        "",
        "[a",
        "{a",
        "a}",
        "a\\",
        "!a",
        "/a",
        "a//b",
        "./a",
        "../a",
        "a/../b",
        "[z-a]",
        "x" * 513,
        "{a,b}" * 10,
        "a**" * 9,
        "{,a}",
        "{" * 200,
    ],
)
def test_a_pattern_that_means_nothing_is_refused(pattern: str) -> None:
    with pytest.raises(GlobError):
        compile_glob(pattern)


def test_no_patterns_match_anything_and_one_of_several_is_enough() -> None:
    assert matches((), "x")
    assert matches(("a", "x"), "x")
    assert not matches(("a", "b"), "x")


@pytest.mark.parametrize(
    "pattern",
    ["*a" * 250 + "b", "**/" + "*a" * 200 + "b", "**/a/" * 100 + "b", "**a" * 5 + "b", "**/a*a*a*a*a/**/a*a*a*b", "*" + "a" * 500 + "b"],
)
def test_no_pattern_is_slow_on_any_path(pattern: str) -> None:
    expression = compile_glob(pattern)
    begun = time.process_time()
    for path in ("a" * 20_000, "a/" * 10_000, "aaaa/" * 4_000 + "b/a"):
        expression.fullmatch(path)
    assert time.process_time() - begun < 1.0


def test_as_many_alternatives_as_the_limit_are_allowed() -> None:
    assert compile_glob("{" + ",".join(str(number) for number in range(MAX_ALTERNATIVES)) + "}").fullmatch("63")
