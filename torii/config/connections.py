"""What the entries of `connections` and `projects` mean: frozen settings, and where each project is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torii.config.addresses import absolute, gerrit_address, host_of, joined, placed
from torii.config.connection_file import ConnectionEntry, GerritEntry, GitEntry
from torii.config.server_file import ProjectEntry
from torii.config.settings import Connection, GerritConnection, GitConnection, ProjectSettings, Secret
from torii.model.ids import PipelineName, ProjectName
from torii.model.pipeline import ProjectSpec

DEFAULT_CONNECTION = "git"
"""The connection that is there when the file names none."""


def connection_of(name: str, entry: ConnectionEntry, directory: Path) -> Connection:
    """Return what `entry` says, its paths seen from `directory`."""
    return _gerrit(name, entry, directory) if isinstance(entry, GerritEntry) else _git(name, entry, directory)


def _git(name: str, entry: GitEntry, directory: Path) -> GitConnection:
    return GitConnection(
        name=name,
        url=absolute(entry.url, directory) if entry.url else "",
        poll=entry.poll,
        timeout=entry.timeout,
        staging=absolute(entry.staging, directory) if entry.staging else None,
        user=entry.user,
        password=secret(entry.password, directory),
        key=_file(entry.key, directory),
        known_hosts=_file(entry.known_hosts, directory),
    )


def _gerrit(name: str, entry: GerritEntry, directory: Path) -> GerritConnection:
    return GerritConnection(
        name=name,
        url=entry.url,
        user=entry.user,
        password=secret(entry.password, directory),
        events=entry.events,
        ssh_host=entry.ssh.host or host_of(entry.url),
        ssh_port=entry.ssh.port,
        key=_file(entry.key, directory),
        known_hosts=_file(entry.known_hosts, directory),
        git=entry.git,
        staging=absolute(entry.staging, directory) if entry.staging else None,
        webhook_secret=secret(entry.webhook_secret, directory),
        catch_up=entry.catch_up,
        first_look=entry.first_look,
        timeout=entry.timeout,
        ignore=entry.ignore,
        ca=_file(entry.ca, directory),
    )


def connection_name(entry: ProjectEntry, connections: list[str]) -> str | None:
    """Return the connection that a project uses, None where it does not say which of several."""
    if entry.connection is not None:
        return entry.connection
    return connections[0] if len(connections) == 1 else None if connections else DEFAULT_CONNECTION


def project_of(
    name: str, entry: ProjectEntry, connections: Mapping[str, ConnectionEntry], directory: Path, jenkins: tuple[str, ...] = ()
) -> ProjectSettings:
    """Return what `entry` says of the project called `name`, which has no problem. `jenkins` are the controllers that there are."""
    chosen = connection_name(entry, list(connections)) or DEFAULT_CONNECTION
    connection = connections[chosen]
    url = project_address(name, entry, connection, directory) or ""
    staging = url
    if entry.staging is not None:
        staging = absolute(entry.staging, directory)
    elif connection.staging is not None:
        staging = joined(absolute(connection.staging, directory), entry.path or name)
    path = gerrit_name(name, entry) if isinstance(connection, GerritEntry) else ""
    spec = ProjectSpec(ProjectName(name), entry.merge, tuple(map(PipelineName, entry.pipelines)))
    chosen_jenkins = jenkins if entry.jenkins is None else entry.jenkins
    return ProjectSettings(spec=spec, connection=chosen, url=url, staging_url=staging, path=path, jenkins=chosen_jenkins)


def project_address(name: str, entry: ProjectEntry, connection: ConnectionEntry, directory: Path) -> str | None:
    """Return the address of a project's repository, None where nothing says where it is."""
    if isinstance(connection, GerritEntry):
        return gerrit_address(_gerrit("", connection, directory), gerrit_name(name, entry))
    if entry.url is not None:
        return absolute(entry.url, directory)
    return joined(absolute(connection.url, directory), entry.path or name) if connection.url else None


def gerrit_name(name: str, entry: ProjectEntry) -> str:
    """Return what a Gerrit calls the project: it knows no `.git` at the end."""
    return (entry.path or name).removesuffix(".git")


def secret(reference: str | None, directory: Path) -> Secret | None:
    """Return the secret that `reference` names, its file seen from `directory`."""
    if reference is None or reference.startswith("env:"):
        return None if reference is None else Secret(reference)
    return Secret(f"file:{placed(reference.removeprefix('file:'), directory)}")


def _file(path: str | None, directory: Path) -> Path | None:
    return placed(path, directory) if path else None
