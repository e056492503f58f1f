"""Ask workers whether they have a build, over what Jenkins' plug-in has too: only who has a build can set its description."""

from __future__ import annotations

import html
import json
import threading
from collections.abc import Callable, Iterable

from torii.dispatch.wire import Running
from torii.gearman import Client, Listener, sign_parameters
from torii.gearman.envelope import SIGNATURE
from torii.gearman.functions import describe_function
from torii.model.build import BuildRequest
from torii.model.ids import BuildId
from torii.model.pipeline import Precedence


def signed(key: bytes, build: BuildId, running: Running | None, **more: str) -> bytes:
    """Return what `stop:` and `set_description:` take: which build, by its id and, where it is known, as its worker calls it."""
    parameters = {"uuid": str(build), **more}
    if running is not None and running.name:
        parameters |= {"name": running.name, "number": str(running.number)}
    return json.dumps({**parameters, SIGNATURE: sign_parameters(key, parameters)}).encode()


class Inquiry:
    """One question to several managers. `told` is called once, on any thread: with the manager that has the build, or None: no one has.

    It is not called where a connection broke meanwhile: the question is void, and to be asked again.
    """

    def __init__(self, told: Callable[[str | None], None]) -> None:
        self._told = told
        self._open: set[str] = set()
        self._lock = threading.Lock()

    def ask(self, client: Client, key: bytes, request: BuildRequest, running: Running | None, managers: Iterable[str]) -> None:
        """Send the question. `managers` are as their WORK_DATA names them, and must not be empty."""
        self._open = set(managers)
        text = html.escape(f"{request.change}, {request.patchset} in {request.pipeline}")
        data = signed(key, request.id, running, html_description=text)
        for manager in sorted(self._open):
            client.submit(describe_function(manager), data, f"ask-{request.id}", Precedence.HIGH, _Answer(self, manager))

    def answered(self, manager: str, has_it: bool) -> None:
        with self._lock:
            if manager not in self._open:
                return
            self._open.discard(manager)
            if has_it:
                self._open.clear()
            over = not self._open
        if over:
            self._told(manager if has_it else None)

    def void(self) -> None:
        """Expect no answer any more."""
        with self._lock:
            self._open.clear()


class _Answer(Listener):
    def __init__(self, inquiry: Inquiry, manager: str) -> None:
        self._inquiry, self._manager = inquiry, manager

    def complete(self, data: bytes) -> None:  # noqa: ARG002
        self._inquiry.answered(self._manager, True)

    def fail(self) -> None:
        self._inquiry.answered(self._manager, False)

    def exception(self, data: bytes) -> None:  # noqa: ARG002
        self._inquiry.answered(self._manager, False)

    def lost(self) -> None:
        self._inquiry.void()
