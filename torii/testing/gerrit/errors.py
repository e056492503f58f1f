"""What can go wrong with a Gerrit of one's own."""

from __future__ import annotations

from torii.errors import OperatorError


class LabError(OperatorError):
    """The lab's Gerrit could not be had, did not start, or did not do what it was told."""


class PartMissingError(LabError):
    """A part that the lab needs is not on this machine: a Java, Maven, git, or the jars."""


class RefusedError(LabError):
    """Gerrit answered with an error: `status` of HTTP, and its own words in `text`."""

    def __init__(self, what: str, status: int, text: str) -> None:
        super().__init__(f"{what}: Gerrit answered {status}: {text.strip()[:2000]}")
        self.status = status
        self.text = text
