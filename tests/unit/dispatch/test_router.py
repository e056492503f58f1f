from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import pytest

from tests.support.dispatch_lab import build_request
from torii.dispatch.router import Router
from torii.model.build import BuildRequest
from torii.model.ids import BuildId, ProjectName


@dataclass
class Backend:
    """Keeps what it is asked for."""

    heard: list[tuple[str, object]] = field(default_factory=list)

    def start(self, request: BuildRequest) -> None:
        self.heard.append(("start", request.id))

    def stop_build(self, build: BuildId, reason: str) -> None:
        self.heard.append((reason, build))

    def reconcile(self, expected: Iterable[BuildRequest]) -> None:
        self.heard.append(("reconcile", [request.id for request in expected]))

    def stop(self, timeout: float) -> None:
        self.heard.append(("stop", timeout))


@pytest.fixture
def backends() -> tuple[Backend, Backend]:
    return Backend(), Backend()


@pytest.fixture
def router(backends: tuple[Backend, Backend]) -> Router:
    return Router(*backends, by_rest=[ProjectName("site")])


APP = build_request()
SITE = build_request(project=ProjectName("site"))


def test_a_build_goes_to_the_backend_of_its_project_and_is_stopped_there(router, backends):
    gearman, rest = backends
    for request in (APP, SITE):
        router.start(request)
        router.stop_build(request.id, "superseded")
    assert gearman.heard == [("start", APP.id), ("superseded", APP.id)]
    assert rest.heard == [("start", SITE.id), ("superseded", SITE.id)]


def test_after_a_restart_each_backend_looks_for_its_own_builds(router, backends):
    router.reconcile([APP, SITE])
    router.stop_build(SITE.id, "superseded")
    gearman, rest = backends
    assert gearman.heard == [("reconcile", [APP.id])]
    assert rest.heard == [("reconcile", [SITE.id]), ("superseded", SITE.id)]


def test_a_build_of_another_life_is_stopped_wherever_it_may_be(router, backends):
    router.stop_build(APP.id, "no longer wanted")
    assert [backend.heard for backend in backends] == [[("no longer wanted", APP.id)]] * 2


def test_both_backends_end_within_the_time_that_is_given(router, backends):
    router.stop(4.0)
    assert sum(limit for backend in backends for what, limit in backend.heard) == 4.0
