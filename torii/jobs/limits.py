"""What a Jenkins job, a shell and a container engine can hold: a job that goes beyond it is refused before anything is made of it."""

from __future__ import annotations

import re

from torii.jobs.definition import JobError, JobSource
from torii.jobs.parameters import RESERVED
from torii.model.job import JobDefinition

_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
"""What no XML 1.0 document can hold, escaped or not (https://www.w3.org/TR/xml/#charsets)."""
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_IMAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,254}")
_LABEL = re.compile(r"[\w.&|!()<> +-]{1,200}")


def check(source: JobSource) -> None:
    """Raise `JobError` for a job that Jenkins' XML, a shell or a container engine cannot take."""
    job = source.job
    where = f"{source.project}, branch {source.branch}, job {job.name}"
    texts = [("the project's name", source.project), ("the branch's name", source.branch), ("its name", job.name), ("run", job.run)]
    texts += [("environment.label", job.label or ""), *((f"variable {name}", value) for name, value in job.variables)]
    texts += [("a report or artifact", path) for path in (*job.reports.junit, *archived(job))]
    for what, text in texts:
        if found := _NOT_XML.search(text):
            raise JobError(
                f"{where}: {what} holds the character U+{ord(found[0]):04X}, which no Jenkins job can hold; write it as an escape"
            )
    for name, _ in job.variables:
        if not _VARIABLE.fullmatch(name) or name.startswith(RESERVED):
            raise JobError(
                f"{where}: a variable cannot be called {name[:80]!r}; use letters, digits and `_`, and no name that begins with {RESERVED}"
            )
    if job.image is not None and not _IMAGE.fullmatch(job.image):
        raise JobError(f"{where}: {job.image[:80]!r} is no name of a container image")
    if job.label is not None and not _LABEL.fullmatch(job.label):
        raise JobError(f"{where}: {job.label[:80]!r} is no node label")


def archived(job: JobDefinition) -> tuple[str, ...]:
    """Return the globs of what a build of `job` leaves to be kept, besides its test results."""
    extra = (job.reports.coverage, job.reports.comments)
    return tuple(dict.fromkeys([*job.artifacts, *(path for path in extra if path)]))
