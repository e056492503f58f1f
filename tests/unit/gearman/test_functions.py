from __future__ import annotations

import pytest

from torii.gearman.functions import build_function


def test_a_plain_label_is_part_of_the_function():
    assert build_function("app--main--unit", "gpu") == "build:app--main--unit:gpu"


@pytest.mark.parametrize("label", [None, "", "a && b", "!a", "(a)", "a:b", "a b"])
def test_an_expression_is_left_to_those_who_register(label):
    assert build_function("unit", label) == "build:unit"


@pytest.mark.parametrize("job", ["", "a:b", "a b", "a\nb", "a\x00b", "a\tb"])
def test_a_name_that_would_be_misread_is_refused(job):
    with pytest.raises(ValueError, match="cannot be the name of a job"):
        build_function(job, None)
