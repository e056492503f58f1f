"""The configuration in force, written as the file that would say all of it, with a mark on what nobody had to say."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any

from torii.config.document import Document, Path, read_document
from torii.config.fields import period
from torii.config.pipelines import DEFAULT_PIPELINES
from torii.config.settings import (
    ConfigProject,
    Connection,
    DispatchBy,
    GerritConnection,
    GitConnection,
    JenkinsSettings,
    ProjectSettings,
    Secret,
    ServerConfig,
)
from torii.config.wording import path_text
from torii.model.pipeline import ApprovalRule, Manager, PipelineSpec, Requirements, Trigger

_BARE = re.compile(r"[A-Za-z_/.][A-Za-z0-9_/.@-]*|(?:[0-9]+[dhms])+")
_WORDS = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n", ".inf", ".nan", ".", "_"})
_SAID_ELSEWHERE = {("url",): ("path",), ("require", "wip"): ("reject", "wip"), ("require", "private"): ("reject", "private")}
"""The ends of paths whose value may be said at another place of the same mapping."""


@dataclass(frozen=True, slots=True)
class Unset:
    """A key that has no value; `meaning` says what holds instead."""

    meaning: str


def as_document(config: ServerConfig) -> dict[str, Any]:
    """Return `config` as `server.yml` would have it, every key said. Secrets are their references."""
    builtin = tuple(pipeline.name for pipeline in DEFAULT_PIPELINES)
    servers = [_server(host, port) for host, port in config.gearman.servers]
    embedded = {"host": config.gearman.host, "port": config.gearman.port}
    worker = config.worker
    gerrits = {connection.name for connection in config.connections if isinstance(connection, GerritConnection)}
    return {
        "state": str(config.state),
        "connections": {connection.name: _connection(connection) for connection in config.connections},
        "projects": {project.name: _project(project, project.connection in gerrits) for project in config.projects},
        "default-pipelines": tuple(pipeline.name for pipeline in config.pipelines)[: len(builtin)] == builtin,
        "pipelines": {pipeline.name: _pipeline(pipeline) for pipeline in config.pipelines},
        "gearman": {
            **({key: Unset("servers are named") for key in embedded} if servers else embedded),
            "servers": servers or Unset("the server is embedded"),
            "key": _reference(config.gearman.key, "made and kept in the state folder"),
        },
        "web": {"host": config.web.host, "port": config.web.port, "url": config.web.url or Unset("made of host and port")},
        "store": {
            "url": config.store.url or Unset("SQLite in the state folder"),
            "blobs": _file(config.store.blobs, "in the state folder"),
        },
        "worker": {
            "executors": worker.executors,
            "labels": list(worker.labels),
            "sandbox": worker.sandbox.value,
            "network": worker.network.value,
            "log-limit": worker.log_limit,
            "workspaces": _file(worker.workspaces, "in the state folder"),
        },
        "mergers": config.mergers,
        "limits": {"unregistered": period(config.unregistered_limit)},
        "jenkins": {jenkins.name: _jenkins(jenkins) for jenkins in config.jenkins},
        "config-project": _config_project(config.config_project),
    }


def _server(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _connection(connection: Connection) -> dict[str, Any]:
    return _gerrit(connection) if isinstance(connection, GerritConnection) else _git(connection)


def _git(connection: GitConnection) -> dict[str, Any]:
    return {
        "type": "git",
        "url": connection.url or Unset("each project gives its own"),
        "poll": period(connection.poll),
        "timeout": period(connection.timeout),
        "staging": connection.staging or Unset("the same server"),
        "user": connection.user or Unset("none"),
        "password": _reference(connection.password, "none"),
        "key": _file(connection.key, "as ssh is set up"),
        "known-hosts": _file(connection.known_hosts, "as ssh is set up"),
    }


def _gerrit(connection: GerritConnection) -> dict[str, Any]:
    return {
        "type": "gerrit",
        "url": connection.url,
        "user": connection.user,
        "password": _reference(connection.password, "nobody logs in over HTTP"),
        "events": connection.events.value,
        "ssh": _server(connection.ssh_host, connection.ssh_port),
        "key": _file(connection.key, "as ssh is set up"),
        "known-hosts": _file(connection.known_hosts, "as ssh is set up"),
        "git": connection.git.value,
        "staging": connection.staging or Unset("the same Gerrit"),
        "webhook-secret": _reference(connection.webhook_secret, "no webhook is taken"),
        "catch-up": period(connection.catch_up),
        "first-look": period(connection.first_look),
        "timeout": period(connection.timeout),
        "ignore": list(connection.ignore),
        "ca": _file(connection.ca, "the system's certificates"),
    }


def _project(project: ProjectSettings, on_gerrit: bool) -> dict[str, Any]:
    return {
        "connection": project.connection,
        **({"path": project.path} if on_gerrit else {"url": project.url}),
        "staging": project.staging_url,
        "merge": Unset("the project's submit type") if on_gerrit else project.spec.merge_mode.value,
        "pipelines": list(project.spec.pipelines) or Unset("all"),
        "jenkins": list(project.jenkins),
    }


def _jenkins(jenkins: JenkinsSettings) -> dict[str, Any]:
    by_rest = jenkins.dispatch is DispatchBy.REST
    return {
        "url": jenkins.url,
        "user": jenkins.user,
        "token": _reference(jenkins.token, "none"),
        "ca": _file(jenkins.ca, "the system's certificates"),
        "folder": jenkins.folder or Unset("the top"),
        "dispatch": jenkins.dispatch.value,
        "artifacts": jenkins.artifacts.value,
        "owner": jenkins.owner,
        "sync": jenkins.sync,
        "timeout": period(jenkins.timeout),
        "poll": period(jenkins.poll) if by_rest else Unset("for dispatch: rest only"),
        "log-limit": jenkins.log_limit,
    }


def _config_project(chosen: ConfigProject | None) -> dict[str, Any] | Unset:
    if chosen is None:
        return Unset("Torii's own templates and macros")
    return {"project": str(chosen.project), "branch": chosen.branch or Unset("the repository's HEAD")}


def _pipeline(pipeline: PipelineSpec) -> dict[str, Any]:
    window = pipeline.window
    return {
        "manager": pipeline.manager.value,
        "triggers": [_trigger(trigger) for trigger in pipeline.triggers],
        **_requirements(pipeline.require),
        "precedence": pipeline.precedence.value,
        "window": {
            "initial": window.initial,
            "floor": window.floor,
            "ceiling": window.ceiling,
            "increase": window.increase,
            "decrease": window.decrease,
        }
        if pipeline.manager is Manager.DEPENDENT
        else Unset("for dependent pipelines only"),
        "report": {
            "start": pipeline.report.start,
            "dequeued": pipeline.report.dequeued,
            "success": dict(pipeline.report.success),
            "failure": dict(pipeline.report.failure),
        },
        "merges": pipeline.merges,
        "trusted": pipeline.trusted,
        "own-jobs": pipeline.own_jobs,
        "strategy": pipeline.strategy,
        "description": pipeline.description,
    }


def _trigger(trigger: Trigger) -> str | dict[str, Any]:
    said = {
        "branches": list(trigger.branches),
        "comment": trigger.comment,
        "votes": _votes(trigger.votes),
        "topics": list(trigger.topics),
        "hashtags": list(trigger.hashtags),
        "files": list(trigger.files),
        "users": list(trigger.users),
        "groups": list(trigger.groups),
    }
    more = {key: value for key, value in said.items() if value}
    return {"cause": trigger.cause.value, **more} if more else trigger.cause.value


def _requirements(require: Requirements) -> dict[str, Any]:
    return {
        "require": {
            "approved": require.approved,
            "votes": _votes(require.approvals),
            "wip": _either(require.wip),
            "private": _either(require.private),
            "topics": list(require.topics) or Unset("any"),
            "hashtags": list(require.hashtags) or Unset("any"),
            "owners": list(require.owners) or Unset("any"),
        },
        "reject": {
            "votes": _votes(require.reject),
            "topics": list(require.reject_topics) or Unset("none"),
            "hashtags": list(require.reject_hashtags) or Unset("none"),
            "owners": list(require.reject_owners) or Unset("none"),
        },
    }


def _either(flag: bool | None) -> bool | Unset:
    return Unset("either") if flag is None else flag


def _votes(rules: tuple[ApprovalRule, ...]) -> dict[str, Any]:
    found: dict[str, list[Any]] = {}
    for rule in rules:
        found.setdefault(rule.label, []).append(_vote(rule))
    return {label: votes[0] if len(votes) == 1 else votes for label, votes in found.items()}


def _vote(rule: ApprovalRule) -> int | dict[str, Any]:
    """Return `rule` in the short form where that says all of it."""
    if rule.value is not None and rule == ApprovalRule(rule.label, rule.value):
        return rule.value
    said: dict[str, Any] = {
        "value": rule.value,
        "users": list(rule.users) or None,
        "groups": list(rule.groups) or None,
        "older-than": None if rule.older_than is None else period(rule.older_than),
        "newer-than": None if rule.newer_than is None else period(rule.newer_than),
    }
    return {key: value for key, value in said.items() if value is not None}


def _reference(secret: Secret | None, meaning: str) -> str | Unset:
    return secret.reference if secret else Unset(meaning)


def _file(path: FilePath | None, meaning: str) -> str | Unset:
    return str(path) if path else Unset(meaning)


class Effective:
    """A configuration and the file it was read from (`data`, empty for none)."""

    def __init__(self, config: ServerConfig, data: bytes = b"", overridden: tuple[Path, ...] = ()) -> None:
        self._document = as_document(config)
        found = read_document(data, "server.yml", may_be_empty=True)
        self._given = found if isinstance(found, Document) else None
        self._overridden = overridden

    def is_default(self, path: Path) -> bool:
        """Return whether nobody said what stands at `path`."""
        if path in self._overridden or self._given is None:
            return False
        paths = [path, *((*path[: -len(end)], *other) for end, other in _SAID_ELSEWHERE.items() if path[-len(end) :] == end)]
        return all(self._given.find(one)[0] != one for one in paths)

    def as_json(self) -> dict[str, Any]:
        """Return the configuration and the paths of all that is default."""
        defaults = [path_text(path) for path, value in _leaves(self._document) if self.is_default(path) and not isinstance(value, Unset)]
        return {"configuration": _without_unset(self._document), "defaults": defaults}

    def lines(self) -> Iterator[str]:
        """Yield the lines of a `server.yml` that says all of it."""
        yield from self._mapping(self._document, (), "")

    def _mapping(self, mapping: dict[str, Any], path: Path, indent: str) -> Iterator[str]:
        for key, value in mapping.items():
            here = (*path, key)
            match value:
                case Unset(meaning=meaning):
                    yield f"{indent}# {key}: not set ({meaning})"
                case dict() if value:
                    unset = all(isinstance(below, Unset) for below in value.values())
                    empty = f" {{}}{self._mark(here)}" if unset else ""
                    yield f"{indent}{_scalar(key)}:{empty}"
                    yield from self._mapping(value, here, f"{indent}  ")
                case _:
                    yield f"{indent}{_scalar(key)}: {_flow(value)}{self._mark(here)}"

    def _mark(self, path: Path) -> str:
        return "  # default" if self.is_default(path) else ""


def _leaves(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    if isinstance(value, dict) and value:
        for key, below in value.items():
            yield from _leaves(below, (*path, key))
    else:
        yield path, value


def _without_unset(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_unset(below) for key, below in value.items() if not isinstance(below, Unset)}
    return value


def _flow(value: Any) -> str:
    match value:
        case dict():
            return "{" + ", ".join(f"{_scalar(key)}: {_flow(below)}" for key, below in value.items()) + "}"
        case list():
            return "[" + ", ".join(map(_flow, value)) + "]"
        case _:
            return _scalar(value)


def _scalar(value: Any) -> str:
    if isinstance(value, str) and _BARE.fullmatch(value) and value.lower() not in _WORDS:
        return value
    quoted = json.dumps(value, ensure_ascii=False)
    return "".join(
        char if char.isprintable() else f"\\u{ord(char):04x}" if ord(char) < 0x10000 else f"\\U{ord(char):08x}" for char in quoted
    )
