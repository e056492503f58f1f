"""Mergers and their client over real Gearman: answers, faults on every part of the way, staging refs deleted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.support.git_servers import Fault, HttpServer, serving, set_hook
from tests.support.merge_lab import APP, Project, config_of, line, request, stage
from tests.support.parts import binary
from tests.support.waiting import free_port, wait_until, within
from torii.config.settings import GitConnection, ProjectSettings, ServerConfig
from torii.gearman import Client, Server, open_sealed
from torii.merger import wire
from torii.merger.client import GearmanMerger, Limits
from torii.merger.worker import MergerWorker
from torii.model.command import DropStaging, Merge, StageChange
from torii.model.event import Conflict, Event, MergeDone, MergeUnavailable, Staged
from torii.model.pipeline import ProjectSpec
from torii.runtime.ports import Cursor

KEY = b"a key of the test"
LIMIT = 40.0


class Mailbox:
    """A `Post` that can be waited on."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._events: list[MergeDone] = []

    def __call__(self, events: Sequence[Event], cursor: Cursor | None = None) -> None:
        with self._changed:
            self._events += [event for event in events if isinstance(event, MergeDone)]
            self._changed.notify_all()

    def wait(self, count: int) -> list[MergeDone]:
        """Return all answers once there are `count`."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self._events) >= count, LIMIT), self._events
            return list(self._events)

    def silent(self, seconds: float, count: int) -> bool:
        """Return whether after `seconds` there are still no more than `count` answers."""
        with self._changed:
            return not self._changed.wait_for(lambda: len(self._events) > count, seconds)


class Lab:
    """A project, a Gearman server, a client, and mergers as they are wanted."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.app = Project(folder / "server")
        self.server = Server()
        self.server.start()
        self.box = Mailbox()
        self._client = Client([self.server.address], "test")
        self.merger = self.client()
        self._ending = [self._client.stop, self.server.stop]
        self._processes: list[subprocess.Popen[bytes]] = []

    def client(self, limits: Limits | None = None, instance: str = "k", key: bytes = KEY) -> GearmanMerger:
        return GearmanMerger(self._client, key, self.box, instance, limits=limits)

    def worker(self, config: ServerConfig | None = None, key: bytes = KEY, executors: int = 1) -> MergerWorker:
        made = MergerWorker(config or config_of(self.folder / "state", self.app), [self.server.address], key, executors)
        made.start()
        self._ending.insert(0, made.stop)
        return made

    def process(self, name: str) -> subprocess.Popen[bytes]:
        """Start a merger in a process of its own."""
        code = f"""
import threading
from pathlib import Path
from tests.support.merge_lab import config_of
from torii.config.settings import *
from torii.merger.worker import MergerWorker
from torii.model.pipeline import ProjectSpec
place = {str(self.app.scene.path)!r}
projects = (ProjectSettings(ProjectSpec("app"), "lab", place, place),)
config = ServerConfig(Path({str(self.folder / name)!r}), (GitConnection("lab"),), projects)
MergerWorker(config, [{self.server.address!r}], {KEY!r}).start()
threading.Event().wait()
"""
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
        self._processes.append(subprocess.Popen([sys.executable, "-c", code], env=environment))
        return self._processes[-1]

    def plain(self, number: int) -> StageChange:
        return self.app.change(f"c{number}", {b"f%d" % number: ("100644", b"x\n")})

    def close(self) -> None:
        self.merger.stop(5)
        for process in self._processes:
            process.kill()
            process.wait(30)
        for end in self._ending:
            end()


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    made = Lab(tmp_path)
    yield made
    made.close()


