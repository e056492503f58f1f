"""Read `torii.yml`: from the bytes of the file to jobs, with every mistake found at once. A pure function of those bytes."""

from __future__ import annotations

import hashlib

from torii.config.document import Document, read_document
from torii.config.graph import Names
from torii.config.located import checked, ordered
from torii.config.project_file import JobEntry, ProjectFile
from torii.model.ids import PipelineName
from torii.model.job import ConfigProblem, JobDefinition, JobReports, Need, ProjectConfig

MAX_TEXT = 1024 * 1024
"""Characters of all jobs, matrix cells and aliases written out: so much is carried about with every merge."""


def parse_torii_yml(data: bytes, file: str = "torii.yml") -> ProjectConfig | tuple[ConfigProblem, ...]:
    """Return what `data` says, or everything that is wrong with it, in the order of the file."""
    document = read_document(data, file)
    if not isinstance(document, Document):
        return document
    model = checked(document, ProjectFile)
    names = Names(document)
    problems = [*document.problems, *names.check()]
    if isinstance(model, tuple):
        return ordered([*problems, *model], file)
    problems += _variables_twice(document, model)
    if not problems:
        problems += _too_large(document, model, names)
    if problems:
        return ordered(problems, file)
    return ProjectConfig(
        digest=hashlib.sha256(data).hexdigest(),
        queue=model.queue,
        jobs=tuple(job for name, entry in model.jobs.items() for job in _jobs(name, entry, names)),
        pipelines=tuple(
            (PipelineName(pipeline), tuple(cell for name in wanted for cell in names.resolve(name)))
            for pipeline, wanted in model.pipelines.items()
        ),
    )


def _variables_twice(document: Document, model: ProjectFile) -> list[ConfigProblem]:
    return [
        document.problem(
            ("jobs", job, "environment", "variables", name), "is also an axis of this job's matrix", "remove one of them", key=True
        )
        for job, entry in model.jobs.items()
        for name in entry.environment.variables
        if name in entry.matrix
    ]


def _too_large(document: Document, model: ProjectFile, names: Names) -> list[ConfigProblem]:
    """Count before anything is written out: cells multiply."""
    size = sum(len(names.cells[job]) * _size(entry) for job, entry in model.jobs.items())
    if size <= MAX_TEXT:
        return []
    message = f"{size} characters, matrix cells and aliases written out; {MAX_TEXT} are the most"
    return [document.problem(("jobs",), message, "move long scripts into files of the repository", key=True)]


def _size(entry: JobEntry) -> int:
    reports = entry.reports
    texts = [
        entry.run,
        *(part for pair in entry.environment.variables.items() for part in pair),
        *(part for axis, values in entry.matrix.items() for part in (axis, max(values, key=len))),
        *entry.when.files,
        *entry.when.branches,
        *entry.artifacts,
        *reports.junit,
        reports.coverage or "",
        reports.comments or "",
    ]
    return sum(map(len, texts))


def _jobs(name: str, entry: JobEntry, names: Names) -> tuple[JobDefinition, ...]:
    needs = tuple(Need(cell, need.soft) for need in entry.needs for cell in names.resolve(need.job))
    return tuple(
        JobDefinition(
            name=cell,
            run=entry.run,
            needs=needs,
            label=entry.environment.label,
            image=entry.environment.image,
            variables=(*entry.environment.variables.items(), *axes),
            timeout=max(1, round(entry.timeout)),
            attempts=entry.attempts,
            voting=entry.voting,
            files=entry.when.files,
            branches=entry.when.branches,
            reports=JobReports(entry.reports.junit, entry.reports.coverage, entry.reports.comments),
            artifacts=entry.artifacts,
        )
        for cell, axes in names.cells[name].items()
    )
