"""Is everything there that Torii needs of a Gerrit? Asked as Torii itself, and where only trying shows it, tried and cleaned up.

What is tried: a staging ref is pushed, pushed again and deleted; where no open change tells what Torii may vote, a change is made that only
Torii sees (private, work in progress, without a mail), and abandoned again: one for a project, used again the next time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from torii.config.settings import GerritConnection, ProjectSettings
from torii.errors import ToriiError
from torii.model.finding import Finding, Verdict
from torii.model.pipeline import PipelineSpec
from torii.sources.gerrit.checkup_git import git_findings
from torii.sources.gerrit.checkup_reviews import review_findings
from torii.sources.gerrit.checkup_server import account_findings, event_findings, reachable, server_findings
from torii.sources.gerrit.rest import GerritRest


def check(
    connection: GerritConnection,
    projects: Sequence[ProjectSettings],
    pipelines: Sequence[PipelineSpec],
    state: Path,
    *,
    admin: GerritConnection | None = None,
    try_it: bool = True,
) -> Iterator[Finding]:
    """Yield what is found of `connection` and of each of `projects`, which are on it, as it is found.

    `pipelines` are all of the server's, `state` the folder that holds its mirrors. As `admin`, the same Gerrit with an administrator's
    password, Gerrit is asked what Torii itself may not see. Without `try_it` nothing is pushed or made, and what only that shows is left
    unknown. Nothing is raised for what Gerrit does or does not do: that is a finding.
    """
    rest = GerritRest(connection, patience=0.3)
    asking = rest if admin is None else GerritRest(admin, patience=0.3)
    try:
        answer = reachable(rest, connection)
        yield answer
        if answer.verdict is not Verdict.FAIL:
            account = list(account_findings(rest, connection))
            yield from account
            yield from server_findings(rest, connection)
            if all(finding.verdict is not Verdict.FAIL for finding in account):
                yield from event_findings(rest, connection)
                for project in projects:
                    yield from _of_project(rest, asking, connection, project, pipelines, state, try_it)
    finally:
        rest.stop()
        asking.stop()


def _of_project(
    rest: GerritRest,
    asking: GerritRest,
    connection: GerritConnection,
    project: ProjectSettings,
    pipelines: Sequence[PipelineSpec],
    state: Path,
    try_it: bool,
) -> Iterator[Finding]:
    taking_part = [pipeline for pipeline in pipelines if not project.spec.pipelines or pipeline.name in project.spec.pipelines]
    try:
        yield from git_findings(connection, project, state, try_it)
        yield from review_findings(rest, asking, connection.user, project, taking_part, try_it)
    except ToriiError as error:
        yield Finding("project", Verdict.FAIL, str(error), project=project.name)
