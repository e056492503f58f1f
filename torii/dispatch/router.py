"""Gives each build to the backend that starts those of its project: Gearman's, or a Jenkins' REST. One dispatcher to whoever asks."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterable

from torii.model.build import BuildRequest
from torii.model.ids import BuildId, ProjectName
from torii.runtime.ports import Dispatcher

_REMEMBERED = 20_000


class Router:
    """`torii.runtime.ports.Dispatcher` over two others: builds of the projects in `by_rest` are `rest`'s, all others `gearman`'s.

    Like a dispatcher it is called by one thread.
    """

    def __init__(self, gearman: Dispatcher, rest: Dispatcher, by_rest: Collection[ProjectName]) -> None:
        self._gearman, self._rest, self._by_rest = gearman, rest, frozenset(by_rest)
        self._given: OrderedDict[BuildId, Dispatcher] = OrderedDict()

    def start(self, request: BuildRequest) -> None:
        self._of(request).start(request)

    def stop_build(self, build: BuildId, reason: str) -> None:
        """Pass it on; a build that was started before this process began may be anybody's, and the first answer counts."""
        given = self._given.get(build)
        for backend in (given,) if given is not None else (self._gearman, self._rest):
            backend.stop_build(build, reason)

    def reconcile(self, expected: Iterable[BuildRequest]) -> None:
        requests = list(expected)
        for backend in (self._gearman, self._rest):
            backend.reconcile([request for request in requests if self._of(request) is backend])

    def stop(self, timeout: float) -> None:
        self._rest.stop(timeout / 2)
        self._gearman.stop(timeout / 2)

    def _of(self, request: BuildRequest) -> Dispatcher:
        backend = self._rest if request.project in self._by_rest else self._gearman
        self._given[request.id] = backend
        while len(self._given) > _REMEMBERED:
            self._given.popitem(last=False)
        return backend
