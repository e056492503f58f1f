"""Addresses of git repositories and servers: which are allowed, and how a project's is made of its connection's.

Whatever passes here may be handed to git: no option in disguise, no remote helper that runs a command, no password in the open.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated
from urllib.parse import quote, urlsplit

from torii.config.fields import ANY_TEXT, From, text, wrong
from torii.config.settings import GerritConnection, Transport
from torii.config.wording import shown

SSH_PORT = 29418
"""Where a Gerrit listens for SSH unless told otherwise."""

_HOST = r"(?:[A-Za-z0-9](?:[A-Za-z0-9._-]{0,252}[A-Za-z0-9])?|\[[0-9A-Fa-f:.]{2,45}\])"
_USER = r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}"
_URL = re.compile(rf"(?P<scheme>ssh|https?)://(?:(?P<user>{_USER})@)?(?P<host>{_HOST})(?::(?P<port>[0-9]{{1,5}}))?(?P<path>/[^?#]*)?")
_SCP = re.compile(rf"(?:(?P<user>{_USER})@)?(?P<host>{_HOST}):(?P<path>(?!-)[^:?#]*)")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_FORMS = "write /a/path, file:///a/path, ssh://git@host/path, git@host:path or https://host/path"


def address(value: object) -> str:
    """Return the git address that the file gives, or refuse it without showing a password that may be in it."""
    found = text(value)
    if not found or len(found) > 1024 or re.search(r"[\x00-\x1f\x7f]", found):
        raise wrong("must be an address of 1 to 1024 characters, without control characters", _FORMS)
    if found.startswith("-"):
        raise wrong("an address cannot start with -", _FORMS)
    if re.match(r"[A-Za-z0-9+.-]+::", found):
        raise wrong("git's remote helpers (name::address) are not allowed: they can run commands", _FORMS)
    scheme = _SCHEME.match(found)
    if scheme:
        _url(found, scheme[1])
    elif _is_scp(found) and (not _SCP.fullmatch(found) or re.search(r"\s", found)):
        raise wrong("is no address of the form user@host:path", _FORMS)
    return expandable(found) if is_local(found) else found


def expandable(path: str) -> str:
    """Return `path` as it is, or refuse a ~ that is nobody's home."""
    try:
        Path(path).expanduser()
    except RuntimeError:
        raise wrong(f"{shown(path)}: nobody's home is known by that name") from None
    return path


def placed(path: str, directory: Path) -> Path:
    """Return `path` as an absolute one, seen from `directory`. The file system is not asked."""
    return Path(os.path.normpath(directory.absolute() / Path(path).expanduser()))


def _url(found: str, scheme: str) -> None:
    if re.match(r"[^/]*://[^/]*:[^/]*@", found):
        raise wrong("a password cannot stand in an address (it is not shown here)", "give user and password as keys of the connection")
    if scheme == "file":
        if not re.fullmatch(r"file:///[^?#]*", found):
            raise wrong(f"{shown(found)} must be file:///an/absolute/path")
        return
    parts = _URL.fullmatch(found)
    if scheme not in ("ssh", "http", "https"):
        raise wrong(f"addresses with {shown(scheme)} are not known", _FORMS)
    if parts is None or re.search(r"\s", found):
        raise wrong(f"{shown(found)} is no address", _FORMS)
    if parts["port"] and not 1 <= int(parts["port"]) <= 65535:
        raise wrong(f"{shown(found)}: the port must be from 1 to 65535")
    if parts["user"] and scheme != "ssh":
        raise wrong("a user name cannot stand in this address", "give user and password as keys of the connection")


def _is_scp(found: str) -> bool:
    return ":" in found.split("/", 1)[0]


def is_local(found: str) -> bool:
    """Return whether `found` is a path of this machine and no URL."""
    return not _SCHEME.match(found) and not _is_scp(found)


