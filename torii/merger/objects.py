"""Reads and writes the objects of a mirror through three commands kept open: cat-file, hash-object and diff-tree."""

from __future__ import annotations

import os
import re
import secrets
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from torii.git import GitError, Mirror, check_sha
from torii.git.errors import TimedOutError
from torii.merger.conversation import Conversation, EndedError
from torii.model.ids import Sha

Answer = TypeVar("Answer")

MAX_DATE = (1 << 34) - 1
"""Seconds since the epoch: the latest date that git's commit-graph can hold."""

_REMEMBERED = 1000

_DATE = re.compile(rb"> (\d{1,18}) [+-]\d+$")


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit object. Author, committer and message are bytes as they stand in it, since no encoding is certain."""

    tree: Sha
    parents: tuple[Sha, ...]
    author: bytes
    committer: bytes
    message: bytes
    encoding: bytes | None = None

    @property
    def date(self) -> int:
        """When it was committed, in seconds since the epoch; 0 where it does not say so in a form git reads."""
        found = _DATE.search(self.committer)
        return min(int(found[1]), MAX_DATE) if found else 0

    @property
    def subject(self) -> str:
        """The first paragraph of the message on one line, as text."""
        paragraph = self.message.lstrip(b"\n").split(b"\n\n", 1)[0]
        encoding = (self.encoding or b"utf-8").decode("ascii", errors="replace")
        try:
            text = paragraph.decode(encoding)
        except (UnicodeDecodeError, LookupError):
            text = paragraph.decode("utf-8", errors="replace")
        return " ".join(text.split())

    def raw(self) -> bytes:
        """Return the object's content."""
        headers = [b"tree " + self.tree.encode(), *(b"parent " + parent.encode() for parent in self.parents)]
        headers += [b"author " + self.author, b"committer " + self.committer]
        if self.encoding is not None:
            headers.append(b"encoding " + self.encoding)
        return b"\n".join(headers) + b"\n\n" + self.message


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of a tree: what `sha` is at, in git's octal, such as 0o100644 or 0o120000 (a symlink)."""

    mode: int
    sha: Sha


