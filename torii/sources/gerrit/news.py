"""Look where hints point, and tell what is new there. One thread's own: it remembers what it told, in what is committed with the events.

A look that Gerrit breaks off raises, and has told nothing that it will not tell again with the same key.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace

import structlog

from torii.errors import ToriiError
from torii.model.change import Change, ChangeStatus
from torii.model.event import BranchMoved, ChangeUpdated
from torii.model.ids import ProjectName, Sha
from torii.model.pipeline import Cause
from torii.runtime.ports import Cursor
from torii.sources.gerrit.branches import BranchReader
from torii.sources.gerrit.catchup import updated_since
from torii.sources.gerrit.cursor import Progress, dump
from torii.sources.gerrit.derive import OVERLAP, Derived, Looked, Relations, Told, derive, fresh, gone, short
from torii.sources.gerrit.errors import GerritError, GerritRefusedError, GerritUnavailableError
from torii.sources.gerrit.facts import ChangeFacts, change_id
from torii.sources.gerrit.hints import Hint
from torii.sources.gerrit.identity import Identity, Watch
from torii.sources.gerrit.lagging import behind
from torii.sources.gerrit.memory import Known, Memory
from torii.sources.gerrit.pending import Work
from torii.sources.gerrit.people import People
from torii.sources.gerrit.reader import AT_ONCE, ChangeReader
from torii.sources.gerrit.related import Relatives, Standing, descendants, related
from torii.sources.gerrit.rest import GerritRest

log = structlog.get_logger()

_SLACK = 2.0
"""Seconds by which the server's clock, read to the second, is set back to be sure."""

_ANY_PROJECT = ProjectName("")
_NO_COMMIT = Sha("0" * 40)
_DEEPEST = 20
_REREAD = 500
_MOST_AT_FIRST = 20_000
_MOVES = {"newPatchSet", "newWipPatchSet", "abandon", "restore"}


