from __future__ import annotations

import pytest

from torii.jobs.ant import ant_list


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
        (["{" + ",".join("abcdefgh") + "}" + "{" + ",".join("abcdefgh") + "}" + "{1,2}"], "***"),
    ],
)
def test_globs_become_patterns_of_ant(globs, listed):
    assert ant_list(globs) == listed
