"""A developer, a real Gerrit and a `GerritSource` on it: what the contract and the event tests of Gerrit play with.

The source reaches Gerrit through valves, so that an outage needs no restart; developers go straight.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import replace
from pathlib import Path

from tests.support.gerrit import project_name
from tests.support.source_lab import SourceLab, text_of
from tests.support.valve import Valve
from torii.config.settings import EventsBy, GerritConnection, ProjectSettings, Secret
from torii.model.change import BranchState, Change
from torii.model.command import Submit
from torii.model.event import Merged
from torii.model.ids import BuildSetId, ChangeId, PipelineName, ProjectName, Sha
from torii.model.pipeline import Cause, Manager, MergeMode, PipelineSpec, ProjectSpec, ReportRules
from torii.sources.gerrit import GerritSource
from torii.testing.gerrit import GerritSite, LabChange, LabProject

VOTING = ReportRules(success=(("Verified", 1),), failure=(("Verified", -1),))
PIPELINES = (
    PipelineSpec(PipelineName("check"), Manager.INDEPENDENT, report=VOTING),
    PipelineSpec(PipelineName("gate"), Manager.DEPENDENT, report=VOTING, merges=True),
)


class GerritLab(SourceLab):
    """One project of `site`, empty but for a first commit on `main`, and more by `add_project`. `settings` are of the connection."""

    unapproving = Cause.COMMENT_ADDED
    owner = "A Developer <dev@example.com>"

    def __init__(self, site: GerritSite, folder: Path, pipelines: tuple[PipelineSpec, ...] = PIPELINES, **settings: object) -> None:
        super().__init__()
        self.site = site
        self.folder = folder
        self.pipelines = pipelines
        self.settings = {"timeout": 20.0, "catch_up": 600.0, "events": EventsBy.STREAM, **settings}
        self.changes: dict[str, LabChange] = {}
        self._numbers = itertools.count(1)
        self._projects: list[LabProject] = []
        self.app = self.add_project()
        self.base = Sha(self.app.tip() or "")
        self.http = Valve(site.http_port)
        self.ssh = Valve(site.ssh_port)
        hosts = site.known_hosts.read_text()
        (folder / "known_hosts").write_text(re.sub(rf"\]:{site.ssh_port}\b", f"]:{self.ssh.here}", hosts))

    def add_project(self, **settings: object) -> LabProject:
        project = self.site.create_project(project_name(), **settings)
        self._projects.append(project)
        return project

    # What a developer does.

    def push_change(self, name: str, *, title: str = "", branch: str = "main", on: str | None = None, **more: object) -> Sha:
        files = {f"{name}.txt": f"{name} one\n"}
        change = self.app.push_change(files, title or f"{name} one", branch=branch, on=on or self.base, **more)
        self.changes[name] = change
        return Sha(change.commit)

    def new_patchset(self, name: str) -> Sha:
        return Sha(self.changes[name].amend({f"{name}.txt": f"{name} again {next(self._numbers)}\n"}))

    def approve(self, name: str) -> None:
        self.changes[name].approve()

    def unapprove(self, name: str) -> None:
        self.changes[name].vote("Code-Review", 0)

    def abandon(self, name: str) -> None:
        self.changes[name].abandon()

    def restore(self, name: str) -> None:
        self.changes[name].restore()

    def push_branch(self, branch: str = "main") -> Sha:
        """Push past the gate; return the new tip."""
        number = next(self._numbers)
        return Sha(self.app.commit_directly({f"past-{number}.txt": "past\n"}, f"past the gate {number}", branch=branch))

    # What the server has.

    def branch(self, name: str = "main") -> Sha:
        return Sha(self.app.tip(name) or "")

    def tree(self, commit: str) -> Sha:
        return Sha(self.app.tree(commit))

    def said(self, commit: str) -> str:
        """Return all that Torii said of the change whose patch set is `commit`."""
        change = next(change for change in self.changes.values() if change.commit == commit)
        return "\n".join(str(message["message"]) for message in change.messages(by="torii"))

    # The source.

    def connection(self) -> GerritConnection:
        torii = self.site.torii
        connection = GerritConnection(
            "lab",
            f"http://127.0.0.1:{self.http.here}",
            user="torii",
            password=Secret(f"file:{torii.password_file}"),
            ssh_host="127.0.0.1",
            ssh_port=self.ssh.here,
            key=torii.key,
            known_hosts=self.folder / "known_hosts",
        )
        return replace(connection, **self.settings)

    def open(self) -> GerritSource:
        connection = self.connection()
        settings = []
        for project in self._projects:
            # Its first project has another name here than there.
            url, name = f"{connection.url}/a/{project.name}", "app" if project is self.app else project.name
            settings.append(ProjectSettings(ProjectSpec(ProjectName(name)), "lab", url, url, project.name))
        return GerritSource(connection, settings, self.folder / "mirrors", self.box, text_of, self.pipelines, patience=0.1)

    def outage(self) -> None:
        self.http.shut()
        self.ssh.shut()

    def back(self) -> None:
        self.http.open()
        self.ssh.open()

    def close(self) -> None:
        super().close()
        self.http.shut()
        self.ssh.shut()

    # What the source said.

    def id(self, name: str) -> ChangeId:
        return ChangeId(f"lab:{self.changes[name].number}")

    # What the gate asks of it.

    def carrying(self) -> BranchState:
        """Return a state of the branch that can be reported on: one that a change has made."""
        self.push_change("carrying")
        change = self.changes["carrying"]
        change.approve()
        change.vote("Verified", 1, by="torii")
        change.submit()
        return BranchState(self.project, "main", self.branch(), old=self.base)

    def staged(self, change: Change, *, build_set: str = "lab-1.1") -> Submit:
        """Return the submit that the gate would ask for when `change` has passed, its vote cast; it stands on the tip of its branch."""
        number = change.id.rpartition(":")[2]
        mine = next(each for each in self.changes.values() if str(each.number) == number)
        mine.vote("Verified", 1, by="torii")
        return Submit(
            BuildSetId(build_set), change, self.branch(change.branch), change.commit, self.tree(change.commit), MergeMode.MERGE_IF_NECESSARY
        )

    def landed(self, submit: Submit) -> Merged:
        """Return how `submit` should have ended: whatever commit Gerrit made, its tree is the tested one."""
        return Merged(self.branch(submit.change.branch), submit.tree)
