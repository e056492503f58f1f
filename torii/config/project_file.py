"""The keys of `torii.yml`, as pydantic models: what checks the file is also what editors complete it with."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from torii.config.fields import (
    ANY_TEXT,
    PRESENT,
    WHOLE,
    Flag,
    From,
    Glob,
    Image,
    JobName,
    NodeLabel,
    OneOrMany,
    OneOrMore,
    OutputPattern,
    PipelineLabel,
    QueueLabel,
    Text,
    VariableName,
    duration,
    text,
    wrong,
)
from torii.config.located import Section

MAX_RUN = 64 * 1024


def _script(value: object) -> str:
    script = text(value)
    if not script.strip():
        raise wrong("is empty: give the commands to run")
    if len(script) > MAX_RUN:
        raise wrong(f"has {len(script)} characters; {MAX_RUN} are the most", "put the script into a file of the repository and run that")
    return script


Script = Annotated[str, From(_script, {"type": ANY_TEXT, "minLength": 1, "maxLength": MAX_RUN})]


class NeedEntry(Section):
    """A job to wait for."""

    job: JobName = Field(description="The job to wait for. The name of a matrix job means all its cells.")
    soft: Flag = Field(default=False, description="Wait for its end only: run whatever its result, and also where it does not run at all.")


Need = Annotated[
    NeedEntry,
    From(
        lambda value: {"job": value} if isinstance(value, str) else value,
        lambda schema: {"anyOf": [{"type": ANY_TEXT}, schema]},
    ),
]


class EnvironmentEntry(Section):
    """Where a job runs."""

    label: Annotated[NodeLabel | None, PRESENT] = Field(default=None, description="Run on a node with this label. Default: on any.")
    image: Annotated[Image | None, PRESENT] = Field(default=None, description="Run in this container image, such as python:3.11.")
    variables: dict[VariableName, Text] = Field(
        default={}, description="Environment variables of the job, each as text: quotes are not needed."
    )


class WhenEntry(Section):
    """For which changes a job runs."""

    files: OneOrMany[Glob] = Field(
        default=(), description="Run when the change alters a file that matches one of these globs. Default: any."
    )
    branches: OneOrMany[Glob] = Field(default=(), description="Run for branches that match one of these globs. Default: any.")


class ReportsEntry(Section):
    """Files that a build leaves for Torii to read, relative to the workspace."""

    junit: OneOrMany[OutputPattern] = Field(default=(), description="JUnit XML test reports, such as report.xml or build/**/TEST-*.xml.")
    coverage: Annotated[OutputPattern | None, PRESENT] = Field(default=None, description="A Cobertura XML coverage report.")
    comments: Annotated[OutputPattern | None, PRESENT] = Field(default=None, description="A JSON file of comments on lines of the change.")


class JobEntry(Section):
    """One job: commands, run in a fresh workspace that holds the merged state."""

    run: Script = Field(description="The shell commands to run, one or many lines. The job succeeds if they end with status 0.")
    needs: OneOrMany[Need] = Field(default=(), description="Jobs that must succeed before this one starts.")
    environment: EnvironmentEntry = Field(default=EnvironmentEntry(), description="Where it runs, and with which variables.")
    timeout: Annotated[float, duration(1, 7 * 86400)] = Field(
        1800, description="How long it may run, such as 30m or 1h30m; a plain number is seconds. Default: 30m."
    )
    attempts: Annotated[int, Field(ge=1, le=10), WHOLE] = Field(
        3, description="How often it is started at most when the infrastructure (not the job) fails. Default: 3."
    )
    voting: Flag = Field(default=True, description="Whether its result counts. A job that does not vote is reported and hinders nothing.")
    when: WhenEntry = Field(default=WhenEntry(), description="For which changes it runs. Default: for all.")
    reports: ReportsEntry = Field(default=ReportsEntry(), description="Files it leaves for Torii to read.")
    artifacts: OneOrMany[OutputPattern] = Field(default=(), description="Files to keep, such as dist/*.")
    matrix: dict[VariableName, OneOrMore[Text]] = Field(
        default={},
        description="Run once for each combination of values. Each axis is a variable of the job, named exactly as the axis; "
        "the jobs are called <job>-<value>-<value>.",
    )


class ProjectFile(Section):
    """The jobs of a repository, and which pipeline runs which of them."""

    queue: Annotated[QueueLabel | None, PRESENT] = Field(
        default=None, description="Gate together with every project that names the same queue."
    )
    jobs: dict[JobName, JobEntry] = Field(default={}, description="The jobs, by name.")
    pipelines: dict[PipelineLabel, OneOrMany[JobName]] = Field(default={}, description="For each pipeline the jobs that it runs.")