class News:
    """Tells through `post` what hints lead to; `again` takes hints of what must be looked at anew. `progress` is where to go on from."""

    def __init__(
        self,
        watch: Watch,
        rest: GerritRest,
        identity: Identity,
        post: Callable[[Sequence[ChangeUpdated | BranchMoved], Cursor], None],
        again: Callable[[Iterable[Hint]], None],
        progress: Progress,
    ) -> None:
        self._watch = watch
        self._rest = rest
        self._post = post
        self._again = again
        self._progress = progress
        self._memory = Memory()
        self._reader = ChangeReader(rest, watch.names, watch.files)
        self._branches = BranchReader(watch.connection, rest)
        self._people = People(rest, watch.groups)
        self._identity = identity
        self._committed = ""
        self._never_seen: set[int] = set()
        self._followed: set[int] = set()
        self.problems: dict[ProjectName, str] = {}
        """What is wrong with a project, by our name of it."""

    def look(self, work: Work) -> None:
        """Look at all of `work` and tell what is new. Raises GerritError where Gerrit does not answer, or does not know us."""
        if work.everything:
            self._identity.refresh()
            self._look_at_everything(thorough=work.thorough)
        for name, branches in work.branches.items():
            if name in self._watch.names:
                self._look_at_branches(name, branches)
        if wanted := {number: name or None for number, name in work.changes.items() if not name or name in self._watch.names}:
            self._look_at_changes(wanted)

    # -- everything

    def _look_at_everything(self, *, thorough: bool) -> None:
        now = self._server_time() - _SLACK
        for name in self._watch.names:
            self._look_at_branches(name, None)
        first = self._progress.since is None
        if first:
            now = self._progress.began = self._progress.began or now  # one that was cut short goes on where it was
        since = now - self._watch.first_look if self._progress.since is None else self._progress.since - OVERLAP
        found: dict[int, ChangeFacts] = {}
        for page in updated_since(self._rest, since, tuple(self._watch.names), self._reader.options):
            found |= self._reader.facts(page)
            if first and len(found) >= _MOST_AT_FIRST:
                log.warning("gerrit.first_look_too_long", connection=self._watch.connection, changes=len(found))
                break
        # What happened first is told first; of what is told together, what others stand on goes first anyway.
        ordered = sorted(found.values(), key=lambda facts: (facts.updated, facts.number))
        for start in range(0, len(ordered), AT_ONCE):
            self._tell_all(ordered[start : start + AT_ONCE], now if first else None)
        if thorough and not first:
            known = [number for number in self._memory.open_changes(_REREAD) if number not in found]
            if known:
                self._look_at_changes(dict.fromkeys(known))
        self._progress.reach(now, OVERLAP)
        self._commit(())
        log.info("gerrit.caught_up", connection=self._watch.connection, changes=len(found), first=first)

    def _server_time(self) -> float:
        """Return what Gerrit's clock shows, which a connection learns with its first answer. Raises GerritError."""
        if (now := self._rest.server_time()) is None:
            self._rest.get("accounts/self")
            now = self._rest.server_time()
        if now is None:
            raise GerritError(
                f"Gerrit {self._watch.connection!r} ({self._watch.url}) does not say what time it is: its answers have no Date. "
                "Does a server in front of it take that away?"
            )
        return now

    # -- branches

    def _look_at_branches(self, name: ProjectName, only: frozenset[str] | None) -> None:
        ours = self._watch.names[name]
        before = self._progress.tips.get(name)
        try:
            now = self._branches.tips(name, only, before)
            events, count = self._branches.moved(name, before, now, self._progress.count)
        except GerritRefusedError as error:
            if error.status == 401:
                raise
            self.problems[ours] = f"its branches cannot be read: {error}"
            return
        self.problems.pop(ours, None)
        self._memory.land(name, now.values())
        if before != now:
            self._progress.tips[name] = now
            self._progress.count = count
            self._commit([replace(event, project=ours) for event in events])

    # -- changes

    def _look_at_changes(self, wanted: Mapping[int, ProjectName | None]) -> None:
        try:
            self._look_together(wanted)
        except ToriiError:
            raise
        except Exception as error:
            if len(wanted) > 1:  # one that cannot be understood must not keep the others from being told
                for number, name in wanted.items():
                    self._look_at_changes({number: name})
                return
            for number, name in wanted.items():
                self._failed(number, name, error)

    def _tell_all(self, found: Sequence[ChangeFacts], first: float | None) -> None:
        """Tell what is new of `found`, as `_tell` does. What cannot be understood is logged, and keeps nothing else from being told."""
        try:
            self._tell({facts.number: facts for facts in found}, first=first)
        except ToriiError:
            raise
        except Exception as error:
            if len(found) > 1:
                for facts in found:
                    self._tell_all([facts], first)
                return
            self._failed(found[0].number, found[0].project, error)

    def _failed(self, number: int, name: ProjectName | None, error: Exception) -> None:
        log.error("gerrit.change_failed", connection=self._watch.connection, change=number, exc_info=error)
        self._problem(name, f"change {number} could not be looked at: {type(error).__name__}: {error}")

    def _problem(self, name: ProjectName | None, words: str) -> None:
        """Show it until the project's branches are read again; where nobody knows of which it is, the log alone says it."""
        if name is not None and (ours := self._watch.names.get(name)) is not None:
            self.problems[ours] = words

    def _look_together(self, wanted: Mapping[int, ProjectName | None]) -> None:
        reading = self._reader.read(wanted)
        if reading.found:
            self._tell(reading.found, alone=reading.alone)
        for number, reason in reading.broken.items():
            self._problem(wanted[number], f"change {number} cannot be read: {reason}")
        for number in reading.missing:
            self._tell_gone(number, wanted[number])

    def _tell_gone(self, number: int, project: ProjectName | None) -> None:
        known = self._memory.known(number)
        change = known.change if known is not None else self._unknown(number, project)
        count = self._progress.count + 1 if known is not None else 0
        if not (events := gone(change, self._progress.told.get(number, Told()), count)):
            return
        if known is None:
            self._never_seen.add(number)
        else:
            self._progress.count = count
            ended = replace(known, change=events[0].change, facts=replace(known.facts, status=ChangeStatus.ABANDONED))
            self._memory.learn(ended)
            self._again(Hint(known.facts.project, change=each) for each in self._memory.dependants(number))
        log.info("gerrit.change_gone", connection=self._watch.connection, change=number)
        self._commit(events)

    def _unknown(self, number: int, project: ProjectName | None) -> Change | None:
        """Return a change of which no more is known than that it is gone: told before the last start, perhaps."""
        if project is None or project not in self._watch.names or number in self._never_seen:
            return None
        return Change(change_id(self._watch.connection, number), self._watch.names[project], "", "", _NO_COMMIT, "")

    def _tell(self, found: Mapping[int, ChangeFacts], first: float | None = None, alone: Collection[int] = ()) -> None:
        """Tell what is new of the changes `found`, of which those `alone` were read by themselves.

        `first`, where nothing was told ever, is the time up to which all is told then.
        """
        rules = self._identity.rules()
        since = self._progress.since - OVERLAP if self._progress.since is not None else None
        batch: dict[int, ChangeFacts] = {}
        standings: dict[int, Standing] = {}
        adding = found = self._not_older(found, alone)
        for _ in range(_DEEPEST):
            batch |= {number: self._with_comments(facts, since) for number, facts in adding.items()}
            relatives = Relatives(self._rest.get, self._memory, batch, self._identity.whole_topics())
            standings = {number: self._standing(relatives, facts) for number, facts in batch.items()}
            wanted = {other for each in standings.values() for other in (*each.relations.depends_on, *each.relations.together)}
            unknown = {number for number in wanted if number not in batch and self._memory.known(number) is None}
            reading = self._reader.read(dict.fromkeys(unknown))
            adding = self._not_older(reading.found, reading.alone)
            if not adding:
                break
        count = self._progress.count
        derived: dict[int, Derived] = {}
        for number, facts in batch.items():
            known = self._memory.known(number)
            looked = Looked(
                facts,
                standings[number].relations,
                known.change if known is not None else None,
                self._progress.told.get(number, Told()),
                since if first is None else None if number in found and number not in self._progress.told else first - OVERLAP,
                count,
                self._read_of(number),
            )
            derived[number] = derive(looked, rules, self._people.groups)
            count = derived[number].count
        self._progress.count = count
        self._learn(batch, standings, derived, (first if first is not None else self._progress.since) or 0.0, first=first is not None)

    def _not_older(self, found: Mapping[int, ChangeFacts], alone: Collection[int]) -> Mapping[int, ChangeFacts]:
        """Return `found`, where what is older than what was read before, or than its own messages, is read anew by itself.

        A query answers from an index that lags behind the changes: told as it is, an approval would be gone again for a moment, or be told
        as a comment that approves nothing. Those `alone` were read by themselves.
        """
        older = {number: facts.project for number, facts in found.items() if number not in alone and self._lags(facts)}
        anew = {number: facts for number, name in older.items() for facts in self._reader.read({number: name}).found.values()}
        return {number: anew.get(number, facts) for number, facts in found.items() if number in anew or number not in older}

    def _lags(self, facts: ChangeFacts) -> bool:
        number, known = facts.number, self._memory.known(facts.number)
        if known is not None:
            before, now = ({each.id for each in each.messages} for each in (known.facts, facts))
            # The index may know all messages, but not yet the votes that they tell of.
            if not before <= now or (before == now and replace(facts, messages=known.facts.messages) != known.facts):
                return True
        since = self._progress.since - OVERLAP if self._progress.since is not None else None
        new = fresh(Looked(facts, told=self._progress.told.get(number, Told()), since=since, read=self._read_of(number)))
        return behind(facts, new, (self._rest.server_time() or 0.0) - OVERLAP)

    def _read_of(self, number: int) -> frozenset[str] | None:
        known = self._memory.known(number)
        return frozenset(message.id for message in known.facts.messages) if known is not None else None

    def _learn(
        self, batch: Mapping[int, ChangeFacts], standings: Mapping[int, Standing], derived: Mapping[int, Derived], since: float, first: bool
    ) -> None:
        """Remember and post what was derived, and have looked at again whatever it has a bearing on."""
        # All questions come before anything is learned: what is learned, and then not told because an answer is missing, is lost.
        again = set() if first else {each for facts in batch.values() for each in self._left_behind(facts, since)}
        events: list[ChangeUpdated] = []
        # What ended comes first; a change that depends on another depends on all that the other depends on, and so on more.
        for number in sorted(derived, key=lambda each: (batch[each].open, len(derived[each].change.depends_on), batch[each].updated, each)):
            facts, now = batch[number], derived[number]
            before = self._memory.known(number)
            if not first:
                again |= self._touched(facts, before, standings[number])
            events += now.events
            standing = standings[number]
            self._memory.learn(Known(facts, now.change, standing.relations, standing.above))
            if facts.status is ChangeStatus.MERGED:
                self._memory.land(facts.project, [facts.commit])
            recent = {short(message.id) for message in facts.messages if message.at >= since - OVERLAP}
            newest = max((message.at for message in facts.messages), default=facts.updated)
            self._progress.learn(number, Told(now.told.ids & recent, now.told.digest), newest)
        self._commit(events)
        self._again(Hint(_ANY_PROJECT, change=number) for number in sorted(again - set(batch)))

    def _left_behind(self, facts: ChangeFacts, since: float) -> list[int]:
        """Return the changes that stand on what this one was until a moment ago, where not all of those are known. Raises GerritError.

        All are known of a change that was new when this process read it first: whatever stands on it was told since.
        """
        known, number = self._memory.known(facts.number), facts.number
        if number in self._followed or facts.status is ChangeStatus.MERGED:
            return []
        looked = Looked(facts, told=self._progress.told.get(number, Told()), since=since - OVERLAP, read=self._read_of(number))
        moved = any(message.kind in _MOVES for message in fresh(looked))
        if facts.open and facts.patchset == 1:
            if known is None and moved:
                self._followed.add(number)
            return []
        if (known.facts.patchset, known.facts.status) == (facts.patchset, facts.status) if known is not None else not moved:
            return []
        self._followed.add(number)
        before = known.facts.patchset if known is not None else facts.patchset - 1 if facts.open else facts.patchset
        return self._descendants(facts, before)

    def _touched(self, facts: ChangeFacts, before: Known | None, standing: Standing) -> set[int]:
        """Return the changes that must be read again because of what happened to this one."""
        touched: set[int] = set()
        if before is not None and (before.facts.patchset, before.facts.status) != (facts.patchset, facts.status):
            touched |= self._memory.dependants(facts.number)
        once = before.relations.together if before is not None else ()
        for other in {*once, *standing.relations.together} - {facts.number}:
            known = self._memory.known(other)
            if known is None or set(known.relations.together) != set(standing.relations.together):
                touched.add(other)
        return touched

    def _descendants(self, facts: ChangeFacts, patchset: int) -> list[int]:
        try:
            return descendants(related(self._rest.get, facts, patchset), facts.number)
        except GerritRefusedError:  # it is gone again, or that patch set is
            return []

    def _standing(self, relatives: Relatives, facts: ChangeFacts) -> Standing:
        try:
            return relatives.standing(facts)
        except GerritUnavailableError:
            raise
        except GerritError as error:
            log.warning("gerrit.relations_unknown", connection=self._watch.connection, change=facts.number, reason=str(error))
            return Standing(relations=Relations(blockers=(f"what it stands on cannot be read: {error}",)))

    def _with_comments(self, facts: ChangeFacts, since: float | None) -> ChangeFacts:
        if since is None or not facts.open:
            return facts
        told = self._progress.told.get(facts.number, Told())
        new = {message.id for message in fresh(Looked(facts, told=told, since=since, read=self._read_of(facts.number)))}
        own = self._identity.rules().own
        try:
            return self._reader.with_remarks(facts, lambda message: message.id in new and message.by.number != own)
        except GerritRefusedError as error:
            log.warning("gerrit.comments_unknown", connection=self._watch.connection, change=facts.number, reason=str(error))
            return facts

    # -- telling

    def _commit(self, events: Sequence[ChangeUpdated | BranchMoved]) -> None:
        state = dump(self._progress)
        if events or state != self._committed:
            self._post(events, Cursor(self._watch.connection, state))
            self._committed = state
        for event in events:
            log.info("source.event", source=self._watch.connection, key=event.key, cause=_cause(event))


def _cause(event: ChangeUpdated | BranchMoved) -> str:
    return event.cause.value if isinstance(event, ChangeUpdated) else Cause.BRANCH_UPDATED.value
