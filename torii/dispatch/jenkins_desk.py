"""Asks a Jenkins one question after another, on a thread of its own, so that nobody else waits for a slow one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import structlog

from torii.dispatch.mailbox import Mailbox
from torii.errors import OperatorError
from torii.jenkins import Controller, JenkinsError

log = structlog.get_logger()

T = TypeVar("T")


class Desk:
    """Where questions to `controller` are put, from any thread, in the order in which they are answered."""

    def __init__(self, controller: Controller, purpose: str = "") -> None:
        self.controller = controller
        self._box = Mailbox(f"dispatch-jenkins-{controller.name}{purpose}")

    @property
    def name(self) -> str:
        return self.controller.name

    def start(self) -> None:
        self._box.start()

    def stop(self, timeout: float) -> None:
        """Answer nothing more; waits up to `timeout` seconds for the question in hand."""
        self._box.stop(timeout)

    def ask(self, question: Callable[[], T], told: Callable[[T], None], failed: Callable[[OperatorError], None]) -> None:
        """Have `question` asked here, and one of `told` and `failed` called, on this desk's thread."""

        def do() -> None:
            try:
                answer = question()
            except OperatorError as error:
                failed(error)
            except Exception as error:
                log.exception("dispatch.jenkins_question_failed", jenkins=self.name)
                failed(JenkinsError(f"the Jenkins {self.name} said something that was not understood: {type(error).__name__}: {error}"))
            else:
                told(answer)

        self._box.post(do)