def test_a_request_is_answered_once_a_stage_in_order_with_what_torii_yml_says(lab: Lab) -> None:
    lab.worker()
    wrong = lab.app.change("wrong", {b"torii.yml": ("100644", b"jobs:\n  unit: {rnu: make}\n")})
    clash = lab.app.change("clash", {b"torii.yml": ("100644", b"jobs: {}\n")})
    lab.merger.merge(request(stage(1, lab.plain(1)), stage(2, wrong), stage(3, clash)))
    first, second, third = lab.box.wait(3)
    assert [done.build_set for done in (first, second, third)] == ["k-1.1", "k-2.1", "k-3.1"]
    assert isinstance(first.outcome, Staged)
    assert first.outcome.config == first.outcome.tip_config
    assert first.outcome.config is not None
    assert [job.name for job in first.outcome.config.jobs] == ["unit"]
    assert isinstance(second.outcome, Staged)
    assert second.outcome.config is None
    assert any("rnu" in str(problem) and problem.line == 2 for problem in second.outcome.problems)
    assert isinstance(third.outcome, Conflict)
    assert (third.outcome.files, third.outcome.change) == (("torii.yml",), "wrong")
    assert lab.box.silent(0.3, 3)


def test_many_requests_for_one_project_are_shared_by_several_mergers(lab: Lab) -> None:
    lab.worker(executors=2)
    lab.worker()
    for number in range(24):
        change = lab.app.change(f"c{number}", {b"a": ("100644", line(number, b"x"))})
        lab.merger.merge(request(stage(number, change)))
    done = lab.box.wait(24)
    assert all(isinstance(one.outcome, Staged) for one in done)
    assert len(lab.app.staged()) == 24


def test_nobody_waits_where_there_is_no_gearman_server(tmp_path: Path, lab: Lab) -> None:
    client = Client([("127.0.0.1", free_port())], "alone")
    merger = GearmanMerger(client, KEY, lab.box, "k", limits=Limits(waiting=2.0))
    with within(1.0):
        merger.merge(request(stage(1, lab.plain(1))))
    (done,) = lab.box.wait(1)
    assert isinstance(done.outcome, MergeUnavailable)
    assert "no merger took it" in done.outcome.reason
    merger.stop(5)
    client.stop()


def test_a_request_waits_for_a_merger_and_is_made_when_one_comes(lab: Lab) -> None:
    lab.merger.merge(request(stage(1, lab.plain(1))))
    assert lab.box.silent(0.5, 0)
    lab.worker()
    (done,) = lab.box.wait(1)
    assert isinstance(done.outcome, Staged)


def test_the_same_request_while_one_is_under_way_is_answered_once(lab: Lab) -> None:
    wanted = request(stage(1, lab.plain(1)))
    lab.merger.merge(wanted)
    lab.merger.merge(wanted)
    lab.worker()
    lab.box.wait(1)
    assert lab.box.silent(1.0, 1)
    lab.merger.merge(wanted)
    first, second = lab.box.wait(2)
    assert first == second


def hold_pushes(lab: Lab) -> Path:
    """Have pushes wait; returns the file whose coming lets them go on."""
    gate = lab.folder / "go-on"
    script = f"touch {lab.folder}/pushing; n=0; while [ ! -e {gate} ] && [ $n -lt 600 ]; do read -t 0.1 x </dev/zero; n=$((n+1)); done"
    set_hook(lab.app.scene.path, "pre-receive", script.replace("read -t 0.1 x </dev/zero", "sleep 0.1"))
    return gate


def test_what_a_killed_merger_had_in_hand_another_makes(lab: Lab) -> None:
    gate = hold_pushes(lab)
    victim = lab.process("victim")
    lab.merger.merge(request(stage(1, lab.plain(1))))
    wait_until(lambda: (lab.folder / "pushing").exists(), LIMIT)
    victim.send_signal(signal.SIGKILL)
    victim.wait(30)
    gate.touch()
    lab.worker()
    (done,) = lab.box.wait(1)
    assert isinstance(done.outcome, Staged)
    assert lab.app.staged() == {done.outcome.branches[-1].ref: done.outcome.branches[-1].commit}
    assert lab.box.silent(0.5, 1)


