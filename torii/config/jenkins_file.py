"""The `jenkins` and `config-project` of `server.yml`: their keys, what they mean, and what cannot be true of them at once."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from pydantic import Field

from torii.config.addresses import WebUrl, placed
from torii.config.connection_file import FilePath, SecretReference, UserName
from torii.config.fields import ANY_TEXT, PRESENT, Flag, From, duration, matching, text, wrong
from torii.config.located import Section
from torii.config.settings import Artifacts, ConfigProject, DispatchBy, JenkinsSettings, Secret
from torii.config.sizes import Size
from torii.config.wording import shown
from torii.model.ids import ProjectName

_DEFAULT = JenkinsSettings("", "")
_FOLDER = r"[A-Za-z0-9_][A-Za-z0-9 _.-]*[A-Za-z0-9_-]|[A-Za-z0-9_]"


def _folder(value: object) -> str:
    found = text(value).strip("/")
    parts = found.split("/") if found else []
    if len(found) > 256 or not all(re.fullmatch(_FOLDER, part) for part in parts):
        raise wrong(f"{shown(found)} is no path of a Jenkins folder", "write it like team/torii: letters, digits, spaces and . _ -")
    return found


def _branch(value: object) -> str:
    found = text(value)
    if not re.fullmatch(r"(?!-)[^\s~^:?*\[\\\x00-\x1f\x7f]{1,200}", found) or ".." in found or found.endswith((".lock", "/")):
        raise wrong(f"{shown(found)} is no name of a branch")
    return found


JenkinsLabel = Annotated[str, matching(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", "legal name of a Jenkins: letters, digits, _ and -")]
Folder = Annotated[str, From(_folder, {"type": ANY_TEXT, "maxLength": 258})]
Owner = Annotated[str, matching(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", "legal owner: letters, digits and . _ -, 64 characters at most")]
BranchName = Annotated[str, From(_branch, {"type": ANY_TEXT, "minLength": 1, "maxLength": 200})]


class JenkinsEntry(Section):
    """A Jenkins that runs builds."""

    url: WebUrl = Field(description="The address of its pages, such as https://jenkins.example.com.")
    user: UserName = Field(default=_DEFAULT.user, description="Torii's account there.")
    token: SecretReference = Field(description="env:NAME or file:PATH: an API token of that account, or its password.")
    ca: Annotated[FilePath | None, PRESENT] = Field(default=None, description="A file of certificates to trust. Default: the system's.")
    folder: Folder = Field(
        default=_DEFAULT.folder, description="The folder that Torii's jobs are in, such as team/torii. Default: the top."
    )
    dispatch: DispatchBy = Field(
        default=_DEFAULT.dispatch, description="How builds are started: by its Gearman plug-in, or rest: by its REST API alone."
    )
    artifacts: Artifacts = Field(default=_DEFAULT.artifacts, description="copy: into Torii's store; link: they stay in Jenkins.")
    owner: Owner = Field(
        default=_DEFAULT.owner, description="Marks the jobs that this Torii makes. Two Toriis on one Jenkins have different ones."
    )
    sync: Flag = Field(default=_DEFAULT.sync, description="Whether jobs are brought up to date when a torii.yml lands.")
    timeout: Annotated[float, duration(1, 600)] = Field(default=_DEFAULT.timeout, description="How long one answer may take.")
    poll: Annotated[float, duration(0.1, 300)] = Field(
        default=_DEFAULT.poll, description="How often it is asked about builds that it runs, where dispatch is rest."
    )
    log_limit: Size = Field(default=_DEFAULT.log_limit, description="The most that is kept of one console log, such as 100MiB.")


class ConfigProjectEntry(Section):
    """The project whose job-templates/ and jjb/ take the place of Torii's own, file by file."""

    project: Annotated[str, From(text, {"type": "string", "maxLength": 128})] = Field(description="One of projects.")
    branch: Annotated[BranchName | None, PRESENT] = Field(default=None, description="Its branch. Default: the repository's HEAD.")


def _config_project(value: object) -> object:
    return {"project": value} if isinstance(value, str) else value


ConfigProjectItem = Annotated[ConfigProjectEntry, From(_config_project, lambda schema: {"anyOf": [{"type": "string"}, schema]})]


def jenkins_of(name: str, entry: JenkinsEntry, directory: Path) -> JenkinsSettings:
    """Return what `entry` says, its paths seen from `directory`."""
    reference = entry.token
    token = Secret(reference if reference.startswith("env:") else f"file:{placed(reference.removeprefix('file:'), directory)}")
    return JenkinsSettings(
        name=name,
        url=entry.url,
        user=entry.user,
        token=token,
        ca=placed(entry.ca, directory) if entry.ca else None,
        folder=entry.folder,
        dispatch=entry.dispatch,
        artifacts=entry.artifacts,
        owner=entry.owner,
        sync=entry.sync,
        timeout=entry.timeout,
        poll=entry.poll,
        log_limit=entry.log_limit,
    )


def config_project_of(entry: ConfigProjectEntry | None) -> ConfigProject | None:
    """Return the config project that `entry` names, if there is one."""
    return ConfigProject(ProjectName(entry.project), entry.branch) if entry else None


def mistakes_of(entry: JenkinsEntry) -> Iterator[tuple[str, str, str]]:
    """Yield what cannot be true of one Jenkins at once: the key, what is wrong, and what to do."""
    if entry.ca is not None and not entry.url.startswith("https:"):
        yield "ca", "is for https, and url is not", "write https in url, or remove ca"
    if "poll" in entry.model_fields_set and entry.dispatch is DispatchBy.GEARMAN:
        yield "poll", "is for dispatch: rest, and builds are started through Gearman", "remove it, or add dispatch: rest"
