"""Builds as the runs of Gerrit's checks API. Pure: rows in, what JSON knows out.

A job of a pipeline is a check; each build of it for the patch set, in whatever build set, is an attempt at it. What no build can say (a
merge conflict, a merge that was refused) is said by a check with the name of the pipeline alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from torii.model.build import Result
from torii.model.command import Verdict
from torii.model.ids import PipelineName
from torii.model.pipeline import PipelineSpec
from torii.model.view import BuildView, ItemView
from torii.results.message import spoken_duration
from torii.results.text import clean, clean_line
from torii.web.words import build_word, item_word, path, web_link

_SUMMARY_LIMIT = 200
_MESSAGE_LIMIT = 4000
_STATUS = {"waiting": "SCHEDULED", "queued": "SCHEDULED", "running": "RUNNING", "done": "COMPLETED"}
_ITEM_CATEGORIES = {
    "merged": "SUCCESS",
    Verdict.SUCCESS.value: "SUCCESS",
    Verdict.FAILURE.value: "ERROR",
    Verdict.CONFLICT.value: "ERROR",
    Verdict.CONFIG_ERROR.value: "ERROR",
    Verdict.NOT_MERGED.value: "ERROR",
    Verdict.UNAVAILABLE.value: "WARNING",
}
_TOLD_BY_BUILDS = frozenset({"merged", Verdict.SUCCESS.value, Verdict.FAILURE.value})
_COLOURS = {"ERROR": "pink", "WARNING": "yellow", "SUCCESS": "cyan", "INFO": "gray"}

Run = dict[str, Any]


def runs_of(items: Sequence[ItemView], builds: Iterable[BuildView], specs: Mapping[PipelineName, PipelineSpec], base: str) -> list[Run]:
    """Return the runs of one patch set, the oldest first. `items` are its stays from the oldest on; `base` is the pages' address."""
    by_item: dict[str, list[BuildView]] = {}
    for build in builds:
        by_item.setdefault(build.item, []).append(build)
    needed: set[PipelineName] = set()
    runs: list[Run] = []
    attempts: dict[str, int] = {}
    last: dict[str, BuildView] = {}
    for item in items:
        name = clean_line(item.pipeline, 60)
        mine = by_item.get(item.id, [])
        # Once a check of the pipeline itself is there, each later stay is another attempt at it: else the old one would stand for ever.
        if item.pipeline in needed or not _told_by(item, mine):
            needed.add(item.pipeline)
            attempts[name] = attempts.get(name, 0) + 1
            runs.append({"checkName": name, "attempt": attempts[name], **_item_run(item, base)})
        for build in mine:
            check = f"{name}/{clean_line(build.job, 120)}"
            attempts[check] = attempts.get(check, 0) + 1
            last[check] = build
            label = _label(specs.get(item.pipeline)) if build.voting else ""
            runs.append({"checkName": check, "attempt": attempts[check], "labelName": label, "_build": (item, build)})
    newest = {build.id for build in last.values()}
    return [_finished(run, newest, base) for run in runs]


def _finished(run: Run, newest: set[Any], base: str) -> Run:
    """Return `run` with all that is to be said of its build, where it is one; only now is it known whether it was tried again."""
    pair = run.pop("_build", None)
    if pair is None:
        return run
    item, build = pair
    return {**run, **_build_run(item, build, build.id in newest, base)}


def _told_by(item: ItemView, builds: Sequence[BuildView]) -> bool:
    """Whether the builds of `item` say all that there is to say of it."""
    current = any(build.build_set == item.build_set for build in builds)
    return current and (item.left_at is None or item.outcome in _TOLD_BY_BUILDS)


def _item_run(item: ItemView, base: str) -> Run:
    page = f"{base}/items/{path(item.id)}"
    over = item.left_at is not None
    word, reason = item_word(item), clean_line(item.reason, _SUMMARY_LIMIT)
    status = "COMPLETED" if over else "SCHEDULED" if item.state in ("waiting", "merging") else "RUNNING"
    results = []
    if over:
        category = _ITEM_CATEGORIES.get(item.outcome, "INFO")
        summary = f"{_capital(word)}: {reason}" if reason else _capital(word)
        results.append(_result(item.id, category, summary, clean(item.reason), [_tag(item.pipeline)], [_page_link(page, True)]))
    return {
        "externalId": str(item.id),
        "checkDescription": f"What became of the change in Torii's pipeline {clean_line(item.pipeline, 60)}.",
        "checkLink": page,
        "labelName": "",
        "status": status,
        **_description(f"{word}: {reason}" if reason else word, page),
        **_times(item.enqueued_at, item.enqueued_at if status == "RUNNING" or over else None, item.left_at),
        "actions": [],
        "results": results,
    }


