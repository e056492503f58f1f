"""How far a Gerrit was read: small JSON that is committed together with the events read so far."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from torii.errors import OperatorError
from torii.model.ids import ProjectName, Sha
from torii.sources.gerrit.derive import Told

VERSION = 1


class UnreadableGerritCursorError(OperatorError):
    """The store holds a cursor of a Gerrit connection that this Torii cannot read (made by a newer one, or damaged)."""


@dataclass(slots=True)
class Progress:
    """What a source must remember of its Gerrit. One thread owns it.

    `since` is the server's time up to which all that happened is told, None until the first look is through; `began` is when that began.
    `told` says what was told of a change after (or shortly before) that. `tips` are the branches of each project that was read, `count`
    numbers what has no name of its own.
    """

    since: float | None = None
    began: float | None = None
    told: dict[int, Told] = field(default_factory=dict)
    newest: dict[int, float] = field(default_factory=dict)
    """The time of the newest message of each change in `told`: when that is long past, it need not be remembered."""
    tips: dict[ProjectName, dict[str, Sha]] = field(default_factory=dict)
    count: int = 0

    def learn(self, number: int, told: Told, newest: float) -> None:
        """What was `told` of change `number`, whose newest message is from `newest`."""
        self.told[number] = told
        self.newest[number] = newest

    def reach(self, since: float, overlap: float) -> None:
        """All that happened up to `since` is told. What is older than `overlap` seconds before it is forgotten."""
        self.since = max(since, self.since or 0.0)
        for number in [number for number, newest in self.newest.items() if newest < self.since - overlap]:
            del self.told[number], self.newest[number]


def dump(progress: Progress) -> str:
    """Return the cursor's text, JSON."""
    told = {str(number): [progress.newest[number], each.digest, *sorted(each.ids)] for number, each in progress.told.items()}
    return json.dumps(
        {"version": VERSION, "since": progress.since, "began": progress.began, "count": progress.count, "tips": progress.tips, "told": told}
    )


def load(state: str) -> Progress:
    """Read what `dump` wrote. Raises UnreadableGerritCursorError."""
    try:
        document = json.loads(state)
        if document["version"] != VERSION:
            raise ValueError(f"its version is {document['version']!r}, this Torii reads {VERSION}")
        since, began = (None if document[name] is None else float(document[name]) for name in ("since", "began"))
        tips = {ProjectName(name): {branch: Sha(sha) for branch, sha in tips.items()} for name, tips in document["tips"].items()}
        progress = Progress(since, began, tips=tips, count=int(document["count"]))
        for number, entry in document["told"].items():
            progress.learn(int(number), _told(entry), float(entry[0]))
    except (ValueError, KeyError, TypeError, AttributeError, LookupError) as error:
        raise UnreadableGerritCursorError(f"the cursor of a Gerrit connection cannot be read: {error!r}") from error
    return progress


def _told(entry: list[Any]) -> Told:
    return Told(frozenset(str(each) for each in entry[2:]), str(entry[1]))
