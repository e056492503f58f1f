from __future__ import annotations

from torii.jenkins import JenkinsUnavailableError
from torii.jenkins.pulse import Pulse


def test_a_jenkins_is_well_until_it_has_failed_twice_in_a_row():
    pulse = Pulse(lambda: 1_000_000.0)
    pulse.failed(JenkinsUnavailableError("refused"))
    assert pulse.health() == "ok"
    pulse.answered()
    pulse.failed(JenkinsUnavailableError("refused"))
    assert pulse.health() == "ok"
    pulse.failed(JenkinsUnavailableError("timed out"))
    assert pulse.health() == "it does not answer, since 1970-01-12 13:46:40 UTC: timed out"
    pulse.answered()
    assert pulse.health() == "ok"


def test_since_when_it_fails_is_the_first_failure():
    now = iter([10.0, 99.0])
    pulse = Pulse(lambda: next(now))
    pulse.failed(JenkinsUnavailableError("refused"))
    pulse.failed(JenkinsUnavailableError("refused"))
    assert "since 1970-01-01 00:00:10 UTC" in pulse.health()
