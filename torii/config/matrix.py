"""Matrix jobs: every combination of values becomes a job of its own, with a name that is the same each time."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Mapping

MAX_CELLS = 100
"""Combinations of one matrix."""

Cells = dict[str, tuple[tuple[str, str], ...]]
"""For each cell's job name its (axis, value) pairs."""


class MatrixError(ValueError):
    """A matrix that cannot be written out. The message is a sentence for whoever wrote it."""


def cells(job: str, matrix: Mapping[str, tuple[str, ...]]) -> Cells:
    """Return the cells of `job`, in the order in which the file gives the values, the last axis fastest.

    A job without a matrix is one cell of its own name. Raises MatrixError.
    """
    if not matrix:
        return {job: ()}
    count = math.prod(len(values) for values in matrix.values())
    if count > MAX_CELLS:
        raise MatrixError(f"{count} combinations; {MAX_CELLS} are the most")
    found: Cells = {}
    taken: set[str] = set()
    for values in itertools.product(*matrix.values()):
        name = "-".join((job, *map(_slug, values)))
        if len(name) > 64:
            raise MatrixError(f'the job name "{name}" would have {len(name)} characters; 64 are the most')
        if name.lower() in taken:
            raise MatrixError(f'two combinations would both be called "{name}": values must differ in letters and digits')
        taken.add(name.lower())
        found[name] = tuple(zip(matrix, values, strict=True))
    return found


def _slug(value: str) -> str:
    slug = re.sub(r"\.{2,}", ".", re.sub(r"[^A-Za-z0-9._]+", "-", value[:200])).strip("-._")
    if not slug:
        raise MatrixError(f'no job name can be made of the value "{value[:60]}": it needs a letter or a digit')
    return slug
