"""The fake Jenkins as a test holds it: starts and stops it, says what its builds do, and what goes wrong."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from torii.testing.jenkins.core import Core
from torii.testing.jenkins.faults import Fault, Faults
from torii.testing.jenkins.log import HugeLog
from torii.testing.jenkins.plugin import Plugin, Words
from torii.testing.jenkins.routes import Account, Routes
from torii.testing.jenkins.shapes import Shapes
from torii.testing.jenkins.state import Build, Cause, FakeNode, Item, Job, Node
from torii.testing.jenkins.web import Web
from torii.testing.jenkins.work import Rule, Work
from torii.worker.confinement import Confinement
from torii.worker.workspace import Repository

PLUGINS = {
    "ansicolor": "1.0.2",
    "build-timeout": "1.24",
    "cloudbees-folder": "6.758.vfd75d09eea_a_1",
    "gearman-plugin": "0.5.0",
    "git": "4.12.1",
    "junit": "1119.1121.vc43d0fc45561",
    "matrix-project": "785.v06b_7f47b_c631",
    "timestamper": "1.20",
    "workflow-aggregator": "590.v6a_d052e5a_a_b_5",
    "ws-cleanup": "0.42",
}
"""Plug-ins that a fake has unless it is told otherwise."""

_FOLDER = b"<com.cloudbees.hudson.plugins.folder.Folder><description/></com.cloudbees.hudson.plugins.folder.Folder>"


_FRAMES = "\tat hudson.model.Run.execute(Run.java:1900)\n\tat hudson.model.Executor.run(Executor.java:449)"
_AGENT_LOST = f"java.io.IOException: Unexpected termination of the channel\n{_FRAMES}"
_SHUT_DOWN = f"java.lang.IllegalStateException: Jenkins.instance is missing.\n{_FRAMES}"
"""What a real one's log ends in, shortened: where an agent is lost in a build, and where Jenkins itself is ended by SIGTERM."""


