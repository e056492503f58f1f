"""The keys of `server.yml`, as pydantic models: what checks the file is also what editors complete it with."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field

from torii.config.addresses import Address, Host, Server, WebUrl, expandable
from torii.config.fields import (
    ANY_TEXT,
    PRESENT,
    WHOLE,
    Flag,
    From,
    Glob,
    NodeLabel,
    OneOrMany,
    OneOrMore,
    PipelineLabel,
    Text,
    duration,
    matching,
    text,
    wrong,
)
from torii.config.located import Section
from torii.config.secrets import REFERENCE
from torii.config.settings import GearmanSettings, GitConnection, Network, Sandbox, WebSettings, WorkerSettings
from torii.config.wording import shown
from torii.model.pipeline import Cause, Manager, MergeMode, Precedence, Window

_CONNECTION, _GEARMAN, _WEB, _WORKER, _WINDOW = GitConnection(""), GearmanSettings(), WebSettings(), WorkerSettings(), Window()


def _secret(value: object) -> str:
    found = text(value)
    if not re.fullmatch(REFERENCE, found):
        raise wrong("a secret must not stand here itself (it is not shown)", "write env:NAME or file:PATH")
    return found


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


def _file(value: object) -> str:
    found = text(value)
    if not found or len(found) > 1024 or re.search(r"[\x00-\x1f]", found):
        raise wrong("must be a path of 1 to 1024 characters, without control characters")
    return expandable(found)


def _size(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    found = text(value)
    parts = re.fullmatch(r"([0-9]{1,12}) ?([KMG]?)(i?)B?", found)
    if parts is None:
        raise wrong(f"{shown(found)} is no size", "write it like 100MiB, or as a number of bytes")
    base = 1024 if parts[3] else 1000
    size: int = int(parts[1]) * base ** " KMG".index(parts[2] or " ")
    if not 64 * 1024 <= size <= 100 * 1024**3:
        raise wrong("must be from 64KiB to 100GiB")
    return size


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

SecretReference = Annotated[str, From(_secret, {"type": "string", "pattern": "^(env:[A-Za-z_][A-Za-z0-9_]*|file:.+)$"})]
ProjectLabel = Annotated[str, From(_project, {"type": "string", "maxLength": 128, "pattern": f"^{_PROJECT}$"})]
RepositoryPath = Annotated[str, From(_path, {"type": ANY_TEXT, "maxLength": 512, "pattern": f"^{_REPOSITORY}$"})]
FilePath = Annotated[str, From(_file, {"type": ANY_TEXT, "minLength": 1, "maxLength": 1024})]
Size = Annotated[int, From(_size, {"anyOf": [{"type": "integer"}, {"type": "string", "pattern": "^[0-9]+ ?[KMG]?i?B?$"}]})]
StoreUrl = Annotated[str, From(_store, {"type": "string", "pattern": "^sqlite:///."})]
ConnectionLabel = Annotated[str, matching(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", "legal connection name: letters, digits, _ and -")]
VoteLabel = Annotated[str, matching(r"[A-Za-z0-9][A-Za-z0-9-]{0,63}", "legal label: letters, digits and -")]
UserName = Annotated[str, matching(r"[^\s:@/\x00-\x1f-][^\s:/\x00-\x1f]{0,127}", "legal user name")]
Votes = dict[VoteLabel, Annotated[int, Field(ge=-100, le=100), WHOLE]]
Port = Annotated[int, Field(ge=0, le=65535), WHOLE]


class ConnectionEntry(Section):
    """A git server that is polled. Over SSH it takes `key` and `known-hosts`, over HTTP `user` and `password`."""

    type: Literal["git"] = Field(default="git", description="What kind of server it is. This version knows git.")
    url: Annotated[Address | None, PRESENT] = Field(
        default=None, description="What a project's path is added to: a folder, ssh://git@host/group, git@host: or https://host/group."
    )
    poll: Annotated[float, duration(0.05, 86400)] = Field(
        default=_CONNECTION.poll, description="How often it is asked what is new, such as 10s. `torii notify` asks at once."
    )
    timeout: Annotated[float, duration(1, 3600)] = Field(default=_CONNECTION.timeout, description="How long one git command may take.")
    staging: Annotated[Address | None, PRESENT] = Field(
        default=None, description="Another server, as `url`, that staging refs are pushed to. Default: the same."
    )
    user: Annotated[UserName | None, PRESENT] = Field(default=None, description="The user, for HTTP.")
    password: Annotated[SecretReference | None, PRESENT] = Field(default=None, description="env:NAME or file:PATH, for HTTP.")
    key: Annotated[FilePath | None, PRESENT] = Field(default=None, description="The private key file, for SSH.")
    known_hosts: Annotated[FilePath | None, PRESENT] = Field(default=None, description="The file of known host keys, for SSH.")


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


class TriggerEntry(Section):
    """What brings a change into a pipeline."""

    cause: Cause = Field(description="What has to happen.")
    branches: OneOrMany[Glob] = Field(default=(), description="Only for branches that match one of these globs.")


TriggerItem = Annotated[
    TriggerEntry,
    From(
        lambda value: {"cause": value} if isinstance(value, str) else value,
        lambda schema: {"anyOf": [{"type": "string", "enum": [cause.value for cause in Cause]}, schema]},
    ),
]


class RequireEntry(Section):
    """What must hold of a change when it enters, and for as long as it is there."""

    approved: Flag = Field(default=False, description="A human wants it merged.")
    votes: Votes = Field(default={}, description="For each label the vote it needs at least (at most, where negative).")


class RejectEntry(Section):
    """What keeps a change out."""

    votes: Votes = Field(default={}, description="For each label the vote that keeps it out (at least; at most, where negative).")


class WindowEntry(Section):
    """How many changes of a dependent queue are tested at once."""

    initial: Annotated[int, Field(ge=1, le=10_000), WHOLE] = Field(default=_WINDOW.initial, description="At first.")
    floor: Annotated[int, Field(ge=1, le=10_000), WHOLE] = Field(default=_WINDOW.floor, description="At least.")
    ceiling: Annotated[int, Field(ge=1, le=10_000), WHOLE] = Field(default=_WINDOW.ceiling, description="At most.")
    increase: Annotated[int, Field(ge=0, le=1000), WHOLE] = Field(default=_WINDOW.increase, description="Added for each merge.")
    decrease: Annotated[int, Field(ge=1, le=1000), WHOLE] = Field(default=_WINDOW.decrease, description="Divided by for each failure.")


class ReportEntry(Section):
    """What a pipeline tells the change's author, and how it votes."""

    start: Flag = Field(default=False, description="Tell that it has begun.")
    dequeued: Flag = Field(default=True, description="Tell when a change is taken out.")
    success: Votes = Field(default={}, description="The votes that go with a success, such as {Verified: 1}.")
    failure: Votes = Field(default={}, description="The votes that go with a failure, such as {Verified: -1}.")


