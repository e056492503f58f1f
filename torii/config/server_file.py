"""The keys of `server.yml`, as pydantic models: what checks the file is also what editors complete it with."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import Field

from torii.config.addresses import Address, Host, Server, WebUrl
from torii.config.connection_file import ConnectionItem, ConnectionLabel, FilePath, SecretReference
from torii.config.fields import ANY_TEXT, PRESENT, WHOLE, Flag, From, NodeLabel, OneOrMany, PipelineLabel, duration, text, wrong
from torii.config.jenkins_file import ConfigProjectItem, JenkinsEntry, JenkinsLabel
from torii.config.located import Section
from torii.config.pipeline_file import PipelineEntry
from torii.config.settings import GearmanSettings, Network, Sandbox, WebSettings, WorkerSettings
from torii.config.sizes import Size
from torii.config.wording import shown
from torii.model.pipeline import MergeMode

_GEARMAN, _WEB, _WORKER = GearmanSettings(), WebSettings(), WorkerSettings()


def _project(value: object) -> str:
    name = text(value)
    if len(name) > 128 or not re.fullmatch(_PROJECT, name):
        raise wrong(f"{shown(name)} is no legal project name: letters, digits and . _ - in parts between slashes, 128 characters at most")
    return name


def _path(value: object) -> str:
    found = text(value)
    if len(found) > 512 or not re.fullmatch(_REPOSITORY, found):
        raise wrong(f"{shown(found)} is no path of a repository below its connection's url", "write it like group/name.git")
    return found


def _store(value: object) -> str:
    found = text(value)
    if found.startswith("postgres"):
        raise wrong("this version of Torii keeps its store in SQLite only", "remove it, or write sqlite:///a/path")
    if not re.fullmatch(r"sqlite:///[^?#\x00-\x1f]+", found):
        raise wrong("is no address of a store", "write it like sqlite:////var/lib/torii/torii.db")
    return found


_PART = r"(?![^/]*\.\.)(?![^/]*\.(?:lock|git)?(?:/|$))[A-Za-z0-9_][A-Za-z0-9._-]*"
_PROJECT = rf"{_PART}(?:/{_PART})*"
_REPOSITORY = r"(?!(?:.*/)?\.\.?(?:/|$))[A-Za-z0-9_.~][A-Za-z0-9_.~+-]*(?:/[A-Za-z0-9_.~][A-Za-z0-9_.~+-]*)*"

ProjectLabel = Annotated[str, From(_project, {"type": "string", "maxLength": 128, "pattern": f"^{_PROJECT}$"})]
RepositoryPath = Annotated[str, From(_path, {"type": ANY_TEXT, "maxLength": 512, "pattern": f"^{_REPOSITORY}$"})]
StoreUrl = Annotated[str, From(_store, {"type": "string", "pattern": "^sqlite:///."})]
Port = Annotated[int, Field(ge=0, le=65535), WHOLE]


class ProjectEntry(Section):
    """A repository that Torii gates."""

    connection: Annotated[ConnectionLabel | None, PRESENT] = Field(
        default=None, description="The connection it is reached by; needs not be said where there is only one."
    )
    path: Annotated[RepositoryPath | None, PRESENT] = Field(
        default=None, description="Where it is below its connection's url. Default: the project's name."
    )
    url: Annotated[Address | None, PRESENT] = Field(default=None, description="Its whole address, instead of `path`.")
    staging: Annotated[Address | None, PRESENT] = Field(default=None, description="The whole address that its staging refs are pushed to.")
    merge: MergeMode = Field(default=MergeMode.MERGE_IF_NECESSARY, description="How a change becomes part of its branch.")
    pipelines: OneOrMany[PipelineLabel] = Field(default=(), description="Only these pipelines take its changes. Default: all.")
    jenkins: OneOrMany[JenkinsLabel] | None = Field(
        default=None,
        description="Its jobs run on these of `jenkins`. [] is Torii's own workers. Default: all there are, else Torii's workers.",
    )


class GearmanEntry(Section):
    """The Gearman server: embedded, or C gearmands."""

    host: Annotated[Host | None, PRESENT] = Field(
        default=None, description=f"The embedded server listens here. Default: {_GEARMAN.host}. Gearman has no passwords."
    )
    port: Annotated[Port | None, PRESENT] = Field(default=None, description=f"Default: {_GEARMAN.port}; 0 is any free port.")
    servers: OneOrMany[Server] = Field(default=(), description="C gearmands to use instead of the embedded server, each as host:port.")
    key: Annotated[SecretReference | None, PRESENT] = Field(
        default=None, description="Signs Torii's own jobs: env:NAME or file:PATH. Default: made and kept in the state folder."
    )


class WebEntry(Section):
    """The pages."""

    host: Host = Field(default=_WEB.host, description="They are served here.")
    port: Port = Field(default=_WEB.port, description="And on this port; 0 is any free one.")
    url: Annotated[WebUrl | None, PRESENT] = Field(default=None, description="How users reach them. Default: made of host and port.")


class StoreEntry(Section):
    """Where Torii keeps what it must remember."""

    url: Annotated[StoreUrl | None, PRESENT] = Field(default=None, description="A database. Default: SQLite in the state folder.")
    blobs: Annotated[FilePath | None, PRESENT] = Field(
        default=None, description="The folder of logs and artifacts. Default: in the state folder."
    )


class WorkerEntry(Section):
    """The worker that runs inside of `torii up`."""

    executors: Annotated[int, Field(ge=0, le=1000), WHOLE] = Field(default=_WORKER.executors, description="Builds at once; 0 is none.")
    labels: OneOrMany[NodeLabel] = Field(default=_WORKER.labels, description="Jobs that ask for one of these labels run here.")
    sandbox: Sandbox = Field(default=Sandbox.AUTO, description="How builds are kept from the machine. auto: bubblewrap where it works.")
    network: Network = Field(default=Network.NONE, description="What a sandboxed build reaches: nothing, or what the machine (host) does.")
    log_limit: Size = Field(default=_WORKER.log_limit, description="The most that is kept of one console log, such as 100MiB.")
    workspaces: Annotated[FilePath | None, PRESENT] = Field(default=None, description="Builds run in here. Default: in the state folder.")


class LimitsEntry(Section):
    """How long Torii waits."""

    unregistered: Annotated[float, duration(1, 7 * 86400)] = Field(
        default=600.0, description="For a worker that knows a job, before the change is told that there is none."
    )


class ServerFile(Section):
    """The configuration of a Torii server. Every key may be left out."""

    state: Annotated[FilePath | None, PRESENT] = Field(
        default=None, description="The folder of whatever Torii must remember. Default: .torii beside this file."
    )
    connections: dict[ConnectionLabel, ConnectionItem] = Field(
        default={}, description="The git servers and Gerrits, by a name of your choice."
    )
    projects: dict[ProjectLabel, ProjectEntry] = Field(default={}, description="The repositories that are gated, by name.")
    default_pipelines: Flag = Field(default=True, description="Whether the built-in pipelines check, gate and post are there.")
    pipelines: dict[PipelineLabel, PipelineEntry] = Field(default={}, description="More pipelines, or others for the built-in ones.")
    gearman: GearmanEntry = Field(default=GearmanEntry(), description="The Gearman server.")
    web: WebEntry = Field(default=WebEntry(), description="The pages.")
    store: StoreEntry = Field(default=StoreEntry(), description="What Torii remembers.")
    worker: WorkerEntry = Field(default=WorkerEntry(), description="The embedded worker.")
    mergers: Annotated[int, Field(ge=0, le=64), WHOLE] = Field(default=1, description="How many mergers run embedded.")
    limits: LimitsEntry = Field(default=LimitsEntry(), description="How long Torii waits.")
    jenkins: dict[JenkinsLabel, JenkinsEntry] = Field(
        default={}, description="The Jenkins controllers that run builds, by a name of your choice."
    )
    config_project: Annotated[ConfigProjectItem | None, PRESENT] = Field(
        default=None, description="The project whose job-templates/ and jjb/ take the place of Torii's own, file by file."
    )
