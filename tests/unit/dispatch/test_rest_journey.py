"""What a build waits for in a Jenkins' queue: the words are those of a real one."""

from __future__ import annotations

import pytest

from torii.dispatch.rest_journey import held_up
from torii.jenkins import Queued

# ruff: noqa: RUF001  - Jenkins writes such quotation marks


def item(why: str, stuck: bool = False) -> Queued:
    return Queued(1, "app--main--unit", "some-build", why, stuck)


@pytest.mark.parametrize(
    "why",
    [
        "",
        "Waiting for next available executor",
        "Waiting for next available executor on ‘agent3’",
        "Waiting for next available executor on ‘agent3’; ‘Jenkins’ doesn’t have label ‘special’; ‘agent1’ doesn’t have label ‘special’",
        "Build #6 is already in progress (ETA: 1.1 sec)",
        "In the quiet period. Expires in 3 sec",
        "Finished waiting",
    ],
)
def test_a_build_behind_others_is_not_held_up(why):
    assert held_up(item(why), "ci") == ""


@pytest.mark.parametrize(
    ("why", "stuck"),
    [
        ("There are no nodes with the label ‘nosuchlabel’", True),
        ("There are no nodes with the label ‘nosuchlabel’", False),
        ("‘agent3’ is offline", True),
        ("All nodes of label ‘linux’ are offline", False),
        ("‘agent3’ is offline; ‘Jenkins’ doesn’t have label ‘special’", True),
        ("Waiting for next available executor on ‘agent3’", True),
    ],
)
def test_a_build_for_which_there_is_no_node_or_that_is_stuck_says_why(why, stuck):
    assert held_up(item(why, stuck), "ci") == f"it waits in the queue of the Jenkins ci: {why}"


def test_a_jenkins_that_is_about_to_shut_down_is_named_so():
    assert held_up(item("Jenkins is about to shut down"), "ci").startswith(
        "the Jenkins ci is quieting down and starts no builds; it goes on"
    )


def test_a_jenkins_without_any_node_says_only_that_it_waits_for_one():
    assert held_up(item("Waiting for next available executor"), "ci", deserted=True) == (
        "the Jenkins ci has no node online that takes jobs without a label"
    )
    assert held_up(item("Build #6 is already in progress"), "ci", deserted=True) == ""


def test_a_stuck_build_of_which_jenkins_says_nothing_is_said_to_be_so():
    assert held_up(item("", True), "ci") == "it waits in the queue of the Jenkins ci: Jenkins does not say for what"
