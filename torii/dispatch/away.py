"""Why a build cannot go on, told apart by whose affair it is: a job that nobody knows will not be known by waiting, an outage will end."""

from __future__ import annotations

from collections.abc import Iterable

from torii.jenkins import JenkinsUnavailableError


class Away(str):
    """A reason that lies in somebody who cannot be asked, or starts nothing, at present: it is waited for without a limit."""

    __slots__ = ()


def reason_of(error: Exception) -> str:
    """Return what `error` says; `Away` where it is that a Jenkins does not answer."""
    return Away(error) if isinstance(error, JenkinsUnavailableError) else str(error)


def quieting_down(jenkins: str) -> Away:
    """Return why nothing begins in a Jenkins that is about to be restarted."""
    return Away(f"the Jenkins {jenkins} is quieting down and starts no builds; it goes on when that is cancelled, or after its restart")


def together(reasons: Iterable[str]) -> str:
    """Return `reasons` as one, each once; `Away` where all of them are."""
    each = dict.fromkeys(reasons)
    text = "; ".join(each)
    return Away(text) if each and all(isinstance(reason, Away) for reason in each) else text
