"""What the end of a build in Jenkins means: its result, and why, in words. Pure: it reads what Jenkins and the build's log say.

Whether a failure is the change's is decided here, so the signs of a lost agent or controller are narrow: a trace that Jenkins itself
wrote (it ends in the frames of its executor), about a channel that broke, with nothing after it but what Jenkins writes when it closes
a build. Whatever a build prints is the build's own affair. A checkout that failed is no failure of the change either: no step of it has
run, which shows in that Jenkins names no step that failed.
"""

from __future__ import annotations

import re

from torii.jenkins import Build
from torii.model.build import Result
from torii.results.text import clean_line

TAIL = 64 * 1024
"""Bytes of the log's end that are looked at."""

_DETAIL_LIMIT = 600
_FRAME = re.compile(r"\s+at [\w.$/<>@-]+\(|\s*\.\.\. \d+ more$")
_HEADING = re.compile(r"\s*(?:(?:FATAL|ERROR|Caused|Caused by|Also|Suppressed): ?.*|(?:[a-z]\w*\.)+[A-Z][\w$]*(?:: .*)?)$")
_EXECUTOR = re.compile(r"\s+at hudson\.model\.(?:Executor\.run|ResourceController\.execute)\(")
_BROKEN = re.compile(
    r"\bhudson\.remoting\.(?:ChannelClosedException|RequestAbortedException|Channel\$OrderlyShutdown)\b"
    r"|\bjava\.nio\.channels\.ClosedChannelException\b"
    r"|\bUnexpected termination of the channel\b"
    r"|\bBacking channel '[^']*' is disconnected"
)
_SHUT_DOWN = re.compile(r"\bIllegalStateException: Jenkins(?:\.instance is missing| has not been started, or was already shut down)")
_OFFLINE = re.compile(r"(?:Agent|Slave) went offline during the build$")
_CHECKOUT = re.compile(
    r"ERROR: (?P<what>Error (?:fetching|cloning) remote repo '.*|Couldn't find any revision to build\..*"
    r"|Maximum checkout retry attempts reached, aborting)$"
)
"""What the Git plug-in says where it could not check the commit out."""
_CLOSING = re.compile(
    r"$"
    r"|Finished: [A-Z_]+$"
    r"|Build step '.*' (?:marked build as failure|changed build result to [A-Z_]+)$"
    r"|Build was aborted$|Aborted by .*$|Terminated$"
    r"|(?:ERROR|FATAL): "
    r"|Archiving artifacts$|Recording test results$"
    r"|Agent went offline during the build$|Slave went offline during the build$"
    r"|Notifying upstream projects of job completion$|Set build name|\[description-setter\]"
)
_TIMED_OUT = re.compile(r"Build timed out \(after (?P<after>[^)]*)\)")
_STEP = re.compile(r"Build step '(?P<step>.*)' (?:marked build as failure|changed build result to [A-Z_]+)$")
_ABORTED_BY = re.compile(r"Aborted by (?P<who>.+)$")
_SAID = re.compile(r"(?:ERROR|FATAL): (?P<what>.+)$")
_LOOKED_AT = 40
"""Lines of the end in which Jenkins' own word for a failure is looked for."""


def verdict(build: Build, tail: str) -> tuple[Result, str]:
    """Return what the end of `build` means to Torii, and why. `tail` is the end of its log, with `\\n` ends."""
    result = build.result or Result.LOST
    if result in (Result.SUCCESS, Result.TIMED_OUT):
        return result, _timed_out(tail) if result is Result.TIMED_OUT else ""
    lines = tail.split("\n")
    if result in (Result.ABORTED, Result.FAILURE):
        if lost := _lost(lines, build.node) or _not_checked_out(lines):
            return Result.LOST, lost
        if result is Result.ABORTED and (timed_out := _timed_out(tail)):
            return Result.TIMED_OUT, timed_out
    return result, clean_line(_why(result, lines), _DETAIL_LIMIT)


def _lost(lines: list[str], node: str) -> str:
    """Return how the agent or the controller broke, empty where nothing shows that one did."""
    where = f"the agent {node}" if node else "the node that ran it"
    number = len(lines)
    while number > 0:
        number -= 1
        line = lines[number]
        if _OFFLINE.match(line):
            return f"{where} went offline in the build"
        if _EXECUTOR.match(line):
            trace = _trace_above(lines, number)
            number -= len(trace) - 1
            if any(_SHUT_DOWN.search(each) for each in trace):
                return "Jenkins was shut down in the build"
            if any(_BROKEN.search(each) for each in trace):
                return f"{where} was lost in the build: {_heading(trace)}"
        elif not (_CLOSING.match(line) or _FRAME.match(line) or _HEADING.match(line)):
            return ""
    return ""


def _not_checked_out(lines: list[str]) -> str:
    """Return how the checkout failed, empty where nothing shows that it did."""
    for line in reversed(lines):
        if found := _CHECKOUT.match(line):
            return clean_line(f"the tested commit could not be checked out: {found['what']}", _DETAIL_LIMIT)
        if _STEP.match(line) or not _CLOSING.match(line):
            return ""
    return ""


def _trace_above(lines: list[str], last: int) -> list[str]:
    """Return the lines of the trace whose last frame is at `last`."""
    first = last
    while first > 0 and (_FRAME.match(lines[first - 1]) or _HEADING.match(lines[first - 1])):
        first -= 1
    return lines[first : last + 1]


def _heading(trace: list[str]) -> str:
    said = [line for line in trace if _BROKEN.search(line)]
    return clean_line(said[-1].strip().removeprefix("Caused: ").removeprefix("FATAL: "), 200)


def _timed_out(tail: str) -> str:
    found = [match for line in tail.split("\n")[-_LOOKED_AT * 4 :] if (match := _TIMED_OUT.match(line))]
    return f"timed out after {clean_line(found[-1]['after'], 60)}" if found else ""


def _why(result: Result, lines: list[str]) -> str:
    """Return in words what Jenkins says of a build that did not succeed. (The causes that its API tells are of the start.)"""
    ending = lines[-_LOOKED_AT:]
    if result is Result.ABORTED:
        who = [match["who"] for line in ending if (match := _ABORTED_BY.match(line))]
        return f"aborted in Jenkins by {who[-1]}" if who else "aborted in Jenkins"
    if result is Result.NOT_BUILT:
        return "Jenkins did not build it"
    said = [match["what"] for line in ending if (match := _SAID.match(line))]
    steps = [match["step"] for line in ending if (match := _STEP.match(line))]
    step = f"the step '{steps[0]}' " + ("failed" if result is Result.FAILURE else "made it unstable") if steps else ""
    return "; ".join(part for part in (step, said[-1] if said else "") if part)
