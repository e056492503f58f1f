"""A git server in memory: branches, changes and merges by whole files, enough to gate against. It follows the source port's rules."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from torii.config.project import parse_torii_yml
from torii.model.build import StagedBranch
from torii.model.change import Change, ChangeStatus
from torii.model.command import DropStaging, Merge, Report, Stage, StageBase, Submit
from torii.model.event import (
    BranchMoved,
    ChangeUpdated,
    Conflict,
    Event,
    Merged,
    MergeDone,
    MergeUnavailable,
    Moved,
    Refused,
    ReportDone,
    Staged,
    SubmitDone,
    SubmitUnavailable,
)
from torii.model.ids import ChangeId, ProjectName, Sha
from torii.model.job import ConfigProblem, ProjectConfig
from torii.model.pipeline import Cause

Tree = dict[str, str]
Outcome = Merged | Moved | Refused | SubmitUnavailable


def digest(*parts: str) -> Sha:
    """Return an object id made of `parts`."""
    return Sha(hashlib.sha1("\0".join(parts).encode(), usedforsecurity=False).hexdigest())


def tree_id(tree: Tree) -> Sha:
    """Return the object id of `tree`."""
    return digest(*(f"{path}={content}" for path, content in sorted(tree.items())))


@dataclass(slots=True)
class Submission:
    """A change as its author works on it: the files it writes, over the branch as it was when it was made."""

    change: Change
    files: Tree
    base: Tree


@dataclass
class Forge:
    """The server. What it does to the world is in `landings`, `reports` and `commits`; what it has to say is returned as events."""

    branches: dict[tuple[str, str], Sha] = field(default_factory=dict)
    commits: dict[Sha, Tree] = field(default_factory=dict)
    submissions: dict[ChangeId, Submission] = field(default_factory=dict)
    staging: dict[str, Sha] = field(default_factory=dict)
    landings: list[tuple[Submit, Sha]] = field(default_factory=list)
    """What was merged, in order, and as which commit."""
    reports: dict[str, Report] = field(default_factory=dict)
    topics: dict[ChangeId, tuple[ChangeId, ...]] = field(default_factory=dict)
    """What merges together with a change, in merge order."""
    refuse: dict[ChangeId, str] = field(default_factory=dict)
    merging: bool = True
    """Whether a submit is answered, or its answer is "not now"."""
    twins: bool = False
    """Whether it merges by itself: what it lands is a commit of its own, with the tested tree."""
    news_first: bool = False
    """Whether the news of a merge come before its answer."""
    away: str = ""
    """Why no merge can be tried at present; empty: it can."""
    _asked: dict[ChangeId, Submit] = field(default_factory=dict)
    _keys: int = 0
    _configs: dict[str, ProjectConfig | tuple[ConfigProblem, ...]] = field(default_factory=dict)

    @property
    def merged(self) -> list[ChangeId]:
        """The changes that were merged, in order."""
        return [submit.change.id for submit, _ in self.landings]

    # -- what people do

    def create_branch(self, project: ProjectName, branch: str, files: Mapping[str, str]) -> Event:
        """Make a branch with these files; it was there before Torii."""
        commit = self._commit(digest(project, branch), dict(files), "root")
        self.branches[project, branch] = commit
        return BranchMoved(project, branch, None, commit, self._key(), self._queue(dict(files)), initial=True)

    def push_change(
        self, change: ChangeId, project: ProjectName, branch: str, files: Mapping[str, str], depends_on: tuple[ChangeId, ...] = ()
    ) -> Event:
        """Make a change, or its next patch set."""
        before = self.submissions.get(change)
        number = int(before.change.patchset) + 1 if before else 1
        commit = digest(change, str(number), *(f"{path}={content}" for path, content in files.items()))
        base = self.commits[self.branches[project, branch]]
        value = Change(change, project, branch, str(number), commit, f"refs/changes/{change}/{number}", str(change), depends_on=depends_on)
        self.submissions[change] = Submission(value, dict(files), dict(base))
        return self._news(change, Cause.PATCHSET_CREATED)

    def approve(self, change: ChangeId) -> Event:
        return self.alter(change, Cause.APPROVED, approved=True)

    def unapprove(self, change: ChangeId) -> Event:
        return self.alter(change, Cause.UNAPPROVED, approved=False)

    def abandon(self, change: ChangeId) -> Event:
        return self.alter(change, Cause.ABANDONED, status=ChangeStatus.ABANDONED, approved=False)

    def restore(self, change: ChangeId) -> Event:
        return self.alter(change, Cause.RESTORED, status=ChangeStatus.OPEN)

    def recheck(self, change: ChangeId) -> Event:
        return self._news(change, Cause.RECHECK)

    def comment(self, change: ChangeId, text: str, by: str = "dev", also: tuple[Cause, ...] = ()) -> Event:
        """Say `text` about a change; `also` is what that was besides, such as an approval."""
        return replace(self._news(change, Cause.COMMENT_ADDED), by=by, comment=text, also=also)

    def alter(self, change: ChangeId, cause: Cause, **fields: Any) -> Event:
        """Give a change other values, and say that it was because of `cause`."""
        one = self.submissions[change]
        one.change = replace(one.change, **fields)
        return self._news(change, cause)

    def put_together(self, *changes: ChangeId) -> list[Event]:
        """Have these changes merge together, in this order, and no longer with others."""
        told = dict.fromkeys(changes)
        for change in changes:
            for other in self.topics.pop(change, ()):
                if other not in changes:
                    self.topics[other] = tuple(one for one in self.topics.get(other, ()) if one not in changes)
                    told[other] = None
        self.topics.update(dict.fromkeys(changes, changes))
        return [self._news(change, Cause.TOPIC_CHANGED) for change in told]

    def push_branch(self, project: ProjectName, branch: str, files: Mapping[str, str]) -> Event:
        """Push to a branch past the gate."""
        old = self.branches[project, branch]
        tree = {**self.commits[old], **files}
        return self._move(project, branch, self._commit(old, tree, self._key()))

    def set_back(self, project: ProjectName, branch: str, commit: Sha) -> Event:
        """Move a branch by force, to a commit that it was at before."""
        return self._move(project, branch, commit)

    def _news(self, change: ChangeId, cause: Cause) -> ChangeUpdated:
        one = self.submissions[change]
        waiting = tuple(other for other in one.change.depends_on if self.submissions[other].change.status is not ChangeStatus.MERGED)
        topic = tuple(other for other in self.topics.get(change, ()) if self.submissions[other].change.status is ChangeStatus.OPEN)
        together = topic if len(topic) > 1 and change in topic else ()
        return ChangeUpdated(replace(one.change, depends_on=waiting, together=together), cause, self._key())

    def _move(self, project: ProjectName, branch: str, commit: Sha) -> Event:
        old = self.branches[project, branch]
        self.branches[project, branch] = commit
        return BranchMoved(project, branch, old, commit, self._key(), self._queue(self.commits[commit]))

    def _key(self) -> str:
        self._keys += 1
        return f"event-{self._keys}"

    def _commit(self, parent: Sha, tree: Tree, what: str) -> Sha:
        commit = digest(parent, what, tree_id(tree))
        self.commits[commit] = tree
        return commit

    # -- what Torii does

    def stage(self, merge: Merge) -> list[Event]:
        """Perform a merge command."""
        if self.away:
            return [MergeDone(stage.build_set, MergeUnavailable(self.away)) for stage in merge.stages]
        state = {(base.project, base.branch): base for base in merge.base}
        return [MergeDone(stage.build_set, self._stage(merge, stage, state)) for stage in merge.stages]

    def _stage(self, merge: Merge, stage: Stage, state: dict[tuple[ProjectName, str], StageBase]) -> Staged | Conflict:
        key = (stage.project, stage.branch)
        new: dict[tuple[ProjectName, str], StageBase] = {}
        for one in stage.changes:
            where = (one.project, one.branch)
            base = new.get(where) or state.get(where) or self._tip(*where)
            submission = self.submissions[one.change]
            tree = self.commits[base.commit]
            clashes = [path for path, content in submission.files.items() if tree.get(path) not in (submission.base.get(path), content)]
            if clashes:
                guilty = [change for change in base.changes if set(clashes) & set(self.submissions[change].files)]
                return Conflict("files clash", tuple(clashes), guilty[-1] if guilty else None)
            commit = self._commit(base.commit, {**tree, **submission.files}, one.commit)
            new[where] = StageBase(one.project, one.branch, commit, base.tip, (*base.changes, one.change))
        if not stage.changes:
            new[key] = state.get(key) or self._tip(*key)
        state.update(new)
        ordered = [where for where in new if where != key] + [key]
        branches = []
        for project, branch in ordered:
            made = new[project, branch]
            ref = f"refs/staging/{merge.pipeline}/{stage.build_set}/{branch}"
            self.staging[f"{project} {ref}"] = made.commit
            branches.append(StagedBranch(project, branch, made.tip, made.commit, tree_id(self.commits[made.commit]), ref))
        changed = tuple(self.submissions[stage.changes[-1].change].files) if stage.changes else self._since(stage.since, new[key].commit)
        config, problems = self._config(self.commits[new[key].commit])
        return Staged(tuple(branches), changed, config, problems, self._config(self.commits[new[key].tip])[0])

    def _since(self, before: Sha | None, after: Sha) -> tuple[str, ...]:
        old, new = self.commits.get(before, {}) if before else {}, self.commits[after]
        return tuple(path for path in {**old, **new} if old.get(path) != new.get(path)) if before else ()

    def _tip(self, project: ProjectName, branch: str) -> StageBase:
        tip = self.branches[project, branch]
        return StageBase(project, branch, tip, tip)

    def _config(self, tree: Tree) -> tuple[ProjectConfig | None, tuple[ConfigProblem, ...]]:
        text = tree.get("torii.yml")
        if text is None:
            return None, ()
        if text not in self._configs:
            self._configs[text] = parse_torii_yml(text.encode())
        parsed = self._configs[text]
        return (parsed, ()) if isinstance(parsed, ProjectConfig) else (None, parsed)

    def _queue(self, tree: Tree) -> str | None:
        config, _ = self._config(tree)
        return config.queue if config else None

    def drop(self, drop: DropStaging) -> None:
        """Perform a drop command."""
        for project, ref in drop.refs:
            self.staging.pop(f"{project} {ref}", None)

    def report(self, report: Report) -> list[Event]:
        """Perform a report command: once a key, however often asked."""
        self.reports.setdefault(report.key, report)
        return [ReportDone(report.key)]

    def expect(self, submits: Iterable[Submit]) -> None:
        """Know of these before the first of them is performed: what merges together is asked for together."""
        self._asked.update((submit.change.id, submit) for submit in submits)

    def submit(self, submit: Submit) -> list[Event]:
        """Perform a submit command: re-read, then merge exactly the tested commit or nothing. The news of it follow the answer, or not."""
        change = submit.change
        landed = next((commit for one, commit in self.landings if one.change.id == change.id), None)
        if landed is not None and self.submissions[change.id].change.patchset == change.patchset:
            return [SubmitDone(submit.build_set, Merged(landed, tree_id(self.commits[landed])))]
        outcome, news = self._merge_group(submit) if change.together else self._merge(submit)
        answer = SubmitDone(submit.build_set, outcome)
        return [*news, answer] if self.news_first else [answer, *news]

    def _merge(self, submit: Submit) -> tuple[Outcome, list[Event]]:
        stopped = self._stopped(submit)
        return (stopped, []) if stopped else self._land(submit)

    def _merge_group(self, submit: Submit) -> tuple[Outcome, list[Event]]:
        """Merge all that belongs together, or nothing; the others are told when it is their turn."""
        self.expect([submit])
        left = [one for one in submit.change.together if one not in self.merged]
        group = [self._asked[one] for one in left if one in self._asked]
        if len(group) < len(left):
            return SubmitUnavailable("another is not to be merged yet"), []
        judged = [outcome for one in group if (outcome := self._judge(one)) is not None]
        if judged:
            return judged[0], []
        lowest = {(one.change.project, one.change.branch): one for one in reversed(group)}
        moved = {where: at for where, one in lowest.items() if (at := self._moved(one)) is not None}
        if moved:
            return moved.get((submit.change.project, submit.change.branch)) or SubmitUnavailable("another must be tested again"), []
        outcomes = {one.change.id: self._land(one) for one in group}
        return outcomes[submit.change.id][0], [event for _, news in outcomes.values() for event in news]

    def _stopped(self, submit: Submit) -> Outcome | None:
        judged = self._judge(submit)
        return self._moved(submit) if judged is None else judged

    def _judge(self, submit: Submit) -> Refused | SubmitUnavailable | None:
        change = submit.change
        now = self.submissions[change.id].change
        if not self.merging:
            return SubmitUnavailable("the server is busy")
        if change.id in self.refuse:
            return Refused(self.refuse[change.id])
        if now.patchset != change.patchset or now.status is not ChangeStatus.OPEN or not now.approved:
            return Refused("the change is not what was tested any more")
        return None

    def _moved(self, submit: Submit) -> Moved | None:
        tip = self.branches[submit.change.project, submit.change.branch]
        fits = tip == submit.onto or (self.twins and tree_id(self.commits[tip]) == submit.onto_tree)
        return None if fits else Moved(tip)

    def _land(self, submit: Submit) -> tuple[Outcome, list[Event]]:
        change, tree = submit.change, self.commits[submit.commit]
        tip = self.branches[change.project, change.branch]
        self.submissions[change.id].change = replace(self.submissions[change.id].change, status=ChangeStatus.MERGED)
        commit = self._commit(tip, tree, self._key()) if self.twins else submit.commit
        self.landings.append((submit, commit))
        news: list[Event] = [self._news(change.id, Cause.MERGED), self._move(change.project, change.branch, commit)]
        return Merged(commit, tree_id(tree)), news
