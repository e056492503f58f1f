"""What a benchmark found."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Measurement:
    """`figure` (in `unit`) against `floor`, what the same outside work costs done by hand; `ratio` is what `target` speaks of.

    `target` is in words, such as "at most 1.5x of the floor"; `held` says whether it was met.
    """

    benchmark: str
    figure: float
    unit: str
    floor: float
    ratio: float
    target: str
    held: bool

    def line(self) -> str:
        """Return the measurement as one JSON object on one line."""
        return json.dumps({name: round(value, 4) if isinstance(value, float) else value for name, value in asdict(self).items()})
