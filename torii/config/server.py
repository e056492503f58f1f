"""Read `server.yml`: from the bytes of the file, or from none at all, to everything that a server needs to know."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from torii.config.across import Across
from torii.config.addresses import host_and_port, placed
from torii.config.connection_file import GitEntry
from torii.config.connections import DEFAULT_CONNECTION, connection_of, project_of, secret
from torii.config.document import Document, read_bytes, read_document
from torii.config.jenkins_file import config_project_of, jenkins_of
from torii.config.located import checked, ordered
from torii.config.pipelines import DEFAULT_PIPELINES, specified
from torii.config.secrets import resolve
from torii.config.server_file import ServerFile
from torii.config.settings import GearmanSettings, ServerConfig, StoreSettings, WebSettings, WorkerSettings
from torii.errors import ConfigurationError
from torii.model.job import ConfigProblem
from torii.model.pipeline import GateConfig, PipelineSpec

__all__ = ["gate_config", "load_server", "parse_server", "read_server", "resolve"]


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
    problems = [*document.problems, *shape, *Across(document, directory.absolute()).check()]
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


def in_force(model: ServerFile) -> tuple[PipelineSpec, ...]:
    """Return the built-in pipelines, each replaced by the file's own of that name, then the file's others."""
    own = {name: specified(name, entry) for name, entry in model.pipelines.items()}
    builtin = DEFAULT_PIPELINES if model.default_pipelines else ()
    return (*(own.pop(pipeline.name, pipeline) for pipeline in builtin), *own.values())


def _built(model: ServerFile, directory: Path) -> ServerConfig:
    connections = model.connections or {DEFAULT_CONNECTION: GitEntry()}
    gearman, web, store, worker = model.gearman, model.web, model.store, model.worker
    embedded = GearmanSettings()
    return ServerConfig(
        state=placed(model.state or ".torii", directory),
        connections=tuple(connection_of(name, entry, directory) for name, entry in connections.items()),
        projects=tuple(project_of(name, entry, connections, directory, tuple(model.jenkins)) for name, entry in model.projects.items()),
        pipelines=in_force(model),
        gearman=GearmanSettings(
            host=gearman.host or embedded.host,
            port=embedded.port if gearman.port is None else gearman.port,
            servers=tuple(host_and_port(server) for server in gearman.servers),
            key=secret(gearman.key, directory),
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
        jenkins=tuple(jenkins_of(name, entry, directory) for name, entry in model.jenkins.items()),
        config_project=config_project_of(model.config_project),
    )


def _store(url: str | None, directory: Path) -> str | None:
    return None if url is None else f"sqlite:///{placed(url.removeprefix('sqlite:///'), directory)}"