def absolute(found: str, directory: Path) -> str:
    """Return `found`, with a path made absolute from `directory`."""
    if not is_local(found):
        return found
    path = str(placed(found, directory))
    return path + "/" if found.endswith("/") and path != "/" else path


def joined(prefix: str, path: str) -> str:
    """Return the address of `path` under `prefix`: `git@host:` and `https://host/group` both are prefixes."""
    return prefix + path if prefix.endswith((":", "/")) else f"{prefix}/{path}"


def _host(value: object) -> str:
    found = text(value)
    if not re.fullmatch(_HOST, found) and not re.fullmatch(r"[0-9A-Fa-f:.]{2,45}", found):
        raise wrong(f"{shown(found)} is no host name and no IP address")
    return found.strip("[]")


def server(value: object, example: str = "gearman.example.com:4730") -> str:
    """Return the `host:port` or host that the file gives, or refuse it."""
    found = text(value)
    parts = re.fullmatch(rf"({_HOST})(?::([0-9]{{1,5}}))?", found)
    if parts is None or (parts[2] and not 1 <= int(parts[2]) <= 65535):
        raise wrong(f"{shown(found)} is no host:port", f"write it like {example}")
    return found


def host_and_port(found: str, default: int = 4730) -> tuple[str, int]:
    """Return the two halves of `host:port`, as `server` has let it pass."""
    host, colon, port = found.rpartition(":") if re.search(r":[0-9]+$", found) else (found, "", "")
    return host.strip("[]"), int(port) if colon else default


def _web_url(value: object) -> str:
    found = text(value)
    parts = _URL.fullmatch(found)
    if parts is None or parts["scheme"] == "ssh" or parts["user"] or re.search(r"[\s\"'<>]", found):
        raise wrong("is no address of a web page", "write it like https://torii.example.com")
    if parts["port"] and not 1 <= int(parts["port"]) <= 65535:
        raise wrong("the port must be from 1 to 65535")
    return found.rstrip("/")


def _gerrit_url(value: object) -> str:
    found = address(value)
    if not found.startswith(("http://", "https://")):
        raise wrong(f"{shown(found)} is no address of a Gerrit's pages", "write it like https://review.example.com")
    bare = found.rstrip("/")
    if bare.endswith("/a"):
        raise wrong(f"{shown(found)} is where Gerrit asks for a password; Torii adds the /a itself", f"write {bare.removesuffix('/a')}")
    return bare


def host_of(url: str) -> str:
    """Return the host of a Gerrit's `url`, an IPv6 address without its brackets."""
    return urlsplit(url).hostname or ""


def gerrit_address(gerrit: GerritConnection, path: str) -> str:
    """Return the address by which git reaches the project `path` of `gerrit`. No password is in it."""
    if gerrit.git is Transport.HTTP:
        return f"{gerrit.url}/a/{path}" if gerrit.password is not None else f"{gerrit.url}/{path}"
    host = gerrit.ssh_host or host_of(gerrit.url)
    return f"ssh://{quote(gerrit.user, safe='')}@{f'[{host}]' if ':' in host else host}:{gerrit.ssh_port}/{path}"


_TEXT = {"type": ANY_TEXT, "minLength": 1, "maxLength": 1024}
Address = Annotated[str, From(address, {**_TEXT, "pattern": r"^(?!-)(?![A-Za-z0-9+.-]+::)"})]
Host = Annotated[str, From(_host, {**_TEXT, "pattern": r"^[0-9A-Za-z\[:][0-9A-Za-z._:\[\]-]*$"})]
SERVER_SCHEMA = {**_TEXT, "pattern": r"^[0-9A-Za-z\[:][0-9A-Za-z._:\[\]-]*$"}
Server = Annotated[str, From(server, SERVER_SCHEMA)]
WebUrl = Annotated[str, From(_web_url, {**_TEXT, "type": "string", "pattern": "^https?://"})]
GerritUrl = Annotated[str, From(_gerrit_url, {**_TEXT, "type": "string", "pattern": "^https?://"})]
