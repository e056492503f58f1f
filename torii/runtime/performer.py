"""Hands the gate's commands to the adapters. A command that an adapter cannot even take is answered here, so that none hangs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import assert_never

import structlog

from torii.model.build import Result
from torii.model.command import Command, DropStaging, Merge, Report, StartBuild, StopBuild, Submit
from torii.model.event import BuildDone, Event, MergeDone, MergeUnavailable, Refused, ReportDone, SubmitDone, SubmitUnavailable
from torii.model.ids import ProjectName
from torii.runtime.ports import Dispatcher, Merger, Post, Source

log = structlog.get_logger()


class Performer:
    """Performs commands in order; reports to one source that follow each other are handed over together."""

    def __init__(self, sources: Mapping[ProjectName, Source], merger: Merger, dispatcher: Dispatcher, post: Post) -> None:
        self._sources = sources
        self._merger = merger
        self._dispatcher = dispatcher
        self._post = post

    def perform(self, commands: Iterable[Command]) -> None:
        """Hand over `commands`. Never raises: what goes wrong is logged, and answered as an adapter would."""
        for is_report, group in groupby(commands, lambda command: isinstance(command, Report)):
            if is_report:
                self._report([command for command in group if isinstance(command, Report)])
                continue
            for command in group:
                self._guarded([command])

    def _report(self, reports: list[Report]) -> None:
        by_source: dict[str, list[Report]] = {}
        for report in reports:
            source = self._sources.get(report.subject.project)
            by_source.setdefault(source.name if source else "", []).append(report)
        for group in by_source.values():
            self._guarded(group)

    def _guarded(self, commands: Iterable[Command]) -> None:
        waiting = list(commands)
        try:
            self._hand_over(waiting)
        except Exception as error:
            log.exception("command could not be handed over", command=type(waiting[0]).__name__)
            answers = [answer for command in waiting for answer in unanswerable(command, f"{type(error).__name__}: {error}")]
            if answers:
                self._post(answers)

    def _hand_over(self, commands: list[Command]) -> None:
        command = commands[0]
        match command:
            case Merge():
                self._merger.merge(command)
            case DropStaging():
                self._merger.drop(command)
            case StartBuild(request):
                self._dispatcher.start(request)
            case StopBuild(build, reason):
                self._dispatcher.stop_build(build, reason)
            case Report(subject=subject):
                source = self._sources.get(subject.project)
                if source is None:
                    reason = f"project {subject.project} is not configured"
                    self._post([ReportDone(one.key, reason, final=True) for one in _reports(commands)])
                else:
                    source.report(_reports(commands))
            case Submit(build_set=build_set, change=change):
                source = self._sources.get(change.project)
                if source is None:
                    self._post([SubmitDone(build_set, Refused(f"project {change.project} is not configured"))])
                else:
                    source.submit(command)
            case _:
                assert_never(command)


def _reports(commands: Iterable[Command]) -> list[Report]:
    return [command for command in commands if isinstance(command, Report)]


def unanswerable(command: Command, reason: str) -> Iterator[Event]:
    """Yield the answer to a command that could not be handed over because of `reason`."""
    match command:
        case Merge(stages=stages):
            for stage in stages:
                yield MergeDone(stage.build_set, MergeUnavailable(reason))
        case StartBuild(request):
            yield BuildDone(request.id, Result.LOST, detail=reason)
        case Report(key=key):
            yield ReportDone(key, reason)
        case Submit(build_set=build_set):
            yield SubmitDone(build_set, SubmitUnavailable(reason))
        case StopBuild() | DropStaging():
            return
        case _:
            assert_never(command)
