"""Have Gerrit merge the tested patch set, or nothing, and read back what landed. Each attempt reads the change and its branch anew.

Gerrit makes the commit that lands itself, so what is compared is trees: the branch's before, and afterwards the one that landed. It merges
whatever belongs together (a whole topic) at once; that is done for all of it, or not at all.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence

import structlog

from torii.errors import OperatorError
from torii.model.change import ChangeStatus
from torii.model.command import Submit
from torii.model.event import Merged, Moved, Refused, SubmitUnavailable
from torii.model.ids import ChangeId, ProjectName, Sha
from torii.sources.gerrit.approval import blockers
from torii.sources.gerrit.derive import Rules
from torii.sources.gerrit.errors import GerritError, GerritRefusedError, GerritUnavailableError
from torii.sources.gerrit.facts import ChangeFacts, StrangeChangeError, facts_of, number_of
from torii.sources.gerrit.landed import LandedStates, State
from torii.sources.gerrit.rest import GerritRest, quote

log = structlog.get_logger()

Outcome = Merged | Moved | Refused | SubmitUnavailable

PAUSES = (0.3, 1.0, 3.0)
"""Seconds before each further attempt."""

LONGEST_PAUSE = 30.0
"""Seconds. Where Gerrit asks to be left alone for longer, the submit is asked for again later."""

ASKED_LATELY = 120.0
"""Seconds for which a submit is remembered, until all that is merged together with it is asked for too."""

_OPTIONS = [("o", "CURRENT_REVISION"), ("o", "DETAILED_LABELS"), ("o", "SUBMIT_REQUIREMENTS")]

# What Gerrit says (with 409) where it was only too busy.
_PASSING = ("lock failure", "lock_failure", "concurrent")


def judge(submit: Submit, now: ChangeFacts | None, rules: Rules) -> Refused | None:
    """Return why `submit` must not be carried out, as its change is `now` (None: not there); None where it may be."""
    change = submit.change
    if now is None:
        return Refused(f"{change.id} is gone: it was deleted, or is hidden from Torii's account by now")
    if now.status is ChangeStatus.ABANDONED:
        return Refused(f"{change.id} is gone: it was abandoned")
    if now.commit != change.commit:
        return Refused(f"{change.id} is at another patch set by now, {now.patchset}; {change.patchset} was tested")
    if (now.project, now.branch) != (change.project, change.branch):
        return Refused(f"{change.id} is for another branch by now, {now.project} {now.branch}")
    against = blockers(now, rules.labels, rules.own)
    if change.approved and against:
        return Refused(f"{change.id} is no longer approved: {'; '.join(against)}")
    return None


def spoken(text: str) -> str:
    """Return what Gerrit says of a submit that it refused, without what it puts around it."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if len(lines) > 1 and lines[0].startswith("Failed to submit"):
        lines = lines[1:]
    return "; ".join(dict.fromkeys(lines))[:1000] or "nothing"


