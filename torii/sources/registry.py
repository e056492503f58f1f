"""The kinds of connection there are: what `server.yml` says of one tells which source speaks to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from torii.config.settings import Connection, GerritConnection, GitConnection, ProjectSettings
from torii.errors import OperatorError
from torii.model.command import Report
from torii.model.pipeline import PipelineSpec
from torii.runtime.ports import Post, Source
from torii.sources.git import GitSource

Compose = Callable[[Report], str]
Opener = Callable[[Connection, Sequence[ProjectSettings], Path, Post, Compose, Sequence[PipelineSpec]], Source]


def _git(
    connection: Connection,
    projects: Sequence[ProjectSettings],
    mirrors: Path,
    post: Post,
    compose: Compose,
    pipelines: Sequence[PipelineSpec],  # noqa: ARG001 - a git server is the same whatever the pipelines are
) -> Source:
    assert isinstance(connection, GitConnection)
    return GitSource(connection, projects, mirrors, post, compose)


def _gerrit(
    connection: Connection,
    projects: Sequence[ProjectSettings],
    mirrors: Path,
    post: Post,
    compose: Compose,
    pipelines: Sequence[PipelineSpec],
) -> Source:
    from torii.sources.gerrit.source import GerritSource  # what it needs takes a while to load, and few need it

    assert isinstance(connection, GerritConnection)
    return GerritSource(connection, projects, mirrors, post, compose, pipelines)


SOURCES: dict[type[Connection], Opener] = {GitConnection: _git, GerritConnection: _gerrit}


def open_source(
    connection: Connection,
    projects: Sequence[ProjectSettings],
    mirrors: Path,
    post: Post,
    compose: Compose,
    pipelines: Sequence[PipelineSpec] = (),
) -> Source:
    """Return the source for `connection`, not started yet; of `projects` it takes those that are on it.

    `mirrors` is the folder of all mirrors; `compose` makes the text of a report; `pipelines` say what is to be known of a change, and how
    it is voted on. Raises OperatorError for a connection of a kind that no source speaks to, or whose secret cannot be read.
    """
    opener = SOURCES.get(type(connection))
    if opener is None:
        raise OperatorError(f"no source for connections of type {type(connection).__name__}")
    mine = [project for project in projects if project.connection == connection.name]
    return opener(connection, mine, mirrors, post, compose, pipelines)
