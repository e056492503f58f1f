"""A Gerrit in memory, as far as it is read: what people do to changes, and the JSON that REST would say of them.

Its `get` stands for `GerritRest.get`. The shapes are those of tests/recordings/gerrit/rest; the real one has the last word.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from torii.sources.gerrit.errors import GerritRefusedError, GerritUnavailableError

PEOPLE = {"admin": 1, "dev": 2, "torii": 3, "bot": 4}
START = 1_795_000_000.0


def stamp(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S") + ".000000000"


def account(name: str) -> dict[str, Any]:
    return {"_account_id": PEOPLE[name], "username": name, "name": name.capitalize(), "email": f"{name}@example.com"}


def sha(*parts: object) -> str:
    return hashlib.sha1(repr(parts).encode()).hexdigest()


@dataclass
class FakeChange:
    number: int
    project: str
    branch: str
    revisions: list[tuple[str, tuple[str, ...]]]
    status: str = "NEW"
    topic: str = ""
    wip: bool = False
    private: bool = False
    updated: float = 0.0
    messages: list[dict[str, Any]] = field(default_factory=list)
    votes: dict[tuple[str, str], tuple[int, float]] = field(default_factory=dict)
    remarks: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    @property
    def commit(self) -> str:
        return self.revisions[-1][0]


class FakeGerrit:
    """Time passes by a second with each act. `asked` counts what was asked for, by kind; `away` makes every answer fail."""

    name = "lab"

    def __init__(self, *projects: str, whole_topics: bool = False, page: int = 500) -> None:
        self.now = START
        self.page = page
        self.away = False
        self.whole_topics = whole_topics
        self.asked: Counter[str] = Counter()
        self.tips = {project: {"main": sha(project, "base")} for project in projects or ("app",)}
        self.changes: dict[int, FakeChange] = {}

    # What people do.

    def push(self, project: str = "app", *, on: int | None = None, by: str = "dev", wip: bool = False, topic: str = "") -> int:
        number = len(self.changes) + 1
        parent = self.tips[project]["main"] if on is None else self.changes[on].commit
        change = FakeChange(number, project, "main", [(sha(number, 1), (parent,))], wip=wip, topic=topic)
        self.changes[number] = change
        self._log(change, by, "Uploaded patch set 1.", "newWipPatchSet" if wip else "newPatchSet")
        return number

    def amend(self, number: int, *, by: str = "dev", on: int | None = None) -> None:
        change = self.changes[number]
        parents = change.revisions[-1][1] if on is None else (self.changes[on].commit,)
        patchset = len(change.revisions) + 1
        change.revisions.append((sha(number, patchset), parents))
        change.votes.clear()
        self._log(change, by, f"Uploaded patch set {patchset}.", "newWipPatchSet" if change.wip else "newPatchSet")

    def comment(self, number: int, text: str, *, by: str = "dev", page: bool = False) -> str:
        """Comment; as the web page does, with the text beside the message, if `page`."""
        change = self.changes[number]
        head = f"Patch Set {len(change.revisions)}:\n\n"
        id_ = self._log(change, by, head + ("(1 comment)" if page else text))
        if page:
            said = {"change_message_id": id_, "message": text, "author": account(by), "updated": stamp(self.now)}
            change.remarks.setdefault("/PATCHSET_LEVEL", []).append(said)
        return id_

    def vote(self, number: int, value: int, *, by: str = "admin", label: str = "Code-Review") -> str:
        change = self.changes[number]
        said = f"{label}{value:+d}" if value else f"-{label}"
        change.votes.pop((label, by), None)
        if value:
            change.votes[label, by] = (value, self.now + 1)
        return self._log(change, by, f"Patch Set {len(change.revisions)}: {said}")

    def abandon(self, number: int, *, by: str = "dev") -> None:
        self.changes[number].status = "ABANDONED"
        self._log(self.changes[number], by, "Abandoned", "abandon")

    def restore(self, number: int, *, by: str = "dev") -> None:
        self.changes[number].status = "NEW"
        self._log(self.changes[number], by, "Restored", "restore")

    def merge(self, number: int, *, by: str = "admin") -> None:
        change = self.changes[number]
        change.status = "MERGED"
        self.tips[change.project][change.branch] = change.commit
        self._log(change, by, "Change has been successfully merged", "merged")

    def set_wip(self, number: int, wip: bool, *, by: str = "dev", told: bool = True) -> None:
        change = self.changes[number]
        change.wip = wip
        kind, words = ("setWorkInProgress", "Set Work In Progress") if wip else ("setReadyForReview", "Set Ready For Review")
        self._log(change, by, words if told else f"Patch Set {len(change.revisions)}:\n\nhave a look", kind if told else "")

    def set_private(self, number: int, private: bool) -> None:
        self.changes[number].private = private
        self._log(self.changes[number], "dev", "Set private" if private else "Unset private", "setPrivate" if private else "unsetPrivate")

    def set_topic(self, number: int, topic: str) -> None:
        self.changes[number].topic = topic
        self._log(self.changes[number], "dev", f"Topic set to {topic}", "setTopic")

    def delete(self, number: int) -> None:
        self.changes[number].status = "DELETED"

    def _log(self, change: FakeChange, by: str, text: str, kind: str = "") -> str:
        self.now += 1.0
        change.updated = self.now
        id_ = sha(change.number, len(change.messages), text)
        entry = {"id": id_, "author": account(by), "date": stamp(self.now), "message": text, "_revision_number": len(change.revisions)}
        if kind:
            entry["tag"] = f"autogenerated:gerrit:{kind}"
        change.messages.append(entry)
        return id_

    # What REST says.

    def server_time(self) -> float:
        return self.now

    def get(self, path: str, params: Sequence[tuple[str, str]] = ()) -> Any:
        if self.away:
            raise GerritUnavailableError("Gerrit is away")
        if path == "accounts/self":
            return self._count("self", account("torii"))
        if path == "config/server/info":
            return self._count("info", {"change": {"submit_whole_topic": True} if self.whole_topics else {}})
        if path == "changes/":
            return self._count("query", self._query(dict(params)))
        if match := re.fullmatch(r"projects/([^/]+)/branches/", path):
            return self._count("branches", [{"ref": f"refs/heads/{name}", "revision": tip} for name, tip in self.tips[match[1]].items()])
        if match := re.fullmatch(r"projects/([^/]+)/branches/([^/]+)", path):
            if match[2] not in self.tips[match[1]]:
                raise self._missing(path)
            return self._count("branch", {"ref": f"refs/heads/{match[2]}", "revision": self.tips[match[1]][match[2]]})
        if re.fullmatch(r"projects/[^/]+/commits/\w+", path):
            return self._count("commit", {"subject": "A commit", "author": {"name": "Dev", "email": "dev@example.com"}})
        if match := re.fullmatch(r"changes/(?:[^/~]+~)?(\d+)(/.*)?", path):
            change = self.changes.get(int(match[1]))
            if change is None or not self._visible(change):
                raise self._missing(path)
            return self._of(change, match[2] or "")
        raise AssertionError(f"nobody taught this Gerrit {path}")

    def get_content(self, path: str) -> bytes:
        raise self._missing(path)

    def info(self, change: FakeChange) -> dict[str, Any]:
        commit, parents = change.revisions[-1]
        approved = any(value == 2 for (label, _), (value, _) in change.votes.items() if label == "Code-Review")
        labels: dict[str, Any] = {"Code-Review": {"all": []}, "Verified": {"all": []}}
        for (label, by), (value, at) in change.votes.items():
            labels[label]["all"].append({**account(by), "value": value, "date": stamp(at)})
        info = {
            "_number": change.number,
            "project": change.project,
            "branch": change.branch,
            "status": change.status,
            "subject": f"Change {change.number}",
            "owner": account("dev"),
            "updated": stamp(change.updated),
            "meta_rev_id": sha(change.number, len(change.messages)),
            "submit_type": "MERGE_IF_NECESSARY",
            "current_revision": commit,
            "revisions": {
                commit: {
                    "_number": len(change.revisions),
                    "ref": f"refs/changes/{change.number % 100:02}/{change.number}/{len(change.revisions)}",
                    "uploader": account("dev"),
                    "commit": {"parents": [{"commit": parent} for parent in parents]},
                }
            },
            "messages": list(change.messages),
            "labels": labels,
            "submit_requirements": [_requirement("Code-Review", approved), _requirement("Verified", False)],
        }
        flags = {"work_in_progress": change.wip, "is_private": change.private, "topic": change.topic}
        return info | {name: value for name, value in flags.items() if value}

    def _of(self, change: FakeChange, what: str) -> Any:
        if not what:
            return self._count("change", self.info(change))
        if what == "/comments":
            return self._count("comments", dict(change.remarks))
        if match := re.fullmatch(r"/revisions/(\d+)/related", what):
            return self._count("related", {"changes": self._related(change, int(match[1]))})
        assert what.startswith("/submitted_together"), what
        topic = [each for each in self.changes.values() if each.topic and each.topic == change.topic and each.status == "NEW"]
        return self._count("together", {"changes": [{"_number": each.number} for each in reversed(topic)], "non_visible_changes": 0})

    def _related(self, change: FakeChange, patchset: int) -> list[dict[str, Any]]:
        """Return descendants, the change itself and ancestors, as Gerrit orders them: each before what it stands on."""
        by_commit = {commit: (each, n + 1) for each in self.changes.values() for n, (commit, _) in enumerate(each.revisions)}
        at = change.revisions[patchset - 1][0]
        above = [each for each in self.changes.values() if at in each.revisions[-1][1] and each.status == "NEW"]
        chain = [self._relative(each, len(each.revisions)) for each in above]
        while at in by_commit:
            each, n = by_commit[at]
            if each.status == "DELETED":
                break
            chain.append(self._relative(each, n))
            at = each.revisions[n - 1][1][0]
        return chain if len(chain) > 1 else []

    def _relative(self, change: FakeChange, patchset: int) -> dict[str, Any]:
        return {
            "_change_number": change.number,
            "_revision_number": patchset,
            "_current_revision_number": len(change.revisions),
            "status": change.status,
            "commit": {"commit": change.revisions[patchset - 1][0]},
        }

    def _query(self, params: dict[str, str]) -> list[dict[str, Any]]:
        query = params["q"]
        changes = sorted((each for each in self.changes.values() if self._visible(each)), key=lambda each: -each.updated)
        if match := re.match(r'since:"([^"]*)"', query):
            changes = [each for each in changes if stamp(each.updated) >= match[1]]
        else:
            numbers = {int(number) for number in re.findall(r"change:(\d+)", query)}
            changes = [each for each in changes if each.number in numbers]
        start, size = int(params.get("S", "0")), min(int(params["n"]), self.page)
        infos = [self.info(each) for each in changes[start : start + size]]
        if len(changes) > start + size and infos:
            infos[-1]["_more_changes"] = True
        return infos

    def _visible(self, change: FakeChange) -> bool:
        return change.status != "DELETED" and not change.private

    def _count(self, what: str, answer: Any) -> Any:
        self.asked[what] += 1
        return answer

    def _missing(self, path: str) -> GerritRefusedError:
        return GerritRefusedError(f"GET {path}: 404", status=404, text="Not found")


def _requirement(label: str, fulfilled: bool) -> dict[str, Any]:
    best, worst = f"label:{label}=MAX", f"label:{label}=MIN"
    result = {
        "expression": f"{best} AND -{worst}",
        "passing_atoms": [best] if fulfilled else [],
        "failing_atoms": [worst] if fulfilled else [best, worst],
    }
    return {"name": label, "status": "SATISFIED" if fulfilled else "UNSATISFIED", "submittability_expression_result": result}
