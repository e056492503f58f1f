"""Checks the names that come from outside before any of them reaches a git command line, and takes secrets out of what git says."""

from __future__ import annotations

import re

from torii.git.errors import UnsafeNameError
from torii.model.ids import Sha

MAX_NAME = 512
"""Bytes of a ref or an address. Longer ones are legal to git, but no file system or server takes them reliably."""

_FORBIDDEN = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//")
_SHA = re.compile(r"(?:[0-9a-f]{40}|[0-9a-f]{64})\Z")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_SCHEME = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://")
_SCP = re.compile(r"(?:[A-Za-z0-9._][A-Za-z0-9._-]*@)?[A-Za-z0-9._][A-Za-z0-9._-]*:[^-:].*\Z")
_HOST_DASH = re.compile(r"://(?:[^/@]*@)?-")
_HTTP_USER = re.compile(r"(https?://)[^/\s'\"]*@", re.IGNORECASE)
_PASSWORD = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://[^/\s:@]*):[^/\s]*@")
_SCHEMES = frozenset({"file", "git", "http", "https", "ssh"})


def check_ref(name: str) -> str:
    """Return `name` where it is a full ref name (`refs/...`) by the rules of git-check-ref-format; raise UnsafeNameError where not.

    Stricter than git in three things: no component begins with `-`, the name is UTF-8, and it has at most 512 bytes.
    """
    if not name.startswith("refs/"):
        raise UnsafeNameError(f"{name!r} is not a full ref name: it must begin with refs/")
    if found := _FORBIDDEN.search(name):
        raise UnsafeNameError(f"{name!r} is not a legal ref name: it holds {found.group()!r}")
    try:
        length = len(name.encode())
    except UnicodeEncodeError:
        raise UnsafeNameError(f"{name!r} is not a legal ref name: it is not UTF-8") from None
    if length > MAX_NAME:
        raise UnsafeNameError(f"{name[:60]!r}... is not a usable ref name: it is {length} bytes long, {MAX_NAME} are allowed")
    for component in name.split("/"):
        if not component or component.startswith((".", "-")) or component.endswith((".lock", ".")) or component == "@":
            raise UnsafeNameError(f"{name!r} is not a legal ref name: {component!r} may not be part of one")
    return name


def check_branch(name: str) -> str:
    """Return `name` where `refs/heads/<name>` is a legal ref; raise UnsafeNameError where not."""
    check_ref(f"refs/heads/{name}")
    return name


def check_sha(text: str) -> Sha:
    """Return `text` where it is a full object id in lower-case hexadecimal (SHA-1 or SHA-256); raise UnsafeNameError where not."""
    if not _SHA.match(text):
        raise UnsafeNameError(f"{text[:80]!r} is not a full commit id")
    return Sha(text)


def check_url(url: str) -> str:
    """Return `url` where it is an absolute path, scp-like (`host:path`), or a file, git, http, https or ssh address.

    Raises UnsafeNameError for anything else, above all for what git would run (`ext::...`) or take for an option.
    """
    shown = redact(url)
    if not url or _CONTROL.search(url) or url.startswith("-") or len(url) > MAX_NAME * 4:
        raise UnsafeNameError(f"{shown!r} is not an address of a git repository")
    if url.startswith("/"):
        return url
    if scheme := _SCHEME.match(url):
        if scheme["scheme"].lower() in _SCHEMES and not _HOST_DASH.search(url):
            return url
    else:
        from git import Git  # here: see torii.git.process
        from git.exc import UnsafeProtocolError

        try:
            Git.check_unsafe_protocols(url)
        except UnsafeProtocolError as error:
            raise UnsafeNameError(f"{shown!r} names a transport that runs commands") from error
        if _SCP.match(url):
            return url
    raise UnsafeNameError(f"{shown!r} is not an address of a git repository: give an absolute path or a file, ssh, http, https or git URL")


def redact(text: str, *secrets: str) -> str:
    """Return `text` with the passwords of any URL in it, and each of `secrets`, replaced by `***`."""
    text = _HTTP_USER.sub(r"\1***@", text)
    text = _PASSWORD.sub(r"\1:***@", text)
    for secret in secrets:
        if secret:
            text = text.replace(secret, "***")
    return text
