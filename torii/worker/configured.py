"""Makes the worker that a `server.yml` describes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torii.config.settings import GerritConnection, ServerConfig
from torii.gearman.admin import Address
from torii.git import Credentials, Mirror, Remote
from torii.git.credentials import credentials_of, git_limit
from torii.git.mirror import mirror_path
from torii.results.ports import Blobs
from torii.worker.worker import BuildWorker
from torii.worker.workspace import Repository


def open_worker(config: ServerConfig, servers: Sequence[Address], key: bytes, blobs: Blobs, hidden: Sequence[Path] = ()) -> BuildWorker:
    """Return the worker of `config`, not started. Raises what reading a secret raises.

    It borrows objects from the mirrors that a merger on this machine keeps, where the staged states already are. No build sees `hidden`,
    nor the state, the blobs and the keys that `config` names.
    """
    return BuildWorker(
        config.worker, servers, key, blobs, config.state, repositories=repositories_of(config), hidden=(*hidden, *private_files(config))
    )


def repositories_of(config: ServerConfig) -> dict[str, Repository]:
    """Return the repository of each project of `config`, by the address from which its staging refs are fetched."""
    connections = {connection.name: connection for connection in config.connections}
    found = {}
    for project in config.projects:
        connection = connections.get(project.connection)
        login = credentials_of(connection) if connection else Credentials()
        url = project.staging_url or project.url
        found[url] = Repository(Mirror(mirror_path(config.state, project.name)), Remote(url, login, git_limit(connection)))
    return found


def private_files(config: ServerConfig) -> tuple[Path, ...]:
    """Return the files that `config` names and no build may read: secrets, keys, what others left."""
    gerrits = [connection for connection in config.connections if isinstance(connection, GerritConnection)]
    secrets = [
        config.gearman.key,
        *(connection.password for connection in config.connections),
        *(connection.webhook_secret for connection in gerrits),
    ]
    files = [Path(secret.reference.removeprefix("file:")) for secret in secrets if secret and secret.reference.startswith("file:")]
    files += [path for connection in config.connections for path in (connection.key, connection.known_hosts) if path]
    return (*files, *((config.store.blobs,) if config.store.blobs else ()))