class FakeJenkins:
    """A Jenkins on loopback. `folder` is for what its builds leave.

    `gearman` are the servers that its Gearman plug-in connects to (none: no plug-in), `manager` what the plug-in takes the controller's
    name for. `base` is the path below which it is (`/jenkins`). The built-in node has `builtin` executors. `repositories` are git
    repositories that builds find by address; `confinement` is what builds run in (None: nothing). `tls` serves HTTPS. `named` is the
    URL that Jenkins is configured to have: its own (True), none (False: then WORK_DATA has no `url`), or another one. With `racy`,
    WORK_DATA is wrong about the node as often as a real one's is.
    """

    def __init__(
        self,
        folder: Path,
        *,
        gearman: Sequence[tuple[str, int]] = (),
        nodes: Sequence[FakeNode] = (FakeNode("agent1", ("linux",), executors=2),),
        builtin: int = 0,
        manager: str = "jenkins.example.org",
        base: str = "",
        plugins: Mapping[str, str] | None = None,
        repositories: Mapping[str, Repository] | None = None,
        confinement: Confinement | None = None,
        tls: ssl.SSLContext | None = None,
        named: bool | str = True,
        racy: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.user, self.token, self.password = "torii", "11d0b8c4f3e7a2956d1c4b8e0f7a3d2c95", "a password"
        self.faults = Faults()
        self.plugins = dict(PLUGINS if plugins is None else plugins)
        if not gearman:
            self.plugins.pop("gearman-plugin", None)
        self.core = Core((FakeNode("", ("master",), builtin), *nodes), clock)
        self.accounts = {self.user: Account(self.token, self.password)}
        self._gearman, self._manager, self._named, self._racy = tuple(gearman), manager, named, racy
        self._folder, self._base, self._secure = folder, base.rstrip("/"), tls is not None
        self._repositories, self._confinement = dict(repositories or {}), confinement
        self._shapes = Shapes(self.core, "")
        self.routes = Routes(self.core, self._shapes, self.accounts, self.plugins)
        self.web = Web(self.routes, self.faults, self._base, tls)
        self._plugin: Plugin | None = None
        self._work: Work | None = None

    # -- the process

    def start(self) -> None:
        """Listen, and connect the plug-in's workers. Returns when all of them are registered, or after 5 s without a Gearman server."""
        self.web.up()
        self._shapes.root = f"{self._named.rstrip('/') if isinstance(self._named, str) else self.url}/"
        self._work = Work(self.core, self._folder, self.plugins, self._shapes.root, self._repositories, self._confinement)
        self._plugin = Plugin(self.core, self._gearman, self._manager, self._shapes.root if self._named else None, self._racy)
        self._plugin.anonymous_reads = lambda: "Job/Read" in self.routes.anonymous or "*" in self.routes.anonymous
        self._plugin.stop_build = lambda build: self.core.interrupt(build, "unknown")
        self.core.run, self.core.interrupt = self._work.run, self._work.interrupt
        self.core.changed, self.core.freed = self._plugin.changed, self._plugin.freed
        with self.core.lock:
            self._plugin.boot()
        self.wait(lambda: self.connected, 5.0, required=False)

    def stop(self) -> None:
        """End it all, builds included."""
        self.faults.over.set()
        self.web.down()
        with self.core.lock:
            self.core.alive = False
        if self._plugin is not None:
            self._plugin.stop()
        if self._work is not None:
            self._work.stop()

    def __enter__(self) -> FakeJenkins:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Its address, without a slash at the end."""
        return f"{'https' if self._secure else 'http'}://127.0.0.1:{self.web.port}{self._base}"

    @property
    def connected(self) -> bool:
        """Whether every worker of the Gearman plug-in is connected."""
        with self.core.lock:
            return self._plugin is not None and self._plugin.connected

    # -- jobs

    def add_job(self, name: str, xml: bytes | str) -> None:
        """Make the job `name` (`team/app` is in the folder `team`, which is made with it), as somebody at the keyboard would."""
        data = xml.encode() if isinstance(xml, str) else xml
        with self.core.lock:
            self.add_folder(name.rpartition("/")[0])
            if job := self.core.jobs.get(name):
                self.core.save(job, data)
            else:
                self.core.create(name, data)

    def add_folder(self, name: str) -> None:
        """Make a folder, and those that it is in."""
        with self.core.lock:
            if name and name not in self.core.jobs:
                self.add_folder(name.rpartition("/")[0])
                self.core.create(name, _FOLDER)

    @property
    def jobs(self) -> dict[str, Job]:
        """The jobs and folders, by full name."""
        with self.core.lock:
            return dict(self.core.jobs)

    def delete_job(self, name: str) -> None:
        """Delete a job by hand."""
        with self.core.lock:
            self.core.delete(self.core.jobs[name])

    def disable_job(self, name: str, disabled: bool = True) -> None:
        """Disable a job by hand, or enable it."""
        with self.core.lock:
            self.core.disable(self.core.jobs[name], disabled)

    def rename_job(self, name: str, short: str) -> None:
        """Rename a job by hand."""
        with self.core.lock:
            self.core.rename(self.core.jobs[name], short)

    # -- builds

    def start_build(self, job: str, parameters: Mapping[str, str] | None = None, by: str = "admin") -> Item:
        """Have a job built by hand; what `parameters` do not name has its default. Return the item of the queue."""
        with self.core.lock:
            known = self.core.jobs[job]
            given = {each.name: each.default for each in known.config.parameters} | dict(parameters or {})
            return self.core.ask(known, given, Cause(by))[0]

    def hold(self, pattern: str = "*") -> None:
        """Have builds of matching jobs (a glob on full names) wait for `release` from now on."""
        self._rule(Rule(pattern, hold=True))

    def instant(self, result: str = "SUCCESS", pattern: str = "*") -> None:
        """Have builds of matching jobs end at once with `result` from now on."""
        self._rule(Rule(pattern, result))

    def for_real(self, pattern: str = "*") -> None:
        """Have builds of matching jobs run their shell steps from now on, as they do unless told otherwise."""
        self._rule(Rule(pattern))

    def _rule(self, rule: Rule) -> None:
        assert self._work is not None, "start() comes first"
        with self.core.lock:
            self._work.rules.insert(0, rule)

    def release(self, job: str, number: int | None = None, result: str = "SUCCESS") -> Build:
        """End a held build with `result`; without a number, the oldest. Waits up to 10 s until there is one."""
        build: Build = self.wait(lambda: self._held(job, number))
        self.core.finish(build, result)
        return build

    def release_all(self, result: str = "SUCCESS") -> int:
        """End every build that is held now; return how many they were."""
        with self.core.lock:
            held = [build for job in self.core.jobs.values() for build in job.running if build.held]
        for build in held:
            self.core.finish(build, result)
        return len(held)

    def _held(self, job: str, number: int | None) -> Build | None:
        known = self.core.jobs.get(job)
        found = [b for b in (known.running if known else ()) if b.held and number in (None, b.number)]
        return min(found, key=lambda build: build.number, default=None)

    def build(self, job: str, number: int | None = None) -> Build | None:
        """Return a build as it is now; without a number, the newest. `.log`, `.artifacts`, `.tests`, `.description` may be set."""
        with self.core.lock:
            known = self.core.jobs.get(job)
            return (known.builds.get(number) if number else next(known.newest(), None)) if known else None

    def find(self, uuid: str, name: str = "TORII_UUID") -> Build | None:
        """Return the newest build with this value of a parameter."""
        with self.core.lock:
            found = [b for job in self.core.jobs.values() for b in job.builds.values() if b.parameters.get(name) == uuid]
            return max(found, key=lambda build: build.started, default=None)

    def running(self, job: str | None = None) -> list[Build]:
        """Return the builds that run now, in the order of their start."""
        with self.core.lock:
            found = [build for node in self.core.nodes for build in node.running.values()]
            return sorted((b for b in found if job in (None, b.job.name)), key=lambda build: (build.started, build.number))

    def queue(self) -> list[Item]:
        """Return what waits in the queue."""
        with self.core.lock:
            return list(self.core.queue.values())

    def wait_for_build(self, job: str, number: int = 1, limit: float = 10.0) -> Build:
        """Wait until build `number` of `job` has begun."""
        build: Build = self.wait(lambda: self.build(job, number), limit)
        return build

    def wait_until_over(self, job: str, number: int = 1, limit: float = 30.0) -> Build:
        """Wait until build `number` of `job` has ended."""
        build = self.wait_for_build(job, number, limit)
        self.wait(build.over.is_set, limit)
        return build

    def write(self, job: str, number: int, data: bytes) -> None:
        """Append to a build's console log, of whatever bytes."""
        build = self.build(job, number)
        assert build is not None, f"{job} has no build {number}"
        build.log.write(data)

    def huge_log(self, job: str, number: int, size: int) -> None:
        """Give a build a log of so many bytes, none of which is kept anywhere."""
        build = self.build(job, number)
        assert build is not None, f"{job} has no build {number}"
        build.log = HugeLog(size)

    def delete_build(self, job: str, number: int) -> None:
        """Delete a build by hand, or by its job's log rotation."""
        with self.core.lock:
            self.core.forget(self.core.jobs[job].builds[number])

    def stop_build(self, job: str, number: int, by: str = "admin") -> None:
        """Abort a build by hand."""
        with self.core.lock:
            self.core.interrupt(self.core.jobs[job].builds[number], by)

    # -- what goes wrong

    def down(self) -> None:
        """Refuse HTTP, as if the network or a proxy had gone; builds and Gearman go on."""
        self.web.down()

    def up(self) -> None:
        """Answer HTTP again, on the same port."""
        self.web.up()

    def fault(self, kind: int | str, pattern: str = "", times: int = 1, seconds: float = 0.0) -> Fault:
        """Have the next `times` requests that match meet a fault; see `faults.Fault` for the kinds."""
        return self.faults.add(kind, pattern, times, seconds)

    def quiet_down(self, quiet: bool = True) -> None:
        """Prepare for a shutdown: start no more builds; or, with False, go on."""
        self.routes.quiet(quiet)

    def take_offline(self, name: str, offline: bool = True) -> None:
        """Mark a node as temporarily offline, or bring it back."""
        with self.core.lock:
            self.core.toggle(self._node(name), offline)

    def add_node(self, spec: FakeNode) -> None:
        """Connect an agent that was not there before."""
        with self.core.lock:
            self.core.add_node(spec)
        self.revive_node(spec.name)

    def cancel(self, item: int) -> None:
        """Take an item out of the queue by hand."""
        with self.core.lock:
            self.core.cancel(self.core.queue[item])

    def kill_node(self, name: str) -> None:
        """Kill an agent: its builds fail, its workers are gone until `revive_node`."""
        node = self._node(name)
        with self.core.lock:
            lost = list(node.running.values())
            node.offline, node.reason = True, "Connection was broken"
            if self._plugin is not None:
                self._plugin.drop_node(node)
            for build in lost:
                self._end(build, "FAILURE", _AGENT_LOST)
            self.core.maintain()

    def revive_node(self, name: str) -> None:
        """Connect a killed agent again."""
        node = self._node(name)
        with self.core.lock:
            node.offline, node.reason = False, ""
            if self._plugin is not None:
                self._plugin.add_node(node)
            self.core.maintain()

    def end(self, kill: bool = False) -> None:
        """End the process: with SIGTERM, when running builds fail, or with SIGKILL, when nobody hears of them again. `boot` comes next."""
        self.web.down()
        with self.core.lock:
            self.core.alive = False
            if self._plugin is not None:
                self._plugin.die()
            for build in [build for node in self.core.nodes for build in node.running.values()]:
                build.waiters = []
                if kill:
                    build.job.builds.pop(build.number, None)
                self._end(build, "FAILURE", _SHUT_DOWN)
            for item in [] if not kill else list(self.core.queue.values()):
                self.core.queue.pop(item.id)
            for item in [item for item in self.core.queue.values() if item.plugin]:
                self.core.queue.pop(item.id)
            self.core.left.clear()
            self.core.quieting, self.core.quiet_reason = False, None

    def boot(self) -> None:
        """Start the process again."""
        with self.core.lock:
            self.core.alive = True
            for node in self.core.nodes:
                node.lock = node.locked_for = None
            if self._plugin is not None:
                self._plugin.boot()
            self.core.maintain()
        self.web.up()
        self.wait(lambda: self.connected, 5.0, required=False)

    def restart(self, kill: bool = False) -> None:
        """End the process and start it again."""
        self.end(kill)
        self.boot()

    def cut_gearman(self) -> None:
        """Break the connections to the Gearman server off, as a network does. Idle workers come back at once, others after a build."""
        with self.core.lock:
            if self._plugin is not None:
                self._plugin.cut()

    def say(self, words: Words) -> None:
        """Put other words into the plug-in's packets: garbage in WORK_DATA, a second WORK_COMPLETE."""
        assert self._plugin is not None, "start() comes first"
        self._plugin.words = words

    @property
    def registered(self) -> dict[str, set[str]]:
        """What functions each worker of the plug-in offers."""
        with self.core.lock:
            return self._plugin.registered() if self._plugin is not None else {}

    @property
    def quiet_period(self) -> float:
        """Seconds that a build started over REST waits in the queue at least."""
        return self.core.quiet_period

    @quiet_period.setter
    def quiet_period(self, seconds: float) -> None:
        self.core.quiet_period = seconds

    @property
    def lag(self) -> float:
        """Seconds for which an item that left the queue names no build yet (about 0.05 in a real Jenkins)."""
        return self._shapes.lag

    @lag.setter
    def lag(self, seconds: float) -> None:
        self._shapes.lag = seconds

    def allow(self, *permissions: str) -> None:
        """Leave the account `user` only these permissions (`Overall/Read`, `Job/Build`, ...)."""
        self.accounts[self.user].permissions = frozenset(permissions)

    def allow_anonymous(self, *permissions: str) -> None:
        """Leave those who do not log in only these permissions. Without `Job/Read`, nodes that connect offer nothing."""
        self.routes.anonymous = frozenset(permissions)

    def requests(self, pattern: str = "") -> list[tuple[str, str]]:
        """Return method and target of the requests so far whose target holds `pattern`."""
        return [each for each in list(self.web.requests) if pattern in each[1]]

    # -- waiting

    def wait(self, condition: Callable[[], Any], limit: float = 10.0, required: bool = True) -> Any:
        """Wait until `condition` answers something true and return that. Raises TimeoutError after `limit` seconds, if `required`."""
        end = time.monotonic() + limit
        with self.core.moved:
            while not (found := condition()):
                left = end - time.monotonic()
                if left <= 0:
                    if required:
                        raise TimeoutError(f"the fake Jenkins did not get there within {limit:g} s: {self._state()}")
                    break
                self.core.moved.wait(min(left, 0.02))
            return found

    def _state(self) -> str:
        running = [f"{build.job.name} #{build.number}{' (held)' if build.held else ''}" for build in self.running()]
        return f"running: {running or 'nothing'}, queued: {[item.job.name for item in self.queue()] or 'nothing'}"

    def _node(self, name: str) -> Node:
        node = self.core.node(name)
        if node is None:
            raise KeyError(f"there is no node {name!r}")
        return node

    def _end(self, build: Build, result: str, trace: str) -> None:
        """End a build whose process is gone; `trace` is what Jenkins last writes into its log."""
        build.say(trace)
        build.say("Build step 'Execute shell' marked build as failure")
        self.core.finish(build, result)
        build.log.seal()
        if build.stop is not None:
            build.stop.ask("the node is gone", shutdown=True)
