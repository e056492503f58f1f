"""What the store can refuse or fail at. `temporary` is true where the same call may succeed later, nothing having been lost."""

from __future__ import annotations

from torii.errors import OperatorError, UserError


class StoreError(OperatorError):
    """The store cannot be opened, read or written; what was committed before still is."""

    temporary = False


class StoreUnavailableError(StoreError):
    """The store cannot be written just now: its disk is full, or another process holds it."""

    temporary = True


class JournalError(UserError):
    """A file that was given as a journal is none."""


class AmbiguousChangeError(UserError):
    """A change's short name fits several changes."""
