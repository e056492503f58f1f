"""The names of staging refs."""

from __future__ import annotations

STAGING = "refs/staging/"


def build_set_of(ref: str) -> str:
    """Return the build set that a staging ref (`refs/staging/<pipeline>/<build set>/<branch>`) names; empty for anything else."""
    parts = ref.split("/", 4)
    return parts[3] if len(parts) == 5 and ref.startswith(STAGING) else ""
