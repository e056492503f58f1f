"""How asking a Jenkins can fail. What may pass is told apart from what somebody has to mend."""

from __future__ import annotations

from torii.errors import OperatorError


class JenkinsError(OperatorError):
    """A Jenkins did not do what it was asked; the message names it (without secrets), says what it said and what to do."""


class JenkinsUnavailableError(JenkinsError):
    """It is down, slow, restarting, or something in front of it answers: asking again later may help. Whether anything took effect is unknown."""


class JenkinsRefusedError(JenkinsError):
    """It knows us not, or does not allow it (401, 403): an operator has to mend the account, its token or its permissions."""


class JenkinsInvalidError(JenkinsError):
    """It will not take what it was sent (400, 409, 500 for a job's XML, a name that it forbids): asking again will not help."""


class JenkinsMissingError(JenkinsError):
    """What was asked about is not there (404): a job, a build, a folder."""


class JenkinsExistsError(JenkinsError):
    """There is a job of that name already."""