class GerritSubmitter:
    """Carries out submits through `rest`. `states` are the branches of each project; `rules` says which account and labels are Torii's.

    `stopping` ends waiting; `patience` multiplies the pauses between attempts. For any number of threads, if the submits to one branch come
    from one at a time.
    """

    def __init__(
        self,
        rest: GerritRest,
        states: Mapping[ProjectName, LandedStates],
        rules: Callable[[], Rules],
        stopping: threading.Event,
        patience: float = 1.0,
    ) -> None:
        self._rest = rest
        self._states = states
        self._rules = rules
        self._stopping = stopping
        self._pauses = tuple(pause * patience for pause in PAUSES)
        self._asked: dict[ChangeId, tuple[float, Submit]] = {}
        self._lock = threading.Lock()

    def submit(self, submit: Submit) -> Outcome:
        """Return what became of `submit`. Raises nothing for what Gerrit or git does, ValueError for a change that is none of Gerrit's."""
        return self.submit_all([submit])[0]

    def submit_all(self, submits: Sequence[Submit]) -> list[Outcome]:
        """Return what became of each of `submits`, carried out in order; what merges together, at the first of it. Raises like `submit`."""
        outcomes: dict[int, Outcome] = {}
        tip: State | None = None
        for place, submit in enumerate(submits):
            if place in outcomes:
                continue
            before = submits[place - 1].change if place else None
            if before is None or (before.project, before.branch) != (submit.change.project, submit.change.branch):
                tip = None  # else it was read a moment ago
            failed = outcomes.get(place - 1)
            if isinstance(failed, SubmitUnavailable) and before is not None and submits[place - 1].commit == submit.onto:
                outcomes[place] = SubmitUnavailable(f"the change ahead could not be merged: {failed.reason}")
                continue
            group = self._group(submit, submits)
            if isinstance(group, SubmitUnavailable):
                outcomes[place] = group
                continue
            found, tip = self._patiently(group, tip if len(group) == 1 else None)
            self._forget_unless_merged(group, found)
            for other, one in enumerate(submits):
                if one.change.id in found:
                    outcomes.setdefault(other, found[one.change.id])
        return [outcomes[place] for place in range(len(submits))]

    def _group(self, submit: Submit, given: Sequence[Submit]) -> list[Submit] | SubmitUnavailable:
        """Return the submits that are one merge with `submit`, in merge order: of those `given`, and those asked for a moment ago."""
        now = time.monotonic()
        with self._lock:
            self._asked = {change: (at, one) for change, (at, one) in self._asked.items() if now - at < ASKED_LATELY}
            for one in given:
                if one.change.together:
                    self._asked[one.change.id] = (now, one)
            asked = {change: one for change, (_, one) in self._asked.items()}
        missing = [change for change in submit.change.together if change not in asked and change != submit.change.id]
        if missing:
            return SubmitUnavailable(f"{', '.join(missing)}, which would be merged with it, is not to be merged yet")
        return [asked[change] for change in submit.change.together] or [submit]

    def _forget_unless_merged(self, group: Sequence[Submit], found: Mapping[ChangeId, Outcome]) -> None:
        """What was not merged is tested anew, perhaps, before it is asked for again: until then none of it is to be merged."""
        if not all(isinstance(outcome, Merged) for outcome in found.values()):
            with self._lock:
                for one in group:
                    self._asked.pop(one.change.id, None)

    def _patiently(self, group: Sequence[Submit], tip: State | None) -> tuple[dict[ChangeId, Outcome], State | None]:
        """Return what became of `group`, and the tip of its last branch where that was read."""
        problem = ""
        for pause in (*self._pauses, None):
            try:
                outcomes, tip = _Attempt(self._rest, self._states, self._rules(), group).run(tip)
                return outcomes, tip
            except (OperatorError, OSError) as error:
                problem, tip = str(error), None
                asked = error.retry_after if isinstance(error, GerritUnavailableError) else None
                wait = max(pause or 0.0, asked or 0.0)
                if pause is None or wait > LONGEST_PAUSE or self._stopping.wait(wait):
                    break
                log.info("gerrit.submit_again", connection=self._rest.name, change=group[0].change.id, reason=problem)
        return {submit.change.id: SubmitUnavailable(problem) for submit in group}, None


