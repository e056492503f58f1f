"""Whatever people do, in whatever order it is heard of, and however often Torii is killed: each thing is told once, and all is known."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.fake_gerrit import FakeGerrit
from tests.support.gerrit_news import Reading
from torii.model.change import Change, ChangeStatus
from torii.model.event import BranchMoved, ChangeUpdated
from torii.model.pipeline import Cause
from torii.sources.gerrit.errors import GerritUnavailableError

ACTS = st.sampled_from(
    ["push", "push on", "amend", "comment", "page", "own", "approve", "veto", "abandon", "restore", "merge", "wip", "ready"]
)
LOOKS = st.sampled_from(["hint", "hints", "catch up", "restart", "killed", "away", "wait", "nothing", "nothing", "nothing"])
STEPS = st.lists(st.tuples(ACTS, LOOKS, st.integers(0, 1000)), max_size=40)


class World:
    """A Gerrit, a reading of it, and what ought to have been told."""

    def __init__(self) -> None:
        self.gerrit = FakeGerrit()
        self.gerrit.page = 3
        self.reading = Reading(self.gerrit)
        self.reading.catch_up()
        self._keep()
        self.said: list[tuple[int, str]] = []
        self.others: list[int] = []

    def act(self, act: str, pick: int) -> None:
        changes = list(self.gerrit.changes.values())
        open_ones = [each.number for each in changes if each.status == "NEW"]
        abandoned = [each.number for each in changes if each.status == "ABANDONED"]
        if act == "push" or not changes:
            self.gerrit.push()
        elif act == "restore" and abandoned:
            self.gerrit.restore(abandoned[pick % len(abandoned)])
        elif open_ones:
            self._act_on(act, open_ones[pick % len(open_ones)])

    def _act_on(self, act: str, number: int) -> None:
        gerrit = self.gerrit
        match act:
            case "push on":
                gerrit.push(on=number)
            case "amend":
                gerrit.amend(number)
            case "comment" | "page":
                self.said.append((number, gerrit.comment(number, "recheck", page=act == "page")))
            case "own":
                gerrit.comment(number, "recheck", by="torii")
            case "approve" | "veto":
                self.said.append((number, gerrit.vote(number, 2 if act == "approve" else -2)))
            case "abandon":
                gerrit.abandon(number)
                # What was said before may not be heard of before this, and then is of no use any more.
                self.said = [(where, id_) for where, id_ in self.said if where != number]
            case "merge":
                gerrit.merge(number)
            case "wip" | "ready":
                gerrit.set_wip(number, act == "wip")

    def look(self, look: str, pick: int) -> None:
        reading, numbers = self.reading, list(self.gerrit.changes)
        match look:
            case "hint":
                reading.look(numbers[pick % len(numbers)])
            case "hints":
                reading.look(*reversed(numbers))
            case "catch up":
                reading.catch_up()
            case "restart":
                reading.restart()
                reading.catch_up()
            case "killed":
                # What was told after the cursor was kept is as lost as the cursor: they are kept in one transaction.
                cursor, told = self.kept
                del reading.events[told:]
                reading.restart(cursor)
                reading.catch_up()
            case "away":
                self.gerrit.away = True
                try:
                    reading.catch_up()
                except GerritUnavailableError:
                    self.gerrit.away = False
            case "wait":
                self.gerrit.now += 500.0
                reading.catch_up()
        if pick % 3 == 0:
            self._keep()

    def _keep(self) -> None:
        self.kept = (self.reading.cursor, len(self.reading.events))


def as_the_gate_hears(events: list[ChangeUpdated | BranchMoved]) -> list[ChangeUpdated]:
    seen: set[str] = set()
    heard = []
    for event in events:
        if event.key not in seen and isinstance(event, ChangeUpdated):
            heard.append(event)
        seen.add(event.key)
    return heard


@given(STEPS)
@settings(max_examples=100)
def test_each_thing_is_told_once_and_the_gate_knows_how_it_is(steps):
    world = World()
    for act, look, pick in steps:
        world.act(act, pick)
        world.look(look, pick)
    world.reading.catch_up(thorough=True)
    heard = as_the_gate_hears(world.reading.events)
    known: dict[str, Change] = {event.change.id: event.change for event in heard}
    for number, change in world.gerrit.changes.items():
        now = known[f"lab:{number}"]
        assert now.status is {"NEW": ChangeStatus.OPEN, "MERGED": ChangeStatus.MERGED, "ABANDONED": ChangeStatus.ABANDONED}[change.status]
        if change.status == "NEW":
            parent = change.revisions[-1][1][0]
            below = [each for each in world.gerrit.changes.values() if any(commit == parent for commit, _ in each.revisions)]
            good = any(value == 2 for value, _ in change.votes.values())
            assert now.patchset == str(len(change.revisions))
            assert now.wip == change.wip
            outdated = [each for each in below if each.commit != parent or each.status == "ABANDONED"]
            assert now.approved == (good and not change.wip and not outdated), now.blockers
            assert set(now.depends_on) >= {f"lab:{each.number}" for each in below if each.status == "NEW"}
    comments = [event.key for event in heard if event.cause is Cause.COMMENT_ADDED]
    assert len(comments) == len(set(comments))
    closed = {number for number, change in world.gerrit.changes.items() if change.status != "NEW"}
    expected = {f"lab:{number}:{id_[:10]}" for number, id_ in world.said if number not in closed}
    assert expected <= set(comments)
    assert not any(event.by == "torii" and event.cause is Cause.COMMENT_ADDED for event in heard)


@given(STEPS)
@settings(max_examples=50)
def test_a_catch_up_after_all_is_told_has_nothing_to_tell(steps):
    world = World()
    for act, look, pick in steps:
        world.act(act, pick)
        world.look(look, pick)
    reading = world.reading
    reading.catch_up(thorough=True)
    before = list(reading.events)
    reading.catch_up(thorough=True)
    assert reading.events == before
    known = {event.change.id: event.change for event in as_the_gate_hears(before)}
    reading.restart()
    reading.catch_up()
    # A new process tells once more of what others stand on, which is known as it is.
    for event in reading.events[len(before) :]:
        assert isinstance(event, ChangeUpdated)
        assert event.cause is Cause.UPDATED
        assert event.change == known[event.change.id]
