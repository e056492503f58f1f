"""Shows git the `.gitattributes` of a tree while it merges in a repository that has no work tree.

`git merge` reads them from the work tree; `merge-tree` in a bare repository would not (git 2.41's --attr-source does, 2.38's cannot), and a
file marked `merge=union` or `-text` would merge differently here. So the attribute files alone, and nothing else of the tree, are laid out
in a folder that git is told is the work tree. They are data: a driver they name is only ever one of git's own, since none is configured.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections import OrderedDict
from pathlib import Path

from torii.git import GitError
from torii.merger.objects import Objects
from torii.model.ids import Sha

_NAME = ".gitattributes"
_MAX_FILES = 1000
_MAX_BYTES = 1 << 20
_REMEMBERED = 2000
_REGULAR = (b"100644", b"100755", b"100664")

Files = tuple[tuple[str, Sha], ...]
"""The attribute files of a tree, as (path, blob)."""


class Attributes:
    """Remembers which trees have which attribute files, so that a whole chain of merges looks once."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._known: OrderedDict[Sha, Files] = OrderedDict()
        self._folders: dict[Files, Path] = {}
        self._root: Path | None = None

    def close(self) -> None:
        """Remove what was laid out."""
        if self._root is not None:
            shutil.rmtree(self._root, ignore_errors=True)
        self._root = None
        self._folders.clear()

    def follow(self, before: Sha, after: Sha, changed: tuple[str, ...]) -> None:
        """Learn that the tree `after` is `before` with the files `changed`."""
        if before in self._known and not any(_is_attributes(path) for path in changed):
            self._remember(after, self._known[before])

    def folder(self, tree: Sha) -> Path | None:
        """Return the folder to show git as its work tree where it merges onto `tree`; None where `tree` has no attributes."""
        files = self._files(tree)
        if not files:
            return None
        if files not in self._folders:
            self._folders[files] = self._lay_out(files)
        return self._folders[files]

    def _files(self, tree: Sha) -> Files:
        if tree not in self._known:
            nearest = next(reversed(self._known), None)
            if nearest is not None and self._objects.has(nearest):
                # Reading what differs from a known tree is much cheaper than reading a tree.
                self.follow(nearest, tree, self._objects.changed(nearest, tree))
        if tree not in self._known:
            self._remember(tree, self._look(tree))
        self._known.move_to_end(tree)
        return self._known[tree]

    def _remember(self, tree: Sha, files: Files) -> None:
        self._known[tree] = files
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)

    def _look(self, tree: Sha) -> Files:
        found = []
        for line in self._objects.mirror.run("ls-tree", "-r", "-z", "--full-tree", tree).stdout.split(b"\0"):
            about, _, name = line.partition(b"\t")
            path = os.fsdecode(name)
            if _is_attributes(path) and about.split(b" ")[0] in _REGULAR and _is_plain(path):
                found.append((path, Sha(about.split(b" ")[2].decode())))
        if len(found) > _MAX_FILES:
            raise GitError(f"a tree with more than {_MAX_FILES} {_NAME} files cannot be merged")
        return tuple(found)

    def _lay_out(self, files: Files) -> Path:
        if self._root is None:
            self._root = Path(tempfile.mkdtemp(prefix="attributes-", dir=self._objects.mirror.scratch()))
        digest = hashlib.sha256(repr(files).encode()).hexdigest()[:32]
        folder = self._root / digest
        for path, blob in files:
            content = self._objects.read(blob, "blob", _MAX_BYTES)
            place = folder / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content or b"")
        return folder


def _is_attributes(path: str) -> bool:
    return path == _NAME or path.endswith(f"/{_NAME}")


def _is_plain(path: str) -> bool:
    # A hostile tree may hold "..": nothing is written outside of our folder.
    return all(part not in ("", ".", "..") and part.lower() != ".git" for part in path.split("/"))
