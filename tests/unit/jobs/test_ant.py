from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from torii.jobs.ant import ant_list
from torii.model.glob import GlobError, compile_glob


@pytest.mark.parametrize(
    ("globs", "listed"),
    [
        (["dist/*"], "dist/*"),
        (["a", "b/**", "a"], "a,b/**"),
        (["*.{whl,tar.gz}"], "*.whl,*.tar.gz"),
        (["{a,b}/{c,d}"], "a/c,a/d,b/c,b/d"),
        (["report-[0-9].xml"], "report-?.xml"),
        (["a,b"], "a?b"),
        (["a\\*b\\,c\\{d"], "a?b?c{d"),
        (["", " "], ""),
        (["{" + ",".join("abcdefgh") + "}" + "{" + ",".join("abcdefgh") + "}" + "{1,2}"], "**"),
        (["{a,{b,c/d}}/x"], "a/x,b/x,c/d/x"),
        (["{{a,b},c}.{x,y}"], "a.x,a.y,b.x,b.y,c.x,c.y"),
        (["a,b}"], "a?b}"),
        (["dist/**.whl"], "dist/*.whl,dist/*/**/*.whl"),
        (["***/x", "**", "a/**"], "**/x,**,a/**"),
        (["**a**b**c**d**e**f**g**"], "**"),
    ],
)
def test_globs_become_patterns_of_ant(globs, listed):
    assert ant_list(globs) == listed


def _as_ant_matches(pattern: str, path: str) -> bool:
    """Match as Ant's SelectorUtils.matchPath does: `**` as a whole segment is any number of them; a trailing slash is `/**`."""
    expression = ""
    for segment in (f"{pattern}**" if pattern.endswith("/") else pattern).split("/"):
        if segment == "**":
            expression += "(?:[^/]+/)*"
        else:
            expression += "".join({"*": "[^/]*", "?": "[^/]"}.get(letter, re.escape(letter)) for letter in segment) + "/"
    return re.fullmatch(expression, f"{path}/") is not None


@given(
    st.lists(st.sampled_from(["a", "b", "*", "**", "?", "/", "{", "}", ",", "[ab]", "\\*"]), min_size=1, max_size=9).map("".join),
    st.lists(st.sampled_from(["a", "b", "*", ",", "/"]), min_size=1, max_size=6).map("".join),
)
@settings(max_examples=400, deadline=None)
def test_whatever_a_glob_matches_its_patterns_of_ant_match(glob, path):
    if any(not part for part in path.split("/")) or glob.startswith("/"):
        return
    try:
        matched = compile_glob(glob).fullmatch(path) is not None
    except GlobError:
        return
    if matched:
        assert any(_as_ant_matches(pattern, path) for pattern in ant_list([glob]).split(","))
