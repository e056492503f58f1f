"""Reports as git notes: `git log --notes=torii` shows, at each commit, what Torii said of it.

A note is a sequence of reports, each under a line with its key, so that a report that is there is not written again. All reports of
one delivery are one commit on `refs/notes/torii`, pushed on top of what the remote has; who loses a race for it fetches and tries again.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import structlog

from torii.git import ABSENT, GitError, Pushed, RefMissingError, RefUpdate, Rejected, Stale
from torii.git.mirror import tracking
from torii.model.change import Change
from torii.model.command import Report
from torii.model.event import ReportDone
from torii.model.ids import Sha
from torii.sources.git.reading import Item, contents, find
from torii.sources.git.repository import Repository

log = structlog.get_logger()

NOTES = "refs/notes/torii"
KEY_LINE = "Torii-Report: "
LARGEST_TEXT = 64 * 1024
"""Characters of a report that are kept; compose says less."""

PAUSES = (0.5, 2.0, 5.0)
"""Seconds before each further attempt, where the remote is away or refuses."""

RACES = 10
"""How often a race for the notes may be lost before it counts as a failed attempt."""

_COMMITTER = "Torii <torii@localhost>"
_FANOUTS = ((), (2,), (2, 4), (2, 4, 6))


class LostRaceError(GitError):
    """Somebody else's notes reached the remote first."""


@dataclass(frozen=True, slots=True)
class _Entry:
    report: Report
    commit: Sha
    text: str


class NoteWriter:
    """Delivers reports of one repository. `compose` makes a report's text; `stopping` ends waiting. For one thread at a time.

    `patience` multiplies the pauses between attempts.
    """

    def __init__(self, repository: Repository, compose: Callable[[Report], str], stopping: threading.Event, patience: float = 1.0) -> None:
        self._repository = repository
        self._pauses = tuple(pause * patience for pause in PAUSES)
        self._compose = compose
        self._stopping = stopping
        self._tip: Sha | None = None
        self._seen = False

    def deliver(self, reports: Sequence[Report]) -> list[ReportDone]:
        """Return the answer to each key of `reports`: it is with the remote now, could not be delivered, or never can be."""
        entries = {report.key: self._entry(report) for report in reports}
        answers: dict[str, ReportDone] = {}
        for pause in (*self._pauses, None):
            try:
                answers |= self._deliver([entry for key, entry in entries.items() if key not in answers])
                return list(answers.values())
            except (GitError, OSError) as error:
                problem = str(error)
                self._seen = False
            if pause is None or self._stopping.wait(pause):
                break
            log.info("source.report_again", project=self._repository.project, reason=problem)
        return [answers.get(key, ReportDone(key, problem)) for key in entries]

    def _entry(self, report: Report) -> _Entry:
        commit = report.subject.commit
        return _Entry(report, commit, format_report(report.key, self._compose(report)))

    def _deliver(self, entries: Sequence[_Entry]) -> dict[str, ReportDone]:
        for _ in range(RACES):
            if not self._seen:
                self._fetch()
            try:
                return self._try(entries)
            except LostRaceError:
                self._seen = False
        raise GitError(f"{self._repository.project}: lost {RACES} races for {NOTES} to others who write notes there")

    def _fetch(self) -> None:
        """Learn what the remote's notes are, and have them here."""
        try:
            found = self._repository.remote.fetch(self._repository.mirror, (), track=[NOTES])
            self._tip = found[NOTES]
        except RefMissingError:
            self._tip = None
        self._seen = True

    def _try(self, entries: Sequence[_Entry]) -> dict[str, ReportDone]:
        """Write what is missing of `entries` and push it. Raises LostRaceError where the remote's notes are not the ones seen."""
        paths = self._paths(entry.commit for entry in entries)
        here = find(self._repository.mirror, [*(entry.commit for entry in entries), *paths])
        missing = self._lacking(entries, here)
        writable = [entry for entry in entries if entry.commit not in missing]
        notes = self._read(paths, here)
        changed = merge_notes(notes, [(entry.commit, entry.report.key, entry.text) for entry in writable])
        answers = {entry.report.key: ReportDone(entry.report.key) for entry in writable}
        for entry in entries:
            if entry.commit in missing:
                answers[entry.report.key] = ReportDone(entry.report.key, f"the commit {entry.commit} is gone from the remote", final=True)
        if not changed:
            return answers
        new = self._commit(changed)
        outcome = self._repository.remote.push(
            self._repository.mirror,
            [RefUpdate(NOTES, new, self._tip or ABSENT, rewind=True)],  # it was made on top of what is expected there
        )[NOTES]
        match outcome:
            case Pushed():
                self._tip = new
                return answers
            case Stale():
                raise LostRaceError(f"{NOTES} moved")
            case Rejected(reason) if "lock" in reason or "failed to update ref" in reason or "fetch first" in reason:
                raise LostRaceError(reason)
            case Rejected(reason):
                raise GitError(f"the server refused the notes: {reason}")

    def _lacking(self, entries: Sequence[_Entry], here: Mapping[str, Item]) -> set[Sha]:
        """Return the commits that are neither `here` nor to be had: a mirror may be newer than a change."""
        mirror = self._repository.mirror
        refs = {entry.report.subject.ref for entry in entries if entry.commit not in here and isinstance(entry.report.subject, Change)}
        branches = {f"refs/heads/{entry.report.subject.branch}" for entry in entries if entry.commit not in here}
        if not branches:
            return set()
        there = self._repository.read_refs(sorted(refs | branches))
        self._repository.remote.fetch(mirror, [ref for ref in refs if ref in there], track=[ref for ref in branches if ref in there])
        here = find(mirror, [entry.commit for entry in entries])
        return {entry.commit for entry in entries if entry.commit not in here}

    def _paths(self, commits: Iterable[Sha]) -> dict[str, Sha]:
        """Return where notes of `commits` may be, as `find` takes it; a notes tree has folders of two digits each once there are many."""
        return {f"{self._tip}:{path}": commit for commit in commits for path in note_paths(commit)} if self._tip is not None else {}

    def _read(self, paths: Mapping[str, Sha], here: Mapping[str, Item]) -> dict[Sha, bytes]:
        """Return the notes there are at `paths`, as far as they are `here`."""
        found = {name: here[name].sha for name in paths if name in here and here[name].type == "blob"}
        texts = dict(contents(self._repository.mirror, found.values()))
        return {paths[name]: texts[sha] for name, sha in found.items()}

    def _commit(self, notes: Mapping[Sha, bytes]) -> Sha:
        """Commit `notes` on top of the notes seen; git fast-import lays out the tree. Return the commit."""
        script = fast_import(tracking(NOTES), self._tip, notes, int(time.time()))
        done = self._repository.mirror.run("fast-import", "--quiet", "--force", "--done", given=script)
        return Sha(done.stdout.decode().strip())


