"""A repository of nothing but names, whose commits know their parents, and what a source makes of each look at it. No git, no files."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from torii.model.change import Change
from torii.model.event import BranchMoved, ChangeUpdated
from torii.model.ids import ProjectName, Sha
from torii.sources.git.commits import Commit, commit_of, survey
from torii.sources.git.derive import BranchReading, Landing, Look, Reading, SourceEvent, Tip, advance, plan, resolve_all
from torii.sources.git.known import KnownProject, dump, load
from torii.sources.git.refs import sort_refs


@dataclass
class World:
    """Projects with commits by name, and what a source knows of them."""

    commits: dict[Sha, Commit] = field(default_factory=dict)
    names: dict[Sha, str] = field(default_factory=dict)
    refs: dict[str, dict[str, Sha]] = field(default_factory=dict)
    known: dict[ProjectName, KnownProject] = field(default_factory=dict)
    landings: dict[str, Landing] = field(default_factory=dict)
    read: int = 0

    def commit(self, name: str, *parents: str, message: str = "") -> Sha:
        sha = self.sha(name)
        self.commits[sha] = commit_of(sha, tuple(self.sha(parent) for parent in parents), "Dev <dev@example.com>", message or f"do {name}")
        self.names[sha] = name
        return sha

    def sha(self, name: str) -> Sha:
        return Sha(hashlib.sha1(name.encode()).hexdigest())

    def set(self, head: str, commit: str | None, project: str = "app") -> None:
        refs = self.refs.setdefault(project, {})
        if commit is None:
            del refs[f"refs/heads/{head}"]
        else:
            refs[f"refs/heads/{head}"] = self.sha(commit)

    def history(self, sha: Sha) -> set[Sha]:
        seen: set[Sha] = set()
        waiting = [sha]
        while waiting:
            one = waiting.pop()
            if one not in seen and one in self.commits:
                seen.add(one)
                waiting.extend(self.commits[one].parents)
        return seen

    def look(self, project: str = "app") -> list[str]:
        """Look at the project and return what happened, in words."""
        return [self.tell(event) for event in self.events(project)]

    def events(self, project: str = "app") -> list[SourceEvent]:
        name = ProjectName(project)
        layout = sort_refs(self.refs.get(project, {}))
        wanted = plan(self.known.get(name), layout, self.landings)
        branches = {}
        for branch, patchsets in wanted.branches.items():
            self.read += 1
            inside = self.history(wanted.branch_tips[branch]) if branch in wanted.branch_tips else set()
            asked = {*patchsets.values(), *wanted.landed.get(branch, ())}
            outside = {sha: self.commits[sha] for one in asked for sha in self.history(one) - inside}
            branches[branch] = BranchReading(frozenset(asked - outside.keys()), survey(name, outside, patchsets))
        tips = {branch: Tip(self.commits[sha].title, self.commits[sha].owner, f"queue of {branch}") for branch, sha in wanted.tips.items()}
        look = Look("lab", name, layout, Reading(tips, branches), self.landings)
        self.known, events = advance(self.known, look)
        return events

    def tell(self, event: SourceEvent) -> str:
        match event:
            case BranchMoved():
                old, new = (self.names.get(sha, "-") if sha else "-" for sha in (event.old, event.new))
                return f"{event.branch}: {old} to {new}" + (" (initial)" if event.initial else "")
            case ChangeUpdated():
                return f"{event.change.id} {event.cause.value} at {self.names[event.change.commit]}"

    def change(self, name: str, project: str = "app") -> Change:
        return self.known[ProjectName(project)].changes[name].change()

    def restart(self) -> None:
        self.known = resolve_all(load(dump(self.known)))


def world() -> World:
    made = World()
    made.commit("base")
    made.set("main", "base")
    made.look()
    return made