class PipelineEntry(Section):
    """One pipeline. It replaces the built-in one of its name."""

    manager: Manager = Field(description="How its changes stand to each other.")
    triggers: OneOrMore[TriggerItem] = Field(description="What brings a change in.")
    require: RequireEntry = Field(default=RequireEntry(), description="What must hold of a change.")
    reject: RejectEntry = Field(default=RejectEntry(), description="What keeps a change out.")
    precedence: Precedence = Field(default=Precedence.NORMAL, description="Whose builds go first when workers are short.")
    window: Annotated[WindowEntry | None, PRESENT] = Field(default=None, description="For the dependent manager.")
    report: ReportEntry = Field(default=ReportEntry(), description="What it tells, and how it votes.")
    merges: Annotated[Flag | None, PRESENT] = Field(
        default=None, description="Whether it merges what passed. A dependent pipeline does, a serial one may."
    )
    trusted: Flag = Field(default=False, description="Its builds may use secrets: only after review or merge.")
    strategy: Literal["linear"] = Field(
        default="linear", description="Which speculative states are built: linear assumes that all ahead merge."
    )
    description: Text = Field(default="", description="For those who read the pages.")


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
    connections: dict[ConnectionLabel, ConnectionEntry] = Field(default={}, description="The git servers, by a name of your choice.")
    projects: dict[ProjectLabel, ProjectEntry] = Field(default={}, description="The repositories that are gated, by name.")
    default_pipelines: Flag = Field(default=True, description="Whether the built-in pipelines check, gate and post are there.")
    pipelines: dict[PipelineLabel, PipelineEntry] = Field(default={}, description="More pipelines, or others for the built-in ones.")
    gearman: GearmanEntry = Field(default=GearmanEntry(), description="The Gearman server.")
    web: WebEntry = Field(default=WebEntry(), description="The pages.")
    store: StoreEntry = Field(default=StoreEntry(), description="What Torii remembers.")
    worker: WorkerEntry = Field(default=WorkerEntry(), description="The embedded worker.")
    mergers: Annotated[int, Field(ge=0, le=64), WHOLE] = Field(default=1, description="How many mergers run embedded.")
    limits: LimitsEntry = Field(default=LimitsEntry(), description="How long Torii waits.")
