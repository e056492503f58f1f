"""What a build cannot be run without."""

from __future__ import annotations

from torii.errors import OperatorError


class StorageError(OperatorError):
    """A build's log, record or artifact cannot be kept: nothing can be said of the build, and it has to be run again."""
