"""A developer, a git server and a `GitSource` on it: what the contract and the fault tests of plain git play with."""

from __future__ import annotations

import itertools
from pathlib import Path

from tests.support.git_servers import FileServer, HttpServer, SshServer, git, make_repository
from tests.support.source_lab import LIMIT, Mailbox, SourceLab, text_of
from torii.config.settings import GitConnection, ProjectSettings, Secret
from torii.model.change import BranchState, Change
from torii.model.command import Submit
from torii.model.event import Merged
from torii.model.ids import BuildSetId, ChangeId, ProjectName, Sha
from torii.model.pipeline import Cause, MergeMode, ProjectSpec
from torii.sources.git import GitSource

__all__ = ["LIMIT", "GitLab", "Mailbox"]


class GitLab(SourceLab):
    """One project `app` (and more by `add_project`) with a branch `main` on `server`; pushes go past the source's transport, as files."""

    unapproving = Cause.UNAPPROVED
    owner = "Dev <dev@example.com>"

    def __init__(self, server: FileServer | SshServer | HttpServer, folder: Path, *, timeout: float = 20.0, poll: float = 600.0) -> None:
        super().__init__()
        self.server = server
        self.folder = folder
        self.poll = poll
        self.timeout = timeout
        self.tips: dict[str, Sha] = {}
        self._projects: list[ProjectName] = []
        self._numbers = itertools.count(1)
        self.developer = folder / "developer.git"
        git("init", "--quiet", "--bare", self.developer)
        self.add_project("app")
        self.base = self.commit("base")
        self.push("main", self.base)

    def add_project(self, name: str) -> Path:
        self._projects.append(ProjectName(name))
        return make_repository(self.server.root, f"{name}.git")

    def repository(self, project: str = "app") -> Path:
        return self.server.root / f"{project}.git"

    # What a developer does.

    def commit(self, title: str, *parents: str, files: dict[str, str] | None = None, author: str = "Dev <dev@example.com>") -> Sha:
        """Make a commit that adds `files` (a file named after its title, if none are given) to its first parent."""
        wanted = files if files is not None else {f"{title.split()[0]}.txt": f"{title}\n"}
        number = next(self._numbers)
        message = title.encode()
        lines = [f"commit refs/work/{number}\nmark :1\nauthor {author} {1_700_000_000 + number} +0000\n".encode()]
        lines.append(f"committer Dev <dev@example.com> {1_700_000_000 + number} +0000\ndata {len(message)}\n".encode() + message + b"\n")
        lines += [
            f"{'from' if first else 'merge'} {parent}\n".encode() for parent, first in zip(parents, (True, *(False,) * 9), strict=False)
        ]
        for path, text in wanted.items():
            lines.append(f"M 100644 inline {path}\ndata {len(text.encode())}\n{text}\n".encode())
        lines.append(b"get-mark :1\ndone\n")
        return Sha(git("fast-import", "--quiet", "--done", cwd=self.developer, given=b"".join(lines)))

    def push(self, head: str, commit: str | None, project: str = "app") -> None:
        """Force `refs/heads/<head>` to `commit` (None: delete it) on the server."""
        git("push", "--quiet", "--force", self.repository(project), f"{commit or ''}:refs/heads/{head}", cwd=self.developer)
        self.wake()

    def push_change(self, name: str, *, title: str = "", branch: str = "main", on: str | None = None) -> Sha:
        commit = self.commit(title or f"{name} one", on or self.base)
        self.push(f"review/{branch}/{name}", commit)
        self.tips[name] = commit
        return commit

    def new_patchset(self, name: str) -> Sha:
        self.tips[name] = self.commit(f"{name} again {next(self._numbers)}", self.base)
        self.push(f"review/main/{name}", self.tips[name])
        return self.tips[name]

    def approve(self, name: str) -> None:
        self.push(f"gate/main/{name}", self.tips[name])

    def unapprove(self, name: str) -> None:
        self.push(f"gate/main/{name}", None)

    def abandon(self, name: str) -> None:
        self.push(f"review/main/{name}", None)

    def restore(self, name: str) -> None:
        self.push(f"review/main/{name}", self.tips[name])

    def push_branch(self, branch: str = "main") -> Sha:
        """Push past the gate; return the new tip."""
        tip = self.commit(f"past the gate {next(self._numbers)}", self.branch(branch))
        self.push(branch, tip)
        return tip

    # What the server has.

    def refs(self, project: str = "app") -> dict[str, str]:
        lines = git("for-each-ref", "--format=%(refname) %(objectname)", cwd=self.repository(project)).splitlines()
        return dict(line.split(" ") for line in lines)

    def branch(self, name: str = "main", project: str = "app") -> Sha:
        return Sha(self.refs(project)[f"refs/heads/{name}"])

    def tree(self, commit: str) -> Sha:
        return Sha(git("rev-parse", f"{commit}^{{tree}}", cwd=self.repository()))

    def said(self, commit: str, project: str = "app") -> str:
        """Return all that was reported on `commit`."""
        if "refs/notes/torii" not in self.refs(project):
            return ""
        listed = dict(reversed(line.split(" ")) for line in git("notes", "--ref=torii", "list", cwd=self.repository(project)).splitlines())
        return git("cat-file", "blob", listed[commit], cwd=self.repository(project)) if commit in listed else ""

    # The source.

    def open(self) -> GitSource:
        password = Secret(f"file:{self._password_file()}") if self.server.password else None
        connection = GitConnection(
            "lab",
            poll=self.poll,
            timeout=self.timeout,
            user=self.server.user,
            password=password,
            key=self.server.key,
            known_hosts=self.server.known_hosts,
        )
        urls = {name: self.server.url(f"{name}.git") for name in self._projects}
        settings = [ProjectSettings(ProjectSpec(name), "lab", url, url) for name, url in urls.items()]
        return GitSource(connection, settings, self.folder / "mirrors", self.box, text_of, patience=0.1)

    def outage(self) -> None:
        self.server.go_away()

    def back(self) -> None:
        self.server.come_back()

    # What the source said.

    def id(self, name: str, branch: str = "main", project: str = "app") -> ChangeId:
        return ChangeId(f"{project}:{branch}/{name}")

    # What the gate asks of it.

    def carrying(self) -> BranchState:
        """Return a state of the branch that can be reported on, as every commit of plain git can."""
        return BranchState(self.project, "main", self.base)

    def landed(self, submit: Submit) -> Merged:
        """Return how `submit` should have ended: plain git lands the tested commit itself."""
        return Merged(submit.commit, submit.tree)

    def staged(self, change: Change, *, onto: Sha | None = None, build_set: str = "lab-1.1") -> Submit:
        """Merge `change` onto its branch on a staging ref, as a merger elsewhere would; return the submit the gate would ask for."""
        onto = onto or self.branch(change.branch)
        commit = self.commit(f"Merge {change.id}", onto, change.commit, files={"merged.txt": change.id})
        git("push", "--quiet", self.repository(), f"{commit}:refs/staging/gate/{build_set}/{change.branch}", cwd=self.developer)
        tree = Sha(git("rev-parse", f"{commit}^{{tree}}", cwd=self.developer))
        return Submit(BuildSetId(build_set), change, onto, commit, tree, MergeMode.MERGE_ALWAYS)

    def _password_file(self) -> Path:
        path = self.folder / "password"
        path.write_text(f"{self.server.password}\n")
        return path
