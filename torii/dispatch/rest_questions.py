"""What the REST dispatcher asks of a Jenkins. All of it may block, runs on the thread of a desk, and raises `OperatorError`."""

from __future__ import annotations

from dataclasses import replace

from torii.dispatch.definitions import Library
from torii.dispatch.parameters import without_password
from torii.errors import OperatorError, ToriiError
from torii.jenkins import Controller, Queued
from torii.jobs import build_parameters
from torii.model.build import BuildRequest
from torii.model.ids import BuildId


def parameters(request: BuildRequest, url: str, log_url: str) -> dict[str, str]:
    """Return what `request` is started with. `url` is where the staging ref is fetched from, `log_url` the build's page.

    Raises ValueError for a parameter that no environment variable can carry.
    """
    given = build_parameters(request, without_password(url), log_url)
    for name, value in given.items():
        if "\x00" in value or "\x00" in name or "=" in name or not name:
            raise ValueError(f"the parameter {name!r} has a NUL in it, or no name that an environment variable may have")
    return given


def job_names(library: Library, request: BuildRequest) -> list[str]:
    """Return each name under which the job of `request` may stand in Jenkins, its own first."""
    try:
        names = [library.rendered(replace(request, synced=synced)).name for synced in (request.synced, False)]
    except (ToriiError, ValueError) as error:
        raise OperatorError(str(error)) from error
    return list(dict.fromkeys(names))


def cancel(controller: Controller, item: int) -> Queued | None:
    """Take `item` out of the queue, and return what became of it: it may have begun just then. None where nobody knows it."""
    controller.cancel(item)
    return controller.queued(item)


def end(controller: Controller, build: BuildId) -> None:
    """End the build whose TORII_UUID is `build`, wherever in `controller` it is."""
    for item in controller.queue():
        if item.uuid == build:
            controller.cancel(item.id)
    running = controller.running().get(build)
    if running is not None:
        controller.stop(running.job, running.number)
