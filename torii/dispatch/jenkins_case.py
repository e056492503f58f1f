"""What is known of a build in Jenkins besides its flight."""

from __future__ import annotations

import re
from dataclasses import dataclass

from torii.dispatch.jenkins_jobs import Place
from torii.model.build import Result
from torii.results.run import Run


@dataclass(slots=True)
class Case:
    """What is known of a build besides its flight. `run` is where it runs, or did; `began` when that was heard (monotonic seconds).

    `expects`: its job is at its place, and only the function is waited for. `broken`: its worker is lost, or refused it, in `words`; `ran`
    seconds after it began, where that is known. `word` is the result that the wire gave. `away` counts looks for it that could not be made.
    """

    place: Place | None = None
    expects: bool = False
    run: Run | None = None
    began: float = 0.0
    broken: bool = False
    words: str = ""
    ran: float | None = None
    word: Result | None = None
    away: int = 0


_EXECUTOR = re.compile(r"_exec-\d+$")


def node_of(worker: str) -> str:
    """Return the node whose executor the plug-in calls so. (It says `node_name`, too, which is wrong half of the time.)"""
    return _EXECUTOR.sub("", worker)
