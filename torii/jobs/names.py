"""What a job is called in Jenkins and on Gearman.

A `build:` function knows a job's short name only, so project, branch and job all stand in it. Jenkins forbids names with one of
`/ ? * % ! @ # $ ^ & < > [ ] : ; | \\` and names that end in a dot, and takes `Unit` and `unit` for the same job; a name is also a folder
on its disk.
"""

from __future__ import annotations

import hashlib
import re

COPY = "--x"
"""What stands between a job's name and the hash in the name of a change's own copy of it."""

NAME_LIMIT = 125
"""No job is called anything longer, in characters (which are bytes: names are ASCII)."""

_PLAIN = re.compile(r"[a-z0-9_]+(?:[.+-][a-z0-9_]+)*")
"""A part that may stand in a name as it is: with no doubled or outer separators, three of them can be told apart again."""
_PLAIN_LIMIT = 92
_PART_LIMITS = (36, 24, 30)
_UNFIT = re.compile(r"[^a-z0-9_.+]+")
_DIGITS = 12


def job_name(project: str, branch: str, job: str) -> str:
    """Return the name of `job` on `branch` of `project`, such as `app--main--unit`.

    The same every time, and never the same for another triple: parts that had to be altered or cut are followed by a hash of the
    real ones. Plain names have three parts between `--`, hashed ones four, so neither can be made to look like the other.
    """
    parts = (project, branch, job)
    plain = "--".join(parts)
    if len(plain) <= _PLAIN_LIMIT and all(_PLAIN.fullmatch(part) for part in parts):
        return plain
    readable = "--".join(_readable(part, limit) for part, limit in zip(parts, _PART_LIMITS, strict=True))
    return f"{readable}--{_digest(*parts)}"


def changed_job_name(name: str, xml: bytes) -> str:
    """Return what the job `name` is called where a change alters or adds it: its name, and a hash of its XML after `--x`."""
    return f"{name}{COPY}{hashlib.sha256(xml).hexdigest()[:_DIGITS]}"


def _readable(part: str, limit: int) -> str:
    text = re.sub(r"[.+-]{2,}", "-", _UNFIT.sub("-", part.lower())).strip(".+-")
    return text[:limit].rstrip(".+-") or "x"


def _digest(*parts: str) -> str:
    data = b"\0".join(part.encode("utf-8", "surrogatepass").replace(b"\0", b"\0\0") for part in parts)
    return hashlib.sha256(data).hexdigest()[:_DIGITS]
