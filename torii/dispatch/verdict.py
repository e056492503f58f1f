"""What the end of a build in Jenkins says, when the worker that ran it was lost."""

from __future__ import annotations

from torii.jenkins import Build
from torii.model.build import Result

_MARGIN = 5.0
"""Seconds within which a loss is noticed by all: an agent's connection, its build and its Gearman worker end one after the other."""

_INTERRUPTED = (Result.ABORTED, Result.FAILURE, Result.NOT_BUILT)
"""What Jenkins calls a build that it had to end: it was shut down, or the agent went away."""


def taken_for_lost(build: Build, ran: float | None) -> bool:
    """Return whether `build` ended because its worker was lost, and its result says nothing about the change.

    `ran` is how many seconds after its start that was noticed, None where it is not known. A build that went on for longer than that ran
    on in Jenkins by itself, and its result stands; so does a success in any case.
    """
    if build.result not in _INTERRUPTED:
        return False
    return ran is None or build.duration is None or build.duration <= ran + _MARGIN
