"""A bare repository on this disk, made on demand and used by any number of threads and processes at once.

Nothing here takes a lock of its own. Objects only ever arrive; the few refs that are written (`refs/torii/...`, which tell later
fetches what is here already) are hints, so losing a race for one does no harm.
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import quote

from torii.git import environment, process
from torii.git.errors import GitError, TimedOutError
from torii.git.process import Completed
from torii.model.ids import Sha

LIMIT = 120.0
"""Seconds a command on our own disk may take: far more than any needs, so that only a broken disk reaches it."""

GC_LIMIT = 3600.0
_SCRATCH_LIFE = 24 * 3600.0

_MAINTENANCE = (
    ("gc.auto", "4000"),
    ("gc.autoDetach", "false"),
    ("gc.autoPackLimit", "30"),
    ("gc.cruftPacks", "true"),
    ("gc.pruneExpire", "1.week.ago"),
    ("gc.worktreePruneExpire", "never"),
    ("gc.writeCommitGraph", "true"),
    ("pack.threads", "1"),
)


class Mirror:
    """The bare repository at `path`. Making the object does nothing; the repository is made on disk when first used."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self._ready = False
        self._environment = environment.local()

    def ensure(self) -> None:
        """Make the repository where there is none. Safe against others who do the same at the same moment."""
        if self._ready and (self.path / "HEAD").exists():
            return
        from git import Repo  # here: see torii.git.process
        from git.exc import InvalidGitRepositoryError, NoSuchPathError

        try:
            if not Repo(self.path).bare:
                raise GitError(f"{self.path} is a git repository with a work tree: Torii keeps its own bare ones, give it another folder")
        except NoSuchPathError:
            self._create()
        except InvalidGitRepositoryError:
            if any(self.path.iterdir()):
                raise GitError(f"{self.path} is not empty and no git repository: move it away, Torii keeps one there") from None
            self._create()
        self._ready = True

    def run(
        self,
        *arguments: str,
        given: bytes | None = None,
        limit: float = LIMIT,
        expect: Sequence[int] = (0,),
        work_tree: Path | None = None,
    ) -> Completed:
        """Run `git <arguments>` in the repository; raise GitError where its exit status is not one of `expect`.

        `work_tree` is a folder to show git as its work tree, where a command reads something (attributes) from there.
        """
        self.ensure()
        where = [f"--git-dir={self.path}", *([f"--work-tree={work_tree}"] if work_tree else [])]
        done = process.run([*where, *arguments], cwd=work_tree or self.path, env=self._environment, limit=limit, given=given)
        if done.status not in expect:
            raise GitError(f"git {arguments[0]} in {self.path} failed: {done.stderr or f'exit status {done.status}'}")
        return done

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start `git <arguments>` with pipes on all sides. The caller hands it to `torii.git.process.end`."""
        self.ensure()
        return process.start([f"--git-dir={self.path}", *arguments], cwd=self.path, env=self._environment, stdin=True)

    def has(self, *commits: Sha) -> bool:
        """Say whether all of `commits` are here."""
        answer = self.run("cat-file", "--batch-check", "--buffer", given="".join(f"{commit}\n" for commit in commits).encode())
        return not any(line.endswith(b" missing") for line in answer.stdout.splitlines())

    def resolve(self, name: str) -> Sha | None:
        """Return the commit that `name` (a ref or an id) stands for here, or None."""
        done = self.run("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}", expect=(0, 1, 128))
        return Sha(done.stdout.decode().strip()) if done.status == 0 else None

    def is_ancestor(self, older: Sha, newer: Sha) -> bool:
        """Say whether `newer` has `older` in its history (or is it). Both must be here."""
        return self.run("merge-base", "--is-ancestor", older, newer, expect=(0, 1)).status == 0

    @contextlib.contextmanager
    def private(self) -> Iterator[Path]:
        """Give a git directory that shares everything with this one but its HEAD and FETCH_HEAD: what a linked work tree has, without one.

        So each of many fetches at once reads what *it* fetched. See "commondir" in gitrepository-layout(5).
        """
        folder = Path(tempfile.mkdtemp(prefix="fetch-", dir=self.scratch()))
        try:
            (folder / "commondir").write_text(f"{self.path}\n")
            (folder / "HEAD").write_text("ref: refs/torii/nothing\n")
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def scratch(self) -> Path:
        """Return a folder for files that live no longer than who made them; what a crash leaves there goes after a day."""
        self.ensure()
        folder = self.path / "torii"
        folder.mkdir(exist_ok=True)
        return folder

    def maintain(self) -> None:
        """Pack what has gathered, if it is much, and drop what nothing has needed for a week. Others may go on working meanwhile."""
        for left in self.scratch().iterdir():
            with contextlib.suppress(OSError):
                if time.time() - left.stat().st_mtime > _SCRATCH_LIFE:
                    shutil.rmtree(left) if left.is_dir() else left.unlink()
        env = environment.local(_MAINTENANCE)
        with contextlib.suppress(TimedOutError):  # the next time goes on where this one left off
            process.run([f"--git-dir={self.path}", "gc", "--auto", "--quiet"], cwd=self.path, env=env, limit=GC_LIMIT)

    def _create(self) -> None:
        # Made beside its place and moved there whole, so that nobody ever sees half a repository; whoever comes second throws his away.
        self.path.parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=f".{self.path.name}-", dir=self.path.parent))
        try:
            done = process.run(
                ["init", "--bare", "--quiet", "--template=", "--initial-branch=main", str(made)],
                cwd=self.path.parent,
                env=self._environment,
                limit=LIMIT,
            )
            if done.status != 0:
                raise GitError(f"cannot make a repository in {self.path.parent}: {done.stderr}")
            try:
                made.rename(self.path)
            except OSError:
                if not (self.path / "HEAD").exists():
                    raise
        finally:
            shutil.rmtree(made, ignore_errors=True)


def tracking(ref: str) -> str:
    """Return the ref under which a mirror remembers the remote's `ref`. Flat, so that a branch `a` and a branch `a/b` do not clash."""
    return f"refs/torii/fetch/{quote(ref, safe='')}"


def mirror_path(state: Path, project: str) -> Path:
    """Return where, under the server's `state` folder, the mirror of `project` is. Every part of Torii that wants one shares it."""
    name = quote(project, safe="")
    if len(name) > 200:
        name = f"{name[:120]}-{hashlib.sha256(project.encode()).hexdigest()[:32]}"
    return state / "mirrors" / f"{name}.git"
