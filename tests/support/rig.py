"""Torii as its users run it: real `torii ...` processes on real repositories, to be killed, stopped, starved and looked at from outside.

Nothing here reaches into a process: what happened is read from the repositories, the store, the runs that builds leave on record, and
/proc. Every process is ended by its own pid.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tests.support.git_lab import GitLab
from tests.support.git_servers import FileServer, HttpServer, git
from tests.support.waiting import wait_until, within
from torii.errors import ToriiError
from torii.model.ids import Sha
from torii.model.view import BuildView, ItemView
from torii.store.store import Store, open_store

LIMIT = 40.0
"""Seconds for whatever should happen soon, on a machine that is busy with other tests."""

STOP_LIMIT = 5.0
"""Seconds in which every subcommand promises to be gone."""


class Run(NamedTuple):
    """A build that began, as it said itself."""

    pipeline: str
    change: str
    job: str
    uuid: str


class Process:
    """A `torii` subcommand. What it prints is in `out`, what it logs in `log`."""

    def __init__(self, command: Sequence[str], folder: Path, name: str, env: Mapping[str, str], limits: Callable[[], None] | None) -> None:
        self.name = name
        self.out, self.log = folder / f"{name}.out", folder / f"{name}.log"
        with self.out.open("wb") as out, self.log.open("wb") as log:
            self._popen = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=log,
                env={**os.environ, **env},
                preexec_fn=limits,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def alive(self) -> bool:
        return self._popen.poll() is None

    def ready(self) -> Process:
        """Wait until it says that it is up."""
        wait_until(lambda: self.out.read_text() or not self.alive, LIMIT)
        assert self.alive, self.said
        return self

    @property
    def said(self) -> str:
        return self.out.read_text(errors="replace") + self.log.read_text(errors="replace")

    @property
    def url(self) -> str:
        """Where the pages are, as it said when it was up."""
        found = re.search(r"pages at (\S+)/,", self.out.read_text())
        assert found, self.said
        return found[1]

    def logged(self, event: str) -> list[dict[str, Any]]:
        """Return the log's entries called `event`."""
        lines = [line for line in self.log.read_text(errors="replace").splitlines() if line.startswith("{")]
        return [entry for line in lines if (entry := json.loads(line)).get("event") == event]

    def kill(self) -> None:
        """End it as a crash would, and wait until it is gone."""
        self._popen.kill()
        self._popen.wait(LIMIT)

    def stop(self, number: int = signal.SIGTERM, *, group: bool = False) -> int:
        """Ask it to stop, with `group` as a terminal does; return its exit code. It must be gone in the time it promises."""
        with within(STOP_LIMIT):
            os.killpg(self.pid, number) if group else self._popen.send_signal(number)
            return self._popen.wait(LIMIT)

    def end(self, limit: float = LIMIT) -> int:
        """Wait for it to end by itself; return its exit code."""
        return self._popen.wait(limit)