class Objects:
    """The objects of `mirror`. Made for one thread; `close` ends what is kept open, and the next question opens it again."""

    def __init__(self, mirror: Mirror) -> None:
        self.mirror = mirror
        self._open: dict[str, Conversation] = {}
        self._commits: dict[Sha, Commit] = {}
        self._scratch: Path | None = None
        # No file name can hold what ends an answer, since nobody knows it before this process.
        self._mark = secrets.token_hex(16).encode()

    def close(self) -> None:
        """End the commands that are open."""
        for conversation in self._open.values():
            conversation.close()
        self._open.clear()
        if self._scratch is not None:
            self._scratch.unlink(missing_ok=True)
            self._scratch = None

    def has(self, sha: Sha) -> bool:
        """Say whether the object is here."""
        return self._ask("cat-file", lambda talk: self._info(talk, sha)) is not None

    def read(self, sha: Sha, kind: str, limit: int | None = None) -> bytes | None:
        """Return the content of the object, or None where it is larger than `limit` bytes. GitError: it is missing or no `kind`."""

        def ask(talk: Conversation) -> bytes | None:
            if limit is not None and (info := self._info(talk, sha)) and info[1] > limit:
                return None
            talk.say(b"contents " + check_sha(sha).encode() + b"\n")
            header = talk.line().decode().split(" ")
            if len(header) != 3:
                raise GitError(f"{sha} is not in {self.mirror.path}")
            content = talk.exactly(int(header[2]) + 1)[:-1]
            if header[1] != kind:
                raise GitError(f"{sha} is a {header[1]}, not a {kind}")
            return content

        return self._ask("cat-file", ask)

    def commit(self, sha: Sha) -> Commit:
        """Return the commit `sha`; raises GitError where it is missing or something else."""
        if sha not in self._commits:
            self._remember(sha, self._read_commit(sha))
        return self._commits[sha]

    def _read_commit(self, sha: Sha) -> Commit:
        content = self.read(sha, "commit")
        assert content is not None
        head, _, message = content.partition(b"\n\n")
        single: dict[bytes, bytes] = {}
        parents = []
        for line in head.split(b"\n"):
            name, _, value = line.partition(b" ")
            if name == b"parent":
                parents.append(check_sha(value.decode()))
            elif name:  # a continued line (of a signature) begins with a space
                single.setdefault(name, value)
        tree = check_sha(single.get(b"tree", b"").decode())
        author, committer = single.get(b"author", b""), single.get(b"committer", b"")
        return Commit(tree, tuple(parents), author, committer, message, single.get(b"encoding"))

    def entry(self, tree: Sha, name: bytes) -> Entry | None:
        """Return what `tree` (the top level of it) has under `name`, or None."""
        content = self.read(tree, "tree")
        assert content is not None
        return next((entry for found, entry in _entries(content, len(tree) // 2) if found == name), None)

    def write(self, commit: Commit) -> Sha:
        """Write `commit` and return its id."""
        # `hash-object` and not `commit-tree`: only so are an author and a message kept byte for byte, whatever they are in.
        scratch = self._scratch_file()
        scratch.write_bytes(commit.raw())

        def ask(talk: Conversation) -> Sha:
            talk.say(os.fsencode(scratch) + b"\n")
            return check_sha(talk.line().decode())

        made = self._ask("hash-object", ask)
        self._remember(made, commit)
        return made

    def changed(self, before: Sha, after: Sha) -> tuple[str, ...]:
        """Return the paths that differ between two trees, sorted as git does; a renamed file counts under both its names.

        Bytes that are no UTF-8 come as surrogate escapes.
        """
        if before == after:
            return ()

        def ask(talk: Conversation) -> bytes:
            talk.say(b"%s %s\n%s\n" % (check_sha(before).encode(), check_sha(after).encode(), self._mark))
            talk.line()  # the two trees again
            return talk.until(self._mark + b"\n")[: -len(self._mark) - 1]

        listed = self._ask("diff-tree", ask)
        return tuple(path.decode("utf-8", errors="surrogateescape") for path in listed.split(b"\0") if path)

    def _remember(self, sha: Sha, commit: Commit) -> None:
        if len(self._commits) >= _REMEMBERED:
            self._commits.clear()
        self._commits[sha] = commit

    @staticmethod
    def _info(talk: Conversation, sha: Sha) -> tuple[str, int] | None:
        talk.say(b"info " + check_sha(sha).encode() + b"\n")
        words = talk.line().decode().split(" ")
        return (words[1], int(words[2])) if len(words) == 3 else None

    def _ask(self, command: str, ask: Callable[[Conversation], Answer]) -> Answer:
        fresh = command not in self._open
        try:
            return ask(self._talk(command))
        except (EndedError, TimedOutError) as error:
            self._open.pop(command).close()
            if fresh or isinstance(error, TimedOutError):
                raise
        return self._ask(command, ask)  # it had died since it was opened; asking twice changes nothing

    def _talk(self, command: str) -> Conversation:
        if command not in self._open:
            self._open[command] = Conversation(self.mirror, command, *_ARGUMENTS[command])
        return self._open[command]

    def _scratch_file(self) -> Path:
        if self._scratch is None:
            handle, name = tempfile.mkstemp(prefix="commit-", dir=self.mirror.scratch())
            os.close(handle)
            self._scratch = Path(name)
        return self._scratch


_ARGUMENTS = {
    "cat-file": ("--batch-command",),
    "hash-object": ("-t", "commit", "-w", "--no-filters", "--stdin-paths"),
    "diff-tree": ("--stdin", "-r", "-z", "--no-renames", "--name-only", "--no-ext-diff", "--no-textconv"),
}


def _entries(tree: bytes, width: int) -> Iterator[tuple[bytes, Entry]]:
    # "<mode in octal> <name> NUL <id in binary>", again and again
    at = 0
    while at < len(tree):
        space = tree.index(b" ", at)
        nul = tree.index(b"\0", space)
        end = nul + 1 + width
        yield tree[space + 1 : nul], Entry(int(tree[at:space], 8), Sha(tree[nul + 1 : end].hex()))
        at = end
