"""The three-way merges of git on a bare repository: of a commit into a commit, and of what one commit changes onto another."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from torii.git import GitError, Mirror, check_sha
from torii.git.process import git_version
from torii.merger.attributes import Attributes
from torii.merger.objects import Commit, Objects
from torii.model.ids import Sha

_MERGE_BASE_OPTION = (2, 40)
"""The first git whose `merge-tree` takes `--merge-base`."""

_NOBODY = b"Torii <torii@localhost> 0 +0000"
_STAGED_ENTRY = re.compile(rb"[0-7]{6} [0-9a-f]+ [123]\t(?P<path>.*)\Z", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Clash:
    """The merge cannot be made; `files` are those that clash, where files are why. Bytes that are no UTF-8 are surrogate escapes."""

    reason: str
    files: tuple[str, ...] = ()


class Merging:
    """Merges in one mirror. For one thread; `close` when done."""

    def __init__(self, mirror: Mirror) -> None:
        self.objects = Objects(mirror)
        self.attributes = Attributes(self.objects)
        self._mirror = mirror

    def close(self) -> None:
        """End what is kept open and remove what was written beside the repository."""
        self.objects.close()
        self.attributes.close()

    def merge(self, onto: Sha, onto_tree: Sha, change: Sha) -> Sha | Clash:
        """Return the tree of `change` merged into `onto`, as `git merge` makes it, or why not."""
        return self._merge_tree(onto_tree, onto, change)

    def pick(self, onto: Sha, onto_tree: Sha, change: Sha, parent: Sha) -> Sha | Clash:
        """Return the tree of `onto` with what `change` altered of `parent`, as `git cherry-pick` makes it, or why not."""
        before, after = self.objects.commit(parent).tree, self.objects.commit(change).tree
        if before == onto_tree or after == onto_tree:
            return after
        if before == after:
            return onto_tree
        if self._takes_merge_base:
            return self._merge_tree(onto_tree, f"--merge-base={check_sha(parent)}", onto, change)
        # A commit with the tree of `onto` and the parent of `change` has just that parent in common with `change`.
        beside = self.objects.write(Commit(onto_tree, (parent,), _NOBODY, _NOBODY, b""))
        return self._merge_tree(onto_tree, beside, change)

    @cached_property
    def _takes_merge_base(self) -> bool:
        return git_version() >= _MERGE_BASE_OPTION

    def _merge_tree(self, onto_tree: Sha, *arguments: str) -> Sha | Clash:
        folder = self.attributes.folder(onto_tree)
        command = ["merge-tree", "--write-tree", "-z", "--messages", *arguments]
        done = self._mirror.run(*command, expect=(0, 1, 128), work_tree=folder)
        if done.status == 128:
            if "unrelated histories" in done.stderr:
                return Clash("its history has no commit in common with the branch")
            raise GitError(f"git merge-tree in {self._mirror.path} failed: {done.stderr}")
        # "<tree> NUL", then for each clash "<mode> <id> <stage> TAB <path> NUL", then an empty field and messages; see git-merge-tree(1).
        fields = done.stdout.split(b"\0")
        if done.status == 0:
            return check_sha(fields[0].decode())
        paths: dict[str, None] = {}
        for field in fields[1:]:
            if not (entry := _STAGED_ENTRY.match(field)):
                break
            paths[_without_label(entry["path"], arguments).decode("utf-8", errors="surrogateescape")] = None
        return Clash(_first_conflict(fields) or "the changes clash", tuple(paths))


def _without_label(path: bytes, labels: Sequence[str]) -> bytes:
    # Where a file and something else want one name, git calls the file "<name>~<commit>" in its answer.
    for label in labels:
        path = path.split(b"~" + label.encode(), 1)[0]
    return path


def _first_conflict(fields: list[bytes]) -> str:
    # Each message is "<kind> NUL <words> NUL"; the words say what clashes, such as a file removed here and altered there.
    found = next((field for field in fields if field.startswith(b"CONFLICT") and b"): " in field), b"")
    return " ".join(found.decode("utf-8", errors="replace").split())[:500]
