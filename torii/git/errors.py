"""What can go wrong between Torii and a git repository. Messages never hold a password."""

from __future__ import annotations

from torii.errors import OperatorError, UserError


class GitError(OperatorError):
    """A git command failed; the message says which, and what git said."""


class TimedOutError(GitError):
    """A git command was killed at its time limit."""


class RemoteUnavailableError(GitError):
    """A remote repository is away, refuses us or made no sense; the message says what it said."""


class RefMissingError(GitError):
    """The remote has no such refs. `refs` names all that were asked for and are not there."""

    def __init__(self, url: str, refs: tuple[str, ...]) -> None:
        super().__init__(f"{url} has no {', '.join(refs)}")
        self.refs = refs


class UnsafeNameError(UserError):
    """A ref, commit or address from outside is not one that git (or Torii) allows."""
