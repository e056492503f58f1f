"""Reports that cannot be delivered at once: a git server may be away for a while."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from torii.gate.reporting import REPORT_ATTEMPTS
from torii.model.command import Report
from torii.model.event import Event, ReportDone
from torii.testing.story import PureStory, story_config, with_recheck


@pytest.fixture
def story() -> PureStory:
    return PureStory()


@pytest.fixture
def answer(story, monkeypatch) -> Callable[[str, bool], list[Report]]:
    """Have reports answered with an error (none: delivered); return the list of those that come in."""
    deliver = story.lab.forge.report
    asked: list[Report] = []

    def set_answer(error: str, final: bool = False) -> list[Report]:
        def report(one: Report) -> list[Event]:
            asked.append(one)
            return [ReportDone(one.key, error, final)] if error else deliver(one)

        monkeypatch.setattr(story.lab.forge, "report", report)
        return asked

    return set_answer


def notes(story: PureStory) -> list[str]:
    return [made.text for made in story.lab.decisions if "its report" in made.text]


def wait(story: PureStory, seconds: float) -> None:
    story.lab.pass_time(seconds)
    story.lab.settle()


def test_a_report_is_tried_again_until_it_is_delivered_and_the_change_merges_meanwhile(story, answer):
    asked = answer("the server is away")
    (a,) = story.approve("a")
    story.finish(a, "unit")
    assert story.merged == [a]
    assert len(asked) == 1
    for _ in range(3):
        wait(story, 300)
    assert len(asked) == 4
    assert notes(story) == ["its report could not be delivered yet, and is tried again: the server is away"]
    answer("")
    wait(story, 300)
    assert story.reported(a) == "SUCCESS"
    assert story.lab.gate.state.reports == {}
    assert story.lab.gate.state.report_attempts == {}
    wait(story, 3600)
    assert len(asked) == 5


def test_a_report_that_never_can_be_delivered_is_not_tried_again_but_on_record(story, answer):
    asked = answer("the commit is gone from the remote", True)
    (a,) = story.approve("a")
    story.finish(a, "unit")
    wait(story, 3600)
    assert len(asked) == 1
    assert notes(story) == ["its report could not be delivered: the commit is gone from the remote"]


def test_in_the_end_a_report_is_given_up_and_on_record(story, answer):
    asked = answer("the server is away")
    (a,) = story.approve("a")
    story.finish(a, "unit")
    for _ in range(REPORT_ATTEMPTS + 3):
        wait(story, 300)
    assert len(asked) == REPORT_ATTEMPTS
    assert notes(story)[-1] == "its report could not be delivered: the server is away"
    assert story.lab.gate.state.reports == {}
    assert not [name for name in story.lab.gate.state.timers if name.startswith("report")]


def test_a_report_that_waits_for_its_next_attempt_survives_a_restart(story, answer):
    asked = answer("the server is away")
    (a,) = story.approve("a")
    story.finish(a, "unit")
    answer("")
    story.lab.restart(from_journal=True)
    story.lab.settle()
    assert story.reported(a) == "SUCCESS"
    wait(story, 3600)
    assert len(asked) == 2


def test_a_report_that_is_asked_for_again_says_so(story, answer):
    asked = answer("the server is away")
    (a,) = story.approve("a")
    story.finish(a, "unit")
    wait(story, 300)
    story.restart()
    assert [one.again for one in asked] == [False, True, True]
    assert {replace(one, again=False) for one in asked} == {asked[0]}


def test_a_vote_that_could_not_be_delivered_does_not_come_after_a_newer_one():
    story = PureStory(config=with_recheck(story_config()))
    deliver, away = story.lab.forge.report, True

    def report(one: Report) -> list[Event]:
        return [ReportDone(one.key, "the server is away")] if away else deliver(one)

    story.lab.forge.report = report
    a = story.push("a")
    story.finish_all("FAILURE")
    away = False
    story.comment(a, "recheck")
    story.finish_all()
    wait(story, 300)
    assert story.verdicts(a, "check") == ["success", "failure"]
    assert story.votes(a, "check") == ["+1"]
