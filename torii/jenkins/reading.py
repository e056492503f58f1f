"""Reads Jenkins' JSON into values: what a plug-in left out, or made of another type, is as if it were not there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

from torii.jenkins.values import About, Build, Job, Node, Plugin, Queued
from torii.model.build import Result, TestSummary

UUID = "TORII_UUID"
"""The parameter that says which of Torii's builds a build is."""

_BUILD = "number,url,building,result,timestamp,duration,builtOn,description"
BUILD_TREE = f"{_BUILD},artifacts[relativePath],actions[parameters[name,value],causes[shortDescription]]"
BUILDS_TREE = f"{_BUILD},actions[parameters[name,value]]"
"""Of many builds at once: the artifacts of a thousand may be more than any reply holds."""
RUNNING_TREE = "number,url,building,result,timestamp,actions[parameters[name,value]]"
LAST_TREE = "number,url,building,result,timestamp,duration"
JOB_TREE = "name,description,buildable,url"
ITEM_TREE = "id,why,stuck,cancelled,task[name,url],executable[number,url],actions[parameters[name,value]]"
NODE_TREE = "displayName,assignedLabels[name,nodes[nodeName,mode]],numExecutors,offline,offlineCauseReason"
ABOUT_TREE = "url,useSecurity,quietingDown,quietDownReason"
PLUGIN_TREE = "shortName,version,active,enabled"

FAILING_LIMIT = 20
"""Names of failing tests that are kept."""

_BUILT_IN = "hudson.model.Hudson$MasterComputer"
_TIMED_OUT = "Stopped by Torii after"
_PATH = re.compile(r"((?:/job/[^/]+)+)(?:/(\d+))?/?$")


def job(found: dict[str, Any]) -> Job:
    """Return a job of a listing."""
    return Job(
        name=text(found, "name"),
        description=text(found, "description"),
        buildable=found.get("buildable") is not False,
        url=text(found, "url"),
        kind=text(found, "_class"),
    )


def build(found: dict[str, Any], name: str, url: str, node: str = "") -> Build | None:
    """Return a build of the job `name`, None where it has no number. `url` is for where Jenkins says none, `node` where it ran."""
    number_ = whole(found, "number")
    if number_ is None:
        return None
    # A build has its result before its last steps are over; until then it runs.
    word = "" if found.get("building") is True else text(found, "result")
    started, duration = whole(found, "timestamp"), whole(found, "duration")
    return Build(
        job=name,
        number=number_,
        url=text(found, "url") or url,
        result=_result(word, text(found, "description")),
        word=word,
        uuid=uuid(found),
        node=node or (text(found, "builtOn") or "built-in" if "builtOn" in found else ""),
        started_at=None if started is None else started / 1000,
        duration=duration / 1000 if duration and word else None,
        causes=tuple(text(cause, "shortDescription") for action in many(found, "actions") for cause in many(action, "causes")),
        artifacts=tuple(path for each in many(found, "artifacts") if (path := text(each, "relativePath"))),
    )


def queued(found: dict[str, Any], name: str) -> Queued | None:
    """Return an item of the queue, of the job `name`; None where it has no id."""
    number_ = whole(found, "id")
    if number_ is None:
        return None
    executable = found.get("executable")
    return Queued(
        id=number_,
        job=name,
        uuid=uuid(found),
        why=text(found, "why"),
        stuck=found.get("stuck") is True,
        cancelled=found.get("cancelled") is True,
        number=whole(executable, "number") if isinstance(executable, dict) else None,
    )


def node(found: dict[str, Any]) -> Node:
    """Return a node of the list of computers."""
    name, labels, exclusive = text(found, "displayName"), [], False
    for label in many(found, "assignedLabels"):
        labels.append(text(label, "name"))
        nodes = list(many(label, "nodes"))
        # A label that this node alone has tells its mode; its own name is always one.
        exclusive |= len(nodes) == 1 and text(nodes[0], "mode") == "EXCLUSIVE"
    if text(found, "_class") == _BUILT_IN:
        name = "built-in"
    return Node(
        name=name,
        labels=tuple(label for label in labels if label),
        executors=whole(found, "numExecutors") or 0,
        offline=found.get("offline") is True,
        exclusive=exclusive,
        why_offline=text(found, "offlineCauseReason"),
    )


def about(found: dict[str, Any]) -> About:
    """Return what Jenkins says of itself."""
    return About(
        url=text(found, "url"),
        secured=found.get("useSecurity") is not False,
        quieting_down=found.get("quietingDown") is True,
        quiet_reason=text(found, "quietDownReason"),
    )


def plugin(found: dict[str, Any]) -> Plugin:
    """Return an installed plug-in."""
    works = found.get("active") is not False and found.get("enabled") is not False
    return Plugin(text(found, "shortName"), text(found, "version"), works)


def report_counts(found: dict[str, Any]) -> TestSummary:
    """Return the counts of a test report, of JUnit's kind or of several put together, without names."""
    failed, skipped = whole(found, "failCount") or 0, whole(found, "skipCount") or 0
    total = whole(found, "totalCount")
    return TestSummary((whole(found, "passCount") or 0) + failed + skipped if total is None else total, failed, skipped)


def failing_tests(found: dict[str, Any]) -> tuple[str, ...]:
    """Return the first failing tests of a report with cases, as `class.name`."""
    names: dict[str, None] = {}
    reports = [found, *(result for child in many(found, "childReports") if isinstance(result := child.get("result"), dict))]
    for case in (case for report in reports for suite in many(report, "suites") for case in many(suite, "cases")):
        if text(case, "status") in ("FAILED", "REGRESSION") and len(names) < FAILING_LIMIT:
            names[".".join(part for part in (text(case, "className"), text(case, "name")) if part)] = None
    return tuple(names)


def uuid(found: dict[str, Any]) -> str:
    """Return the TORII_UUID among the parameters of a build or an item, empty where there is none."""
    for action in many(found, "actions"):
        for parameter in many(action, "parameters"):
            if parameter.get("name") == UUID:
                return text(parameter, "value")
    return ""


def place(url: str) -> tuple[str, str]:
    """Return (folder, job) of an address of a job or of one of its builds, whatever root it is under; empty where it is none's."""
    path = _PATH.search(url.partition("?")[0])
    if path is None:
        return "", ""
    names = [unquote(name) for name in path[1].split("/job/")[1:]]
    return "/".join(names[:-1]), names[-1]


def many(found: object, key: str) -> Iterator[dict[str, Any]]:
    """Yield the objects of the list at `key`."""
    listed = found.get(key) if isinstance(found, dict) else None
    if isinstance(listed, list):
        yield from (each for each in listed if isinstance(each, dict))


def text(found: dict[str, Any], key: str) -> str:
    """Return the string at `key`, empty where there is none."""
    value = found.get(key)
    return value if isinstance(value, str) else ""


def whole(found: dict[str, Any], key: str) -> int | None:
    """Return the whole number at `key`, None where there is none."""
    value = found.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _result(word: str, description: str) -> Result | None:
    if not word:
        return None
    if word == "ABORTED" and _TIMED_OUT in description:
        return Result.TIMED_OUT
    return Result[word] if word in ("SUCCESS", "FAILURE", "UNSTABLE", "ABORTED", "NOT_BUILT") else Result.FAILURE
