"""Read one commit from a Gerrit's git, over the connection that its REST keeps open.

REST tells everything of a commit but its tree, and a `git fetch` for that alone takes ten times as long. So git's server is asked as git
asks it (protocol version 2, git's pages "gitprotocol-v2" and "gitformat-pack"): what comes is a pack with little more than the commit,
whose hash shows that it is the one. Where anything is not as expected there is no answer here, and git itself has to be asked.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import structlog

from torii.model.ids import ProjectName, Sha
from torii.sources.gerrit.errors import GerritError, GerritRefusedError
from torii.sources.gerrit.rest import GerritRest, quote

log = structlog.get_logger()

_SERVICE = "git-upload-pack"
_LARGEST = 1024 * 1024
"""Bytes of an object that are unpacked at most."""
_MOST = 1000
"""Objects of a pack that are looked at; what is asked for is among the first."""
_FLUSH, _DELIMITER = b"0000", b"0001"
_DATA, _COMMIT, _OFS_DELTA, _REF_DELTA = 1, 1, 6, 7
_HASH_SIZE = 20


@dataclass(frozen=True, slots=True)
class Commit:
    """What a commit says of itself. The first of `parents` is the branch as it was before, where a branch moved to it."""

    sha: Sha
    tree: Sha
    parents: tuple[Sha, ...]


class CommitReader:
    """Reads commits of `project` through `rest`. For any number of threads."""

    def __init__(self, rest: GerritRest, project: ProjectName) -> None:
        self._rest = rest
        self._path = f"{quote(project).replace('%2F', '/')}/{_SERVICE}"
        self._refused = False

    def read(self, commit: Sha, known: Iterable[Sha]) -> Commit | None:
        """Return `commit`, the tip of a branch; None where it cannot be had this way.

        What is in the history of any of `known` is not sent. `commit` must not be.
        """
        if self._refused:
            return None
        try:
            return commit_in(self._rest.exchange(self._path, _SERVICE, request_for(commit, known)), commit)
        except GerritRefusedError as error:
            # Git is served somewhere else, or not to this account, and is not asked here again; a wrong password can be mended.
            self._refused = error.status != 401
            log.info("gerrit.no_git_beside_rest", connection=self._rest.name, reason=str(error))
        except GerritError as error:
            log.info("gerrit.commit_not_read", connection=self._rest.name, commit=commit, reason=str(error))
        return None


def request_for(commit: Sha, known: Iterable[Sha]) -> bytes:
    """Return the request for a pack with `commit` and what it has that is not in the history of any of `known`."""
    arguments = ["no-progress", f"want {commit}", *(f"have {each}" for each in dict.fromkeys(known)), "done"]
    return b"".join([_line("command=fetch"), _DELIMITER, *map(_line, arguments), _FLUSH])


def commit_in(reply: bytes, commit: Sha) -> Commit | None:
    """Return `commit` as it stands in `reply`, the answer to such a request; None where it does not, or the reply is damaged."""
    try:
        return next((_parsed(body, commit) for body in _commits(_pack(reply)) if _hash(body) == commit), None)
    except (ValueError, IndexError, zlib.error):
        return None


def _line(text: str) -> bytes:
    return f"{len(text) + 5:04x}{text}\n".encode()


def _pack(reply: bytes) -> bytes:
    """Return the pack that `reply` brings in pieces. Raises ValueError where it brings none."""
    lines = _lines(reply)
    if next(lines, b"").rstrip(b"\n") != b"packfile":
        raise ValueError("no pack")
    return b"".join(line[1:] for line in lines if line[0] == _DATA)


def _lines(reply: bytes) -> Iterator[bytes]:
    place = 0
    while reply[place : place + 4] != _FLUSH:
        length = int(reply[place : place + 4], 16)
        if length <= 4 or place + length > len(reply):
            raise ValueError("no line")
        yield reply[place + 4 : place + length]
        place += length


def _commits(pack: bytes) -> Iterator[bytes]:
    """Yield the commits of `pack` that are whole in it, in its order. Raises ValueError, IndexError or zlib.error for what is no pack."""
    if pack[:4] != b"PACK":
        raise ValueError("no pack")
    place = 12
    for _ in range(min(int.from_bytes(pack[8:12]), _MOST)):
        first = pack[place]
        while pack[place] & 0x80:
            place += 1
        place += 1
        kind = first >> 4 & 7
        if kind == _OFS_DELTA:
            raise ValueError("a delta that was not asked for")
        if kind == _REF_DELTA:
            place += _HASH_SIZE
        unpacking = zlib.decompressobj()
        body = unpacking.decompress(pack[place:], _LARGEST)
        if not unpacking.eof:
            raise ValueError("an object that is cut, or too large")
        if kind == _COMMIT:
            yield body
        place = len(pack) - len(unpacking.unused_data)


def _hash(body: bytes) -> str:
    return hashlib.sha1(b"commit %d\0" % len(body) + body, usedforsecurity=False).hexdigest()


def _parsed(body: bytes, commit: Sha) -> Commit:
    """Return what `body` says; its hash is right, so git has made it. Raises ValueError where it is no commit all the same."""
    lines = body.partition(b"\n\n")[0].decode(errors="replace").splitlines()
    words = [line.split(" ") for line in lines]
    if words[0][0] != "tree":
        raise ValueError("no commit")
    parents = tuple(Sha(each[1]) for each in words if each[0] == "parent")
    return Commit(commit, Sha(words[0][1]), parents)
