"""Which speculative states are worth their builds. A strategy only chooses; it cannot make a wrong merge, only a slow queue."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

from torii.gate.state import Item
from torii.model.ids import ItemId


class Node(Protocol):
    """A state that was asked for: an item on top of another node. `failed` tells that nothing can usefully stand on it."""

    @property
    def failed(self) -> bool: ...


N = TypeVar("N", bound=Node)


class Speculation(Protocol[N]):
    """The tree of states that a strategy grows, from `root` (the real branch tips)."""

    @property
    def root(self) -> N: ...

    def on(self, item: Item, node: N) -> N:
        """Ask for the state of `item` on top of `node`, and return it. What nobody asks for is stopped."""


class Strategy(Protocol):
    """Asks for states, given the items of a queue, head first. Called anew whenever something changed, so it keeps nothing."""

    def plan(self, line: Sequence[Item], tree: Speculation[N]) -> None: ...


class Linear:
    """Assume that everything ahead succeeds until it is seen to fail, as Zuul does: one path, each item on the nearest that may merge."""

    def plan(self, line: Sequence[Item], tree: Speculation[N]) -> None:
        node = top = tree.root
        unit: tuple[ItemId, ...] = ()
        failed = False
        for item in line:
            if not item.together or item.together != unit:  # what merges together does so or not: the next stands on all of it, or none
                node = node if failed else top
                top, unit, failed = node, item.together, False
            if not failed:
                top = tree.on(item, top)
                failed = top.failed


STRATEGIES: dict[str, Strategy] = {"linear": Linear()}