def format_report(key: str, text: str) -> str:
    """Return the part of a note that is the report `key`. No line of `text` can be taken for a key's."""
    clean = "".join(character if character.isprintable() or character in "\n\t" else "\ufffd" for character in text[:LARGEST_TEXT])
    body = "\n".join(f" {line}" if line.startswith(KEY_LINE) else line for line in clean.splitlines())
    return f"{KEY_LINE}{key}\n{body.rstrip()}\n"


def merge_notes(notes: Mapping[Sha, bytes], reports: Sequence[tuple[Sha, str, str]]) -> dict[Sha, bytes]:
    """Return the notes that must be written so that each of `reports` (commit, key, formatted text) is in one, once."""
    changed: dict[Sha, bytes] = {}
    for commit, key, text in reports:
        note = changed.get(commit, notes.get(commit, b""))
        if f"{KEY_LINE}{key}".encode() in note.split(b"\n"):
            continue
        before = note.rstrip(b"\n") + b"\n\n" if note.strip() else b""
        changed[commit] = before + text.encode("utf-8", "replace")
    return changed


def note_paths(commit: Sha) -> list[str]:
    """Return where in a notes tree the note of `commit` may be: flat, or `ab/cdef...` and deeper (see git-notes(1), fan-out)."""
    paths = []
    for cuts in _FANOUTS:
        edges = (0, *cuts, len(commit))
        paths.append("/".join(commit[start:end] for start, end in itertools.pairwise(edges)))
    return paths


def fast_import(ref: str, parent: Sha | None, notes: Mapping[Sha, bytes], at: int) -> bytes:
    """Return the input with which `git fast-import` commits `notes` on `parent` and prints the commit's id. `at` is in epoch seconds."""
    message = f"Reports on {len(notes)} commit{'s' if len(notes) != 1 else ''}".encode()
    parts = [f"commit {ref}\nmark :1\ncommitter {_COMMITTER} {at} +0000\ndata {len(message)}\n".encode(), message, b"\n"]
    if parent is not None:
        parts.append(f"from {parent}\n".encode())
    for commit, text in notes.items():
        parts += [f"N inline {commit}\ndata {len(text)}\n".encode(), text, b"\n"]
    parts.append(b"\nget-mark :1\ndone\n")
    return b"".join(parts)
