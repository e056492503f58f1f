"""What `server.yml` says, as frozen values with every default filled in. Read by `torii.config.server`; the gate sees only `GateConfig`."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from torii.model.ids import ProjectName
from torii.model.pipeline import PipelineSpec, ProjectSpec


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret by reference, `env:NAME` or `file:PATH`. Its value is read when used and never shown, stored or logged."""

    reference: str


@dataclass(frozen=True, slots=True)
class GitConnection:
    """A git server that is polled. `url` is a prefix to which a project's own path is added; `poll` and `timeout` are seconds.

    `staging` is the prefix of another git server for staging refs, None for the same. `known_hosts` and `key` are for SSH,
    `user` and `password` for HTTP.
    """

    name: str
    url: str = ""
    poll: float = 10.0
    timeout: float = 60.0
    staging: str | None = None
    user: str | None = None
    password: Secret | None = None
    key: Path | None = None
    known_hosts: Path | None = None


class EventsBy(Enum):
    """How a Gerrit tells what happens. CATCH_UP: it is only asked, every `catch_up` seconds."""

    STREAM = "stream"
    WEBHOOKS = "webhooks"
    BOTH = "both"
    CATCH_UP = "catch-up"


class Transport(Enum):
    """How git reaches a Gerrit."""

    HTTP = "http"
    SSH = "ssh"


@dataclass(frozen=True, slots=True)
class GerritConnection:
    """A Gerrit. `url` is the address of its pages and its REST; `user` with `password` is who Torii is there, over HTTP.

    `ssh_host`, `ssh_port`, `key` (None: the agent's or the default ones) and `known_hosts` (None: the user's own) are for stream-events,
    and for git where `git` says so. `webhook_secret` is what webhooks must know. `catch_up` and `timeout` are seconds, as is
    `first_look`: how far back the first start looks for changes to test. Events and comments of users that match `ignore` (globs, of
    user name or e-mail) are left alone, as Torii's own are. `ca` is a file of certificates to trust.
    """

    name: str
    url: str
    user: str = "torii"
    password: Secret | None = None
    events: EventsBy = EventsBy.STREAM
    ssh_host: str = ""
    ssh_port: int = 29418
    key: Path | None = None
    known_hosts: Path | None = None
    git: Transport = Transport.HTTP
    staging: str | None = None
    webhook_secret: Secret | None = None
    catch_up: float = 180.0
    first_look: float = 86_400.0
    timeout: float = 30.0
    ignore: tuple[str, ...] = ()
    ca: Path | None = None


Connection = GitConnection | GerritConnection
"""Any connection of `server.yml`."""


class DispatchBy(Enum):
    """How builds are started in a Jenkins: through the functions of its Gearman plug-in, or by its REST API alone."""

    GEARMAN = "gearman"
    REST = "rest"


class Artifacts(Enum):
    """What becomes of a build's artifacts in Jenkins: they are copied into Torii's store, or stay there and are linked to."""

    COPY = "copy"
    LINK = "link"


@dataclass(frozen=True, slots=True)
class JenkinsSettings:
    """A Jenkins controller. `url` is its base address, without a slash at its end; `user` with `token` (or a password) is who we are there.

    Torii's jobs are in `folder` (`team/torii`; empty: at the top). `owner` stands in the mark of each job that this Torii makes: two
    Toriis on one Jenkins have different ones. `sync`: whether jobs are brought up to date when a `torii.yml` lands. `timeout` and
    `poll` (between looks at running builds, for `rest`) are seconds; `log_limit` is bytes a console log; `ca` is a file of certificates.
    """

    name: str
    url: str
    user: str = "torii"
    token: Secret | None = None
    ca: Path | None = None
    folder: str = ""
    dispatch: DispatchBy = DispatchBy.GEARMAN
    artifacts: Artifacts = Artifacts.COPY
    owner: str = "torii"
    sync: bool = True
    timeout: float = 30.0
    poll: float = 2.0
    log_limit: int = 100 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class ConfigProject:
    """The project whose `job-templates/` and `jjb/` take the place of Torii's own, file by file. `branch` None: its HEAD."""

    project: ProjectName
    branch: str | None = None


@dataclass(frozen=True, slots=True)
class ProjectSettings:
    """A project and where it lives: `url` is its whole address. `path` is its name on a Gerrit; empty where it is on no Gerrit.

    `jenkins` are the controllers that its jobs run on, by name, all with the same kind of dispatch; empty: Torii's own workers.
    """

    spec: ProjectSpec
    connection: str
    url: str
    staging_url: str
    path: str = ""
    jenkins: tuple[str, ...] = ()

    @property
    def name(self) -> ProjectName:
        return self.spec.name


@dataclass(frozen=True, slots=True)
class GearmanSettings:
    """`servers` empty: an embedded server on `host`:`port` (0: any free port). Else (host, port) of each C gearmand.

    `key` signs Torii's own jobs; None: one is made and kept in `state`.
    """

    host: str = "127.0.0.1"
    port: int = 4730
    servers: tuple[tuple[str, int], ...] = ()
    key: Secret | None = None


@dataclass(frozen=True, slots=True)
class WebSettings:
    """`url` is how users reach the pages, for links; None: made of host and port. Port 0: any free port."""

    host: str = "127.0.0.1"
    port: int = 8090
    url: str | None = None


class Sandbox(Enum):
    """How builds are kept from the machine. AUTO: bubblewrap where it works, else none, and each log says so."""

    AUTO = "auto"
    BUBBLEWRAP = "bubblewrap"
    NONE = "none"


class Network(Enum):
    """What a sandboxed build can reach: nothing, or what the machine can."""

    NONE = "none"
    HOST = "host"


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """The embedded worker: `executors` builds at once (0: none). `log_limit` is bytes a console log; `workspaces` None: under `state`."""

    executors: int = 2
    labels: tuple[str, ...] = ("linux",)
    sandbox: Sandbox = Sandbox.AUTO
    network: Network = Network.NONE
    log_limit: int = 100 * 1024 * 1024
    workspaces: Path | None = None


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """`url` None: SQLite in `state`; `blobs` None: a folder in `state`."""

    url: str | None = None
    blobs: Path | None = None


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """All of `server.yml`. `state` is the folder that holds whatever Torii must remember; `mergers` is how many run embedded."""

    state: Path
    connections: tuple[Connection, ...] = ()
    projects: tuple[ProjectSettings, ...] = ()
    pipelines: tuple[PipelineSpec, ...] = ()
    gearman: GearmanSettings = field(default_factory=GearmanSettings)
    web: WebSettings = field(default_factory=WebSettings)
    store: StoreSettings = field(default_factory=StoreSettings)
    worker: WorkerSettings = field(default_factory=WorkerSettings)
    mergers: int = 1
    unregistered_limit: float = 600.0
    jenkins: tuple[JenkinsSettings, ...] = ()
    config_project: ConfigProject | None = None

    def project(self, name: ProjectName) -> ProjectSettings | None:
        """Return the project called `name`, or None."""
        return next((project for project in self.projects if project.name == name), None)
