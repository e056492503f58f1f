"""Is a change submittable but for Torii's own votes, and if not, why not, in words. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from torii.sources.gerrit.expression import Demand, UnreadableExpressionError, unmet
from torii.sources.gerrit.facts import ChangeFacts, Requirement

_FULFILLED = {"SATISFIED", "OVERRIDDEN", "NOT_APPLICABLE", "FORCED"}
_LABEL = re.compile(r"label:\"?(?P<label>[A-Za-z0-9][A-Za-z0-9_-]*)")


def blockers(facts: ChangeFacts, labels: frozenset[str], own: int) -> tuple[str, ...]:
    """Return what stands against a merge, nothing where only votes on `labels` are missing, which the account `own` gives.

    Where no requirement asks for it, some positive vote on another label is asked for all the same.
    """
    found: list[str] = ["it is work in progress"] if facts.wip else []
    for requirement in facts.requirements:
        if requirement.status not in _FULFILLED:
            found += _unmet(requirement, facts, labels, own)
    if not facts.requirements and facts.submittable is False:
        found.append("Gerrit says that it is not submittable, and no reason")
    if not found and not any(vote.value > 0 and vote.label not in labels for vote in facts.votes):
        # A project may ask for nothing but Torii's vote. That is no word of a human yet: a push alone must not merge.
        found.append("nobody has voted for it")
    return tuple(dict.fromkeys(found))


def _unmet(requirement: Requirement, facts: ChangeFacts, labels: frozenset[str], own: int) -> Iterator[str]:
    if requirement.error:
        yield f"{requirement.name}: {requirement.error}"
        return

    def may(atom: str, wanted: bool) -> bool:
        label = _LABEL.match(atom)
        there, known = atom in requirement.passing, atom in requirement.failing
        if label is not None and f"-{atom}" in requirement.failing:
            # Of a label with a function of old, Gerrit names the veto as missing whether there is one or not.
            there, known = any(vote.label == label["label"] and vote.value < 0 for vote in facts.votes), True
        if there == wanted and (there or known):
            return True
        return label is not None and label["label"] in labels and (wanted or not _objected(facts, label["label"], own))

    try:
        demands = unmet(requirement.expression, may)
    except UnreadableExpressionError:
        # Torii's own votes cannot be told from others' here: whatever fails is named, unless all of it is Torii's to give.
        others = [atom for atom in sorted(requirement.failing) if not ((found := _LABEL.match(atom)) and found["label"] in labels)]
        demands = tuple(Demand(atom, wanted=True) for atom in others)
        if not requirement.failing:
            yield f"{requirement.name}: {requirement.status.lower() or 'not satisfied'}"
            return
    yield from (f"{requirement.name}: {'needs' if demand.wanted else 'must not have'} {demand.atom}" for demand in demands)


def _objected(facts: ChangeFacts, label: str, own: int) -> bool:
    """Whether somebody else's vote on Torii's label is a negative one: Torii's own vote will not take that back."""
    return any(vote.label == label and vote.value < 0 and vote.by.number != own for vote in facts.votes)