class _Attempt:
    """One attempt at one merge. Raises OperatorError (of Gerrit or git) where it could not be finished; the next one reads all anew."""

    def __init__(self, rest: GerritRest, states: Mapping[ProjectName, LandedStates], rules: Rules, group: Sequence[Submit]) -> None:
        self._rest = rest
        self._states = states
        self._rules = rules
        self._group = group
        self._tips: dict[tuple[ProjectName, str], State] = {}

    def run(self, tip: State | None) -> tuple[dict[ChangeId, Outcome], State | None]:
        """Return the outcomes and, of a single change, the tip of its branch as the merge left it. `tip` is the one before, if known."""
        now = {submit.change.id: self._read(submit.change.id) for submit in self._group}
        if merged := [submit for submit in self._group if _is_merged(now[submit.change.id])]:
            return self._rest_of(merged, now)
        if stopped := self._judge(now) or self._moved(tip) or self._joined(now):
            return stopped, None
        head = self._group[0].change
        try:
            self._rest.post(f"changes/{number_of(head.id)}/revisions/{head.commit}/submit", {})
        except GerritRefusedError as error:
            return self._refused(error), None
        if len(self._group) == 1 and (tip := self._one_further(self._group[0])):
            return {head.id: Merged(tip.commit, tip.tree)}, tip
        return self._landed(self._group, {})

    def _rest_of(
        self, merged: Sequence[Submit], now: Mapping[ChangeId, ChangeFacts | None]
    ) -> tuple[dict[ChangeId, Outcome], State | None]:
        """Return the outcomes where `merged` are merged already, and what is left, if anything, is to be."""
        outcomes, tip = self._landed(merged, now)
        left = [submit for submit in self._group if submit not in merged]
        if left:
            more, tip = _Attempt(self._rest, self._states, self._rules, left).run(None)
            outcomes |= more
        return outcomes, tip

    # ---- before ----------------------------------------------------------------------------------------------------------------

    def _read(self, change: ChangeId) -> ChangeFacts | None:
        try:
            return facts_of(self._rest.get(f"changes/{number_of(change)}", _OPTIONS))
        except StrangeChangeError as error:
            raise GerritError(f"Gerrit {self._rest.name!r}: {error}") from error
        except GerritRefusedError as error:
            if error.status != 404:
                raise
            return None

    def _judge(self, now: Mapping[ChangeId, ChangeFacts | None]) -> dict[ChangeId, Outcome]:
        """Return the outcomes where one of the group must not be merged, nothing where all may be."""
        refusals: dict[ChangeId, Outcome] = {}
        for submit in self._group:
            if refusal := judge(submit, now[submit.change.id], self._rules):
                refusals[submit.change.id] = refusal
        return self._with_others(refusals)

    def _moved(self, tip: State | None) -> dict[ChangeId, Outcome]:
        """Return the outcomes where a branch is not what was tested on, nothing where all are."""
        moved: dict[ChangeId, Outcome] = {}
        for mine in _by_branch(self._group):
            lowest = mine[0]
            branch = lowest.change.project, lowest.change.branch
            at = tip or self._tip(lowest)
            if at is None:
                moved |= dict.fromkeys([each.change.id for each in mine], Refused(f"the branch {lowest.change.branch} is gone"))
            elif at.commit != lowest.onto and (not at.tree or at.tree != self._tested_on(lowest)):
                moved |= dict.fromkeys([each.change.id for each in mine], Moved(at.commit))
            else:
                self._tips[branch] = at
        return self._with_others(moved)

    def _tip(self, submit: Submit) -> State | None:
        """Return where the branch is; its tree only where that is needed."""
        change = submit.change
        try:
            found = self._rest.get(f"projects/{quote(change.project)}/branches/{quote(change.branch)}")
        except GerritRefusedError as error:
            if error.status != 404:
                raise
            return None
        commit = Sha(found["revision"])
        if commit == submit.onto:
            return State(commit, submit.onto_tree or Sha(""))
        return State(commit, self._states[change.project].tree(change.branch, commit) or Sha(""))

    def _tested_on(self, submit: Submit) -> Sha | None:
        """Return the tree of what `submit` was tested on; None where that is not known."""
        return submit.onto_tree or self._states[submit.change.project].tree_here(submit.onto)

    def _joined(self, now: Mapping[ChangeId, ChangeFacts | None]) -> dict[ChangeId, Outcome]:
        """Return the outcomes where Gerrit would merge more than the group, nothing where not. Only a topic can have grown unseen."""
        if not any(facts is not None and facts.topic for facts in now.values()):
            return {}
        numbers = {number_of(submit.change.id) for submit in self._group}
        found = self._rest.get(f"changes/{number_of(self._group[0].change.id)}/submitted_together", [("o", "NON_VISIBLE_CHANGES")])
        others = sorted({int(each["_number"]) for each in found.get("changes", ())} - numbers)
        hidden = int(found.get("non_visible_changes", 0))
        if not others and not hidden:
            return {}
        who = ", ".join(str(number) for number in others) or f"{hidden} hidden from Torii"
        reason = f"Gerrit would merge with it what was not tested with it, by its topic: {who}"
        return {submit.change.id: Refused(reason) for submit in self._group}

    def _with_others(self, stopped: dict[ChangeId, Outcome]) -> dict[ChangeId, Outcome]:
        """Return `stopped` with an answer to the rest of the group, which cannot be merged without."""
        if not stopped:
            return {}
        change, cause = next(iter(stopped.items()))
        for submit in self._group:
            if isinstance(cause, Refused):
                stopped.setdefault(submit.change.id, Refused(f"{change}, which would be merged with it, is not: {cause.reason}"))
            else:
                stopped.setdefault(submit.change.id, SubmitUnavailable(f"{change}, which would be merged with it, must be tested again"))
        return stopped

    # ---- after -----------------------------------------------------------------------------------------------------------------

    def _refused(self, error: GerritRefusedError) -> dict[ChangeId, Outcome]:
        """Return what it means that Gerrit refused the merge; the change may have altered since it was read."""
        if error.status == 401 or any(words in error.text.lower() for words in _PASSING):
            raise error
        now = {submit.change.id: self._read(submit.change.id) for submit in self._group}
        if any(_is_merged(facts) for facts in now.values()):
            raise error  # by somebody else, just now: the next attempt finds what landed
        if stopped := self._judge(now):
            return stopped
        if error.status == 403:
            reason = f"Torii's account may not merge it ({spoken(error.text)}): grant it Submit; `torii gerrit check` says what is missing"
        else:
            reason = f"Gerrit refuses to merge it: {spoken(error.text)}"
        return {submit.change.id: Refused(reason) for submit in self._group}

    def _one_further(self, submit: Submit) -> State | None:
        """Return where the branch is now, if that was made from where it was in one step; None where it may be something else."""
        change = submit.change
        found = self._rest.get(f"projects/{quote(change.project)}/branches/{quote(change.branch)}")
        tip, before = Sha(found["revision"]), self._tips.get((change.project, change.branch))
        if tip == submit.commit:
            return State(submit.commit, submit.tree)
        if before is None or tip == before.commit:
            return None
        known = () if tip == change.commit else (change.commit, submit.commit)
        return self._states[change.project].made_from(before.commit, tip, known)

    def _landed(self, merged: Sequence[Submit], now: Mapping[ChangeId, ChangeFacts | None]) -> tuple[dict[ChangeId, Outcome], State | None]:
        """Return what landed with each of `merged`, and the tip of a single one's branch. `now` is as of after the merge, if read."""
        outcomes: dict[ChangeId, Outcome] = {}
        states: tuple[State, ...] = ()
        for mine in _by_branch(merged):
            project, name = mine[0].change.project, mine[0].change.branch
            before = self._tips.get((project, name))
            states = self._states[project].fetch(name, before.commit if before else None)
            for submit in mine:
                change = submit.change.id
                if not states:
                    outcomes[change] = Refused(f"{change} was merged, but its branch {name} is gone since")
                elif before is not None and submit is mine[-1] and [state.commit for state in states[1:]] == [before.commit]:
                    outcomes[change] = Merged(states[0].commit, states[0].tree)
                else:
                    outcomes[change] = self._found(submit, states, now.get(change) or self._read(change), mine[-1])
        return outcomes, states[0] if states and len(merged) == 1 else None

    def _found(self, submit: Submit, states: Sequence[State], facts: ChangeFacts | None, last: Submit) -> Outcome:
        if facts is None or not _is_merged(facts):
            return SubmitUnavailable(f"Gerrit says that it merged {submit.change.id}, and then that it did not")
        state = self._states[submit.change.project].first_with(facts.commit, states) or states[0]
        if state.tree != submit.tree and states[0].tree == last.tree:
            state = states[0]  # of what is merged at once Gerrit chooses the order, and all of it is what was tested
        return Merged(state.commit, state.tree)


def _is_merged(facts: ChangeFacts | None) -> bool:
    return facts is not None and facts.status is ChangeStatus.MERGED


def _by_branch(group: Sequence[Submit]) -> list[list[Submit]]:
    """Return the submits of `group`, those to one branch in one list."""
    branches: dict[tuple[ProjectName, str], list[Submit]] = {}
    for submit in group:
        branches.setdefault((submit.change.project, submit.change.branch), []).append(submit)
    return list(branches.values())
