"""A change on the lab's Gerrit, and everything that people do to one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from torii.testing.gerrit.accounts import quoted
from torii.testing.gerrit.workbench import Draft, Files

if TYPE_CHECKING:
    from torii.testing.gerrit.project import LabProject


class LabChange:
    """Change `number` of `project` for `branch`, owned by `owner`. `draft` and `commit` are its newest patch set as this lab pushed it."""

    def __init__(self, project: LabProject, branch: str, number: int, change_id: str, owner: str, draft: Draft, commit: str) -> None:
        self.project = project
        self.branch = branch
        self.number = number
        self.change_id = change_id
        self.owner = owner
        self.draft = draft
        self.commit = commit

    def __repr__(self) -> str:
        return f"<change {self.number}: {self.draft.subject}>"

    # ---- patch sets ----------------------------------------------------------------------------------------------------------

    def amend(
        self,
        files: Files | None = None,
        subject: str | None = None,
        *,
        on: LabChange | str | None = None,
        by: str | None = None,
        options: Sequence[str] = (),
    ) -> str:
        """Push a new patch set: `files` beside those it had, another subject, another parent (None: the one it had). Return its commit."""
        draft = replace(self.draft, files={**self.draft.files, **(files or {})}, subject=subject or self.draft.subject)
        if on is None:
            parent = self.project.workbench.git("rev-parse", f"{self.commit}^").strip()
        else:
            parent = on.commit if isinstance(on, LabChange) else on
            self.project.bring(parent)
        (commit,) = self.project.workbench.commit([draft], parent, by or self.owner)
        self.project.push_for_review(commit, self.branch, by or self.owner, options)
        self.draft, self.commit = draft, commit
        return commit

    def rebase(self, *, by: str = "admin", **more: Any) -> None:
        """Rebase it in the web page onto its branch, or on `base=...`; `allow_conflicts=True` takes conflicts along."""
        self._post("rebase", by, more)
        self.refresh()

    def refresh(self) -> str:
        """Take the newest patch set, which somebody else or Gerrit itself made, as ours; return its commit."""
        self.commit = str(self.detail("CURRENT_REVISION")["current_revision"])
        self.project.bring(self.commit)
        return self.commit

    # ---- reviews -------------------------------------------------------------------------------------------------------------

    def review(self, *, by: str = "admin", revision: str = "current", **review: Any) -> Any:
        """Post a ReviewInput (`labels={...}`, `message="..."`, `tag=...`, `comments={...}`, `ready=True`) and return Gerrit's answer."""
        return self.project.rest(by).post(f"{self.path}/revisions/{revision}/review", review)

    def vote(self, label: str, value: int, *, by: str = "admin", message: str = "") -> None:
        """Vote."""
        self.review(by=by, labels={label: value}, **({"message": message} if message else {}))

    def approve(self, *, by: str = "admin") -> None:
        """Vote Code-Review +2."""
        self.vote("Code-Review", 2, by=by)

    def comment(self, text: str, *, by: str = "dev", unresolved: bool = False) -> None:
        """Comment as the reply dialog of the web page does: on the patch set as a whole."""
        self.review(by=by, comments={"/PATCHSET_LEVEL": [{"message": text, "unresolved": unresolved}]})

    def message(self, text: str, *, by: str = "dev") -> None:
        """Comment as `gerrit review --message` does."""
        self.review(by=by, message=text)

    def delete_vote(self, label: str, *, of: str, by: str = "admin") -> None:
        """Take somebody's vote away."""
        self._post(f"reviewers/{of}/votes/{quoted(label)}/delete", by, {})

    def add_reviewer(self, who: str, *, by: str = "admin") -> None:
        """Add a reviewer, who then sees a private change."""
        self._post("reviewers", by, {"reviewer": who})

    # ---- states --------------------------------------------------------------------------------------------------------------

    def abandon(self, *, by: str = "admin", message: str = "") -> None:
        """Abandon it."""
        self._post("abandon", by, {"message": message})

    def restore(self, *, by: str = "admin") -> None:
        """Restore it."""
        self._post("restore", by, {})

    def submit(self, *, by: str = "admin") -> Any:
        """Merge it past any gate, and return what Gerrit answered."""
        return self._post("submit", by, {})

    def set_wip(self, *, by: str = "admin") -> None:
        """Say that it is work in progress."""
        self._post("wip", by, {})

    def set_ready(self, *, by: str = "admin") -> None:
        """Say that it is ready for review."""
        self._post("ready", by, {})

    def set_private(self, private: bool = True, *, by: str | None = None) -> None:
        """Hide it from all but its reviewers, or show it."""
        path = "private" if private else "private.delete"
        self._post(path, by or self.owner, {})

    def set_topic(self, topic: str, *, by: str = "admin") -> None:
        """Give it a topic; an empty one takes it away."""
        self.project.rest(by).put(f"{self.path}/topic", {"topic": topic})

    def set_hashtags(self, add: Sequence[str] = (), remove: Sequence[str] = (), *, by: str = "admin") -> None:
        """Add and remove hashtags."""
        self._post("hashtags", by, {"add": list(add), "remove": list(remove)})

    def move(self, branch: str, *, by: str = "admin") -> None:
        """Move it to another branch."""
        self._post("move", by, {"destination_branch": branch})
        self.branch = branch

    def delete(self, *, by: str = "admin") -> None:
        """Delete it without a trace."""
        self.project.rest(by).delete(self.path)

    # ---- what is to be seen --------------------------------------------------------------------------------------------------

    @property
    def path(self) -> str:
        """Its address in REST."""
        return f"/changes/{quoted(self.project.name)}~{self.number}"

    @property
    def ref(self) -> str:
        """The ref of its newest patch set."""
        return f"refs/changes/{self.number % 100:02}/{self.number}/{self.patchset}"

    @property
    def patchset(self) -> int:
        """The number of its newest patch set."""
        detail = self.detail("CURRENT_REVISION")
        return int(detail["revisions"][detail["current_revision"]]["_number"])

    @property
    def status(self) -> str:
        """NEW, MERGED or ABANDONED."""
        return str(self.detail()["status"])

    def detail(self, *options: str) -> Mapping[str, Any]:
        """Return its ChangeInfo with these options, such as `SUBMIT_REQUIREMENTS`."""
        found: Mapping[str, Any] = self.project.rest("admin").get(self.path, o=options)
        return found

    def votes(self, label: str) -> dict[str, int]:
        """Return who voted what on a label, without the zeros."""
        votes = self.detail("DETAILED_LABELS", "DETAILED_ACCOUNTS").get("labels", {}).get(label, {}).get("all", [])
        return {vote["username"]: vote["value"] for vote in votes if vote.get("value")}

    def messages(self, *, by: str | None = None) -> list[Mapping[str, Any]]:
        """Return its messages as Gerrit's ChangeMessageInfo, the oldest first; only those `by` somebody where that is given."""
        found = self.detail("MESSAGES", "DETAILED_ACCOUNTS")["messages"]
        return [one for one in found if by is None or one.get("author", {}).get("username") == by]

    def comments(self) -> Mapping[str, list[Mapping[str, Any]]]:
        """Return its published inline comments by file."""
        found: Mapping[str, list[Mapping[str, Any]]] = self.project.rest("admin").get(f"{self.path}/comments")
        return found

    def _post(self, what: str, by: str, body: Mapping[str, Any]) -> Any:
        return self.project.rest(by).post(f"{self.path}/{what}", {key: value for key, value in body.items() if value != ""})
