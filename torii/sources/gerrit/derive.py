"""Work out what happened to a change from what Gerrit says of it now and what was told of it before. Pure; the reader does the reading.

Every act leaves a message in its change's log, with an id that is the same however and whenever it is read: that id makes the event's key.
So an act is told once, whether the stream, a webhook or a catch-up led here. What left no message (a parent got a new patch set) is told as
`UPDATED`, when the change differs from what was told last.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from types import MappingProxyType
from urllib.parse import quote

from torii.model.change import Change, ChangeStatus
from torii.model.event import ChangeUpdated
from torii.model.ids import ChangeId, ProjectName
from torii.model.pipeline import Cause
from torii.sources.gerrit.approval import blockers
from torii.sources.gerrit.facts import Account, ChangeFacts, Message, change_id

OVERLAP = 180.0
"""Seconds before the point up to which all is told that are looked at again: messages may become visible later than they are dated."""

LATEST = 3600.0
"""Seconds, besides, by which a message may come late to a change that was read before. What is older was only rewritten."""

_KINDS = {
    "newPatchSet": Cause.PATCHSET_CREATED,
    "newWipPatchSet": Cause.PATCHSET_CREATED,
    "abandon": Cause.ABANDONED,
    "restore": Cause.RESTORED,
    "merged": Cause.MERGED,
    "setReadyForReview": Cause.READY,
    "setTopic": Cause.TOPIC_CHANGED,
    "setHashtag": Cause.HASHTAGS_CHANGED,
    "deleteVote": Cause.VOTE_DELETED,
    "deleteReviewer": Cause.VOTE_DELETED,
}
_ENDINGS = {ChangeStatus.MERGED: Cause.MERGED, ChangeStatus.ABANDONED: Cause.ABANDONED}
_BRINGS_APPROVAL = {Cause.PATCHSET_CREATED, Cause.RESTORED, Cause.READY}
_MADE_PUBLIC = "unsetPrivate"
_MOVED = "move"

Groups = Callable[[Account], tuple[str, ...]]
"""The names of the groups an account is in; empty where no pipeline asks."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What holds for a whole connection. `own` is Torii's account there, `labels` are those that its pipelines vote on.

    `ignore` are globs of users (name or e-mail) whose acts start nothing. `names` maps Gerrit's names of projects to ours.
    """

    connection: str
    url: str
    own: int
    labels: frozenset[str] = frozenset()
    ignore: tuple[str, ...] = ()
    names: Mapping[ProjectName, ProjectName] = field(default_factory=lambda: MappingProxyType({}))

    def ignores(self, account: Account) -> bool:
        """Whether what `account` does starts nothing."""
        return any(name and fnmatchcase(name, glob) for glob in self.ignore for name in (account.username, account.email))


@dataclass(frozen=True, slots=True)
class Relations:
    """How a change stands to others, by number. `depends_on` and `together` are in merge order; `blockers` say what is wrong with them."""

    depends_on: tuple[int, ...] = ()
    blockers: tuple[str, ...] = ()
    together: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Told:
    """What was told of a change lately: ids of its messages (shortened), and the digest of the change as it was told last."""

    ids: frozenset[str] = frozenset()
    digest: str = ""


@dataclass(frozen=True, slots=True)
class Looked:
    """One reading of one change, with everything that `derive` goes by.

    `before` is the change as told last, if this process told it. `since` is the server's time up to which all is told, less `OVERLAP`;
    None at the first look ever, when nothing was told. `count` numbers what has no message to be named by. `read` are the ids of the
    messages that this process has read of the change before, None where it has read none.
    """

    facts: ChangeFacts
    relations: Relations = Relations()
    before: Change | None = None
    told: Told = Told()
    since: float | None = None
    count: int = 0
    read: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Derived:
    """What is to be told of a change now (`events`), the change as it is now, and what is told of it then."""

    change: Change
    events: tuple[ChangeUpdated, ...]
    told: Told
    count: int


def short(message: str) -> str:
    """Return as much of a message's id as tells it from the others of its change."""
    return message[:10]


def digest(change: Change) -> str:
    """Return a text that differs where `change` does."""
    return hashlib.sha256(repr(change).encode()).hexdigest()[:12]


