"""The kinds of connection there are: what `server.yml` says of one tells which source speaks to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from torii.config.settings import GitConnection, ProjectSettings
from torii.errors import OperatorError
from torii.model.command import Report
from torii.runtime.ports import Post, Source
from torii.sources.git import GitSource

Connection = GitConnection
"""Any connection of `server.yml`."""

Opener = Callable[[Connection, Sequence[ProjectSettings], Path, Post, Callable[[Report], str]], Source]

SOURCES: dict[type[Connection], Opener] = {GitConnection: GitSource}


def open_source(
    connection: Connection, projects: Sequence[ProjectSettings], mirrors: Path, post: Post, compose: Callable[[Report], str]
) -> Source:
    """Return the source for `connection`, not started yet; of `projects` it takes those that are on it.

    `mirrors` is the folder of all mirrors; `compose` makes the text of a report. Raises OperatorError for a connection of a kind that
    no source speaks to, or whose secret cannot be read.
    """
    opener = SOURCES.get(type(connection))
    if opener is None:
        raise OperatorError(f"no source for connections of type {type(connection).__name__}")
    return opener(connection, [project for project in projects if project.connection == connection.name], mirrors, post, compose)