def test_a_request_outlives_the_gearman_server(lab: Lab) -> None:
    gate = hold_pushes(lab)
    lab.worker()
    lab.merger.merge(request(stage(1, lab.plain(1))))
    wait_until(lambda: (lab.folder / "pushing").exists(), LIMIT)
    host, port = lab.server.address
    lab.server.stop()
    gate.touch()
    lab.server = Server(host, port)
    lab.server.start()
    lab._ending.append(lab.server.stop)
    (done,) = lab.box.wait(1)
    assert isinstance(done.outcome, Staged)


def test_a_merger_with_another_key_is_named_as_the_trouble(lab: Lab) -> None:
    lab.worker(key=b"another")
    lab.merger.merge(request(stage(1, lab.plain(1))))
    (done,) = lab.box.wait(1)
    assert isinstance(done.outcome, MergeUnavailable)
    assert "same gearman key" in done.outcome.reason
    assert not lab.app.staged()


@pytest.mark.parametrize("payload", [b"", b"{}", b'{"payload": "{}", "signature": "0"}', b"\xff\0", b"[" * 5000])
def test_a_request_without_a_signature_is_refused(lab: Lab, payload: bytes) -> None:
    lab.worker()
    for function in (wire.MERGE, wire.DROP, wire.COLLECT):
        answer = open_sealed(KEY, lab._client.call(function, payload, LIMIT))
        assert "gearman key" in answer["error"] or "sealed envelope" in answer["error"]
    assert not lab.app.staged()


def test_dropped_refs_go_many_in_one_push(lab: Lab) -> None:
    lab.worker()
    lab.merger.merge(request(*(stage(number, lab.plain(number)) for number in range(6))))
    lab.box.wait(6)
    log = lab.folder / "pushes"
    set_hook(lab.app.scene.path, "post-receive", f"wc -l >> {log}")
    for number in range(5):
        lab.merger.drop(DropStaging(((APP, f"refs/staging/gate/k-{number}.1/main"),)))
    wait_until(lambda: len(lab.app.staged()) == 1, LIMIT)
    wait_until(lambda: log.exists() and log.read_text().split() == ["5"], LIMIT)


def test_what_a_crash_left_over_is_collected_and_nothing_else(lab: Lab) -> None:
    lab.worker(executors=2)
    for ref in ("k-1.1/main", "k-2.1/main", "k-2.1/other", "j-1.1/main", "k9-1.1/main"):
        lab.app.staging.point(f"refs/staging/gate/{ref}", lab.app.base)
    lab.merger.collect(frozenset({"k-1.1"}))
    lab.merger.merge(request(stage(3, lab.plain(3)), stage(4, lab.plain(4))))
    lab.box.wait(2)
    left = {f"refs/staging/gate/{name}/main" for name in ("k-1.1", "k-3.1", "k-4.1", "j-1.1", "k9-1.1")}
    wait_until(lambda: set(lab.app.staged()) == left, LIMIT)


def over_http(server: HttpServer, lab: Lab, timeout: float = 20.0) -> ServerConfig:
    url = server.url("app.git")
    return ServerConfig(
        lab.folder / "http-state", (GitConnection("lab", timeout=timeout),), (ProjectSettings(ProjectSpec(APP), "lab", url, url),)
    )


def test_many_changes_take_one_fetch_and_one_push(lab: Lab) -> None:
    server = HttpServer(lab.app.scene.path.parent)
    try:
        lab.worker(over_http(server, lab))
        lab.merger.merge(request(*(stage(number, lab.plain(number)) for number in range(12))))
        assert all(isinstance(done.outcome, Staged) for done in lab.box.wait(12))
        advertised = [one for one in server.requests if one.startswith("GET")]
        assert [one.rpartition("=")[2] for one in advertised] == ["git-upload-pack", "git-receive-pack"]
    finally:
        server.close()


