"""What the pages ask of the store: reading, nothing else. `torii.store.reader.StoreReader` is it; so is any other that answers the same."""

from __future__ import annotations

from typing import Protocol

from torii.model.ids import BuildId, ChangeId, ItemId, PipelineName, ProjectName
from torii.model.view import BuildView, Decision, ItemView


class Pages(Protocol):
    """Rows of items, builds and decisions. May be called from any thread; raises an OperatorError where the store fails."""

    def items(
        self,
        *,
        active_only: bool = False,
        pipeline: PipelineName | None = None,
        project: ProjectName | None = None,
        change: ChangeId | None = None,
        before: float | None = None,
        limit: int | None = 100,
    ) -> tuple[ItemView, ...]:
        """Return up to `limit` items, the newest first; with `active_only` by pipeline, queue and position."""

    def item(self, item: ItemId) -> ItemView | None: ...

    def builds_of(self, *wanted: ItemId) -> tuple[BuildView, ...]:
        """Return all builds of these items, by item and build set, each set's in the order in which they were asked for."""

    def build(self, build: BuildId) -> BuildView | None: ...

    def decisions_of(self, change: ChangeId | None = None, item: ItemId | None = None, limit: int = 100) -> tuple[Decision, ...]:
        """Return the newest `limit` decisions on `change`, or on one `item`, in the order in which they were made."""
