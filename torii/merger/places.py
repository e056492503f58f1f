"""Where each project's repositories are: its mirror here, its own server, and the server for its staging refs."""

from __future__ import annotations

from dataclasses import dataclass

from torii.config.settings import ServerConfig
from torii.git import Credentials, Mirror, Remote
from torii.git.credentials import credentials_of, git_limit
from torii.git.mirror import mirror_path
from torii.model.ids import ProjectName


@dataclass(frozen=True, slots=True)
class Place:
    """The repositories of one project. `staging` may be `origin` itself."""

    mirror: Mirror
    origin: Remote
    staging: Remote


def places_of(config: ServerConfig) -> dict[ProjectName, Place]:
    """Return the place of each project of `config`. Raises what reading a secret raises, and UnsafeNameError for an unusable address."""
    connections = {connection.name: connection for connection in config.connections}
    logins = {name: credentials_of(connection) for name, connection in connections.items()}
    places = {}
    for project in config.projects:
        login = logins.get(project.connection, Credentials())
        limit = git_limit(connections.get(project.connection))
        origin = Remote(project.url, login, limit)
        staging = origin if project.staging_url in ("", project.url) else Remote(project.staging_url, login, limit)
        places[project.name] = Place(Mirror(mirror_path(config.state, project.name)), origin, staging)
    return places
