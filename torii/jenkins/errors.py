"""How asking a Jenkins can fail. What may pass is told apart from what somebody has to mend."""

from __future__ import annotations

from torii.errors import OperatorError


class JenkinsError(OperatorError):
    """A Jenkins did not do what it was asked; the message names it (without secrets), says what it said and what to do."""


class JenkinsUnavailableError(JenkinsError):
    """It is down, slow, restarting, or something in front of it answers: this may pass. Whether anything took effect is unknown.

    `status` is the HTTP status, None where none came; `retry_after` the seconds for which it asks to be left alone, None where it does
    not say.
    """

    def __init__(self, message: str, *, status: int | None = None, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after


class JenkinsRefusedError(JenkinsError):
    """It knows us not, or does not allow it (401, 403): an operator has to mend the account, its token or its permissions.

    `permission` is the one that is missing in Jenkins' words (`Job/Create`), empty where it does not say.
    """

    def __init__(self, message: str, *, permission: str = "") -> None:
        super().__init__(message)
        self.permission = permission


class JenkinsInvalidError(JenkinsError):
    """It will not take what it was sent (400, 409, 500 for a job's XML, a name that it forbids): asking again will not help."""


class JenkinsMissingError(JenkinsError):
    """What was asked about is not there (404): a job, a build, a folder."""


class JenkinsElsewhereError(JenkinsError):
    """What was asked for is kept on another host, to which Torii's login does not go."""


class JenkinsExistsError(JenkinsError):
    """There is a job of that name already."""


class JenkinsReplyTooLargeError(JenkinsError):
    """A reply was longer than Torii is willing to hold in memory: asking for the same again is no use."""
