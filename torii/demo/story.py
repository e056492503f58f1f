"""The story: who pushes what, and what is waited for before the next push. Nothing is timed; each wait is for a state, with a limit."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from torii.demo.engine import Engine
from torii.demo.presenter import Presenter
from torii.demo.projects import CHEAP_TEA, CHECK_SPELLING, CLEAR_NAMES, PRINT_RECEIPT, REPOSITORIES, SELL_JUICE, SELL_TEA, Edit
from torii.demo.screen import Scene
from torii.demo.snapshot import Snapshot, read_snapshot
from torii.demo.workshop import Workshop, tip
from torii.errors import ToriiError

_GLANCE = 0.1

PASSES = "A change is pushed for review and passes its check; it is approved, tested once more in the gate, and merged."
THREE = (
    "Three changes are approved at once. Each has passed its check, yet the second breaks on top of the first: "
    "it has to leave, and the third is tested again without it."
)
ALSO = (
    "Five changes are pushed for review. One clashes with what was merged a moment ago. One, in the library, adds a job to "
    "torii.yml, and that job tests it."
)
AFTER = "What was merged is packaged by the job that runs after a merge."


class InterruptedStoryError(ToriiError):
    """Somebody wants the demo to end."""


class WaitedInVainError(ToriiError):
    """Something did not happen within the limit."""


@contextmanager
def interruptible(stop: threading.Event) -> Iterator[None]:
    """Take for an interruption whatever fails after somebody has asked for the end: Ctrl-C reaches the commands under way, too.

    Raises InterruptedStoryError then, and else what was raised inside of the `with`.
    """
    try:
        yield
    except Exception as error:
        if stop.is_set() and not isinstance(error, InterruptedStoryError):
            raise InterruptedStoryError("interrupted") from error
        raise


class Stage:
    """Where the story is played: the people who push, the Torii that hears of it, whoever shows it, and the wish to end it."""

    def __init__(self, workshop: Workshop, engine: Engine, presenter: Presenter, stop: threading.Event, began: float) -> None:
        self.workshop = workshop
        self.moment: tuple[Snapshot, Scene] | None = None
        """The moment that tells most of the story, of those seen so far."""
        self._told = 0
        self._engine = engine
        self._presenter = presenter
        self._stop = stop
        self._began = began
        self._scene: Scene | None = None

    def scene(self, number: int, text: str) -> None:
        """Begin scene `number`."""
        self._scene = Scene(number, 4, text, self._began, self._engine.system.url)
        self._presenter.scene(self._scene)

    def look(self) -> Snapshot:
        """Return how things stand, having shown it. Raises InterruptedStoryError."""
        if self._stop.is_set():
            raise InterruptedStoryError("interrupted")
        if fault := self._engine.system.fault():
            raise ToriiError(fault)
        snapshot = read_snapshot(self._engine.store)
        told = telling(snapshot, self.workshop.change)
        if self._scene is not None and (self.moment is None or told > self._told):
            self.moment, self._told = (snapshot, self._scene), told
        self._presenter.show(snapshot)
        return snapshot

    def approve(self, *edits: Edit) -> None:
        """Approve changes of one project so that they are in the gate in this order, and all of them before the first is begun with.

        Where one push approves them all that is so by itself. Where approvals come one by one, whatever begins a test waits meanwhile:
        else the second might have failed before the third is there, on a machine that is fast, or busy.
        """
        if not self.workshop.customs.one_by_one or len(edits) == 1:
            self.workshop.approve(*edits)
            return
        with self._engine.held():
            for edit in edits:
                self.workshop.approve(edit)
                change = self.workshop.change(edit)
                self.until(partial(_is_in, change, "gate"), f"{change} to be in gate")

    def show_on(self, presenter: Presenter) -> None:
        """Show what happens from now on on another presenter."""
        self._presenter = presenter

    def until(self, condition: Callable[[Snapshot], bool], what: str) -> None:
        """Look on until `condition` holds. Raises WaitedInVainError where it does not within the limit."""
        limit = self.workshop.customs.patience
        deadline = time.monotonic() + limit
        while not condition(snapshot := self.look()):
            if time.monotonic() > deadline:
                raise WaitedInVainError(f"waited {limit:.0f} s for {what}, in vain; {_standing(snapshot)}")
            self._stop.wait(_GLANCE)


def play(stage: Stage) -> None:
    """Play the story to its end. Raises WaitedInVainError where something does not happen at all."""
    shop = stage.workshop
    stage.scene(1, PASSES)
    stage.look()
    shop.ask_review(SELL_TEA)
    _until_ended(stage, [SELL_TEA], "check")
    stage.approve(SELL_TEA)
    _until_ended(stage, [SELL_TEA], "gate")

    stage.scene(2, ALSO)
    three = (CLEAR_NAMES, PRINT_RECEIPT, SELL_JUICE)
    shop.ask_review(*three, CHEAP_TEA)
    shop.ask_review(CHECK_SPELLING)
    _until_ended(stage, [*three, CHEAP_TEA, CHECK_SPELLING], "check")

    stage.scene(3, THREE)
    stage.approve(*three)
    stage.approve(CHECK_SPELLING)
    _until_ended(stage, [*three, CHECK_SPELLING], "gate")

    stage.scene(4, AFTER)
    for project in REPOSITORIES:
        _until_released(stage, project)
    stage.look()


def _until_ended(stage: Stage, edits: Sequence[Edit], pipeline: str) -> None:
    changes = [stage.workshop.change(edit) for edit in edits]
    stage.until(
        lambda snapshot: all(snapshot.ended(change, pipeline) for change in changes), f"{', '.join(changes)} to go through {pipeline}"
    )


def _is_in(change: str, pipeline: str, snapshot: Snapshot) -> bool:
    return snapshot.stay(change, pipeline) is not None


def _standing(snapshot: Snapshot) -> str:
    """Return in words what is in the queues."""
    items = [f"{stay.item.change} in {stay.item.pipeline}: {stay.item.reason or stay.item.state}" for stay in snapshot.active]
    return "; ".join(items) or "nothing is in any queue"


def _until_released(stage: Stage, project: str) -> None:
    """Wait for the jobs that run on the last merge. Where nothing was merged there is nothing to wait for."""
    shop = stage.workshop
    now = tip(shop, project)
    if now != shop.clones.first(project):
        change = f"{project}@main"
        stage.until(
            lambda snapshot: any((stay.item.change, stay.item.patchset) == (change, now) for stay in snapshot.past),
            f"{change} at {now[:12]} to go through post",
        )


def telling(snapshot: Snapshot, change: Callable[[Edit], str]) -> int:
    """Return how much of the story a picture of this moment would tell: 3 is all of it, 0 nothing. `change` tells ids.

    All of it is that the third change is tested again without the second, which is failing, while the first is not done.
    """
    stays = [snapshot.stay(change(edit), "gate") for edit in (CLEAR_NAMES, PRINT_RECEIPT, SELL_JUICE)]
    first, second, third = (stay.item if stay is not None and stay.item.left_at is None else None for stay in stays)
    if first is None or second is None or third is None or first.state != "building" or third.state != "building":
        return 0
    if second.state != "failing":
        return 1
    again = third.built_on == (change(CLEAR_NAMES),)
    running = stays[2] is not None and any(build.state == "running" for build in stays[2].current_builds)
    return 3 if again and running else 2
