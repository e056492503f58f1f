"""What a build leaves: reports and comments that are read, and artifacts that are kept. Everything found here was made by a stranger."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from torii.errors import OperatorError
from torii.model.build import FileComment, TestSummary
from torii.model.glob import GlobError, compile_glob
from torii.model.ids import BuildId
from torii.results.comments import FILE_LIMIT, CommentReader
from torii.results.junit import parse_reports
from torii.results.layout import UnfitNameError, artifact
from torii.results.ports import Blobs
from torii.worker.errors import StorageError

FILES_LIMIT = 5000
"""Artifacts kept of one build."""
SIZE_LIMIT = 2 * 1024**3
"""Bytes of artifacts kept of one build."""
ENTRIES_LIMIT = 500_000
"""Files and folders looked at in one workspace."""
COMMENT_FILES_LIMIT = 50
"""Files of comments read of one build."""
_DEPTH_LIMIT = 100
_MARKS = re.compile(r"[*?]")

Note = Callable[[str], None]


def read_reports(workspace: Path, patterns: Sequence[str], note: Note) -> TestSummary | None:
    """Return the counts of the test reports that match `patterns`, None where there is no such file; what is wrong is told to `note`."""
    found = [workspace / path for path in find(workspace, patterns, note)]
    if not found:
        note(f"no test report matches {', '.join(patterns)}")
        return None
    return parse_reports(found, note)


def read_comments(workspace: Path, patterns: Sequence[str], note: Note, roots: Sequence[str] = ()) -> tuple[FileComment, ...]:
    """Return the comments in the files that match `patterns`; what is wrong is told to `note`, and hinders nothing.

    `roots` are the paths under which the build knew its workspace.
    """
    found = find(workspace, patterns, note)
    if not found:
        note(f"no file of comments matches {', '.join(patterns)}")
    elif len(found) > COMMENT_FILES_LIMIT:
        note(f"comments: only the first {COMMENT_FILES_LIMIT} files are read")
    reader = CommentReader(note, (*roots, str(workspace)))
    for path in found[:COMMENT_FILES_LIMIT]:
        try:
            reader.read(path, _content(workspace / path, FILE_LIMIT))
        except OSError as error:
            note(f"comments in {path[:120]}: {error.strerror or error}")
    return reader.comments()


def _content(path: Path, limit: int) -> bytes:
    """Return the content of a plain file of at most `limit` bytes. Raises OSError for anything else."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError("it is not a plain file")
        data = file.read(limit + 1)
    if len(data) > limit:
        raise OSError(f"it is larger than {limit >> 10} KiB, and not read")
    return data


def keep_artifacts(blobs: Blobs, build: BuildId, workspace: Path, patterns: Sequence[str], note: Note) -> tuple[str, ...]:
    """Keep the files that match `patterns` and return their paths. Raises `StorageError` where the blob store refuses."""
    kept: list[str] = []
    left = SIZE_LIMIT
    for path in find(workspace, patterns, note):
        if len(kept) >= FILES_LIMIT:
            note(f"artifacts: only the first {FILES_LIMIT} files are kept")
            break
        try:
            key = artifact(build, path)
            size = (workspace / path).lstat().st_size
        except (UnfitNameError, OSError) as error:
            note(str(error))
            continue
        if size > left:
            note(f"artifacts: {path} is not kept, for with it there would be more than {SIZE_LIMIT >> 30} GiB")
            continue
        left -= size
        _keep(blobs, key, workspace / path)
        kept.append(path)
    if not kept:
        note(f"no artifact matches {', '.join(patterns)}")
    return tuple(kept)


def _keep(blobs: Blobs, key: str, path: Path) -> None:
    try:
        blobs.put(key, path)
    except (OperatorError, OSError) as error:
        raise StorageError(f"an artifact cannot be kept: {error}") from error


def find(workspace: Path, patterns: Sequence[str], note: Note = lambda _: None) -> list[str]:
    """Return the plain files below `workspace` that match one of `patterns` (Ant's), sorted.

    No link is followed, and nothing below `.git` is found.
    """
    wanted: list[re.Pattern[str]] = []
    plain: set[str] = set()
    for pattern in patterns:
        pattern = pattern.removeprefix("./").replace("\\", "/")
        if pattern.startswith("/") or ".." in pattern.split("/"):
            note(f"the pattern {pattern[:120]!r} leads out of the workspace and matches nothing")
        elif not _MARKS.search(pattern) and not pattern.endswith("/"):
            plain.add(pattern)
        else:
            try:
                wanted.append(compile_glob(re.sub(r"([\[\]{}!\\])", r"\\\1", pattern)))
            except GlobError as error:
                note(f"the pattern {pattern[:120]!r}: {error}")
    found = {path for path in plain if _is_plain_file(workspace, path)}
    if wanted:
        found |= {path for path in _walk(workspace, note) if any(each.fullmatch(path) for each in wanted)}
    return sorted(found)


def _is_plain_file(workspace: Path, path: str) -> bool:
    parts = path.split("/")
    try:
        modes = [os.lstat(workspace.joinpath(*parts[: count + 1])).st_mode for count in range(len(parts))]
    except (OSError, ValueError):
        return False
    return parts[0] != ".git" and stat.S_ISREG(modes[-1]) and all(stat.S_ISDIR(mode) for mode in modes[:-1])


def _walk(workspace: Path, note: Note) -> Iterator[str]:
    """Yield the plain files below `workspace`, relative to it."""
    todo = [""]
    seen = 0
    while todo:
        folder = todo.pop()
        try:
            with os.scandir(workspace / folder) as entries:
                for entry in entries:
                    seen += 1
                    if seen > ENTRIES_LIMIT:
                        note(f"only the first {ENTRIES_LIMIT:,} files of the workspace were looked at")
                        return
                    path = f"{folder}{entry.name}"
                    if entry.is_dir(follow_symlinks=False):
                        if entry.name != ".git" and path.count("/") < _DEPTH_LIMIT:
                            todo.append(f"{path}/")
                    elif entry.is_file(follow_symlinks=False):
                        yield path
        except OSError:
            continue  # a folder that the build has closed to us
