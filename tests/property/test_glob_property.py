"""The compiled expression agrees with the plainest matcher there is, which tries everything."""

from __future__ import annotations

from functools import lru_cache

from hypothesis import given, settings
from hypothesis import strategies as st

from torii.model.glob import GlobError, compile_glob

_PATTERNS = st.lists(
    st.sampled_from(["a", "b", "*", "**", "?", "/", "/**/", "**/", "[ab]", "[!a]", "{a,b}", "{a/,}", "{*,b*}"]), max_size=8
).map("".join)
_PATHS = st.lists(st.text("abc", min_size=1, max_size=4), min_size=1, max_size=5).map("/".join)


def _braces(pattern: str) -> list[str]:
    end = pattern.find("}")
    if end < 0:
        return [pattern]
    start = pattern.rindex("{", 0, end)
    return [whole for middle in pattern[start + 1 : end].split(",") for whole in _braces(pattern[:start] + middle + pattern[end + 1 :])]


def _slow(pattern: str, path: str) -> bool:
    while "***" in pattern:
        pattern = pattern.replace("***", "**")
    if pattern.endswith("/"):
        pattern += "**"

    @lru_cache(None)
    def match(p: int, s: int) -> bool:
        at_segment = p == 0 or pattern[p - 1] == "/"
        if p == len(pattern):
            return s == len(path)
        if pattern.startswith("**/", p) and at_segment:
            return match(p + 3, s) or any(path[i] == "/" and match(p, i + 1) for i in range(s, len(path)))
        if pattern.startswith("**", p):
            return any(match(p + 2, i) for i in range(s, len(path) + 1))
        if pattern[p] == "*":
            ends = next((i for i in range(s, len(path)) if path[i] == "/"), len(path))
            return any(match(p + 1, i) for i in range(s, ends + 1))
        if s == len(path):
            return False
        if pattern[p] == "[":
            end = pattern.index("]", p)
            inside = path[s] in pattern[p + 1 : end].lstrip("!")
            return path[s] != "/" and inside != (pattern[p + 1] == "!") and match(end + 1, s + 1)
        return (path[s] == pattern[p] or (pattern[p] == "?" and path[s] != "/")) and match(p + 1, s + 1)

    return match(0, 0)


@settings(max_examples=500)
@given(_PATTERNS, _PATHS)
def test_a_glob_matches_exactly_what_trying_everything_matches(pattern: str, path: str) -> None:
    try:
        expression = compile_glob(pattern)
    except GlobError:
        return
    assert (expression.fullmatch(path) is not None) == any(_slow(plain, path) for plain in _braces(pattern))


@settings(max_examples=200)
@given(st.text(max_size=40), st.text(max_size=60))
def test_any_text_is_a_pattern_or_refused_as_one(pattern: str, path: str) -> None:
    try:
        compile_glob(pattern).fullmatch(path)
    except GlobError as refusal:
        assert str(refusal)
