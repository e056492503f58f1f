"""How long to wait before something is tried again."""

from __future__ import annotations


def backoff(first: float, attempt: int) -> float:
    """Return the seconds to wait after failed attempt number `attempt`: doubling from `first`, at most five minutes."""
    return min(300.0, first * 2.0 ** (attempt - 1))
