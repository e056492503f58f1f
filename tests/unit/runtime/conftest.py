"""What the runtime's unit tests share: a forge that makes events, a store in a folder, and adapters that answer when told."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pytest
import structlog

from torii.model.build import BuildRequest
from torii.model.command import DropStaging, Merge, Report, Submit
from torii.model.event import Event
from torii.model.ids import BuildId, ChangeId, ProjectName
from torii.runtime.ports import Cursor, Post
from torii.store.store import Store, open_store
from torii.testing.forge import Forge
from torii.testing.story import TORII_YML

APP = ProjectName("app")


class Adapters:
    """Source, merger and dispatcher in one. Each keeps what it was asked for; with `answers`, the forge answers merges, reports, submits.

    What is named in `broken` raises instead.
    """

    name = "forge"

    def __init__(self, forge: Forge) -> None:
        self.forge = forge
        self.answers = True
        self.post: Post | None = None
        self.asked: list[object] = []
        self.reconciled: list[BuildRequest] = []
        self.kept: list[frozenset[str]] = []
        self.broken: set[str] = set()

    def of(self, kind: type) -> list[object]:
        return [one for one in list(self.asked) if isinstance(one, kind)]

    def _take(self, name: str, one: object, answers: Sequence[Event] = ()) -> None:
        self.asked.append(one)
        if name in self.broken:
            raise RuntimeError(f"{name} is broken")
        if self.answers and answers and self.post is not None:
            self.post(answers)

    # A source.

    def start(self, request: BuildRequest | Cursor | None) -> None:
        self._take("start", request)

    def wake(self, project: ProjectName | None = None) -> None: ...

    def report(self, reports: Sequence[Report]) -> None:
        self.asked += reports[1:]
        self._take("report", reports[0], [event for one in reports for event in self.forge.report(one)])

    def submit(self, submit: Submit) -> None:
        self._take("submit", submit, self.forge.submit(submit))

    # A merger.

    def merge(self, merge: Merge) -> None:
        self._take("merge", merge, self.forge.stage(merge))

    def drop(self, drop: DropStaging) -> None:
        self._take("drop", drop)

    def collect(self, keep: frozenset[str]) -> None:
        self.kept.append(keep)

    # A dispatcher.

    def stop_build(self, build: BuildId, reason: str) -> None:
        self._take("stop_build", build)

    def reconcile(self, expected: Iterable[BuildRequest]) -> None:
        self.reconciled += expected

    def stop(self, timeout: float) -> None: ...


@pytest.fixture(autouse=True)
def logged() -> Iterator[list[structlog.typing.EventDict]]:
    """What was logged. Nothing is printed: a traceback with all locals, as structlog prints it, takes seconds."""
    with structlog.testing.capture_logs() as entries:
        yield entries


@pytest.fixture
def forge() -> Forge:
    made = Forge()
    made.create_branch(APP, "main", {"torii.yml": TORII_YML})
    return made


@pytest.fixture
def adapters(forge: Forge) -> Adapters:
    return Adapters(forge)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "torii.db", tmp_path / "blobs") as opened:
        yield opened


def approved(forge: Forge, name: str = "fix") -> tuple[Event, Event]:
    """Return the events of a change that was pushed and approved."""
    change = ChangeId(f"app:main/{name}")
    return forge.push_change(change, APP, "main", {f"{name}.txt": name}), forge.approve(change)
