"""What the command line says of the Jenkins in which the demo's builds are to run, checked: whatever is wrong is told by its option."""

from __future__ import annotations

import hashlib
import json
import re
import socket
from dataclasses import dataclass
from pathlib import Path

from pydantic_core import PydanticCustomError

from torii.config.addresses import host_and_port, server
from torii.config.server import parse_server
from torii.config.settings import JenkinsSettings
from torii.errors import UserError
from torii.gearman.admin import Address
from torii.model.job import ConfigProblem

NAME = "ci"
"""What server.yml calls it."""

OWNERS = "torii-demo-"
"""What the owner in the marks of a demo's jobs begins with."""

_LOOPBACK = "127.0.0.1"
_EVERYWHERE = ("0.0.0.0", "::")
_OPTIONS = {"url": "--jenkins", "user": "--jenkins-user", "token": "--jenkins-token", "folder": "--jenkins-folder", "ca": "--jenkins-ca"}

_YML = """\
jenkins:
  {name}:
    url: {url}
    user: {user}
    token: {token}
    owner: {owner}
"""


class JenkinsOptionError(UserError):
    """An option that says something of the Jenkins is wrong."""


@dataclass(frozen=True, slots=True)
class JenkinsOptions:
    """The options as they were typed; empty: not given. `token` is a reference, `env:NAME` or `file:PATH`."""

    url: str
    user: str
    token: str
    folder: str = ""
    gearman: str = ""
    reach: str = ""
    ca: str = ""


@dataclass(frozen=True, slots=True)
class Venue:
    """Where the builds run. `yml` says so in server.yml, and `settings` are what that means.

    `reach` is where the demo's git server is to listen (port 0: any free one), and `gearman` where the Gearman server is that the Jenkins'
    plug-in connects to; None where builds are started by REST alone.
    """

    settings: JenkinsSettings
    yml: str
    reach: Address
    gearman: Address | None = None


def venue_of(options: JenkinsOptions, folder: Path) -> Venue:
    """Return what `options` mean to a demo in `folder`. Nobody is asked for anything. Raises JenkinsOptionError."""
    reach = _address("--jenkins-reach", options.reach, 0) if options.reach else (_LOOPBACK, 0)
    if reach[0] in _EVERYWHERE:
        raise JenkinsOptionError(f"--jenkins-reach: {reach[0]} is all addresses of this machine; name the one that Jenkins' agents reach")
    gearman = None
    if options.gearman:
        if options.gearman.isdecimal():
            gearman = _address("--jenkins-gearman", f"{_bracketed(reach[0])}:{options.gearman}", 0)
        else:
            gearman = _address("--jenkins-gearman", options.gearman, 0)
        if not gearman[1]:
            raise JenkinsOptionError(f"--jenkins-gearman: {options.gearman!r} names no port; write [HOST:]PORT, such as 4730")
    yml = _yml(options, owner_of(folder), gearman is not None)
    parsed = parse_server(yml.encode(), "", Path.cwd())
    if isinstance(parsed, tuple):
        raise JenkinsOptionError("\n".join(map(_worded, parsed)))
    return Venue(parsed.jenkins[0], yml, reach, gearman)


def owner_of(folder: Path) -> str:
    """Return whose the jobs are that a demo in `folder` makes: the same each time, and nobody else's."""
    here = socket.gethostname()
    digest = hashlib.sha256(f"{here}\n{folder.absolute()}".encode(errors="surrogateescape")).hexdigest()[:10]
    readable = re.sub(r"[^A-Za-z0-9-]+", "-", here.partition(".")[0])[:30].strip("-")
    return f"{OWNERS}{readable or 'here'}-{digest}"


def shown(address: Address) -> str:
    """Return `address` as it is written."""
    return f"{_bracketed(address[0])}:{address[1]}"


def _yml(options: JenkinsOptions, owner: str, by_gearman: bool) -> str:
    token = options.token
    if token.startswith("file:"):
        token = f"file:{_path(token.removeprefix('file:'))}"
    words = {"url": options.url, "user": options.user, "token": token}
    text = _YML.format(name=NAME, owner=owner, **{key: _quoted(word) for key, word in words.items()})
    if options.folder:
        text += f"    folder: {_quoted(options.folder)}\n"
    if options.ca:
        text += f"    ca: {_quoted(_path(options.ca))}\n"
    return text + ("    dispatch: gearman\n" if by_gearman else "    dispatch: rest\n    poll: 0.5  # seconds: the demo is in a hurry\n")


def _path(given: str) -> str:
    """Return a path as server.yml, which is in another folder, has to say it."""
    return given if given.startswith("~") else str(Path(given).absolute())


def _quoted(word: str) -> str:
    return json.dumps(word)


def _address(option: str, given: str, default: int) -> Address:
    try:
        return host_and_port(server(given, "torii.example.com:4730"), default)
    except PydanticCustomError as error:
        suggestion = (error.context or {}).get("suggestion")
        raise JenkinsOptionError(f"{option}: {error.message()}{f'; {suggestion}' if suggestion else ''}") from None


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _worded(problem: ConfigProblem) -> str:
    option = _OPTIONS.get(problem.path.rpartition(".")[2], "--jenkins")
    return f"{option}: {problem.message}{f'; {problem.suggestion}' if problem.suggestion else ''}"
