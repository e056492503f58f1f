"""What Gerrit's Checks tab is told, over a real store: runs, attempts, results, and who may read them."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from tests.support.asking import Answer, ask
from tests.support.pages import HOSTILE, Afternoon, build_id
from torii.config.settings import GerritConnection, GitConnection
from torii.model.build import Result, TestSummary
from torii.model.ids import BuildSetId, PipelineName
from torii.model.pipeline import Manager, PipelineSpec, ReportRules
from torii.store.errors import StoreError
from torii.web.app import Surroundings, make_app
from torii.web.checks import origin_of
from torii.web.guard import Guard

URL = "https://torii.example.com"
REVIEW = "https://review.example.com"
CONNECTIONS = (
    GitConnection("local"),
    GerritConnection("review", f"{REVIEW}/"),
    GerritConnection("other", "http://other.example.com:8080/r"),
    GerritConnection("third", "http://other.example.com:8080/third"),
)
PIPELINES = (
    PipelineSpec(PipelineName("check"), Manager.INDEPENDENT, report=ReportRules(success=(("Verified", 1),), failure=(("Verified", -1),))),
    PipelineSpec(PipelineName("gate"), Manager.DEPENDENT, report=ReportRules(failure=(("Gated", -2),))),
)


@pytest.fixture
def afternoon(tmp_path):
    afternoon = Afternoon(tmp_path)
    yield afternoon
    afternoon.close()


@pytest.fixture
def app(afternoon):
    return Guard(make_app(afternoon.store, afternoon.blobs, Surroundings(PIPELINES, CONNECTIONS, url=lambda: URL)), ())


def item(afternoon: Afternoon, number: int = 1, change: str = "review:12", **more):
    fields = {"patchset": "3", "pipeline": PipelineName("check"), "url": f"{REVIEW}/c/group/app/+/12", "project": "app", **more}
    return afternoon.item(number, change, "Refuse empty passwords", **fields)


def runs(app, query: str = "change=12&patchset=3", **headers: str):
    answer = ask(app, f"/gerrit-checks/runs?{query}", **headers)
    assert answer.status == 200, answer.text
    return answer.json["runs"]


def by_name(found):
    return {(run["checkName"], run["attempt"]): run for run in found}


def result(run):
    (only,) = run["results"]
    return only


def test_each_build_is_a_run_with_its_state_label_times_and_log(afternoon, app):
    stay = item(afternoon, ago=100)
    build = afternoon.build(stay, "unit", "done", ago=40, result=Result.SUCCESS)
    (run,) = runs(app)
    started = datetime.fromtimestamp(build.started_at, UTC)
    assert run["checkName"] == "check/unit"
    assert (run["change"], run["patchset"], run["patchSet"], run["attempt"]) == (12, 3, 3, 1)
    assert (run["status"], run["labelName"], run["actions"]) == ("COMPLETED", "Verified", [])
    assert run["checkLink"] == run["statusLink"] == f"{URL}/builds/{build.id}"
    assert run["startedTimestamp"] == started.strftime("%Y-%m-%dT%H:%M:%S.") + f"{started.microsecond // 1000:03d}Z"
    assert run["scheduledTimestamp"] < run["startedTimestamp"] < run["finishedTimestamp"]
    assert (result(run)["category"], result(run)["summary"]) == ("SUCCESS", "Success in 20s")
    assert result(run)["links"][0] == {
        "url": f"{URL}/builds/{build.id}",
        "tooltip": "The build's log, tests and files on Torii.",
        "icon": "code",
        "primary": True,
    }
    assert [tag["name"] for tag in result(run)["tags"]] == ["check"]


def test_the_description_is_there_as_it_is_spelt_and_as_the_plug_in_reads_it(afternoon, app):
    afternoon.build(item(afternoon), "unit", "running")
    (run,) = runs(app)
    assert run["statusDescription"] == run["statusDesciption"] == "running on worker-1"


@pytest.mark.parametrize(
    ("state", "result", "status"),
    [
        ("waiting", None, "SCHEDULED"),
        ("queued", None, "SCHEDULED"),
        ("running", None, "RUNNING"),
        ("done", Result.FAILURE, "COMPLETED"),
        ("done", Result.SKIPPED, "RUNNABLE"),
    ],
)
def test_states_are_those_of_the_checks_api(afternoon, app, state, result, status):
    afternoon.build(item(afternoon), "unit", state, result=result, reason="It waits for lint.")
    (run,) = runs(app)
    assert run["status"] == status
    assert "It waits for lint." in run["statusDescription"]
    assert bool(run["results"]) == (status == "COMPLETED")
    assert (run["finishedTimestamp"] is None) == (state != "done")


@pytest.mark.parametrize(
    ("ended", "voting", "category"),
    [
        (Result.SUCCESS, True, "SUCCESS"),
        (Result.FAILURE, True, "ERROR"),
        (Result.UNSTABLE, True, "ERROR"),
        (Result.TIMED_OUT, True, "ERROR"),
        (Result.LOST, True, "ERROR"),
        (Result.FAILURE, False, "WARNING"),
        (Result.LOST, False, "WARNING"),
        (Result.CANCELED, True, "INFO"),
    ],
)
def test_a_result_has_the_category_of_what_it_means_for_the_change(afternoon, app, ended, voting, category):
    afternoon.build(item(afternoon), "unit", "done", result=ended, voting=voting, reason="exit status 3")
    (run,) = runs(app)
    assert result(run)["category"] == category
    assert run["labelName"] == ("Verified" if voting else "")
    tags = [tag["name"] for tag in result(run)["tags"]]
    assert (ended.value in tags) == (ended is not Result.SUCCESS)
    assert ("non-voting" in tags) == (not voting)


def test_a_failure_says_what_failed(afternoon, app):
    tests = TestSummary(128, 7, 2, ("tests.test_cache.test_limit",))
    afternoon.build(item(afternoon), "unit", "done", ago=330, result=Result.UNSTABLE, tests=tests, built_on=("review:9",))
    (run,) = runs(app)
    assert result(run)["summary"] == "Unstable in 2m 45s: 7 of 128 tests failed"
    assert "* tests.test_cache.test_limit" in result(run)["message"]
    assert "Built on top of review:9." in result(run)["message"]


def test_a_result_that_was_kept_says_so_and_leads_to_the_log_it_has(afternoon, app):
    build = afternoon.build(item(afternoon), "unit", "done", result=Result.SUCCESS, reason="not run again, kept from patch set 2")
    afternoon.put(replace(build, kept_from=build_id("before")))
    (run,) = runs(app)
    assert run["externalId"] == build.id
    assert run["checkLink"] == result(run)["links"][0]["url"] == f"{URL}/builds/{build_id('before')}"
    assert result(run)["summary"] == "Success: not run again, kept from patch set 2"


def test_attempts_are_counted_over_build_sets_stays_and_retries_from_the_oldest_on(afternoon, app):
    first = item(afternoon, 9, ago=500)
    afternoon.build(first, "unit", "done", ago=450, result=Result.LOST)
    afternoon.build(first, "unit", "done", ago=400, result=Result.FAILURE, attempt=2)
    afternoon.leave(first, "failure", "unit failed", ago=390)
    second = item(afternoon, 10, ago=300, build_set=BuildSetId("k3f9-10.2"))
    afternoon.build(second, "unit", "done", ago=250, result=Result.CANCELED, build_set=BuildSetId("k3f9-10.1"))
    afternoon.build(second, "unit", "running", ago=100)
    found = by_name(runs(app))
    assert [(attempt, run["status"]) for (_, attempt), run in found.items()] == [
        (1, "COMPLETED"),
        (2, "COMPLETED"),
        (3, "COMPLETED"),
        (4, "RUNNING"),
    ]
    assert [result(found["check/unit", attempt])["category"] for attempt in (1, 2, 3)] == ["WARNING", "ERROR", "INFO"]


def test_the_same_job_of_two_pipelines_is_two_checks(afternoon, app):
    check = item(afternoon, 1, ago=100)
    afternoon.build(check, "unit", "done", result=Result.SUCCESS)
    gate = item(afternoon, 2, ago=50, pipeline=PipelineName("gate"))
    afternoon.build(gate, "unit", "running")
    found = by_name(runs(app))
    assert {name: run["labelName"] for name, run in found.items()} == {("check/unit", 1): "Verified", ("gate/unit", 1): "Gated"}


def test_what_no_build_can_say_is_said_by_the_pipeline(afternoon, app):
    afternoon.leave(item(afternoon, build_set=None), "merge conflict", "src/a.py clashes with review:9.")
    (run,) = runs(app)
    assert (run["checkName"], run["status"]) == ("check", "COMPLETED")
    assert result(run)["category"] == "ERROR"
    assert result(run)["summary"] == "Merge conflict: src/a.py clashes with review:9."
    assert result(run)["links"][0]["url"] == f"{URL}/items/k3f9-1"


def test_a_change_that_passed_and_was_not_merged_says_so(afternoon, app):
    stay = item(afternoon, pipeline=PipelineName("gate"))
    afternoon.build(stay, "unit", "done", result=Result.SUCCESS)
    afternoon.leave(stay, "not merged", "Gerrit refused: the branch is closed.")
    found = by_name(runs(app))
    assert result(found["gate/unit", 1])["category"] == "SUCCESS"
    assert result(found["gate", 1])["summary"] == "Not merged: Gerrit refused: the branch is closed."


def test_a_check_of_the_pipeline_itself_does_not_stand_for_ever(afternoon, app):
    afternoon.leave(item(afternoon, 1, ago=300, build_set=None), "merge conflict", "a clash", ago=290)
    again = item(afternoon, 2, ago=200)
    afternoon.build(again, "unit", "done", result=Result.SUCCESS)
    afternoon.leave(again, "success", "all passed", ago=100)
    found = by_name(runs(app))
    assert result(found["check", 1])["category"] == "ERROR"
    assert result(found["check", 2])["category"] == "SUCCESS"


def test_while_its_merge_is_made_a_change_is_scheduled(afternoon, app):
    item(afternoon, state="merging", build_set=None, reason="Its merge is being made.")
    (run,) = runs(app)
    assert (run["checkName"], run["status"], run["results"]) == ("check", "SCHEDULED", [])
    assert "Its merge is being made." in run["statusDescription"]


def test_only_the_patch_set_that_is_asked_for_is_told(afternoon, app):
    for number, patchset in ((1, "1"), (2, "3"), (3, "13")):
        afternoon.build(item(afternoon, number, patchset=patchset), "unit")
    assert [run["externalId"] for run in runs(app)] == [build_id("k3f9-2.1/unit/1")]


def test_a_change_that_nobody_knows_has_no_runs(app):
    assert runs(app, "change=999&patchset=1") == []


def test_a_build_that_ran_elsewhere_is_linked_there_but_never_by_a_script(afternoon, app):
    stay = item(afternoon)
    for job, url in (("a", "https://jenkins.example.com/job/a/1/"), ("b", "javascript:alert(1)"), ("c", "https://x/ y"), ("d", None)):
        build = afternoon.build(stay, job, "done", result=Result.SUCCESS)
        afternoon.put(replace(build, url=url))
    links = {run["checkName"]: [link["url"] for link in result(run)["links"]] for run in runs(app)}
    assert "https://jenkins.example.com/job/a/1/" in links["check/a"]
    assert {len(links[f"check/{job}"]) for job in "bcd"} == {2}
    assert all(url.startswith("https://") for urls in links.values() for url in urls)


def test_what_came_from_outside_is_cleaned(afternoon, app):
    stay = item(afternoon, reason=HOSTILE)
    afternoon.build(stay, HOSTILE, "done", result=Result.FAILURE, reason=HOSTILE, tests=TestSummary(1, 1, 0, (HOSTILE,)))
    text = ask(app, "/gerrit-checks/runs?change=12&patchset=3").text
    assert "\\u202e" not in text
    assert "\u202e" not in text
    assert "\\u001b" not in text


@pytest.mark.parametrize(
    ("query", "word"),
    [
        ("", "change is missing"),
        ("patchset=1", "change is missing"),
        ("change=1", "patchset is missing"),
        ("change=1&patchset=", "patchset is ''"),
        ("change=x&patchset=1", "change is 'x', but must be a number"),
        ("change=0&patchset=1", "must be a number"),
        ("change=-1&patchset=1", "must be a number"),
        ("change=1.0&patchset=1", "must be a number"),
        ("change=%D9%A3&patchset=1", "must be a number"),
        ("change=99999999999&patchset=1", "must be a number"),
        ("change=1&patchset=edit", "patchset is 'edit'"),
        ("change=1&patchset=1&connection=local", "connection is 'local', which is no Gerrit in server.yml: there is review, other, third"),
        ("change=1%1b[31m&patchset=1", "must be a number"),
    ],
)
def test_a_question_that_makes_no_sense_is_answered_with_words(app, query, word):
    answer = ask(app, f"/gerrit-checks/runs?{query}", origin=REVIEW)
    assert answer.status == 400
    assert word in answer.json["error"]
    assert "\x1b" not in answer.text
    assert answer.headers["access-control-allow-origin"] == REVIEW


def test_numbers_count_on_each_gerrit_for_itself(afternoon, app):
    afternoon.build(item(afternoon, 1, "review:12"), "unit")
    afternoon.build(item(afternoon, 2, "other:12", url="http://other.example.com:8080/r/c/lib/+/12"), "docs")
    names = {
        query: [run["checkName"] for run in runs(app, f"change=12&patchset=3{query}", **headers)]
        for query, headers in {
            "&connection=review": {},
            "&connection=other": {"origin": REVIEW},
            "&repo=lib": {},
            "&repo=group/app": {},
            "&repo=nobody": {},
        }.items()
    }
    assert list(names.values()) == [["check/unit"], ["check/docs"], ["check/docs"], ["check/unit"], []]
    assert [run["checkName"] for run in runs(app, origin=REVIEW)] == ["check/unit"]
    assert [run["checkName"] for run in runs(app, origin="http://other.example.com:8080")] == ["check/docs"]
    answer = ask(app, "/gerrit-checks/runs?change=12&patchset=3")
    assert answer.status == 400
    assert answer.json["error"] == "There is a change 12 on each of review, other: add &connection=NAME to say which is meant."


def test_without_a_gerrit_there_is_nothing_to_ask(afternoon):
    app = Guard(make_app(afternoon.store, afternoon.blobs, Surroundings(connections=[GitConnection("local")])), ())
    assert ask(app, "/gerrit-checks/runs?change=1&patchset=1").status == 404


def cors(answer: Answer) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name.startswith("access-control-allow-")}


def test_the_page_of_a_gerrit_may_read_with_its_cookies_and_nobody_else_may(app):
    for origin in (REVIEW, "http://other.example.com:8080"):
        answer = ask(app, "/gerrit-checks/runs?change=1&patchset=1", origin=origin, cookie="a=b")
        assert answer.headers["access-control-allow-origin"] == origin
        assert answer.headers["access-control-allow-credentials"] == "true"
        assert "origin" in answer.headers["vary"].lower()
    for origin in ("https://evil.example.com", "http://review.example.com", f"{REVIEW}:8443", f"{REVIEW}.evil.example.com", "null", "*"):
        answer = ask(app, "/gerrit-checks/runs?change=1&patchset=1", origin=origin, cookie="a=b")
        assert "access-control-allow-origin" not in answer.headers, origin


def test_no_other_page_may_be_read_from_elsewhere(app):
    for path in ("/", "/api/status", "/health"):
        assert cors(ask(app, path, origin=REVIEW)) == {}


def test_a_browser_that_asks_first_is_told(app):
    asked = {"access_control_request_method": "GET", "access_control_request_headers": "content-type"}
    answer = ask(app, "/gerrit-checks/runs", "OPTIONS", origin=REVIEW, **asked)
    assert answer.status == 200
    assert cors(answer)["access-control-allow-origin"] == REVIEW
    assert "POST" not in cors(answer)["access-control-allow-methods"]
    near = ask(app, "/gerrit-checks/runs", "OPTIONS", origin=REVIEW, access_control_request_private_network="true", **asked)
    assert near.headers["access-control-allow-private-network"] == "true"
    refused = ask(app, "/gerrit-checks/runs", "OPTIONS", origin="https://evil.example.com", **asked)
    assert "access-control-allow-origin" not in refused.headers
    assert ask(app, "/gerrit-checks/runs", "OPTIONS").status == 204


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_it_only_reads(app, method):
    answer = ask(app, "/gerrit-checks/runs?change=1&patchset=1", method)
    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD, OPTIONS")


def test_a_store_that_fails_is_told_as_json():
    class Broken:
        def __getattr__(self, name):
            raise StoreError("the disk is gone")

    app = Guard(make_app(Broken(), Broken(), Surroundings(PIPELINES, CONNECTIONS)), ())
    answer = ask(app, "/gerrit-checks/runs?change=1&patchset=1", origin=REVIEW)
    assert answer.status == 503
    assert "cannot read its store" in answer.json["error"]
    assert answer.headers["access-control-allow-origin"] == REVIEW


def test_where_no_address_is_known_it_is_the_one_that_was_asked(afternoon):
    app = Guard(make_app(afternoon.store, afternoon.blobs, Surroundings(PIPELINES, CONNECTIONS)), ())
    afternoon.build(item(afternoon), "unit")
    assert runs(app)[0]["checkLink"].startswith("http://127.0.0.1:8090/builds/")


def test_a_change_of_many_stays_is_told_in_part_and_in_time(afternoon, app):
    for number in range(1, 61):
        stay = item(afternoon, number, ago=1000 - number)
        afternoon.put(stay)
        afternoon.build(stay, "unit", "done", result=Result.FAILURE)
    found = runs(app)
    assert len(found) == 30
    began = time.process_time()  # which others' work does not count in
    runs(app)
    assert time.process_time() - began < 1
    assert [run["externalId"] for run in found][-1] == build_id("k3f9-60.1/unit/1")


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://Review.Example.com/r/", "https://review.example.com"),
        ("https://review.example.com:443", "https://review.example.com"),
        ("http://review.example.com:80/", "http://review.example.com"),
        ("http://review.example.com:8080", "http://review.example.com:8080"),
        ("http://user@[2001:db8::1]:8080/", "http://[2001:db8::1]:8080"),
        ("ftp://review.example.com", ""),
        ("review.example.com", ""),
        ("http://review.example.com:99999", ""),
        ("", ""),
    ],
)
def test_an_origin_is_written_as_browsers_do(url, origin):
    assert origin_of(url) == origin
