"""Performs a plan in a Jenkins, a few jobs at a time. What one job comes to is nobody else's business; the next run does what is left."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from torii.errors import ToriiError
from torii.jenkins.errors import JenkinsExistsError, JenkinsMissingError, JenkinsUnavailableError
from torii.jobs.marks import read_mark
from torii.jobs.plan import Deed, Step
from torii.jobs.xml import parse, same

if TYPE_CHECKING:
    from torii.jenkins import Controller

log = structlog.get_logger()

AT_ONCE = 4
"""Jobs that are sent to one Jenkins at the same time."""

_GIVEN_UP = "not tried: this Jenkins does not answer any more"


@dataclass(frozen=True, slots=True)
class Done:
    """What became of one step: as planned where `problem` is empty, else nothing, for a reason that names the job.

    `away`: because the Jenkins did not answer, so that nobody knows whether anything took effect; the next run does.
    """

    step: Step
    problem: str = ""
    away: bool = False


class ForeignJobError(ToriiError):
    """What is there now under a job's name is not a job that this Torii made."""


def perform(controller: Controller, steps: Sequence[Step], told: Callable[[Done], None] | None = None) -> list[Done]:
    """Perform `steps` and return what became of each, in their order; `told` hears of each as it is done, on the calling thread.

    A Jenkins that stops answering ends it: the rest is left for the next time. So does whatever `told` raises, KeyboardInterrupt among it.
    A job of which a build runs or waits is not removed. Raises JenkinsError where even that cannot be asked; then nothing was done.
    """
    away = threading.Event()
    found: dict[int, Done] = {}
    busy = _busy(controller, steps)
    pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="torii-jobs-apply")
    try:
        asked = {pool.submit(_step, controller, step, away, busy): number for number, step in enumerate(steps)}
        for future in as_completed(asked):
            done = found[asked[future]] = future.result()
            if told is not None:
                told(done)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    return [found[number] for number in sorted(found)]


def altered(controller: Controller, steps: Iterable[Step]) -> list[Step]:
    """Return those of `steps`, jobs that should be as they are, that are not: each config.xml is read and compared. Raises JenkinsError."""

    def differs(step: Step) -> bool:
        config = controller.config(step.name)
        return config is None or not same(config, step.xml)

    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="torii-jobs-compare") as pool:
        steps = list(steps)
        return [step for step, differ in zip(steps, pool.map(differs, steps), strict=True) if differ]


def _step(controller: Controller, step: Step, away: threading.Event, busy: frozenset[str]) -> Done:
    if away.is_set():
        return Done(step, f"{step.name}: {_GIVEN_UP}", away=True)
    try:
        match step.deed:
            case Deed.MAKE:
                _make(controller, step)
            case Deed.CHANGE:
                _change(controller, step)
            case Deed.REMOVE:
                if step.name in busy:
                    return Done(step, f"{step.name}: a build of it runs or waits, which would end with it; it is left for the next time")
                _check_ours(controller, step)
                controller.delete(step.name)
    except JenkinsUnavailableError as error:
        away.set()
        return Done(step, f"{step.name}: {error}", away=True)
    except ToriiError as error:
        return Done(step, f"{step.name}: {error}")
    log.info("jobs.synced", controller=controller.name, job=step.name, deed=step.deed.value)
    return Done(step)


def _busy(controller: Controller, steps: Sequence[Step]) -> frozenset[str]:
    """Return the jobs of which a build runs or waits, where one is to be removed. Raises JenkinsError."""
    if not any(step.deed is Deed.REMOVE for step in steps):
        return frozenset()
    started = {build.job for build in (*controller.running().values(), *controller.last_builds().values()) if build.running}
    return frozenset(started | {item.job for item in controller.queue()})


def _make(controller: Controller, step: Step) -> None:
    try:
        controller.create(step.name, step.xml)
    except JenkinsExistsError:
        # Made since the jobs were listed: by this Torii's other half, or by an earlier request whose answer was lost.
        _check_ours(controller, step)
        controller.update(step.name, step.xml)


def _change(controller: Controller, step: Step) -> None:
    try:
        _check_ours(controller, step)
        controller.update(step.name, step.xml)
    except JenkinsMissingError:
        controller.create(step.name, step.xml)  # deleted by hand in this very moment


def _check_ours(controller: Controller, step: Step) -> None:
    """Raise ForeignJobError where somebody put a job of their own into the place since the jobs were listed."""
    config = controller.config(step.name)
    if config is None:
        return
    root = parse(config)
    description = root.findtext("description") or "" if root is not None else ""
    mark = read_mark(description)
    if mark is None or mark.owner != step.mark.owner or not mark.belongs_to(step.name):
        raise ForeignJobError("another job has been put in its place since the jobs were listed; that one is left alone")
