"""Read `server.yml`: from the bytes of the file, or from none at all, to everything that a server needs to know."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

from torii.config.addresses import absolute, host_and_port, joined, placed
from torii.config.document import Document, Listing, Mapping, Scalar, read_bytes, read_document
from torii.config.located import checked, ordered, sound
from torii.config.pipelines import DEFAULT_PIPELINES, contradictions, specified
from torii.config.secrets import resolve
from torii.config.server_file import ConnectionEntry, PipelineEntry, ProjectEntry, ServerFile
from torii.config.settings import (
    GearmanSettings,
    GitConnection,
    ProjectSettings,
    Secret,
    ServerConfig,
    StoreSettings,
    WebSettings,
    WorkerSettings,
)
from torii.config.wording import did_you_mean, listed, shown
from torii.errors import ConfigurationError
from torii.model.ids import PipelineName, ProjectName
from torii.model.job import ConfigProblem
from torii.model.pipeline import GateConfig, PipelineSpec, ProjectSpec

__all__ = ["gate_config", "load_server", "parse_server", "read_server", "resolve"]

DEFAULT_CONNECTION = "git"
"""The connection that is there when the file names none."""


def load_server(path: Path | None, state: Path | None = None) -> ServerConfig:
    """Return what the file at `path` says, or the defaults where it is None; `state`, if given, is the state folder instead of the file's.

    Raises ConfigurationError, whose message lists every problem.
    """
    parsed = parse_server(b"", "server.yml", Path.cwd()) if path is None else parse_server(read_server(path), str(path), path.parent)
    if isinstance(parsed, tuple):
        raise ConfigurationError("\n".join(map(str, parsed)))
    return parsed if state is None else dataclasses.replace(parsed, state=state.expanduser().absolute())


def read_server(path: Path) -> bytes:
    """Return the bytes of the file at `path`. Raises ConfigurationError."""
    try:
        return read_bytes(path)
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror or error}") from None


def parse_server(data: bytes, file: str, directory: Path) -> ServerConfig | tuple[ConfigProblem, ...]:
    """Return what `data` says, or everything that is wrong with it. Paths in it are relative to `directory`."""
    document = read_document(data, file, may_be_empty=True)
    if not isinstance(document, Document):
        return document
    model = checked(document, ServerFile)
    shape = model if isinstance(model, tuple) else ()
    problems = [*document.problems, *shape, *_Across(document, directory.absolute()).check()]
    if problems or isinstance(model, tuple):
        return ordered(problems, file)
    return _built(model, directory.absolute())


def gate_config(config: ServerConfig, instance: str) -> GateConfig:
    """Return what the gate needs to know of `config`. `instance` tells this Torii's ids from another's."""
    return GateConfig(
        instance=instance,
        pipelines=config.pipelines,
        projects=tuple(project.spec for project in config.projects),
        unregistered_limit=config.unregistered_limit,
    )


def project_address(name: str, entry: ProjectEntry, connection: ConnectionEntry, directory: Path) -> str | None:
    """Return the address of a project's repository, None where nothing says where it is."""
    if entry.url is not None:
        return absolute(entry.url, directory)
    return joined(absolute(connection.url, directory), entry.path or name) if connection.url else None


def connection_name(entry: ProjectEntry, connections: list[str]) -> str | None:
    """Return the connection that a project uses, None where it does not say which of several."""
    if entry.connection is not None:
        return entry.connection
    return connections[0] if len(connections) == 1 else None if connections else DEFAULT_CONNECTION


def in_force(model: ServerFile) -> tuple[PipelineSpec, ...]:
    """Return the built-in pipelines, each replaced by the file's own of that name, then the file's others."""
    own = {name: specified(name, entry) for name, entry in model.pipelines.items()}
    builtin = DEFAULT_PIPELINES if model.default_pipelines else ()
    return (*(own.pop(pipeline.name, pipeline) for pipeline in builtin), *own.values())


def _built(model: ServerFile, directory: Path) -> ServerConfig:
    connections = model.connections or {DEFAULT_CONNECTION: ConnectionEntry()}
    gearman, web, store, worker = model.gearman, model.web, model.store, model.worker
    embedded = GearmanSettings()
    return ServerConfig(
        state=placed(model.state or ".torii", directory),
        connections=tuple(_connection(name, entry, directory) for name, entry in connections.items()),
        projects=tuple(_project(name, entry, connections, directory) for name, entry in model.projects.items()),
        pipelines=in_force(model),
        gearman=GearmanSettings(
            host=gearman.host or embedded.host,
            port=embedded.port if gearman.port is None else gearman.port,
            servers=tuple(host_and_port(server) for server in gearman.servers),
            key=_secret(gearman.key, directory),
        ),
        web=WebSettings(web.host, web.port, web.url),
        store=StoreSettings(_store(store.url, directory), placed(store.blobs, directory) if store.blobs else None),
        worker=WorkerSettings(
            executors=worker.executors,
            labels=worker.labels,
            sandbox=worker.sandbox,
            network=worker.network,
            log_limit=worker.log_limit,
            workspaces=placed(worker.workspaces, directory) if worker.workspaces else None,
        ),
        mergers=model.mergers,
        unregistered_limit=model.limits.unregistered,
    )


def _connection(name: str, entry: ConnectionEntry, directory: Path) -> GitConnection:
    return GitConnection(
        name=name,
        url=absolute(entry.url, directory) if entry.url else "",
        poll=entry.poll,
        timeout=entry.timeout,
        staging=absolute(entry.staging, directory) if entry.staging else None,
        user=entry.user,
        password=_secret(entry.password, directory),
        key=placed(entry.key, directory) if entry.key else None,
        known_hosts=placed(entry.known_hosts, directory) if entry.known_hosts else None,
    )


