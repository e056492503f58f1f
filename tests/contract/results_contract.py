"""One suite for every `Results` port: a backend's test file is this class with a fixture, and nothing else."""

from __future__ import annotations

from typing import Protocol

from torii.model.build import FileComment, Result, TestSummary
from torii.model.ids import BuildId
from torii.runtime.ports import Results

BUILD = BuildId("4c7a3b1e-2f5d-5e0a-9d43-0f6b1c2d3e4f")
OTHER = BuildId("00000000-0000-5000-8000-000000000002")


class Lab(Protocol):
    """A backend whose builds the suite starts and ends."""

    results: Results
    base_url: str

    def start(self, build: BuildId) -> None:
        """Let `build` run, with something in its log."""

    def end(
        self,
        build: BuildId,
        result: Result,
        tests: TestSummary | None = None,
        artifacts: tuple[str, ...] = (),
        comments: tuple[FileComment, ...] = (),
    ) -> None:
        """Let `build` end after it ran for 2.5 seconds."""

    def damage(self, build: BuildId) -> None:
        """Make what is known of the end of `build` unreadable."""


class ResultsContract:
    """Subclasses give `lab`."""

    def test_nobody_knows_a_build_that_never_was(self, lab: Lab):
        assert lab.results.outcome(BUILD) is None

    def test_a_running_build_has_no_outcome(self, lab: Lab):
        lab.start(BUILD)
        assert lab.results.outcome(BUILD) is None

    def test_an_ended_build_tells_all_that_it_left(self, lab: Lab):
        lab.start(BUILD)
        comments = (FileComment("src/größe.py", "It is too large.\nMuch.", 3, 7), FileComment("README", "It ends early."))
        lab.end(BUILD, Result.FAILURE, TestSummary(10, 2, 1, ("a.b", "c.d")), ("dist/app.whl", "größe.txt"), comments)
        outcome = lab.results.outcome(BUILD)
        assert outcome is not None
        assert outcome.result is Result.FAILURE
        assert outcome.duration == 2.5
        assert outcome.tests == TestSummary(10, 2, 1, ("a.b", "c.d"))
        assert outcome.artifacts == ("dist/app.whl", "größe.txt")
        assert outcome.comments == comments
        assert outcome.url == lab.results.url(BUILD)

    def test_a_build_without_tests_has_none_rather_than_zero(self, lab: Lab):
        lab.start(BUILD)
        lab.end(BUILD, Result.SUCCESS)
        outcome = lab.results.outcome(BUILD)
        assert outcome is not None
        assert outcome.tests is None

    def test_builds_are_told_apart(self, lab: Lab):
        for build, result in ((BUILD, Result.SUCCESS), (OTHER, Result.ABORTED)):
            lab.start(build)
            lab.end(build, result)
        assert [outcome and outcome.result for outcome in map(lab.results.outcome, (BUILD, OTHER))] == [Result.SUCCESS, Result.ABORTED]
        assert lab.results.url(BUILD) != lab.results.url(OTHER)

    def test_an_outcome_stays_as_it_is(self, lab: Lab):
        lab.start(BUILD)
        lab.end(BUILD, Result.SUCCESS)
        assert lab.results.outcome(BUILD) == lab.results.outcome(BUILD)

    def test_what_cannot_be_read_is_unknown_not_an_error(self, lab: Lab):
        lab.start(BUILD)
        lab.end(BUILD, Result.SUCCESS)
        lab.damage(BUILD)
        assert lab.results.outcome(BUILD) is None

    def test_a_build_has_an_address_before_it_starts(self, lab: Lab):
        assert lab.results.url(BUILD).startswith(f"{lab.base_url}/")
