"""Jenkins' JSON read into values: what plug-ins leave out, or make of another type, is as if it were not there."""

from __future__ import annotations

import pytest

from torii.config.settings import JenkinsSettings
from torii.jenkins import reading
from torii.jenkins.replies import plain, where
from torii.model.build import Result, TestSummary


@pytest.mark.parametrize(
    ("word", "description", "result"),
    [
        ("SUCCESS", "", Result.SUCCESS),
        ("UNSTABLE", "", Result.UNSTABLE),
        ("ABORTED", "stopped by somebody", Result.ABORTED),
        ("ABORTED", "Stopped by Torii after 30 minutes", Result.TIMED_OUT),
        ("NOT_BUILT", "", Result.NOT_BUILT),
        ("LOST", "", Result.FAILURE),
        ("", "", None),
    ],
)
def test_jenkins_words_for_an_end(word: str, description: str, result: Result | None) -> None:
    build = reading.build({"number": 1, "result": word or None, "description": description}, "a", "http://x/1/")
    assert build is not None
    assert (build.result, build.running, build.word) == (result, result is None, word)


def test_a_build_in_its_last_steps_still_runs_though_it_has_a_result() -> None:
    build = reading.build({"number": 1, "result": "SUCCESS", "building": True, "duration": 0}, "a", "http://x/1/")
    assert build is not None
    assert build.running


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("http://x/job/a/", ("", "a")),
        ("http://x/ci/job/team/job/torii/job/a%20b/12/", ("team/torii", "a b")),
        ("https://x:8443/job/team/job/12", ("team", "12")),
        ("http://x/view/all/", ("", "")),
        ("", ("", "")),
        ("http://[broken/job/a/", ("", "a")),
    ],
)
def test_where_an_address_of_jenkins_leads(url: str, place: tuple[str, str]) -> None:
    assert reading.place(url) == place


def test_a_report_of_several_modules_is_put_together() -> None:
    module = {"suites": [{"cases": [{"className": "a", "name": "b", "status": "FAILED"}]}]}
    assert reading.failing_tests({"childReports": [{"result": module}, {"result": None}]}) == ("a.b",)
    assert reading.report_counts({"failCount": 1, "totalCount": 3, "skipCount": 1}) == TestSummary(3, 1, 1)
    many = {"suites": [{"cases": [{"name": str(number), "status": "REGRESSION"} for number in range(50)]}]}
    assert len(reading.failing_tests(many)) == reading.FAILING_LIMIT


def test_an_address_is_shown_without_secrets() -> None:
    assert plain("https://user:secret@x:8443/ci?token=1#a") == "https://x:8443/ci"
    shown = where(JenkinsSettings("ci", "http://u:p@x/ci"), "GET", "http://u:p@x/ci/job/a/api/json?tree=name")
    assert shown == "Jenkins 'ci' at http://x/ci, GET /job/a/api/json"