@pytest.mark.parametrize(
    ("fault", "words"), [(Fault.HANG, "did not answer in time"), (Fault.ERROR, "500"), (Fault.NO_PUSH, "403"), (Fault.HANG_PUSH, "in time")]
)
def test_a_git_server_that_fails_makes_the_merge_unavailable_and_no_other_projects(lab: Lab, fault: Fault, words: str) -> None:
    server = HttpServer(lab.app.scene.path.parent)
    try:
        config = over_http(server, lab, 2.0)
        other = Project(lab.folder / "server", "other")
        more = config_of(lab.folder, other).projects
        lab.worker(ServerConfig(config.state, config.connections, (*config.projects, *more)))
        server.set_fault(fault)
        lab.merger.merge(request(stage(1, lab.plain(1))))
        lab.merger.merge(request(stage(2, other.change("c2", {b"x": ("100644", b"x\n")}))))
        done = {one.build_set: one.outcome for one in lab.box.wait(2)}
        failed = done["k-1.1"]
        assert isinstance(failed, MergeUnavailable)
        assert words in failed.reason
        assert isinstance(done["k-2.1"], Staged)
    finally:
        server.close()


@pytest.mark.needs("sshd", "ssh", "ssh-keygen")
def test_a_merge_over_ssh(lab: Lab, tmp_path: Path) -> None:
    with serving("ssh", tmp_path / "over-ssh") as server:
        app = Project(server.root)
        connection = GitConnection("lab", key=server.key, known_hosts=server.known_hosts)
        url = server.url("app.git")
        lab.worker(ServerConfig(tmp_path / "ssh-state", (connection,), (ProjectSettings(ProjectSpec(APP), "lab", url, url),)))
        lab.merger.merge(request(stage(1, app.change("c1", {b"x": ("100644", b"x\n")}))))
        (done,) = lab.box.wait(1)
        assert isinstance(done.outcome, Staged)
        assert app.staged()[done.outcome.branches[-1].ref] == done.outcome.branches[-1].commit


@pytest.mark.needs("gearmand")
def test_a_merge_through_a_c_gearmand(lab: Lab, tmp_path: Path) -> None:
    program, port = binary("gearmand"), free_port()
    assert program is not None
    gearmand = subprocess.Popen([program, f"--port={port}", "--listen=127.0.0.1", f"--log-file={tmp_path / 'log'}"])
    client = Client([("127.0.0.1", port)], "test-c")
    worker = MergerWorker(config_of(tmp_path / "state", lab.app), [("127.0.0.1", port)], KEY)
    merger = GearmanMerger(client, KEY, lab.box, "k")
    try:
        worker.start()
        wanted: Merge = request(stage(1, lab.plain(1)), stage(2, lab.plain(2)))
        merger.merge(wanted)
        assert all(isinstance(done.outcome, Staged) for done in lab.box.wait(2))
    finally:
        merger.stop(5)
        worker.stop(5)
        client.stop()
        gearmand.terminate()
        gearmand.wait(30)


def test_the_command_merges_until_it_is_told_to_stop(lab: Lab) -> None:
    host, port = lab.server.address
    (lab.folder / "key").write_bytes(KEY)
    text = f"""
gearman: {{servers: ["{host}:{port}"], key: "file:{lab.folder / "key"}"}}
connections: {{lab: {{url: {lab.app.scene.path.parent}}}}}
projects: {{app: {{connection: lab, path: app.git}}}}
"""
    (lab.folder / "server.yml").write_text(text)
    command = [
        sys.executable,
        "-m",
        "torii",
        "merger",
        "--server",
        str(lab.folder / "server.yml"),
        "--state",
        str(lab.folder / "alone"),
    ]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3]), "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        assert process.stdout is not None
        said = process.stdout.readline()
        assert b"Merger for 1 projects" in said, said + process.stdout.read()
        lab.merger.merge(request(stage(1, lab.plain(1))))
        (done,) = lab.box.wait(1)
        assert isinstance(done.outcome, Staged)
        with within(5):
            process.terminate()
            assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait(30)
        assert process.stdout is not None
        process.stdout.close()
