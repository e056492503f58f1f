"""Where a build's things are in the blob store. Pure: it makes and checks keys, and touches no blob."""

from __future__ import annotations

import re

from torii.errors import UserError
from torii.model.ids import BuildId

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_UNFIT = re.compile(r"[\x00-\x1f\x7f\\]")
PATH_LIMIT = 900
"""Bytes an artifact's path may have: with the rest of the key it stays below what S3 and Linux allow."""
_PART_LIMIT = 240


class UnfitNameError(UserError):
    """A build or an artifact is called something that cannot be a key."""


def is_build_id(text: str) -> bool:
    """Say whether `text` is a UUID in its canonical form, the only form in which a build is called."""
    return _UUID.fullmatch(text) is not None


def folder(build: BuildId) -> str:
    """Return the prefix, without a slash at its end, of all keys of `build`. Raises `UnfitNameError` where that is no build's id."""
    if not is_build_id(build):
        raise UnfitNameError(f"{str(build)[:60]!r} is not the id of a build: a UUID such as 4c7a3b1e-2f5d-5e0a-9d43-0f6b1c2d3e4f is")
    return f"builds/{build}"


def console(build: BuildId) -> str:
    """Return the key of the console log of `build`."""
    return f"{folder(build)}/console.log"


def place(build: BuildId) -> str:
    """Return the key of what says how far the log of `build` in a Jenkins has been read (see `torii.results.transcript`)."""
    return f"{folder(build)}/jenkins.json"


def record(build: BuildId) -> str:
    """Return the key of the `BuildRecord` of `build`, which is there once it ended."""
    return f"{folder(build)}/result.json"


def artifacts(build: BuildId) -> str:
    """Return the prefix, without a slash at its end, of the keys of all artifacts of `build`."""
    return f"{folder(build)}/artifacts"


def artifact(build: BuildId, path: str) -> str:
    """Return the key of the artifact at `path` (relative, with `/`). Raises `UnfitNameError` where it could lead elsewhere."""
    return f"{artifacts(build)}/{checked_path(path)}"


def checked_path(path: str) -> str:
    """Return `path` if it is fit for a key: relative, of plain parts, UTF-8, not too long. Raises `UnfitNameError` if not."""
    try:
        encoded = path.encode()
    except UnicodeEncodeError:
        raise UnfitNameError(f"the artifact {path[:80]!a} is not called in UTF-8; give the file another name") from None
    parts = path.split("/")
    if any(part in ("", ".", "..") for part in parts) or _UNFIT.search(path):
        raise UnfitNameError(
            f"the artifact {path[:80]!r} cannot be kept: its path must be relative, without `..`, backslashes or control characters"
        )
    if len(encoded) > PATH_LIMIT or any(len(part.encode()) > _PART_LIMIT for part in parts):
        raise UnfitNameError(
            f"the artifact {path[:80]!r}... cannot be kept: its path is too long (at most {PATH_LIMIT} bytes, {_PART_LIMIT} a name)"
        )
    return path
