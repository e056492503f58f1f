from __future__ import annotations

from torii.dispatch.away import Away, reason_of, together
from torii.jenkins import JenkinsRefusedError, JenkinsUnavailableError


def test_a_jenkins_that_does_not_answer_is_away_one_that_refuses_is_not():
    assert isinstance(reason_of(JenkinsUnavailableError("it is down")), Away)
    assert not isinstance(reason_of(JenkinsRefusedError("it knows us not")), Away)
    assert reason_of(JenkinsRefusedError("it knows us not")) == "it knows us not"


def test_reasons_together_are_away_only_where_each_is():
    away = Away("it is down")
    assert (together([away, away]), isinstance(together([away, away]), Away)) == ("it is down", True)
    assert (together([away, "no such label"]), isinstance(together([away, "no such label"]), Away)) == ("it is down; no such label", False)
    assert not isinstance(together([]), Away)
