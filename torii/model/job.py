"""What a repository's `torii.yml` says, once read and checked: jobs with every matrix cell written out, and pipelines of them."""

from __future__ import annotations

from dataclasses import dataclass, field

from torii.model.ids import PipelineName


@dataclass(frozen=True, slots=True)
class Need:
    """Run after `job`. A hard need wants its success; a soft one only its end, and nothing at all where it does not run."""

    job: str
    soft: bool = False


@dataclass(frozen=True, slots=True)
class JobReports:
    """Files, as globs relative to the workspace, that a build leaves for Torii to read."""

    junit: tuple[str, ...] = ()
    coverage: str | None = None
    comments: str | None = None


@dataclass(frozen=True, slots=True)
class JobDefinition:
    """One runnable job. Cells of a matrix are jobs of their own, named `unit-py3.11` and the like by the configuration reader.

    `timeout` is in seconds. `attempts` counts runs of which the infrastructure lost all but the last. `files` and `branches`
    are glob patterns (`**` crosses directories); empty means any.
    """

    name: str
    run: str
    needs: tuple[Need, ...] = ()
    label: str | None = None
    image: str | None = None
    variables: tuple[tuple[str, str], ...] = ()
    timeout: int = 1800
    attempts: int = 3
    voting: bool = True
    files: tuple[str, ...] = ()
    branches: tuple[str, ...] = ()
    reports: JobReports = field(default_factory=JobReports)
    artifacts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ProjectConfig:
    """A whole `torii.yml`. A pure function of the file's text; `digest` is the hash of that text."""

    digest: str
    queue: str | None = None
    jobs: tuple[JobDefinition, ...] = ()
    pipelines: tuple[tuple[PipelineName, tuple[str, ...]], ...] = ()

    def job(self, name: str) -> JobDefinition | None:
        """Return the job called `name`, or None."""
        return next((job for job in self.jobs if job.name == name), None)

    def jobs_of(self, pipeline: PipelineName) -> tuple[JobDefinition, ...] | None:
        """Return the jobs `pipeline` runs, in file order; None where the file does not name the pipeline at all."""
        for name, wanted in self.pipelines:
            if name == pipeline:
                return tuple(job for job in self.jobs if job.name in wanted)
        return None


@dataclass(frozen=True, slots=True)
class ConfigProblem:
    """One mistake in a configuration file. `line` and `column` count from 1; `path` is where in the document, such as `jobs.unit`."""

    file: str
    line: int
    column: int
    path: str
    message: str
    suggestion: str = ""

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.column}"
        text = f"{where} {self.path}: {self.message}" if self.path else f"{where} {self.message}"
        return f"{text}; {self.suggestion}" if self.suggestion else text
