"""A git server's repository with changes in it, and a Torii on it: what the benchmarks of whole runs are made of."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.floor import git
from torii.cli.logs import set_up_logging
from torii.config.server import load_server
from torii.runtime.system import System
from torii.store.store import Store

FILES = 200
LIMIT = 300.0
"""Seconds after which a benchmark gives up."""
_LOOK = 0.001
_WHO = "A Developer <dev@example.com> 1700000000 +0000"


class Repository:
    """A bare repository of `FILES` files whose `torii.yml` runs `command` in each of `pipelines`. Changes are made, then pushed."""

    def __init__(self, path: Path, command: str, pipelines: tuple[str, ...]) -> None:
        self.path = path
        git("init", "--quiet", "--bare", "--initial-branch=main", str(path), cwd=path.parent)
        document = json.dumps({"jobs": {"unit": {"run": command}}, "pipelines": {name: ["unit"] for name in pipelines}})
        files = {f"folder{number % 20}/file{number}.txt": f"{number}\n" * 20 for number in range(FILES)}
        self._import(f"commit refs/heads/main\n{_commit('begin', {**files, 'torii.yml': document})}")

    def make(self, count: int, files: Callable[[int], Mapping[str, str]] | None = None) -> list[str]:
        """Return `count` commits on the tip, each of a file of its own (or of `files`), which no ref knows yet."""
        told = files or (lambda number: {f"folder{number % 20}/new{number}.txt": f"{number}\n" * 20})
        script = "".join(
            f"commit refs/made/{number}\nmark :{number + 1}\n{_commit(f'Change {number}', told(number), 'refs/heads/main^0')}"
            for number in range(count)
        )
        marks = "".join(f"get-mark :{number + 1}\n" for number in range(count))
        made = self._import(script + marks).split()
        self._update("".join(f"delete refs/made/{number}\n" for number in range(count)))
        return made

    def push(self, refs: Mapping[str, str]) -> None:
        """Have the repository have `refs` (full name to commit), as if somebody had just pushed them."""
        self._update("".join(f"update {ref} {commit}\n" for ref, commit in refs.items()))

    def ref(self, name: str) -> str:
        """Return what the ref is at, read without git, so that looking costs next to nothing; empty where there is no such loose ref."""
        try:
            return (self.path / name).read_text().strip()
        except OSError:
            return ""

    def has_refs(self, folder: str) -> bool:
        """Say whether there is any loose ref in `folder`, such as `refs/staging`."""
        return any(files for _, _, files in os.walk(self.path / folder))  # which does not mind what vanishes meanwhile

    def _update(self, lines: str) -> None:
        git("update-ref", "--stdin", cwd=self.path, given=lines)

    def _import(self, script: str) -> str:
        return git("fast-import", "--quiet", "--done", cwd=self.path, given=f"{script}done\n")


def _commit(message: str, files: Mapping[str, str], parent: str = "") -> str:
    lines = [f"committer {_WHO}\ndata {len(message)}\n{message}\n", *([f"from {parent}\n"] if parent else [])]
    lines += [f"M 100644 inline {path}\ndata {len(text)}\n{text}\n" for path, text in files.items()]
    return "".join(lines)


class Torii:
    """`torii up` in this process, on the project `app` at `repository`, with nothing in `server.yml` but what `sections` say.

    It polls once an hour only: `wake` takes the place of the hook that a server would have.
    """

    def __init__(self, repository: Repository, folder: Path, pipelines: tuple[str, ...], sections: Mapping[str, Any] | None = None) -> None:
        folder.mkdir()
        document = {
            "state": "state",
            "gearman": {"port": 0},
            "web": {"port": 0},
            "connections": {"local": {"poll": "1h"}},
            "projects": {"app": {"url": str(repository.path), "pipelines": list(pipelines)}},
            **(sections or {}),
        }
        (folder / "server.yml").write_text(json.dumps(document))
        set_up_logging(file=folder / "torii.log")
        self._repository = repository
        self.system = System(load_server(folder / "server.yml"))

    def __enter__(self) -> Torii:
        self.system.start()
        store = self._store
        until(lambda: store.cursor("local") is not None, "Torii has looked at the repository")
        return self

    def __exit__(self, *_: object) -> None:
        self.system.stop()

    @property
    def _store(self) -> Store:
        assert self.system.store is not None
        return self.system.store

    def wake(self) -> None:
        """Say that somebody pushed."""
        self.system.sources["local"].wake()

    def queued(self, commit: str) -> bool:
        """Say whether the change at `commit` is in a queue."""
        return any(item.patchset == commit for item in self._store.items(active_only=True))

    def settle(self) -> None:
        """Wait until nothing is in a queue and all staging refs are gone."""
        store = self._store
        until(lambda: not store.items(active_only=True), "all queues are empty", pause=0.02)
        until(lambda: not self._repository.has_refs("refs/staging"), "the staging refs are gone", pause=0.02)


def until(condition: Callable[[], bool], what: str, pause: float = _LOOK) -> None:
    """Wait for `condition`. Raises TimeoutError, with `what` was waited for, after `LIMIT` seconds."""
    deadline = time.monotonic() + LIMIT
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {LIMIT:.0f} s until {what}")
        time.sleep(pause)
