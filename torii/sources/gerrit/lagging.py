"""Tell where a query's answer is behind the messages in it. Pure.

Gerrit answers a query from its index, which is brought up to date a moment after the change itself; but the messages in such an answer
are the change's own. So it may hold the message of an approval and not the vote: an approval that was told like that would approve nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from torii.model.change import ChangeStatus
from torii.sources.gerrit.facts import ChangeFacts, Message

_STATUS = {"abandon": ChangeStatus.ABANDONED, "restore": ChangeStatus.OPEN, "merged": ChangeStatus.MERGED}
_SHOWN_BY_NUMBER = {"newPatchSet", "newWipPatchSet"}


def behind(facts: ChangeFacts, new: Sequence[Message], young: float) -> bool:
    """Whether `facts`, out of a query, may not show yet what their `new` messages (oldest first) tell of.

    Where a kind of message does not say what should be seen of it, one that came at `young` (the server's time) or later is not trusted.
    """
    return (
        any(message.patchset > facts.patchset for message in new)
        or _ended_otherwise(facts, new)
        or (facts.open and _lacks_votes(facts, new))
        or any(message.at >= young and _may_hide(message, facts) for message in new)
    )


def _may_hide(message: Message, facts: ChangeFacts) -> bool:
    if not message.kind:
        return facts.wip  # a comment may have ended that, and does not say so
    return message.kind not in _STATUS and message.kind not in _SHOWN_BY_NUMBER


def _ended_otherwise(facts: ChangeFacts, new: Sequence[Message]) -> bool:
    told = [_STATUS[message.kind] for message in new if message.kind in _STATUS]
    return bool(told) and told[-1] is not facts.status


def _lacks_votes(facts: ChangeFacts, new: Sequence[Message]) -> bool:
    cast = {(message.by.number, label): value for message in new if message.patchset == facts.patchset for label, value in message.votes}
    there = {(vote.by.number, vote.label): vote.value for vote in facts.votes}
    return any(there.get(whose, 0) != value for whose, value in cast.items())
