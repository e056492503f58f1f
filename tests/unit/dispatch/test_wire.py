from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torii.dispatch import wire
from torii.model.build import Result

SAID = {
    "number": 28,
    "node_labels": ["master"],
    "manager": "jenkins.example.org",
    "name": "plain",
    "node_name": "",
    "worker": "jenkins.example.org_exec-0",
    "url": "http://jenkins.example.org/job/plain/28/",
}


def test_what_jenkins_says_at_the_start_is_understood():
    running = wire.running(json.dumps(SAID).encode())
    assert running == wire.Running("plain", 28, "jenkins.example.org", "jenkins.example.org_exec-0", SAID["url"])


def test_the_same_build_said_again_is_the_same():
    first, second = wire.running(json.dumps(SAID).encode()), wire.running(json.dumps({**SAID, "url": None, "result": "SUCCESS"}).encode())
    assert first is not None
    assert second is not None
    assert first.identity == second.identity


@pytest.mark.parametrize("left_out", ["name", "number", "manager"])
def test_a_build_that_could_not_be_stopped_is_not_believed(left_out):
    assert wire.running(json.dumps({key: value for key, value in SAID.items() if key != left_out}).encode()) is None


@pytest.mark.parametrize("url", ["javascript:alert(1)", 7, "", "//evil.example.com"])
def test_only_an_address_is_taken_for_one(url):
    running = wire.running(json.dumps({**SAID, "url": url}).encode())
    assert running is not None
    assert running.url is None


@given(
    st.binary() | st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x))
)
def test_nonsense_is_silence(said):
    data = said if isinstance(said, bytes) else json.dumps(said).encode()
    assert wire.running(data) is None
    assert wire.result(data) is None
    assert "\n" not in wire.detail(data)


def test_results_are_jenkins_words():
    assert wire.result(b'{"result": "UNSTABLE"}') is Result.UNSTABLE
    assert wire.result(b'{"result": "marvellous"}') is None
    assert wire.result(b'{"result": "SKIPPED"}') is None
    assert wire.result(b'{"result": ["SUCCESS"]}') is None


def test_of_a_stack_trace_the_first_line_is_shown():
    assert wire.detail(b"java.lang.Oops: \x1b[31mno\n\tat a.b.c(D.java:1)\n") == "java.lang.Oops:  [31mno"
