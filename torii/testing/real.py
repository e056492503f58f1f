"""The scenario language on the real parts: git repositories, `torii up` as a process of its own, Gearman, merger and worker.

Builds are real, too: each waits for a file of its id to appear, whose content is the exit status it ends with.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

from torii.model.ids import ChangeId, ProjectName
from torii.model.view import BuildView, ItemView
from torii.sources.git.known import load
from torii.store.store import Store, open_store
from torii.testing.story import Story

T = TypeVar("T")

PATIENCE = 60.0
"""Seconds that anything may take before a story gives up."""
CALM = 0.15
"""Seconds without news after which all that follows from the last thing is taken to have happened."""

STATUS = {"SUCCESS": "0", "FAILURE": "1"}

JOB = 'run: "until [ -e $HOLD/$TORII_UUID ]; do sleep 0.02; done; exit $(cat $HOLD/$TORII_UUID)", environment: {variables: {HOLD: "%s"}}'
TORII_YML = """\
jobs:
  unit: {%(job)s}
  lint: {%(job)s, voting: false}
pipelines: {check: [unit, lint], gate: [unit]}
"""
SERVER_YML = """\
state: state
gearman: {port: 0}
web: {port: 0}
connections: {local: {type: git, url: ., poll: 100ms}}
projects: {app: {connection: local, path: app.git}}
worker: {executors: 20, sandbox: none}
limits: {unregistered: 60s}
"""


class RealStory(Story):
    """A story told to `torii up` in `folder`. Close it at the end."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.hold = folder / "hold"
        self.hold.mkdir(parents=True)
        self._pushed: dict[ChangeId, str] = {}
        self._branch: dict[ChangeId, str] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self._store: Store | None = None
        self._git("init", "-q", "--bare", "-b", "main", "app.git", cwd=folder)
        self._git("init", "-q", "-b", "main", "work", cwd=folder)
        self.work = folder / "work"
        self._git("remote", "add", "origin", str(folder / "app.git"))
        self._commit({"torii.yml": TORII_YML % {"job": JOB % self.hold}, "README": "hello\n"}, "begin")
        self._git("push", "-q", "origin", "main")
        (folder / "server.yml").write_text(SERVER_YML)
        self._start()

    def close(self) -> None:
        """Stop Torii, and with it every build."""
        if self._store is not None:
            self._store.close()
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(10)

    # -- the process

    def _start(self) -> None:
        with (self.folder / "torii.log").open("ab") as log:
            command = [sys.executable, "-m", "torii", "up", "--server", str(self.folder / "server.yml")]
            self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=log, cwd=self.folder, start_new_session=True)
        self._until(lambda: (self.folder / "state" / "torii.db").exists(), "the store is made")
        self._settle()

    def restart(self) -> None:
        self.kill()
        self._start()

    def kill(self) -> None:
        """Kill Torii as `kill -9` does, if it still runs."""
        assert self._process is not None
        if self._store is not None:
            self._store.close()
            self._store = None
        self._process.kill()
        self._process.wait(10)

    @property
    def store(self) -> Store:
        """Torii's store, opened for reading."""
        if self._store is None:
            self._store = self._until(self._open, "the store can be opened")
        return self._store

    def _open(self) -> Store | None:
        from torii.store.errors import StoreError

        try:
            return open_store(self.folder / "state" / "torii.db", self.folder / "state" / "blobs", read_only=True)
        except StoreError:
            return None

    def _until(self, condition: Callable[[], T | None], what: str) -> T:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            assert self._process is None or self._process.poll() is None, f"torii up ended early: {self._tail()}"
            if found := condition():
                return found
            time.sleep(0.02)
        raise AssertionError(f"waited {PATIENCE:.0f} s until {what}. {self._tail()}")

    def _tail(self) -> str:
        return (self.folder / "torii.log").read_text()[-3000:]

    def _settle(self) -> None:
        """Wait until Torii has seen every push, and nothing moves but builds that wait to be ended."""

        def calm() -> bool:
            before = self.store.last_seq()
            if not self._all_seen() or not all(self._at_rest(item) for item in self.store.items(active_only=True)):
                return False
            time.sleep(CALM)
            return self.store.last_seq() == before

        self._until(calm, "everything is at rest")

    def _all_seen(self) -> bool:
        """Whether the source's cursor says of every branch and change what the server says."""
        cursor = self.store.cursor("local")
        known = load(cursor.state).get(ProjectName("app")) if cursor else None
        if known is None:
            return False
        lines = map(str.split, self._git("ls-remote", "--heads", "origin").splitlines())
        heads = {ref.removeprefix("refs/heads/"): commit for commit, ref in lines}
        branches = {ref: commit for ref, commit in heads.items() if not ref.startswith(("review/", "gate/"))}
        there = {
            ref.partition("/")[2]: (heads[ref], heads[ref] == heads.get(ref.replace("review", "gate", 1)))
            for ref in heads
            if ref.startswith("review/")
        }
        seen = {name: (change.patchset, change.approved) for name, change in known.changes.items() if change.open}
        return dict(known.branches) == branches and seen == there

    def _at_rest(self, item: ItemView) -> bool:
        if item.state in ("waiting", "failing", "passed"):
            return item.state != "waiting" or item.build_set is None
        builds = [build for build in self.store.builds_of(item.id) if build.build_set == item.build_set]
        return item.state == "building" and bool(builds) and all(build.state != "queued" for build in builds)

    # -- git

    def _try_git(self, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        person = {"NAME": "Dev", "EMAIL": "dev@example.com"}
        who = {f"GIT_{role}_{what}": value for role in ("AUTHOR", "COMMITTER") for what, value in person.items()}
        return subprocess.run(
            ["git", *arguments], cwd=cwd or self.work, env={**os.environ, **who}, capture_output=True, text=True, timeout=60, check=False
        )

    def _git(self, *arguments: str, cwd: Path | None = None) -> str:
        done = self._try_git(*arguments, cwd=cwd)
        if done.returncode:
            raise AssertionError(f"git {' '.join(arguments)}: {done.stderr}")
        return done.stdout

    def _commit(self, files: Mapping[str, str], message: str) -> str:
        for path, content in files.items():
            target = self.work / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(content)
        self._git("add", "-A")
        self._git("commit", "-q", "-m", message)
        return self._git("rev-parse", "HEAD").strip()

    def push(
        self, name: str, files: Mapping[str, str] | None = None, *, branch: str = "main", depends_on: Sequence[ChangeId] = ()
    ) -> ChangeId:
        change = ChangeId(f"app:{branch}/{name}")
        number = 0 if change not in self._pushed else 1 + len(self._pushed[change])
        given = {f"{name}.txt": f"{name} {number}\n"} if files is None else {path: f"{content}\n" for path, content in files.items()}
        if change not in self._pushed:
            start = self._pushed[depends_on[-1]] if depends_on else f"origin/{branch}"
            self._git("fetch", "-q", "origin")
            self._git("checkout", "-q", "--detach", start)
        else:
            self._git("checkout", "-q", "--detach", self._pushed[change])
        self._pushed[change] = self._commit(given, f"Change {name}")
        self._git("push", "-q", "-f", "origin", f"HEAD:refs/heads/review/{branch}/{name}")
        self._settle()
        return change

    def _gate_ref(self, change: ChangeId) -> str:
        return f"refs/heads/gate/{change.removeprefix('app:')}"

    def approve(self, *names: str) -> tuple[ChangeId, ...]:
        changes = []
        for name in names:
            known = [change for change in self._pushed if change == name or change.endswith(f"/{name}")]
            change = known[0] if known else self.push(name)
            self._git("push", "-q", "-f", "origin", f"{self._pushed[change]}:{self._gate_ref(change)}")
            self._settle()
            changes.append(change)
        return tuple(changes)

    def unapprove(self, change: ChangeId) -> None:
        self._git("push", "-q", "origin", f":{self._gate_ref(change)}")
        self._settle()

    def abandon(self, change: ChangeId) -> None:
        place = change.removeprefix("app:")
        there = [line.split()[1] for line in self._git("ls-remote", "--heads", "origin").splitlines()]
        self._git("push", "-q", "origin", *(f":{ref}" for ref in there if ref.endswith((f"/review/{place}", f"/gate/{place}"))))
        self._settle()

    def push_past_the_gate(self, files: Mapping[str, str], branch: str = "main") -> None:
        self._git("fetch", "-q", "origin")
        self._git("checkout", "-q", "--detach", f"origin/{branch}")
        self._commit({path: f"{content}\n" for path, content in files.items()}, "Pushed past the gate")
        self._git("push", "-q", "origin", f"HEAD:refs/heads/{branch}")
        self._settle()

    # -- builds

    def _item(self, change: ChangeId, pipeline: str) -> ItemView | None:
        items = [item for item in self.store.items(change=change) if item.pipeline == pipeline]
        return max(items, key=lambda item: item.enqueued_at, default=None)

    def _running(self, change: ChangeId, pipeline: str) -> list[BuildView]:
        item = self._item(change, pipeline)
        return [build for build in self.store.builds_of(item.id) if build.state == "running"] if item else []

    def running(self, change: ChangeId, pipeline: str = "gate") -> list[str]:
        return sorted(build.job for build in self._running(change, pipeline))

    def _end(self, build: BuildView, result: str) -> None:
        written = self.hold / f"{build.id}.new"
        written.write_text(STATUS[result])
        written.rename(self.hold / build.id)

    def finish(self, change: ChangeId, job: str, result: str = "SUCCESS", *, pipeline: str = "gate", crash_after: str = "") -> None:
        builds = [build for build in self._running(change, pipeline) if build.job == job]
        assert builds, f"{job} of {change} does not run in {pipeline}; {self.running(change, pipeline)} do. {self.why(change)}"
        merged = self.merged
        self._end(builds[0], result)
        if crash_after == "report":
            self._until(lambda: self.verdicts(change, pipeline), "the report is there")
        elif crash_after == "submit":
            self._until(lambda: self.merged != merged, "it is merged")
        if crash_after:
            self.kill()
            return
        self._until(partial(self._all_done, builds[:1]), "the build's end is known")
        self._settle()

    def finish_all(self, result: str = "SUCCESS") -> None:
        while running := [
            build for item in self.store.items(active_only=True) for build in self.store.builds_of(item.id) if build.state == "running"
        ]:
            for build in running:
                self._end(build, result)
            self._until(partial(self._all_done, running), "the builds' ends are known")
            self._settle()

    def _all_done(self, builds: Sequence[BuildView]) -> bool:
        now = [self.store.build(build.id) for build in builds]
        return all(build is not None and build.state == "done" for build in now)

    # -- what became of it

    @property
    def merged(self) -> list[ChangeId]:
        """What git itself says: the changes whose commits are on their branch, in the order in which they came there."""
        self._git("fetch", "-q", "--prune", "origin")
        line = self._git("rev-list", "--reverse", "--topo-order", "origin/main").split()
        return sorted((change for change, commit in self._pushed.items() if commit in line), key=lambda change: self._landed(change))

    def _landed(self, change: ChangeId) -> int:
        first_parents = self._git("rev-list", "--reverse", "--first-parent", "origin/main").split()
        for position, commit in enumerate(first_parents):
            done = self._try_git("merge-base", "--is-ancestor", self._pushed[change], commit)
            if done.returncode == 0:
                return position
        return len(first_parents)

    def built_on(self, change: ChangeId, pipeline: str = "gate") -> tuple[ChangeId, ...]:
        item = self._item(change, pipeline)
        return item.built_on if item else ()

    def why(self, change: ChangeId) -> str:
        decisions = sorted(self.store.decisions_of(change=change, limit=1000), key=lambda decision: decision.at)
        return "\n".join(decision.text for decision in decisions)

    def verdicts(self, change: ChangeId, pipeline: str = "gate") -> list[str]:
        """What the notes in the repository say."""
        self._try_git("fetch", "-q", "-f", "origin", "refs/notes/torii:refs/notes/torii")
        note = self._try_git("notes", "--ref=torii", "show", self._pushed[change])
        keys = [line.removeprefix("Torii-Report: ") for line in note.stdout.splitlines() if line.startswith("Torii-Report: ")]
        mine = {item.id for item in self.store.items(change=change) if item.pipeline == pipeline}
        return [verdict for key in keys for name, _, verdict in [key.partition(":")] if name.rpartition(".")[0] in mine or name in mine]

    def votes(self, change: ChangeId, pipeline: str = "gate") -> list[str]:
        """Plain git has no votes: a success counts as +1, everything else as -1, but for what was only dequeued."""
        return ["+1" if verdict == "success" else "-1" for verdict in self.verdicts(change, pipeline) if verdict != "dequeued"]