def _build_run(item: ItemView, build: BuildView, newest: bool, base: str) -> Run:
    page = f"{base}/builds/{path(build.kept_from or build.id)}"
    over = build.state == "done"
    # What was not run has no result, and is no success either: that is what the API means by RUNNABLE.
    status = "RUNNABLE" if build.result is Result.SKIPPED else _STATUS.get(build.state, "SCHEDULED")
    links = [_link(page, "The build's log, tests and files on Torii.", "code", True)]
    if (elsewhere := web_link(build.url)) and elsewhere != page:
        links.append(_link(elsewhere, "The build where it ran.", "external", False))
    links.append(_page_link(f"{base}/items/{path(item.id)}", False))
    results = []
    if status == "COMPLETED":
        category = _category(build, newest)
        results.append(_result(build.id, category, _summary(build), _message(build), _tags(item, build, category), links))
    return {
        "externalId": str(build.id),
        "checkDescription": _check_description(item, build),
        "checkLink": page,
        "status": status,
        **_description(_state(build), page),
        **_times(build.requested_at or item.enqueued_at, build.started_at, build.ended_at if over else None),
        "actions": [],
        "results": results,
    }


def _category(build: BuildView, newest: bool) -> str:
    match build.result:
        case Result.SUCCESS:
            return "SUCCESS"
        case Result.CANCELED | None:
            return "INFO"
        case Result.LOST if not newest:  # it was tried again
            return "WARNING"
    return "ERROR" if build.voting else "WARNING"


def _state(build: BuildView) -> str:
    word = build_word(build)
    if build.state == "running" and build.node:
        word = f"running on {build.node}"
    return clean_line(f"{word}: {build.reason}" if build.reason else word, _SUMMARY_LIMIT)


def _summary(build: BuildView) -> str:
    took = f" in {spoken_duration(build.duration)}" if build.duration is not None else ""
    said = clean_line(build.reason, _SUMMARY_LIMIT)
    if build.result is Result.SUCCESS:
        return f"Success: {said}" if build.kept_from else f"Success{took}"
    if build.tests is not None and build.tests.failed:
        said = f"{build.tests.failed} of {build.tests.total} tests failed"
    return f"{_capital(build_word(build))}{took}: {said}" if said else f"{_capital(build_word(build))}{took}"


def _message(build: BuildView) -> str:
    lines = [clean(build.reason)] if build.reason else []
    if build.tests is not None:
        tests = build.tests
        lines.append(f"{tests.total} tests: {tests.failed} failed, {tests.skipped} skipped")
        lines += [f"* {clean_line(name)}" for name in tests.failing]
    if build.built_on:
        lines.append(f"Built on top of {', '.join(clean_line(change, 120) for change in build.built_on)}.")
    if not build.voting:
        lines.append("It does not decide.")
    return "\n".join(lines)


def _tags(item: ItemView, build: BuildView, category: str) -> list[Run]:
    tags = [_tag(item.pipeline)]
    if build.result is not None and build.result is not Result.SUCCESS:
        tags.append({"name": build.result.value, "color": _COLOURS[category]})
    if not build.voting:
        tags.append({"name": "non-voting", "color": "gray", "tooltip": "Its result does not decide."})
    return tags


def _check_description(item: ItemView, build: BuildView) -> str:
    kind = "The job" if build.voting else "The job (non-voting)"
    return f"{kind} {clean_line(build.job, 120)} in Torii's pipeline {clean_line(item.pipeline, 60)}."


def _label(spec: PipelineSpec | None) -> str:
    """Return the label that the pipeline votes on, empty where it votes on none."""
    votes = (*spec.report.success, *spec.report.failure) if spec else ()
    return votes[0][0] if votes else ""


def _description(text: str, page: str) -> Run:
    # The plug-in reads it as Jenkins once misspelt it, and newer ones rightly.
    return {"statusDescription": text, "statusDesciption": text, "statusLink": page}


def _times(scheduled: float | None, started: float | None, finished: float | None) -> Run:
    return {"scheduledTimestamp": _instant(scheduled), "startedTimestamp": _instant(started), "finishedTimestamp": _instant(finished)}


def _instant(seconds: float | None) -> str | None:
    try:
        made = None if seconds is None else datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return made.strftime("%Y-%m-%dT%H:%M:%S.") + f"{made.microsecond // 1000:03d}Z" if made else None


def _result(external: str, category: str, summary: str, message: str, tags: list[Run], links: list[Run]) -> Run:
    return {
        "externalId": str(external),
        "category": category,
        "summary": clean_line(summary, _SUMMARY_LIMIT),
        "message": message[:_MESSAGE_LIMIT],
        "tags": tags,
        "links": links,
        "actions": [],
        "codePointers": [],
    }


def _tag(pipeline: str) -> Run:
    return {"name": clean_line(pipeline, 60), "color": "purple", "tooltip": "The pipeline in which it ran."}


def _page_link(page: str, primary: bool) -> Run:
    return _link(page, "Why the change is where it is, on Torii.", "history", primary)


def _link(url: str, tooltip: str, icon: str, primary: bool) -> Run:
    return {"url": url, "tooltip": tooltip, "icon": icon, "primary": primary}


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
