"""The parts of dispatch through Jenkins that talk to nobody."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.dispatch_lab import build_request
from torii.config.settings import JenkinsSettings
from torii.dispatch.description import description
from torii.dispatch.jenkins_case import node_of
from torii.dispatch.jenkins_search import Sighting
from torii.dispatch.parameters import declared, payload
from torii.dispatch.verdict import taken_for_lost
from torii.dispatch.whose import Whose
from torii.dispatch.wire import Running
from torii.jenkins import Build, Queued
from torii.model.build import Result
from torii.testing.jenkins import job_xml


@pytest.mark.parametrize(
    ("result", "duration", "ran", "lost"),
    [
        (Result.SUCCESS, 1.0, 10.0, False),
        (Result.UNSTABLE, 1.0, 10.0, False),
        (Result.FAILURE, 10.1, 10.0, True),
        (Result.ABORTED, 9.0, 10.0, True),
        (Result.FAILURE, 14.9, 10.0, True),
        (Result.FAILURE, 15.1, 10.0, False),
        (Result.ABORTED, 60.0, 10.0, False),
        (Result.FAILURE, 60.0, None, True),
        (Result.FAILURE, None, 10.0, True),
        (Result.SUCCESS, None, None, False),
    ],
)
def test_an_end_with_the_worker_is_a_loss_and_one_long_after_it_a_result(result, duration, ran, lost):
    assert taken_for_lost(Build("unit", 1, "", result, duration=duration), ran) is lost


SETTINGS = [
    JenkinsSettings("one", "https://ci.example.com/jenkins"),
    JenkinsSettings("two", "https://ci.example.com/jenkins2", folder="team/a b"),
    JenkinsSettings("three", "http://127.0.0.1:8080"),
]


def running(url, manager="10.0.0.1"):
    return Running("unit", 7, manager, "agent1_exec-0", url)


@pytest.mark.parametrize(
    ("url", "among", "who"),
    [
        ("https://ci.example.com/jenkins/job/unit/7/", ("one", "two", "three"), "one"),
        ("https://CI.example.com/jenkins2/job/unit/7/", ("one", "two", "three"), "two"),
        ("http://127.0.0.1:8080/job/unit/7/", ("one", "two", "three"), "three"),
        ("https://elsewhere.example.com/job/unit/7/", ("one", "two"), None),
        ("https://ci.example.com/jenkins/job/unit/7/", ("two", "three"), None),
        ("https://elsewhere.example.com/job/unit/7/", ("two",), "two"),
        (None, ("one", "two"), None),
        (None, ("one",), "one"),
    ],
)
def test_an_address_tells_whose_a_build_is(url, among, who):
    assert Whose(SETTINGS).told_by(running(url), among) == who


def test_what_was_found_out_of_a_manager_is_remembered_for_its_address_only():
    whose = Whose(SETTINGS)
    whose.learn(running("http://inside:8080/job/unit/7/"), "two")
    assert whose.told_by(running("http://inside:8080/job/other/8/"), ("one", "two")) == "two"
    assert whose.told_by(running("http://other:8080/job/other/8/"), ("one", "two")) is None
    assert whose.told_by(running("http://inside:8080/job/other/8/", "10.0.0.2"), ("one", "two")) is None
    assert whose.told_by(running("http://inside:8080/job/other/8/"), ("one", "three")) is None


def test_a_jenkins_that_does_not_know_its_address_is_given_ours():
    assert Whose(SETTINGS).address("two", "unit", 7) == "https://ci.example.com/jenkins2/job/team/job/a%20b/job/unit/7/"


def test_a_job_of_one_name_in_another_folder_is_another_job():
    whose = Whose(SETTINGS)
    assert whose.is_the_job("two", running("https://inside/x/job/team/job/a%20b/job/unit/7/"))
    assert whose.is_the_job("two", running(None))
    assert not whose.is_the_job("two", running("https://ci.example.com/jenkins2/job/unit/7/"))
    assert not whose.is_the_job("one", running("https://ci.example.com/jenkins/job/team/job/unit/7/"))


def test_a_build_is_the_same_though_its_manager_was_not_heard_of():
    wire, api = Running("unit", 7, "10.0.0.1"), Running("unit", 7, "")
    assert api.same(wire)
    assert not wire.same(api)
    assert not api.same(Running("unit", 8, "10.0.0.1"))
    assert not wire.same(Running("unit", 7, "10.0.0.2"))


def test_of_several_sightings_the_one_that_runs_counts_and_then_the_one_that_will():
    runs, waits = Sighting("a", Build("unit", 1, "")), Sighting("b", Queued(1, "unit"))
    over = Sighting("c", Build("unit", 1, "", Result.ABORTED))
    assert max([over, waits, runs], key=lambda sighting: sighting.rank) is runs
    assert max([over, waits], key=lambda sighting: sighting.rank) is waits


@pytest.mark.parametrize(("worker", "node"), [("agent1_exec-0", "agent1"), ("a_exec-1_exec-12", "a_exec-1"), ("plain", "plain")])
def test_the_node_is_what_the_worker_is_called_without_its_executor(worker, node):
    assert node_of(worker) == node


@given(st.text(min_size=1), st.text(min_size=1))
def test_nothing_from_outside_is_html_in_a_description(change, pipeline):
    text = description(build_request(change=change, pipeline=pipeline), "http://torii.example.com/builds/x")
    assert text.count("<") == text.count(">") == 6
    assert text.count('"') == 6


def test_declared_parameters_are_read_with_their_defaults():
    xml = job_xml("true", parameters=["TORII_UUID", "LANG=C", "EMPTY="]).encode()
    assert declared(xml) == {"TORII_UUID": "", "LANG": "C", "EMPTY": ""}
    choice = b"<p><parameterDefinitions><c><name>ONE</name><choices><a><string>x</string><string>y</string></a></choices></c>"
    assert declared(choice + b"<c><name/></c></parameterDefinitions></p>") == {"ONE": "x"}
    assert declared(b"no XML") == {}


def test_what_is_given_takes_the_place_of_a_default_and_every_default_is_given():
    request = build_request("unit", variables=(("LANG", "C"),))
    text = payload(request, "u", "l", b"key", {"LANG": "de", "TORII_UUID": "", "TORII_TIMEOUT": "60"}).decode()
    assert '"LANG": "C"' in text
    assert f'"TORII_UUID": "{request.id}"' in text
    assert '"TORII_TIMEOUT": "60"' in text