def _project(name: str, entry: ProjectEntry, connections: dict[str, ConnectionEntry], directory: Path) -> ProjectSettings:
    chosen = connection_name(entry, list(connections)) or DEFAULT_CONNECTION
    connection = connections[chosen]
    url = project_address(name, entry, connection, directory) or ""
    staging = url
    if entry.staging is not None:
        staging = absolute(entry.staging, directory)
    elif connection.staging is not None:
        staging = joined(absolute(connection.staging, directory), entry.path or name)
    spec = ProjectSpec(ProjectName(name), entry.merge, tuple(map(PipelineName, entry.pipelines)))
    return ProjectSettings(spec=spec, connection=chosen, url=url, staging_url=staging)


def _store(url: str | None, directory: Path) -> str | None:
    return None if url is None else f"sqlite:///{placed(url.removeprefix('sqlite:///'), directory)}"


def _secret(reference: str | None, directory: Path) -> Secret | None:
    if reference is None or reference.startswith("env:"):
        return None if reference is None else Secret(reference)
    return Secret(f"file:{placed(reference.removeprefix('file:'), directory)}")


class _Across:
    """What no single key shows: names that name nothing, keys that contradict each other. Looks at every part that is right in itself."""

    def __init__(self, document: Document, directory: Path) -> None:
        self.document = document
        self.directory = directory
        self.connections = self._names("connections")
        flag = document.find(("default-pipelines",))
        off = flag[0] and getattr(flag[2], "text", "").lower() == "false"
        self.pipelines = [*([] if off else [str(pipeline.name) for pipeline in DEFAULT_PIPELINES]), *self._names("pipelines")]

    def _names(self, section: str) -> list[str]:
        node = self.document.find((section,))
        return list(node[2].entries) if node[0] and isinstance(node[2], Mapping) else []

    def check(self) -> Iterator[ConfigProblem]:
        for name in self._names("pipelines"):
            pipeline = sound(self.document, ("pipelines", name), PipelineEntry)
            for path, message, suggestion in contradictions(pipeline) if pipeline else ():
                yield self.document.problem(("pipelines", name, *path), message, suggestion, key=True)
        yield from self._gearman()
        homes: dict[str, str] = {}
        lower: dict[str, str] = {}
        for name in self._names("projects"):
            other = lower.setdefault(name.lower(), name)
            if other != name:
                message = f"the project name {shown(name)} differs from {shown(other)} only in upper and lower case"
                yield self.document.problem(("projects", name), message, key=True)
            yield from self._references(name)
            entry = sound(self.document, ("projects", name), ProjectEntry)
            if entry is not None:
                yield from self._place(name, entry, homes)

    def _gearman(self) -> Iterator[ConfigProblem]:
        _, _, node = self.document.find(("gearman",))
        if isinstance(node, Mapping) and "servers" in node.entries:
            servers = node.entries["servers"][1]
            for key in ("host", "port"):
                if key in node.entries and not (isinstance(servers, Listing) and not servers.items):
                    message = "is for the embedded server, and servers names others"
                    yield self.document.problem(("gearman", key), message, "remove one of them", key=True)

    def _references(self, name: str) -> Iterator[ConfigProblem]:
        here = ("projects", name)
        _, _, node = self.document.find(here)
        given = node.entries if isinstance(node, Mapping) else {}
        wanted = given["pipelines"][1] if "pipelines" in given else None
        items = enumerate(wanted.items) if isinstance(wanted, Listing) else [(0, wanted)]
        for index, pipeline in items:
            if isinstance(pipeline, Scalar) and not pipeline.empty and pipeline.text not in self.pipelines:
                near = did_you_mean(pipeline.text, self.pipelines) or f"there are: {listed(self.pipelines)}"
                yield self.document.problem((*here, "pipelines", index), f"there is no pipeline {shown(pipeline.text)}", near)
        if "url" in given and "path" in given:
            yield self.document.problem((*here, "path"), "url says where the project is already", "remove one of them", key=True)
        chosen = given["connection"][1] if "connection" in given else None
        if isinstance(chosen, Scalar) and not chosen.empty and chosen.text not in (self.connections or [DEFAULT_CONNECTION]):
            near = did_you_mean(chosen.text, self.connections) or (f"there are: {listed(self.connections)}" if self.connections else "")
            yield self.document.problem((*here, "connection"), f"there is no connection {shown(chosen.text)}", near)

    def _place(self, name: str, entry: ProjectEntry, homes: dict[str, str]) -> Iterator[ConfigProblem]:
        chosen = connection_name(entry, self.connections)
        if chosen is None:
            message = f"does not say which connection: {listed(self.connections)}"
            yield self.document.problem(("projects", name), message, "add connection", key=True)
        elif connection := sound(self.document, ("connections", chosen), ConnectionEntry) or self._default(chosen):
            yield from self._home(name, project_address(name, entry, connection, self.directory), homes)

    def _default(self, chosen: str) -> ConnectionEntry | None:
        return ConnectionEntry() if chosen == DEFAULT_CONNECTION and not self.connections else None

    def _home(self, name: str, url: str | None, homes: dict[str, str]) -> Iterator[ConfigProblem]:
        if url is None:
            yield self.document.problem(
                ("projects", name), "nothing says where the project is", "add url, or give its connection one", key=True
            )
            return
        other = homes.setdefault(url.rstrip("/").removesuffix(".git"), name)
        if other != name:
            yield self.document.problem(("projects", name), f"is at the same address as the project {shown(other)}", key=True)
