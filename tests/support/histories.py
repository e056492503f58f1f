"""Histories with anything in them that git can hold, written in one `git fast-import`, and what real git makes of merging them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from torii.model.ids import Sha

LIMIT = 60
SUBMODULE = "160000"

REFUSED = {b"(git will not begin)"}
"""Where git sees a work tree as altered, such as after a change of line ends by attributes, it does not begin to merge."""

Files = Mapping[bytes, tuple[str, bytes]]
"""What a tree holds: for each path its mode (`100644`, `100755`, `120000`, `160000`) and content (a submodule's: a commit id)."""


@dataclass(slots=True)
class Planned:
    """A commit to be made. `parents` are positions of earlier ones in the same history."""

    files: Files
    parents: Sequence[int] = ()
    message: bytes = b"change\n"
    author: bytes = b"A Developer <dev@example.com> 1700000000 +0100"
    committer: bytes = b"A Developer <dev@example.com> 1700000000 +0000"
    encoding: bytes | None = None


@dataclass(slots=True)
class Scene:
    """A bare repository at `path`."""

    path: Path
    commits: list[Sha] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not self.path.exists():
            run("init", "--quiet", "--bare", "--initial-branch=main", str(self.path), cwd=self.path.parent)

    def build(self, planned: Sequence[Planned]) -> list[Sha]:
        """Make the commits of `planned`; return their ids."""
        stream = b""
        for number, one in enumerate(planned, 1):
            stream += b"commit refs/work/%d\nmark :%d\nauthor %s\ncommitter %s\n" % (number, number, one.author, one.committer)
            if one.encoding:
                stream += b"encoding %s\n" % one.encoding
            stream += b"data %d\n%s\n" % (len(one.message), one.message)
            for position, parent in enumerate(one.parents):
                stream += b"%s :%d\n" % (b"merge" if position else b"from", parent + 1)
            stream += b"deleteall\n"
            for path, (mode, content) in one.files.items():
                if mode == SUBMODULE:
                    stream += b"M 160000 %s %s\n" % (content, quoted(path))
                else:
                    stream += b"M %s inline %s\ndata %d\n%s\n" % (mode.encode(), quoted(path), len(content), content)
        stream += b"".join(b"get-mark :%d\n" % number for number in range(1, len(planned) + 1)) + b"done\n"
        made = run("fast-import", "--quiet", "--done", "--force", cwd=self.path, given=stream).stdout.decode().split()
        self.commits += [Sha(commit) for commit in made]
        return [Sha(commit) for commit in made]

    def point(self, ref: str, commit: Sha) -> None:
        """Set `ref` to `commit`."""
        run("update-ref", ref, commit, cwd=self.path)

    def tree(self, commit: str) -> Sha:
        """Return the tree of `commit`."""
        return Sha(run("rev-parse", f"{commit}^{{tree}}", cwd=self.path).stdout.decode().strip())

    def show(self, commit: str, path: str) -> bytes:
        """Return what `commit` has at `path`."""
        return run("cat-file", "blob", f"{commit}:{path}", cwd=self.path).stdout


@dataclass(slots=True)
class WorkTree:
    """A work tree of `scene`, in which real git merges."""

    scene: Scene
    path: Path

    def __post_init__(self) -> None:
        run("clone", "--quiet", "--no-checkout", "--shared", str(self.scene.path), str(self.path), cwd=self.scene.path)

    def merge(self, onto: Sha, change: Sha) -> Sha | set[bytes]:
        """Return the tree that `git merge` makes, or the paths that clash."""
        self._checkout(onto)
        return self._after(self._try("merge", "--no-ff", "--no-edit", "--quiet", change))

    def squash(self, onto: Sha, change: Sha) -> Sha | set[bytes]:
        """Return the tree that `git merge --squash` makes, or the paths that clash."""
        self._checkout(onto)
        if clash := self._after(self._try("merge", "--squash", "--quiet", change), of_index=True):
            return clash
        return Sha(run("write-tree", cwd=self.path).stdout.decode().strip())

    def rebase(self, onto: Sha, change: Sha) -> list[tuple[Sha, bytes]] | set[bytes]:
        """Return tree and message of each commit that `git rebase` makes, oldest first, or the paths that clash."""
        self._checkout(change)
        status = self._try("rebase", "--quiet", "--force-rebase", "--reapply-cherry-picks", "--empty=drop", "--no-autostash", onto)
        after = self._after(status)
        if isinstance(after, set):
            return after
        listed = run("rev-list", "--reverse", "HEAD", f"^{onto}", cwd=self.path).stdout.decode().split()
        return [(self._tree(commit), self._message(commit)) for commit in listed]

    def cherry_pick(self, onto: Sha, commits: Sequence[Sha]) -> Sha | set[bytes]:
        """Return the tree after `git cherry-pick` of `commits`, or the paths that clash."""
        self._checkout(onto)
        return self._after(self._try("cherry-pick", "--allow-empty", "--keep-redundant-commits", *commits))

    def _after(self, status: int, *, of_index: bool = False) -> Sha | set[bytes]:
        if status == 0:
            return set() if of_index else self._tree("HEAD")
        unmerged = run("ls-files", "-u", "-z", cwd=self.path).stdout.split(b"\0")
        # A file whose name something else wants too is called "<name>~<whose>" in the index.
        return {entry.split(b"\t", 1)[1].split(b"~", 1)[0] for entry in unmerged if entry} or REFUSED

    def _checkout(self, commit: Sha) -> None:
        for word in ("merge", "rebase", "cherry-pick"):
            self._try(word, "--abort")
        run("reset", "--quiet", "--hard", cwd=self.path, check=False)
        run("clean", "-ffdxq", cwd=self.path)
        run("checkout", "--quiet", "--detach", "--force", commit, cwd=self.path)
        run("clean", "-ffdxq", cwd=self.path)

    def _try(self, *arguments: str) -> int:
        return run(*arguments, cwd=self.path, check=False).returncode

    def _tree(self, commit: str) -> Sha:
        return Sha(run("rev-parse", f"{commit}^{{tree}}", cwd=self.path).stdout.decode().strip())

    def _message(self, commit: str) -> bytes:
        return run("cat-file", "commit", commit, cwd=self.path).stdout.partition(b"\n\n")[2]


def quoted(path: bytes) -> bytes:
    """Return `path` as fast-import reads any path: in double quotes, with escapes."""
    return b'"' + b"".join(b"\\%03o" % byte if byte < 32 or byte > 126 or byte in b'"\\' else bytes([byte]) for byte in path) + b'"'


def run(*arguments: str, cwd: Path, given: bytes | None = None, check: bool = True) -> subprocess.CompletedProcess[bytes]:
    """Run git; with `check`, AssertionError where it fails."""
    env = {**os.environ, "GIT_EDITOR": "true", "GIT_SEQUENCE_EDITOR": "true"}
    done = subprocess.run(["git", *arguments], cwd=cwd, input=given, capture_output=True, timeout=LIMIT, env=env, check=False)
    assert not check or done.returncode == 0, f"git {' '.join(arguments)}: {done.stderr.decode(errors='replace')}"
    return done
