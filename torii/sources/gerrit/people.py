"""Which groups somebody is in: asked for only where a pipeline goes by groups, and not again for a while."""

from __future__ import annotations

import time
from collections.abc import Sequence

import structlog

from torii.model.pipeline import ApprovalRule, PipelineSpec
from torii.sources.gerrit.errors import GerritRefusedError
from torii.sources.gerrit.facts import Account
from torii.sources.gerrit.rest import GerritRest

log = structlog.get_logger()

_FRESH = 300.0
"""Seconds for which an answer is believed."""

_MOST = 5000


class People:
    """The groups of accounts. With `asked` false, nobody is in any."""

    def __init__(self, rest: GerritRest, asked: bool) -> None:
        self._rest = rest
        self._asked = asked
        self._known: dict[int, tuple[float, tuple[str, ...]]] = {}

    def groups(self, account: Account) -> tuple[str, ...]:
        """Return the names of the groups that `account` is in, as far as Torii may see them. Raises GerritError."""
        if not self._asked or not account.number:
            return ()
        known = self._known.get(account.number)
        if known is not None and time.monotonic() - known[0] < _FRESH:
            return known[1]
        try:
            reply = self._rest.get(f"accounts/{account.number}/groups")
            names = tuple(sorted(each["name"] for each in reply if isinstance(each.get("name"), str)))
        except GerritRefusedError as error:
            log.warning("gerrit.groups_unknown", connection=self._rest.name, account=account.called, reason=str(error))
            names = ()
        if len(self._known) >= _MOST:
            self._known.clear()
        self._known[account.number] = (time.monotonic(), names)
        return names


def asks_for_groups(pipelines: Sequence[PipelineSpec]) -> bool:
    """Whether any of `pipelines` goes by groups."""
    rules: list[ApprovalRule] = []
    for pipeline in pipelines:
        rules += [*pipeline.require.approvals, *pipeline.require.reject, *(rule for each in pipeline.triggers for rule in each.votes)]
    return any(rule.groups for rule in rules) or any(trigger.groups for pipeline in pipelines for trigger in pipeline.triggers)


def asks_for_files(pipelines: Sequence[PipelineSpec]) -> bool:
    """Whether any of `pipelines` goes by files."""
    return any(trigger.files for pipeline in pipelines for trigger in pipeline.triggers)


def label_names(pipelines: Sequence[PipelineSpec]) -> frozenset[str]:
    """Return the labels that `pipelines` vote on."""
    return frozenset(label for pipeline in pipelines for label, _ in (*pipeline.report.success, *pipeline.report.failure))
