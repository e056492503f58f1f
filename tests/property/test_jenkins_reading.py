"""Whatever Jenkins, or a plug-in of it, puts into its JSON is read without an exception."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from torii.jenkins import reading

KEYS = st.sampled_from(
    [
        *("actions", "parameters", "name", "value", "causes", "shortDescription", "number", "url", "result", "building", "timestamp"),
        *(
            "duration",
            "artifacts",
            "relativePath",
            "executable",
            "id",
            "assignedLabels",
            "nodes",
            "mode",
            "numExecutors",
            "suites",
            "cases",
        ),
    ]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=6),
    max_leaves=20,
)


@given(st.dictionaries(KEYS, JSON))
def test_whatever_comes_is_read(found: dict[str, Any]) -> None:
    reading.job(found)
    reading.build(found, "a", "http://x")
    reading.queued(found, "a")
    reading.node(found)
    reading.plugin(found)
    reading.about(found)
    reading.report_counts(found)
    reading.failing_tests(found)
