"""What a build in Jenkins leaves there: test report, artifacts, comments on files. All of it was made by a stranger.

What is wrong with any of it becomes a note in the build's log, never an error; only a Jenkins that does not answer is one, and a blob
store that refuses.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from torii.jenkins import Build, Controller, JenkinsElsewhereError, JenkinsMissingError
from torii.model.build import FileComment, TestSummary
from torii.model.glob import GlobError, compile_glob
from torii.model.job import JobDefinition
from torii.results import junit
from torii.results.comments import FILE_LIMIT, CommentReader
from torii.results.layout import UnfitNameError, artifact, checked_path
from torii.results.ports import Blobs
from torii.results.run import Run

FILES_LIMIT = 5000
"""Artifacts kept of one build."""
SIZE_LIMIT = 2 * 1024**3
"""Bytes of artifacts kept of one build."""
COMMENT_FILES_LIMIT = 50
"""Files of comments read of one build."""

_WORKSPACE = re.compile(rb"^Building (?:.* )?in workspace (\S.*)$", re.MULTILINE)

Note = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Leavings:
    """`artifacts` were copied, `linked` stayed in Jenkins alone."""

    tests: TestSummary | None = None
    comments: tuple[FileComment, ...] = ()
    artifacts: tuple[str, ...] = ()
    linked: tuple[str, ...] = ()


class Collector:
    """Brings what one build left. `job` is its definition where it is known; `head` is the beginning of its log.

    Raises JenkinsError where the Jenkins does not answer, OperatorError where the blobs refuse: then all of it may be done again.
    """

    def __init__(self, controller: Controller, blobs: Blobs, run: Run, job: JobDefinition | None, note: Note) -> None:
        self._controller, self._blobs, self._run, self._job, self._note = controller, blobs, run, job, note

    def collect(self, build: Build, head: bytes, *, copy: bool) -> Leavings:
        """Return what `build` left, its artifacts kept or (not `copy`) named."""
        with tempfile.TemporaryDirectory(prefix="torii-") as name:
            folder = Path(name)
            tests = self._tests(build, folder)
            comments = self._comments(build, head)
            paths = self._fit(build.artifacts)
            if not copy:
                return Leavings(tests, comments, linked=paths)
            kept, left = self._copied(paths, folder)
            return Leavings(tests, comments, artifacts=kept, linked=left)

    def _tests(self, build: Build, folder: Path) -> TestSummary | None:
        """Return the test report, as Jenkins' JUnit plug-in has it or else from the files that the job archived."""
        patterns = self._job.reports.junit if self._job is not None else None
        if patterns == ():
            return None
        found = self._controller.tests(self._run.job, self._run.number)
        if found is not None or patterns is None:
            return found
        archived = self._matching(build.artifacts, patterns)
        if not archived:
            self._note(f"no test report matches {', '.join(patterns)}")
            return None
        return junit.parse_reports(self._fetched(archived, folder), self._note)

    def _fetched(self, paths: Sequence[str], folder: Path) -> Iterator[Path]:
        """Yield the files at `paths`, each of which is there only until the next one is asked for."""
        for path in paths:
            file = folder / (re.sub(r"[^\w.-]", "_", path.rpartition("/")[2])[-100:] or "report")
            try:
                if self._fetch(path, file, junit.REPORT_LIMIT + 1):
                    yield file
            except JenkinsElsewhereError as error:
                self._note(f"the test report {path[:120]} is not read: {error}")
            file.unlink(missing_ok=True)

    def _comments(self, build: Build, head: bytes) -> tuple[FileComment, ...]:
        pattern = self._job.reports.comments if self._job is not None else None
        if not pattern:
            return ()
        found = self._matching(build.artifacts, (pattern,))
        if not found:
            self._note(f"no file of comments matches {pattern}")
        elif len(found) > COMMENT_FILES_LIMIT:
            self._note(f"comments: only the first {COMMENT_FILES_LIMIT} files are read")
        workspace = _WORKSPACE.search(head)
        reader = CommentReader(self._note, (workspace[1].decode("utf-8", "replace").strip(),) if workspace else ())
        for path in found[:COMMENT_FILES_LIMIT]:
            data = self._content(path)
            if data is not None:
                reader.read(path, data)
        return reader.comments()

    def _content(self, path: str) -> bytes | None:
        """Return a small artifact, None where it cannot be had or is none."""
        data = bytearray()
        try:
            for piece in self._controller.artifact(self._run.job, self._run.number, path):
                data += piece
                if len(data) > FILE_LIMIT:
                    self._note(f"comments in {path[:120]}: it is larger than {FILE_LIMIT >> 10} KiB, and not read")
                    return None
        except JenkinsMissingError:
            self._note(f"comments in {path[:120]}: Jenkins no longer has the file")
            return None
        except JenkinsElsewhereError as error:
            self._note(f"comments in {path[:120]} are not read: {error}")
            return None
        return bytes(data)

    def _fit(self, paths: Sequence[str]) -> tuple[str, ...]:
        fit: list[str] = []
        for path in sorted(paths):
            if len(fit) >= FILES_LIMIT:
                self._note(f"artifacts: only the first {FILES_LIMIT} files are kept")
                break
            try:
                fit.append(checked_path(path))
            except UnfitNameError as error:
                self._note(str(error))
        return tuple(fit)

    def _copied(self, paths: Sequence[str], folder: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return what was kept, and what is there but could not be."""
        kept: list[str] = []
        left: list[str] = []
        room = SIZE_LIMIT
        file = folder / "artifact"
        for path in paths:
            try:
                if not self._fetch(path, file, room):
                    continue
                size = file.stat().st_size
            except JenkinsElsewhereError as error:
                if not left:
                    self._note(f"artifacts stay where Jenkins keeps them: {error}")
                left.append(path)
                continue
            except OSError as error:  # no room for so large a file on its way: no reason to hold the result back
                self._note(f"artifacts: {path} stays in Jenkins alone: {error.strerror or error}")
                left.append(path)
                continue
            if size > room:
                self._note(f"artifacts: {path} stays in Jenkins alone, for with it there would be more than {SIZE_LIMIT >> 30} GiB")
                left.append(path)
                continue
            room -= size
            self._blobs.put(artifact(self._run.build, path), file)
            kept.append(path)
        return tuple(kept), tuple(left)

    def _fetch(self, path: str, file: Path, limit: int) -> bool:
        """Write the artifact at `path` to `file`, not much more than `limit` bytes of it; return whether Jenkins has it."""
        try:
            with file.open("wb") as target:
                for piece in self._controller.artifact(self._run.job, self._run.number, path):
                    target.write(piece)
                    if target.tell() > limit:
                        break
        except JenkinsMissingError:
            self._note(f"the artifact {path[:120]}: Jenkins no longer has the file")
            return False
        return True

    def _matching(self, paths: Sequence[str], patterns: Sequence[str]) -> list[str]:
        """Return those of `paths` that match one of `patterns` (Ant's), sorted."""
        wanted: list[re.Pattern[str]] = []
        for pattern in patterns:
            try:
                wanted.append(compile_glob(re.sub(r"([\[\]{}!\\])", r"\\\1", pattern.removeprefix("./"))))
            except GlobError as error:
                self._note(f"the pattern {pattern[:120]!r}: {error}")
        return sorted(path for path in paths if any(each.fullmatch(path) for each in wanted))
