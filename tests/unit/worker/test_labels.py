from __future__ import annotations

import pytest

from torii.worker.labels import LabelError, atoms, matches

HAS = frozenset({"linux", "big", "x86-64"})


@pytest.mark.parametrize(
    ("expression", "holds"),
    [
        (None, True),
        ("", True),
        ("linux", True),
        ("windows", False),
        ("linux && big", True),
        ("linux&&small", False),
        ("small || big", True),
        ("!windows", True),
        ("!linux", False),
        ("!(windows || mac) && x86-64", True),
        ("windows && big || linux", True),
        ("windows && (big || linux)", False),
    ],
)
def test_an_expression_is_read_as_jenkins_reads_it(expression, holds):
    assert matches(expression, HAS) is holds


@pytest.mark.parametrize("expression", ["&&", "a &&", "(a", "a)", "a b", "!", "a & b", "()", "a && || b", "!" * 500 + "a"])
def test_what_is_no_expression_is_refused(expression):
    with pytest.raises(LabelError):
        matches(expression, HAS)


def test_a_function_is_offered_for_each_label_that_expression_and_node_have():
    assert atoms("linux && big", HAS) == ("linux", "big")
    assert atoms("linux || small", HAS) == ("linux",)
    assert atoms("!big && linux && linux", HAS) == ("linux",)
    assert atoms(None, HAS) == ()
