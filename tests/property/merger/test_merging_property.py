"""What the merger makes without a work tree is what git makes in one."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from tests.support.merging_worlds import Work, World, branches, check_merge, check_rebase
from torii.merger.modes import Tip
from torii.model.pipeline import MergeMode

examples = settings(max_examples=6, suppress_health_check=[HealthCheck.too_slow])


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


@pytest.mark.parametrize("mode", [MergeMode.MERGE_ALWAYS, MergeMode.REBASE_ALWAYS, MergeMode.SQUASH])
def test_a_union_merge_that_the_branch_asks_for_is_made(tmp_path: Path, mode: MergeMode) -> None:
    attributes = [("attributes", b".gitattributes", b"union.log merge=union\n"), ("edit", b"union.log", 0, b"ours\n")]
    with World(tmp_path, [attributes], [[("edit", b"union.log", 0, b"theirs\n")]]) as world:
        made = world.apply(mode)
        assert isinstance(made, Tip)
        assert sorted(world.scene.show(made.commit, "union.log").splitlines()) == [b"ours", b"theirs"]
