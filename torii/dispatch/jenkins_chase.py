"""Ends builds that nobody wants any more wherever a Jenkins has them: what Gearman was told to cancel may be past its reach already."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial

import structlog

from torii.dispatch.jenkins_desk import Desk
from torii.dispatch.mailbox import Mailbox
from torii.errors import OperatorError
from torii.model.ids import BuildId

log = structlog.get_logger()

_LOOKS = 3
_LIMIT = 300


@dataclass(slots=True)
class _Quarry:
    """A build that must not go on there. `clean` counts looks in a row that found it nowhere, `left` those that are tried at most."""

    clean: int = 0
    left: int = _LIMIT


class Chase:
    """Looks for unwanted builds every `pause` seconds, in two requests a controller for all of them, until they are gone for sure.

    Called on the thread of `box`.
    """

    def __init__(self, desks: Mapping[str, Desk], box: Mailbox, pause: float) -> None:
        self._desks = desks
        self._box = box
        self._pause = pause
        self._wanted: dict[str, dict[BuildId, _Quarry]] = {name: {} for name in desks}
        self._at_work: set[str] = set()

    def end(self, build: BuildId, controllers: Iterable[str] | None = None) -> None:
        """End `build` in `controllers` (None: in all), running or waiting, and return at once."""
        for name in controllers if controllers is not None else self._desks:
            self._wanted[name][build] = _Quarry()
            if name not in self._at_work:
                self._at_work.add(name)
                self._look(name)

    def _look(self, name: str) -> None:
        desk, builds = self._desks[name], frozenset(self._wanted[name])
        told = partial(self._looked, name, builds)
        desk.ask(
            partial(_hunt, desk, builds),
            lambda found: self._box.post(partial(told, found)),
            lambda error: self._box.post(partial(self._failed, name, error)),
        )

    def _looked(self, name: str, asked: frozenset[BuildId], found: frozenset[BuildId]) -> None:
        wanted = self._wanted[name]
        for build in asked & set(wanted):
            quarry = wanted[build]
            quarry.clean = 0 if build in found else quarry.clean + 1
            quarry.left -= 1
            if quarry.clean >= _LOOKS or not quarry.left:
                del wanted[build]
        self._go_on(name)

    def _failed(self, name: str, error: OperatorError) -> None:
        log.info("dispatch.unwanted_builds_not_looked_for", jenkins=name, builds=len(self._wanted[name]), reason=str(error))
        for build, quarry in list(self._wanted[name].items()):
            quarry.left -= 1
            if not quarry.left:
                del self._wanted[name][build]
        self._go_on(name)

    def _go_on(self, name: str) -> None:
        if self._wanted[name]:
            self._box.later(self._pause, partial(self._look, name))
        else:
            self._at_work.discard(name)


def _hunt(desk: Desk, builds: frozenset[BuildId]) -> frozenset[BuildId]:
    """Stop and cancel what is there of `builds`, and return it."""
    found: set[BuildId] = set()
    for item in desk.controller.queue():
        if item.uuid in builds:
            found.add(BuildId(item.uuid))
            desk.controller.cancel(item.id)
    for uuid, build in desk.controller.running().items():
        if uuid in builds:
            found.add(BuildId(uuid))
            desk.controller.stop(build.job, build.number)
            log.info("dispatch.unwanted_build_stopped", jenkins=desk.name, job=build.job, number=build.number)
    return frozenset(found)
