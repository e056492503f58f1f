"""Which inline comments a report makes, and where in a patch set they can stand. Pure.

A comment on a file that the patch set does not alter makes Gerrit refuse the whole review, and one beyond a file's end is shown nowhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torii.model.command import Report
from torii.model.job import ConfigProblem
from torii.sources.gerrit.review import Inline

MOST = 50
"""Inline comments a report. Nobody reads more, and all those of a change are limited (`change.maxComments`)."""

LONGEST = 4_000
"""Characters of one."""

_LISTED = 20
_LISTED_LENGTH = 200


@dataclass(frozen=True, slots=True)
class Remark:
    """What is to be said of a place in a file. `told` where the report's text says it as well."""

    path: str
    text: str
    line: int | None = None
    end_line: int | None = None
    told: bool = False


@dataclass(frozen=True, slots=True)
class Lines:
    """A file of the patch set: how many lines it has, and how long (in UTF-16 units) each is."""

    lengths: tuple[int, ...]

    @classmethod
    def of(cls, content: bytes) -> Lines:
        """Return the lines of a file that holds `content`."""
        lines = content.decode("utf-8", "replace").split("\n")
        return cls(tuple(len(line.encode("utf-16-le")) // 2 for line in (lines[:-1] if lines[-1] == "" else lines)))


def remarks_of(report: Report) -> tuple[Remark, ...]:
    """Return what `report` has to say of places in files: the mistakes of a configuration, and what its builds found."""
    problems = [Remark(problem.file, _clean(_spoken(problem)), problem.line, told=True) for problem in report.problems]
    found = [
        Remark(_path(comment.path), _clean(f"{build.job}: {comment.message}"), comment.line, comment.end_line)
        for build in sorted(report.builds, key=lambda build: not build.voting)
        for comment in build.comments
    ]
    return tuple(dict.fromkeys([*problems, *found]))


def split(remarks: Sequence[Remark], files: Mapping[str, Any]) -> tuple[tuple[Remark, ...], tuple[Remark, ...]]:
    """Return (what can stand in the files of the patch set, what cannot). `files` is Gerrit's reply of `/files/`."""
    placed = [remark for remark in remarks if _stands(files.get(remark.path))][:MOST]
    there = set(placed)
    return tuple(placed), tuple(remark for remark in remarks if remark not in there)


def measurable(remarks: Sequence[Remark], files: Mapping[str, Any], largest: int) -> tuple[str, ...]:
    """Return the files whose length matters to `remarks` and that are text of at most `largest` bytes."""
    paths = dict.fromkeys(remark.path for remark in remarks if remark.line is not None)
    return tuple(path for path in paths if not files[path].get("binary") and 0 <= files[path].get("size", 0) <= largest)


def inline(remark: Remark, lines: Lines | None) -> Inline:
    """Return `remark` as a comment in its file, whose `lines` may be unknown. What is beyond the file's end goes on the file itself."""
    line = remark.line
    if line is None:
        return Inline(remark.path, remark.text)
    if line < 1 or (lines is not None and line > len(lines.lengths)):
        return Inline(remark.path, f"Line {line}: {remark.text}")
    if lines is None or remark.end_line is None:
        return Inline(remark.path, remark.text, line)
    last = min(remark.end_line, len(lines.lengths))
    return Inline(remark.path, remark.text, line, (last, lines.lengths[last - 1]) if last > line else None)


def listed(remarks: Sequence[Remark]) -> tuple[str, ...]:
    """Return the paragraph of a message (none, or one) that says what could not be said in the files."""
    news = [remark for remark in remarks if not remark.told]
    return ("\n".join(_rows(news)),) if news else ()


def _rows(remarks: Sequence[Remark]) -> Iterator[str]:
    yield "Comments on files that this change does not alter, or beyond what fits:"
    for remark in remarks[:_LISTED]:
        where = remark.path if remark.line is None else f"{remark.path}:{remark.line}"
        said = " ".join(f"{where}: {remark.text}".split())
        yield f"* {said if len(said) <= _LISTED_LENGTH else said[: _LISTED_LENGTH - 1] + '…'}"
    if len(remarks) > _LISTED:
        yield f"* and {len(remarks) - _LISTED} more"


def _stands(file: Any) -> bool:
    return isinstance(file, Mapping) and file.get("status") != "D"


def _spoken(problem: ConfigProblem) -> str:
    where = f"{problem.path}: " if problem.path else ""
    return f"{where}{problem.message}" + (f"; {problem.suggestion}" if problem.suggestion else "")


def _path(path: str) -> str:
    return path.removeprefix("./")


def _clean(text: str) -> str:
    kept = "".join(character for character in text if character.isprintable() or character in "\n\t").strip()
    return kept if len(kept) <= LONGEST else f"{kept[: LONGEST - 1].rstrip()}…"
