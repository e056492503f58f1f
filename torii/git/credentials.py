"""How a remote is logged in to. Secrets travel in the environment of git, never on a command line, and never appear in a repr."""

from __future__ import annotations

import base64
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

from torii.config.secrets import resolve
from torii.config.settings import Connection, GerritConnection

GIT_LIMIT = 60.0
"""Seconds that one git command may take where nothing is said."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """`key` and `known_hosts` are files for SSH (None: the user's own); `user` and `password` are for HTTP.

    `ca` is a file of certificates to trust over HTTPS (None: the system's).
    """

    user: str | None = None
    password: str | None = field(default=None, repr=False)
    key: Path | None = None
    known_hosts: Path | None = None
    ca: Path | None = None

    def ssh_command(self, connect_timeout: float) -> str:
        """Return what GIT_SSH_COMMAND must say: no questions, host keys always checked, nothing left behind in the background."""
        options = {
            "BatchMode": "yes",
            "StrictHostKeyChecking": "yes",
            "ConnectTimeout": str(max(1, round(connect_timeout))),
            "ServerAliveInterval": "15",
            "ServerAliveCountMax": "2",
            "ControlMaster": "no",  # a master left in the background would hold our pipes open
            "ForwardAgent": "no",
            "ForwardX11": "no",
            "PermitLocalCommand": "no",
        }
        if self.known_hosts is not None:
            options["UserKnownHostsFile"] = f'"{self.known_hosts}"'
            options["GlobalKnownHostsFile"] = "/dev/null"
        words = ["ssh"]
        for name, value in options.items():
            words += ["-o", f"{name}={value}"]
        if self.key is not None:
            words += ["-o", "IdentitiesOnly=yes", "-i", str(self.key)]
        return shlex.join(words)


def split_url(url: str, credentials: Credentials) -> tuple[str, tuple[tuple[str, str], ...], tuple[str, ...]]:
    """Return (`url` without a password, git configuration that logs in over HTTP, the secrets to keep out of messages)."""
    if not url.lower().startswith(("http://", "https://")):
        return url, (), ()
    parts = urlsplit(url)
    user = credentials.user if credentials.user is not None else unquote(parts.username or "")
    password = credentials.password if credentials.password is not None else unquote(parts.password or "")
    host = parts.netloc.rpartition("@")[2]
    bare = urlunsplit(SplitResult(parts.scheme, host, parts.path, parts.query, parts.fragment))
    if not user and not password:
        return bare, (), ()
    token = base64.b64encode(f"{user}:{password}".encode()).decode()
    # One header instead of a credential helper: saves the round trip in which the server first says 401. Bound to the host.
    return bare, ((f"http.{parts.scheme}://{host}/.extraHeader", f"Authorization: Basic {token}"),), (password, token)


def credentials_of(connection: Connection) -> Credentials:
    """Return how `connection` is logged in to; its password is read now. Raises what `torii.config.secrets.resolve` raises.

    A Gerrit without a password is asked as anybody, over HTTP: a user name alone says nothing there.
    """
    password = resolve(connection.password) if connection.password is not None else None
    if isinstance(connection, GerritConnection):
        user = connection.user if password is not None else None
        return Credentials(user, password, connection.key, connection.known_hosts, connection.ca)
    return Credentials(connection.user, password, connection.key, connection.known_hosts)


def git_limit(connection: Connection | None) -> float:
    """Return how many seconds one git command may take with what `connection` leads to.

    A Gerrit's time limit is made for one answer of its REST; git, which may have a whole repository to fetch, is given a minute at least.
    """
    if connection is None:
        return GIT_LIMIT
    return max(GIT_LIMIT, connection.timeout) if isinstance(connection, GerritConnection) else connection.timeout
