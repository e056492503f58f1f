"""Says which file gave what to a job: the template, each macro, the defaults."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from torii.jobs import builder
from torii.jobs.definition import JobSource
from torii.jobs.files import JOB
from torii.jobs.library import JobLibrary
from torii.jobs.plugins import relevant


@dataclass(frozen=True, slots=True)
class Given:
    """`what` (a template, or `wrapper torii-timeout`) came from `path`, line `line` (0: the whole file), which is `origin`'s."""

    what: str
    path: str
    line: int
    origin: str

    def __str__(self) -> str:
        where = f"{self.path}:{self.line}" if self.line else self.path
        return f"{self.what}: {where} ({self.origin})"


def trace(library: JobLibrary, source: JobSource, plugins: Iterable[str]) -> list[Given]:
    """Return what gave something to the job of `source`, in a Jenkins with `plugins`. Raises as `JobLibrary.render` does."""
    from torii.jobs.template import template_of  # here: see torii.jobs.library

    present = relevant(plugins)
    files = library.files
    found = [
        Given(f"template {name}", str(files.templates[name].path), 0, files.templates[name].origin)
        for name in (JOB, template_of(source, present))
        if name in files.templates
    ]
    origins = {str(file.path.resolve()): file.origin for file in files.macros.values()}
    used = builder.parts(library.yaml(source, present), files)
    return found + [Given(part.what, part.path, part.line, origins.get(part.path, "elsewhere")) for part in used]