def change_of(facts: ChangeFacts, relations: Relations, rules: Rules, groups: Groups = lambda _: ()) -> Change:
    """Return the change as the gate knows it."""
    against = (*blockers(facts, rules.labels, rules.own), *relations.blockers) if facts.open else ()

    def ids(numbers: Sequence[int]) -> tuple[ChangeId, ...]:
        return tuple(change_id(rules.connection, number) for number in numbers)

    return Change(
        id=change_id(rules.connection, facts.number),
        project=rules.names.get(facts.project, facts.project),
        branch=facts.branch,
        patchset=str(facts.patchset),
        commit=facts.commit,
        ref=facts.ref,
        title=facts.title,
        owner=facts.owner.shown,
        url=f"{rules.url.rstrip('/')}/c/{quote(facts.project, safe='/')}/+/{facts.number}",
        status=facts.status,
        approved=facts.open and not against,
        blockers=against,
        approvals=tuple(replace(approval, groups=groups(vote.by)) for approval, vote in zip(facts.approvals(), facts.votes, strict=True)),
        depends_on=ids(relations.depends_on) if facts.open else (),
        together=ids(relations.together) if facts.open else (),
        merge=facts.merge,
        topic=facts.topic,
        hashtags=facts.hashtags,
        wip=facts.wip,
        private=facts.private,
    )


def fresh(look: Looked) -> tuple[Message, ...]:
    """Return the messages that were not told yet, oldest first.

    What is older than all that is told was told, but for what a change that was read before did not have then: a push of much, or an index
    that lags, may show a message long after its date.
    """
    if look.since is None:
        return look.facts.messages
    since, read = look.since, look.read
    return tuple(
        message
        for message in look.facts.messages
        if (message.at >= since or (read is not None and message.id not in read and message.at >= since - LATEST))
        and short(message.id) not in look.told.ids
    )


def derive(look: Looked, rules: Rules, groups: Groups = lambda _: ()) -> Derived:
    """Return what is to be told of a change that was just read."""
    facts = look.facts
    change = change_of(facts, look.relations, rules, groups)
    new = fresh(look)
    if not facts.open:
        events = list(_ended(look, new, change))
    elif look.since is None:
        events = list(_first_sight(look, change, rules, groups))
    else:
        events = _happened(look, new, change, rules, groups)
    count = look.count
    if not events and facts.open and _altered(look, change):
        count += 1
        ready = _was_wip(look, new) and not change.wip
        events = [
            ChangeUpdated(change, Cause.READY if ready else Cause.UPDATED, f"{change.id}:{digest(change)}#{count}", files=facts.files)
        ]
    return Derived(change, tuple(events), Told(look.told.ids | {short(message.id) for message in new}, digest(change)), count)


def gone(before: Change | None, told: Told, count: int = 0) -> tuple[ChangeUpdated, ...]:
    """Return what is to be told of a change that Gerrit has no more, or no longer shows: that it is abandoned, once.

    It may be shown and hidden again just as it was: `count` tells one time from the other.
    """
    if before is None or before.status is not ChangeStatus.OPEN:
        return ()
    change = replace(before, status=ChangeStatus.ABANDONED, approved=False, blockers=(), depends_on=(), together=())
    return (ChangeUpdated(change, Cause.ABANDONED, f"{change.id}:gone:{told.digest or digest(before)}{f'#{count}' if count else ''}"),)


def _altered(look: Looked, change: Change) -> bool:
    """Whether the gate should hear of `change` although nothing happened that has a name. Of one never told before it always should."""
    return digest(change) != (digest(look.before) if look.before is not None else look.told.digest)


def _ended(look: Looked, new: Sequence[Message], change: Change) -> Iterator[ChangeUpdated]:
    cause = _ENDINGS[change.status]
    ending = next((message for message in reversed(look.facts.messages) if _KINDS.get(message.kind) is cause), None)
    if ending is not None and ending in new and look.since is not None:
        yield ChangeUpdated(change, cause, _key(change, ending), by=ending.by.called)
    elif look.before is not None and look.before.status is ChangeStatus.OPEN:
        key = _key(change, ending) if ending is not None else f"{change.id}:{cause.value}:{change.patchset}"
        yield ChangeUpdated(change, cause, key, by=ending.by.called if ending is not None else "")


def _first_sight(look: Looked, change: Change, rules: Rules, groups: Groups) -> Iterator[ChangeUpdated]:
    """Tell a change that was there before Torii as if it had just been pushed, unless Torii has spoken of its patch set already."""
    if not _spoken_of(look.facts, rules) and not rules.ignores(look.facts.uploader):
        yield _pushed(look.facts, change, _uploaded(look.facts), groups)
    elif change.approved:
        last = look.facts.messages[-1] if look.facts.messages else None
        key = f"{change.id}:first:{short(last.id) if last else change.patchset}"
        yield ChangeUpdated(change, Cause.APPROVED, key, by=last.by.called if last else "", files=look.facts.files)


