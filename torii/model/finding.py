"""What a check-up of a Gerrit or a Jenkins finds."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Verdict(Enum):
    """WARN: it works, but not as well as it could. UNKNOWN: only trying, or somebody else's rights, would show it."""

    PASS = "pass"
    WARN = "warn"
    FAIL = "fail"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at: `topic` in a word, what was seen in `words`, and what to do about it in `advice`.

    `project` is Torii's name of the project it is about; empty for the whole of what is checked.
    """

    topic: str
    verdict: Verdict
    words: str
    advice: str = ""
    project: str = ""
