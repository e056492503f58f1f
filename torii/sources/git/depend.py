"""Which open changes a change must not merge without, over all projects of a connection. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from torii.model.change import ChangeStatus
from torii.model.ids import ChangeId
from torii.sources.git.known import KnownChange

Changes = Mapping[ChangeId, KnownChange]


@dataclass(frozen=True, slots=True)
class Standing:
    """What follows for one change: `depends_on` as in `Change`, and what its dependencies say against a merge."""

    depends_on: tuple[ChangeId, ...] = ()
    blockers: tuple[str, ...] = ()


def resolve(changes: Changes, touched: Collection[ChangeId]) -> dict[ChangeId, Standing]:
    """Return how each open change stands that is one of `touched` or depends on one, directly or not."""
    affected = _dependants(changes, touched)
    groups = _groups({change: _direct(changes, change) for change in _reachable(changes, affected)})
    rank: dict[ChangeId, int] = {}
    closures: dict[ChangeId, frozenset[ChangeId]] = {}
    standings: dict[ChangeId, Standing] = {}
    for group in groups:
        for change in group:
            direct = [other for other in _direct(changes, change) if other not in group]
            closures[change] = frozenset(direct).union(*(closures[other] for other in direct))
        for change in group:
            rank[change] = len(rank)
        for change in group:
            if change in affected:
                ordered = tuple(sorted(closures[change], key=rank.__getitem__))
                standings[change] = Standing(ordered, (*_cycle(changes, group), *_abandoned(changes, change)))
    return standings


def _direct(changes: Changes, change: ChangeId) -> list[ChangeId]:
    """Return the open changes that `change` itself names or stands on."""
    known = changes[change]
    return [other for other in dict.fromkeys((*known.below, *known.wants)) if other in changes and changes[other].open]


def _abandoned(changes: Changes, change: ChangeId) -> tuple[str, ...]:
    gone = [other for other in changes[change].wants if other in changes and changes[other].status is ChangeStatus.ABANDONED]
    return tuple(f"it depends on {other}, which was abandoned" for other in gone)


def _cycle(changes: Changes, group: list[ChangeId]) -> tuple[str, ...]:
    if len(group) == 1 and group[0] not in _direct(changes, group[0]):
        return ()
    members = sorted(group)
    return ("it depends on itself: " + " -> ".join((*members, members[0])),)


def _dependants(changes: Changes, touched: Collection[ChangeId]) -> set[ChangeId]:
    """Return the open changes of `touched` and all open ones that reach them."""
    reverse: dict[ChangeId, list[ChangeId]] = {}
    for id_, known in changes.items():
        if known.open:
            for other in (*known.below, *known.wants):
                reverse.setdefault(other, []).append(id_)
    seen = set(touched)
    waiting = list(touched)
    while waiting:
        for dependant in reverse.get(waiting.pop(), ()):
            if dependant not in seen:
                seen.add(dependant)
                waiting.append(dependant)
    return {change for change in seen if change in changes and changes[change].open}


def _reachable(changes: Changes, start: Iterable[ChangeId]) -> list[ChangeId]:
    """Return all that `start` depends on, with itself, in an order that does not vary."""
    seen = dict.fromkeys(sorted(start))
    waiting = list(seen)
    while waiting:
        for other in _direct(changes, waiting.pop()):
            if other not in seen:
                seen[other] = None
                waiting.append(other)
    return sorted(seen)


def _groups(edges: Mapping[ChangeId, list[ChangeId]]) -> list[list[ChangeId]]:
    """Return the strongly connected components, each after those it depends on (Tarjan 1972, without recursion)."""
    index: dict[ChangeId, int] = {}
    low: dict[ChangeId, int] = {}
    stack: list[ChangeId] = []
    on_stack: set[ChangeId] = set()
    groups: list[list[ChangeId]] = []
    for root in edges:
        if root in index:
            continue
        work = [(root, iter(edges[root]))]
        index[root] = low[root] = len(index)
        stack.append(root)
        on_stack.add(root)
        while work:
            node, rest = work[-1]
            for other in rest:
                if other not in index:
                    index[other] = low[other] = len(index)
                    stack.append(other)
                    on_stack.add(other)
                    work.append((other, iter(edges[other])))
                    break
                if other in on_stack:
                    low[node] = min(low[node], index[other])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == index[node]:
                    cut = stack.index(node)
                    groups.append(sorted(stack[cut:]))
                    on_stack.difference_update(stack[cut:])
                    del stack[cut:]
    return groups