def command_of(pid: int) -> bytes:
    """Return the command line of a process, empty where it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


class Rig:
    """Repositories on `lab.server`, a `server.yml`, and the processes that run on it. The state folder is `state`.

    `server` is merged into `server.yml`, section by section. Builds run without a sandbox unless it says otherwise, so that they can leave
    a trace and wait for a word.
    """

    def __init__(
        self, folder: Path, server: Mapping[str, Any] | None = None, *, http: HttpServer | None = None, poll: str = "100ms"
    ) -> None:
        self.folder = folder
        self.state = folder / "state"
        self.traces = folder / "traces"
        self.words = folder / "words"
        for made in (self.traces, self.words, folder / "logs", folder / "repositories"):
            made.mkdir(exist_ok=True)
        git_server: FileServer | HttpServer = http or FileServer(folder / "repositories")
        self.lab = GitLab(git_server, folder)
        self.processes: list[Process] = []
        self._sections: dict[str, Any] = {
            "state": "state",
            "gearman": {"port": 0},
            "web": {"port": 0},
            "worker": {"sandbox": "none", "executors": 4},
            "connections": {"local": {"poll": poll, "timeout": "10s"}},
            "projects": {"app": {"url": self.lab.server.url("app.git")}},
        }
        self.configure(server or {})

    def configure(self, server: Mapping[str, Any]) -> None:
        """Write `server.yml` anew (JSON is YAML), with `server` on top of what it said."""
        for name, section in server.items():
            known = self._sections.get(name)
            self._sections[name] = {**known, **section} if isinstance(known, dict) else section
        (self.folder / "server.yml").write_text(json.dumps(self._sections))

    # -- processes

    def run(self, *arguments: str, env: Mapping[str, str] | None = None, limits: Callable[[], None] | None = None) -> Process:
        """Start `torii ARGUMENTS --server server.yml`."""
        command = [sys.executable, "-m", "torii", *arguments, "--server", str(self.folder / "server.yml")]
        return self.start(command, arguments[0], env=env, limits=limits)

    def start(
        self, command: Sequence[str], name: str, *, env: Mapping[str, str] | None = None, limits: Callable[[], None] | None = None
    ) -> Process:
        """Start any command. `limits` is called in the new process before that."""
        process = Process(command, self.folder / "logs", f"{name}-{len(self.processes) + 1}", env or {}, limits)
        self.processes.append(process)
        return process

    def up(self, **options: Any) -> Process:
        """Start `torii up`, and wait until it is."""
        return self.run("up", **options).ready()

    def close(self) -> None:
        for process in self.processes:
            if process.alive:
                process.kill()
        for pid in self.descendants():
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        self.lab.server.close()

    # -- what jobs do

    def job(self, *lines: str, **fields: Any) -> dict[str, Any]:
        """Return a job that leaves its trace and runs `lines`."""
        trace = f'printf "%s %s %s %s\\n" "$TORII_PIPELINE" "$TORII_CHANGE" "$JOB_NAME" "$TORII_UUID" >> {self.traces}/runs'
        return {"run": "\n".join([trace, *lines]), **fields}

    def until(self, word: str) -> str:
        """Return a line of a job that waits for `say(word)`."""
        return f"until [ -e {self.words}/{word} ]; do sleep 0.05; done"

    def say(self, word: str) -> None:
        (self.words / word).touch()

    def hush(self, word: str) -> None:
        (self.words / word).unlink(missing_ok=True)

    @property
    def runs(self) -> list[Run]:
        """Return the builds that began, in order, each as often as it began."""
        path = self.traces / "runs"
        return [Run(*line.split(" ")) for line in path.read_text().splitlines()] if path.exists() else []

    def ran(self, change: str, pipeline: str = "gate") -> list[Run]:
        """Return the runs for the change called `change`."""
        return [run for run in self.runs if run.pipeline == pipeline and run.change.endswith(f"/{change}")]

    # -- what developers do

    def seed(self, jobs: Mapping[str, Any], pipelines: Mapping[str, Sequence[str]], project: str = "app", **files: str) -> Sha:
        """Put a `torii.yml` (and `files`) on the branch `main`."""
        text = json.dumps({"jobs": jobs, "pipelines": pipelines})
        tip = self.lab.commit("torii.yml", self.lab.base, files={"torii.yml": text, **files})
        self.lab.push("main", tip, project)
        return tip

    def change(self, name: str, *, on: str | None = None, files: Mapping[str, str] | None = None, project: str = "app") -> Sha:
        """Make (not push) a change called `name` on the tip of `main`, with a file of its name."""
        content = dict(files) if files is not None else {f"{name}.txt": f"{name}\n"}
        self.lab.tips[name] = self.lab.commit(name, on or self.lab.branch("main", project), files=content)
        return self.lab.tips[name]

    def push(self, *, check: Sequence[str] = (), approve: Sequence[str] = (), project: str = "app") -> None:
        """Push changes for checking, and approve others, all in one push."""
        specs = [f"{self.lab.tips[name]}:refs/heads/review/main/{name}" for name in (*check, *approve)]
        specs += [f"{self.lab.tips[name]}:refs/heads/gate/main/{name}" for name in approve]
        git("push", "--quiet", "--force", self.lab.repository(project), *specs, cwd=self.lab.developer)

    # -- what became of it

    def reports(self, project: str = "app") -> Counter[str]:
        """Return the keys of all reports in the notes, and how often each is there."""
        repository = self.lab.repository(project)
        if "refs/notes/torii" not in self.lab.refs(project):
            return Counter()
        blobs = [line.split(" ")[0] for line in git("notes", "--ref=torii", "list", cwd=repository).splitlines()]
        texts = [git("cat-file", "blob", blob, cwd=repository) for blob in blobs]
        return Counter(re.findall(r"^Torii-Report: (.*)$", "\n".join(texts), re.MULTILINE))

    def history(self, branch: str = "main", project: str = "app") -> list[str]:
        """Return the titles of the branch's commits, newest first, merges left out."""
        return git("log", "--no-merges", "--format=%s", branch, cwd=self.lab.repository(project)).splitlines()

    def staging_refs(self, project: str = "app") -> list[str]:
        return [ref for ref in self.lab.refs(project) if ref.startswith("refs/staging/")]

    def store(self) -> Store:
        return open_store(self.state / "torii.db", self.state / "blobs", read_only=True)

    def items(self, pipeline: str | None = None) -> tuple[ItemView, ...]:
        """Return all items there ever were, oldest first."""
        with contextlib.suppress(ToriiError), self.store() as store:
            return tuple(item for item in reversed(store.items(limit=None)) if pipeline in (None, item.pipeline))
        return ()

    def item(self, name: str, pipeline: str = "gate") -> ItemView | None:
        """Return the newest item of the change called `name`."""
        return next((item for item in reversed(self.items(pipeline)) if item.change.endswith(f"/{name}")), None)

    def builds(self, name: str, pipeline: str = "gate") -> tuple[BuildView, ...]:
        """Return the builds of the newest item of the change called `name`."""
        item = self.item(name, pipeline)
        if item is None:
            return ()
        with self.store() as store:
            return store.builds_of(item.id)

    def why(self, name: str) -> list[str]:
        """Return what was decided about the change called `name`, oldest first."""
        with contextlib.suppress(ToriiError), self.store() as store:
            change = store.find_change(name)
            return [made.text for made in store.decisions_of(change, limit=1000)] if change else []
        return []

    def outcome(self, name: str, pipeline: str = "gate") -> str:
        item = self.item(name, pipeline)
        return item.outcome if item is not None else ""

    def wait_for_outcome(self, name: str, pipeline: str = "gate", limit: float = LIMIT) -> str:
        """Wait until the change called `name` has left; return how."""
        return self.wait(lambda: self.outcome(name, pipeline), limit)

    def events(self) -> int:
        """Return how many events are in the journal."""
        database = self.state / "torii.db"
        if not database.exists():
            return 0
        try:
            with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=5)) as connection:
                return int(connection.execute("select coalesce(max(seq), 0) from journal").fetchone()[0])
        except sqlite3.Error:  # not made yet
            return 0

    def wait(self, condition: Callable[[], Any], limit: float = LIMIT, *, every: float = 0.02) -> Any:
        """Wait for `condition`; where it does not come, show what the processes said."""
        try:
            return wait_until(condition, limit, every=every)
        except TimeoutError as error:
            told = "\n".join(f"--- {process.name}\n{process.said[-3000:]}" for process in self.processes)
            raise AssertionError(f"{error}\n{[(item.change, item.state, item.reason) for item in self.items()]}\n{told}") from None

    # -- what is left

    def descendants(self) -> list[int]:
        """Return the processes that work in the rig's folder and are no `torii` that the rig started: builds, git."""
        started = {process.pid for process in self.processes}
        mark = str(self.folder).encode()
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) in started:
                continue
            with contextlib.suppress(OSError):
                where = str((entry / "cwd").readlink()).encode()
                if mark in where + b" " + command_of(int(entry.name)):
                    found.append(int(entry.name))
        return found

    def builders(self) -> list[int]:
        """Return the processes of builds that live."""
        mark = str(self.state / "workspaces")
        found = []
        for pid in self.descendants():
            with contextlib.suppress(OSError):
                if mark in str(Path(f"/proc/{pid}/cwd").readlink()) or mark.encode() in command_of(pid):
                    found.append(pid)
        return found

    def workspaces(self) -> list[str]:
        """Return the workspaces of builds, of whatever worker."""
        return [str(path) for path in (self.state / "workspaces").glob("*/builds/*")]
