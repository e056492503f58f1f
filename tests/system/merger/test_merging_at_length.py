"""The merger against git's own merges, as in tests/property/merger, with many more histories."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings

from tests.support.merging_worlds import Work, World, branches, check_merge, check_rebase

examples = settings(max_examples=30, suppress_health_check=[HealthCheck.too_slow])


@examples
@given(ours=branches, theirs=branches)
def test_a_merge_is_the_one_that_git_merge_makes(ours: Work, theirs: Work) -> None:
    with tempfile.TemporaryDirectory() as folder, World(Path(folder), ours, theirs) as world:
        check_merge(world)


@examples
@given(ours=branches, theirs=branches)
def test_a_rebase_is_the_one_that_git_rebase_makes(ours: Work, theirs: Work) -> None:
    with tempfile.TemporaryDirectory() as folder, World(Path(folder), ours, theirs) as world:
        check_rebase(world)