def _happened(look: Looked, new: Sequence[Message], change: Change, rules: Rules, groups: Groups) -> list[ChangeUpdated]:
    facts = look.facts
    uploaded = _uploaded(facts)
    events = []
    for message in new:
        cause = _cause(message, facts, new, rules)
        if cause is None:
            continue
        if cause is Cause.PATCHSET_CREATED:
            events.append(_pushed(facts, change, message, groups))
        else:
            events.append(_told(message, cause, change, facts, rules, groups))
    causes = {cause for event in events for cause in (event.cause, *event.also)}
    hidden = look.before is None or look.before.status is not ChangeStatus.OPEN
    if Cause.PATCHSET_CREATED not in causes and hidden and not _spoken_of(facts, rules) and not rules.ignores(facts.uploader):
        # Nobody but those it was shown to could see it until now.
        public = next((message for message in new if message.kind == _MADE_PUBLIC), None)
        if public is not None:
            events.append(_pushed(facts, change, public, groups))
        elif facts.private and not look.told.digest and uploaded is not None:
            events.append(_pushed(facts, change, uploaded, groups))
    if events and not facts.wip and not causes & _BRINGS_APPROVAL and _was_wip(look, new):
        # Gerrit's "start review" leaves a comment, and no word of its own that the change is ready.
        place = next((n for n, event in enumerate(events) if event.cause is Cause.COMMENT_ADDED), 0)
        also = (Cause.READY, *((Cause.APPROVED,) if change.approved else ()))
        events[place] = replace(events[place], also=tuple(dict.fromkeys((*events[place].also, *also))))
    return events


def _cause(message: Message, facts: ChangeFacts, new: Sequence[Message], rules: Rules) -> Cause | None:
    """Return what an open change's `message` is told as; None where it starts nothing, or is overtaken by a later one."""
    if rules.ignores(message.by):
        return None
    if not message.kind:
        return None if message.by.number == rules.own else Cause.COMMENT_ADDED
    if message.kind == _MOVED:  # for another branch it is another change, never tested there
        return Cause.PATCHSET_CREATED if message is [each for each in new if each.kind == _MOVED][-1] else None
    cause = _KINDS.get(message.kind)
    match cause:
        case Cause.PATCHSET_CREATED:
            return cause if message.patchset == facts.patchset and message is _uploaded(facts) else None
        case Cause.ABANDONED | Cause.MERGED:
            return None  # it is open, so it was restored
        case Cause.RESTORED | Cause.READY:
            last = message is [each for each in new if each.kind == message.kind][-1]
            return cause if last and not (cause is Cause.READY and facts.wip) else None
        case Cause.VOTE_DELETED:
            return cause if message.kind == "deleteVote" or "\n* " in message.raw else None
        case _:
            return cause


def _pushed(facts: ChangeFacts, change: Change, message: Message | None, groups: Groups) -> ChangeUpdated:
    return ChangeUpdated(
        change,
        Cause.PATCHSET_CREATED,
        _key(change, message) if message is not None else f"{change.id}:patchset:{change.patchset}",
        by=(message.by if message is not None else facts.uploader).called,
        also=(Cause.APPROVED,) if change.approved else (),
        groups=groups(message.by if message is not None else facts.uploader),
        files=facts.files,
    )


def _told(message: Message, cause: Cause, change: Change, facts: ChangeFacts, rules: Rules, groups: Groups) -> ChangeUpdated:
    cast = {(label, value) for label, value in message.votes if value}
    counting = (vote for vote in facts.votes if vote.by.number == message.by.number and (vote.label, vote.value) in cast)
    approves = cause in _BRINGS_APPROVAL or any(value > 0 and label not in rules.labels for label, value in cast)
    by = {(vote.label, vote.value) for vote in counting}
    return ChangeUpdated(
        change,
        cause,
        _key(change, message),
        by=message.by.called,
        also=(Cause.APPROVED,) if change.approved and approves else (),
        comment=message.text if cause is Cause.COMMENT_ADDED else "",
        votes=tuple(vote for vote in change.approvals if vote.by == message.by.called and (vote.label, vote.value) in by),
        groups=groups(message.by),
        files=facts.files,
    )


def _uploaded(facts: ChangeFacts) -> Message | None:
    """Return the message that tells of the current patch set, None where there is none."""
    new = (message for message in facts.messages if _KINDS.get(message.kind) is Cause.PATCHSET_CREATED)
    return next((message for message in new if message.patchset == facts.patchset), None)


def _spoken_of(facts: ChangeFacts, rules: Rules) -> bool:
    """Whether Torii has voted or commented on the current patch set."""
    return any(message.by.number == rules.own and message.patchset == facts.patchset and not message.kind for message in facts.messages)


def _was_wip(look: Looked, new: Sequence[Message]) -> bool:
    """Whether the change was work in progress when it was told last; where that is not known, as far as its log says so."""
    if look.before is not None:
        return look.before.wip
    said = False
    for message in look.facts.messages:
        if message in new:
            break
        if message.kind in ("newWipPatchSet", "setWorkInProgress"):
            said = True
        elif message.kind in ("newPatchSet", "setReadyForReview"):
            said = False
    return said and look.told.digest == ""


def _key(change: Change, message: Message) -> str:
    return f"{change.id}:{short(message.id)}"
