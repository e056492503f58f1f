"""A project on the lab's Gerrit: branches, permissions, and changes pushed for review."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torii.testing.gerrit import recipe
from torii.testing.gerrit.accounts import Rest, quoted
from torii.testing.gerrit.change import LabChange
from torii.testing.gerrit.errors import LabError
from torii.testing.gerrit.workbench import Draft, Files, Workbench, new_change_id


@dataclass(frozen=True, slots=True)
class LabProject:
    """The project `name`. Whoever is not named is `dev` where something is proposed, and `admin` where it is decided."""

    name: str
    workbench: Workbench
    rest: Callable[[str], Rest]

    @property
    def url(self) -> str:
        """Where git reaches it over HTTP, without the /a/ that asks for a password."""
        return f"{self.workbench.url}/{self.name}"

    # ---- changes -------------------------------------------------------------------------------------------------------------

    def push_change(
        self,
        files: Files | None = None,
        subject: str = "A change",
        *,
        branch: str = "main",
        by: str = "dev",
        on: LabChange | str | None = None,
        options: Sequence[str] = (),
        trailers: Sequence[str] = (),
    ) -> LabChange:
        """Push one change for review and return it. `files` None: a new file named after the subject.

        `on` is what it stands on: another change, a commit, or (None) the tip of the branch. `options` are Gerrit's for a push, such as
        `topic=x`, `hashtag=x`, `wip`, `private`, `l=Code-Review+1`. `trailers` go into the message.
        """
        draft = Draft(files if files is not None else {f"{subject}.txt": f"{subject}\n"}, subject, tuple(trailers))
        return self.push_series([draft], branch=branch, by=by, on=on, options=options)[0]

    def push_series(
        self,
        drafts: Sequence[Draft | str],
        *,
        branch: str = "main",
        by: str = "dev",
        on: LabChange | str | None = None,
        options: Sequence[str] = (),
    ) -> list[LabChange]:
        """Push changes that stand on each other in one push; return them, the lowest first. A draft that is a word is a subject."""
        proposed = [draft if isinstance(draft, Draft) else Draft({f"{draft}.txt": f"{draft}\n"}, draft) for draft in drafts]
        ids = [new_change_id() for _ in proposed]
        marked = [replace(draft, trailers=(*draft.trailers, f"Change-Id: {id_}")) for draft, id_ in zip(proposed, ids, strict=True)]
        commits = self.workbench.commit(marked, self._base(on, branch), by)
        self.push_for_review(commits[-1], branch, by, options)
        numbers = self.numbers(branch)
        return [
            LabChange(self, branch, numbers[id_], id_, by, draft, commit) for id_, draft, commit in zip(ids, marked, commits, strict=True)
        ]

    def push_for_review(self, commit: str, branch: str, by: str, options: Sequence[str] = ()) -> None:
        """Push a commit of the workbench to refs/for/`branch`. Raises PushRefusedError."""
        suffix = f"%{','.join(options)}" if options else ""
        self.workbench.push(f"{commit}:refs/for/{branch}{suffix}", who=by)

    def numbers(self, branch: str) -> dict[str, int]:
        """Return the numbers of the branch's changes by their Change-Ids."""
        found = self.rest("admin").get("/changes/", q=f"project:{self.name} branch:{branch}", n=2000)
        return {change["change_id"]: change["_number"] for change in found}

    # ---- branches ------------------------------------------------------------------------------------------------------------

    def tip(self, branch: str = "main") -> str | None:
        """Return the commit that the branch is at, None where there is no such branch."""
        wanted = f"refs/heads/{branch}"
        branches = self.rest("admin").get(f"/projects/{quoted(self.name)}/branches/")
        return next((found["revision"] for found in branches if found["ref"] == wanted), None)

    def create_branch(self, name: str, at: str = "main") -> None:
        """Make a branch at another branch or a commit."""
        self.rest("admin").put(f"/projects/{quoted(self.name)}/branches/{quoted(name)}", {"revision": at})

    def delete_branch(self, name: str) -> None:
        """Delete a branch."""
        self.rest("admin").delete(f"/projects/{quoted(self.name)}/branches/{quoted(name)}")

    def commit_directly(
        self, files: Files, subject: str = "A direct push", *, branch: str = "main", by: str = "admin", parent: str | None = "tip"
    ) -> str:
        """Push a commit past all review to the branch; return its hash. `parent`: a commit, `tip`, or None for a first one."""
        base = self._base(None, branch) if parent == "tip" else parent
        (commit,) = self.workbench.commit([Draft(files, subject)], base, by)
        self.workbench.push(f"+{commit}:refs/heads/{branch}", who=by)
        return commit

    def content(self, path: str, branch: str = "main") -> str | None:
        """Return what a file holds at the tip of the branch, None where there is no such file."""
        try:
            text = self.rest("admin").get(f"/projects/{quoted(self.name)}/branches/{quoted(branch)}/files/{quoted(path)}/content")
        except LabError:
            return None
        return base64.b64decode(text).decode()

    def log(self, branch: str = "main") -> list[str]:
        """Return the subjects of the branch's first parents, the newest first."""
        tip = self.tip(branch)
        if tip is None:
            return []
        self.bring(tip)
        return self.workbench.git("log", "--first-parent", "--format=%s", tip).splitlines()

    def tree(self, commit: str) -> str:
        """Return the tree of a commit."""
        self.bring(commit)
        return self.workbench.git("rev-parse", f"{commit}^{{tree}}").strip()

    def refs(self, prefix: str) -> dict[str, str]:
        """Return the refs that begin with `prefix` and where they are, as an administrator sees them."""
        address = f"{self.workbench.url}/a/{self.name}"
        lines = self.workbench.git("ls-remote", address, f"{prefix}*", who="admin").splitlines()
        return {name: commit for commit, name in (line.split("\t") for line in lines)}

    def bring(self, commit: str) -> None:
        """Have a commit of the server in the workbench."""
        if not self.workbench.has(commit):
            self.workbench.fetch(commit)

    # ---- settings ------------------------------------------------------------------------------------------------------------

    def configure(self, **config: Any) -> None:
        """Set what Gerrit's ConfigInput has: `submit_type="REBASE_ALWAYS"`, `state="READ_ONLY"`, ..."""
        self.rest("admin").put(f"/projects/{quoted(self.name)}/config", config)

    def grant(self, ref: str, permission: str, group: str = recipe.SERVICE_USERS, **rule: Any) -> None:
        """Let `group` do `permission` on `ref` of this project; `action="BLOCK"` forbids it whatever is inherited.

        With `exclusive=True` only this rule counts, and what is inherited does not.
        """
        recipe.grant(self.rest("admin"), self.name, ref, permission, group, **rule)

    def revoke(self, ref: str, permission: str, group: str = recipe.SERVICE_USERS) -> None:
        """Take away what `grant` gave on this project."""
        recipe.revoke(self.rest("admin"), self.name, ref, permission, group)

    def make_label(self, name: str, *, required: bool = True) -> None:
        """Make a label from -1 to +1 of this project alone."""
        recipe.make_label(self.rest("admin"), name, quoted(self.name), required=required)

    def _base(self, on: LabChange | str | None, branch: str) -> str | None:
        commit = on.commit if isinstance(on, LabChange) else on or self.tip(branch)
        if commit is not None:
            self.bring(commit)
        return commit
