"""Keys of a build's blobs, and names that may not become one."""

from __future__ import annotations

import pytest

from torii.model.ids import BuildId
from torii.results import layout
from torii.results.layout import UnfitNameError

BUILD = BuildId("4c7a3b1e-2f5d-5e0a-9d43-0f6b1c2d3e4f")


def test_keys_are_below_the_builds_folder():
    assert layout.console(BUILD) == f"builds/{BUILD}/console.log"
    assert layout.record(BUILD) == f"builds/{BUILD}/result.json"
    assert layout.artifact(BUILD, "dist/größe 1.txt") == f"builds/{BUILD}/artifacts/dist/größe 1.txt"


@pytest.mark.parametrize("name", ["", "..", "x", str(BUILD).upper(), f"{BUILD}\n", f"{BUILD}/..", "٤c7a3b1e-2f5d-5e0a-9d43-0f6b1c2d3e4f"])
def test_only_canonical_uuids_are_builds(name):
    assert not layout.is_build_id(name)
    with pytest.raises(UnfitNameError, match="not the id of a build"):
        layout.console(BuildId(name))


@pytest.mark.parametrize(
    "path", ["", "/etc/passwd", "../x", "a/../b", "a//b", "a/", "./a", "a\x00b", "a\nb", "a\\b", "\udcff", "x" * 300, "a/" * 500 + "a"]
)
def test_artifacts_that_could_lead_elsewhere_are_refused(path):
    with pytest.raises(UnfitNameError, match="artifact"):
        layout.artifact(BUILD, path)
