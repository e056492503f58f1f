"""What goes wrong: builds that will not end, output without end, disks that fill up, workers that die. Each ends in a clear reason."""

from __future__ import annotations

import errno
import json
import os
import secrets
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.waiting import wait_until, within
from tests.support.worker_lab import KEY, WorkerLab, alive
from torii.errors import OperatorError
from torii.gearman import Server
from torii.model.build import Result
from torii.model.job import JobDefinition
from torii.store.blobs import FolderBlobs
from torii.worker.worker import SHUTDOWN

pytestmark = pytest.mark.needs("bwrap")

DAEMON = "setsid sh -c 'trap \"\" TERM HUP INT; exec sleep {mark}' </dev/null >/dev/null 2>&1 &\n"


@pytest.fixture(params=["sandboxed", "bare"])
def start(request: pytest.FixtureRequest, lab: WorkerLab) -> Any:
    """Start a worker with a sandbox, and without one."""
    return lab.worker if request.param == "sandboxed" else lab.bare_worker


@pytest.fixture
def mark() -> str:
    """A number of seconds that only processes of this test sleep for."""
    return f"{100000 + secrets.randbelow(800000)}.{secrets.randbelow(10**9)}"


def test_a_build_that_takes_too_long_is_ended_with_everything_it_started(lab, start, mark):
    with within(15):
        run = DAEMON.format(mark=mark) + f"echo before the limit\ntrap '' TERM\nsleep {mark} | cat\nsleep {mark}\n"
        record, log = lab.build(start(), run, timeout=1)
        assert (record.result, record.detail) == (Result.TIMED_OUT, "timed out after 1 s")
        assert "before the limit\n" in log
    wait_until(lambda: not alive([mark]))


def test_a_build_that_is_stopped_is_ended_with_everything_it_started(lab, start, mark):
    worker = start()
    job = lab.define(worker, JobDefinition("job", DAEMON.format(mark=mark) * 3 + f"sleep {mark}\n"))
    build, answer = lab.submit(job)
    wait_until(lambda: len(alive([mark])) >= 4)
    assert lab.stop_build(worker, uuid=build).end() == ("complete", b"")
    assert answer.result() == "ABORTED"
    assert lab.record(build).detail == "stopped by request"
    wait_until(lambda: not alive([mark]))


def test_daemons_do_not_outlive_a_build_that_ends_by_itself(lab, start, mark):
    record, _ = lab.build(start(), DAEMON.format(mark=mark) + f"(sleep {mark} &)\n")
    assert record.result is Result.SUCCESS
    wait_until(lambda: not alive([mark]))


def test_a_build_that_forks_without_end_is_ended_whole(lab, start, mark):
    run = f'forks() {{ sleep {mark} & setsid sh -c "exec sleep {mark}" & sleep 0.01; forks; }}\nforks\n'
    record, _ = lab.build(start(), run, timeout=2)
    assert record.result is Result.TIMED_OUT
    wait_until(lambda: not alive([mark]))


def test_output_can_be_read_while_the_build_runs(lab, start):
    worker = start()
    job = lab.define(worker, JobDefinition("job", "echo first\nprintf 'no newline yet'\nwhile :; do sleep 0.1; done\n"))
    build, answer = lab.submit(job)
    wait_until(lambda: "no newline yet" in lab.log(build).replace("printf 'no newline yet'", ""))
    assert not answer.over.is_set()
    lab.stop_build(worker, uuid=build)
    assert answer.result() == "ABORTED"
    assert "no newline yet\n[torii] ABORTED" in lab.log(build).replace("printf 'no newline yet'", "") or "[torii] ABORTED" in lab.log(build)


def test_a_gigabyte_of_output_is_drained_in_bounded_memory_and_the_build_goes_on(lab):
    before = resident()
    run = "set +x; head -c 1000000000 /dev/zero | tr '\\0' 'x'; printf '\\0\\377\\033[2J'; touch done\n"
    record, log = lab.build(lab.worker(log_limit=1024 * 1024), run, artifacts=("done",), timeout=100)
    assert record.result is Result.SUCCESS
    assert record.artifacts == ("done",)
    assert len(log) < 1024 * 1024 + 2000
    assert "the log has reached its limit of 1 MiB" in log
    assert "bytes of output were not kept" in log
    assert log.endswith("[torii] SUCCESS\n")
    assert resident() - before < 64 * 1024 * 1024


def test_binary_output_is_kept_as_it_is(lab):
    worker = lab.worker()
    job = lab.define(worker, JobDefinition("job", "printf '\\000\\377\\r\\033[31m\\n'\n"))
    build, answer = lab.submit(job)
    assert answer.result() == "SUCCESS"
    assert b"\x00\xff\r\x1b[31m\n" in lab.blobs.read(f"builds/{build}/console.log")


class FullDisk(FolderBlobs):
    """A blob store whose disk is full from the moment it is told so, for the keys it is told."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.full = ""

    def refuse(self, key: str) -> None:
        if self.full and self.full in key:
            raise OperatorError(f"{key}: {os.strerror(errno.ENOSPC)}")

    def put(self, key: str, content: bytes | Path) -> None:
        self.refuse(key)
        super().put(key, content)

    def append(self, key: str) -> Any:
        self.refuse(key)
        writer, write = super().append(key), None
        write = writer.write

        def guarded(data: bytes) -> None:
            self.refuse(key)
            write(data)

        writer.write = guarded
        return writer


@pytest.mark.parametrize("full", ["console.log", "result.json", "artifacts/", "builds/"])
def test_a_full_disk_loses_the_build_with_a_reason_and_the_next_one_runs(lab, full):
    blobs = FullDisk(lab.state / "blobs")
    worker = lab.worker(blobs=blobs)
    job = lab.define(worker, JobDefinition("job", "echo some output\ntouch a\n", artifacts=("a",)))
    blobs.full = full
    build, answer = lab.submit(job)
    how, data = answer.end()
    assert (how, b"No space left" in data) == ("exception", True)
    blobs.full = ""
    if full in ("console.log", "artifacts/"):
        assert lab.record(build).result is Result.LOST
        assert "No space left" in lab.record(build).detail
    assert lab.submit(job)[1].result() == "SUCCESS"


def test_a_disk_that_fills_up_while_a_build_writes_ends_it(lab, mark):
    blobs = FullDisk(lab.state / "blobs")
    worker = lab.worker(blobs=blobs)
    job = lab.define(worker, JobDefinition("job", f"echo first\nwhile ! test -e go; do sleep 0.02; done\necho second\nsleep {mark}\n"))
    build, answer = lab.submit(job)
    wait_until(lambda: "first\n" in lab.log(build))
    blobs.full = "console.log"
    for folder in (lab.state / "workspaces" / worker.id / "builds").glob("*/workspace"):
        (folder / "go").touch()
    how, data = answer.end()
    assert (how, b"No space left" in data) == ("exception", True)
    wait_until(lambda: not alive([mark]))


def test_a_worker_that_is_stopped_ends_its_builds_within_five_seconds_and_records_nothing(lab, start, mark):
    worker = start()
    job = lab.define(worker, JobDefinition("job", f"trap '' TERM\nsleep {mark}\nsleep {mark}\n"))
    build, answer = lab.submit(job)
    wait_until(lambda: alive([mark]))
    with within(5.5):
        worker.stop()
    how, data = answer.end(1.0)
    assert (how, data.decode()) in (("exception", SHUTDOWN), ("fail", ""))
    assert not lab.blobs.exists(f"builds/{build}/result.json")
    wait_until(lambda: not alive([mark]))
    assert not (lab.state / "workspaces" / worker.id).exists()


def test_what_one_worker_lost_another_runs_anew_below_the_old_log(lab, mark):
    first = lab.worker()
    job = lab.define(first, JobDefinition("job", f"echo run\nif test -e again; then exit 0; fi\nsleep {mark}\n"))
    given = lab.parameters()
    answer = lab.ask(f"build:{job.name}", json.dumps(given).encode())
    wait_until(lambda: "\nrun\n" in lab.log(given["TORII_UUID"]))
    first.stop()
    assert answer.end()[0] in ("exception", "fail")
    second = lab.worker()
    lab.define(second, JobDefinition("job", "echo run\n"))
    assert lab.ask(f"build:{job.name}", json.dumps(given).encode()).result() == "SUCCESS"
    log = lab.log(given["TORII_UUID"])
    assert log.count("\nrun\n") == 2
    assert "an earlier attempt" in log


WORKER = """
import sys, threading
from pathlib import Path
from torii.config.settings import *
from torii.store.blobs import FolderBlobs
from torii.worker import BuildWorker
state, port, sandbox = Path(sys.argv[1]), int(sys.argv[2]), Sandbox(sys.argv[3])
settings = WorkerSettings(executors=1, sandbox=sandbox)
worker = BuildWorker(settings, [("127.0.0.1", port)], sys.argv[4].encode(), FolderBlobs(state / "blobs"), state)
worker.start()
(state / "id").write_text(worker.id)
threading.Event().wait()
"""


@pytest.mark.parametrize("sandbox", ["bubblewrap", "none"])
def test_a_worker_killed_with_9_leaves_no_process_and_its_folders_are_cleared_at_the_next_start(lab, mark, sandbox):
    command = [sys.executable, "-c", WORKER, str(lab.state), str(lab.server.port), sandbox, KEY.decode()]
    process = subprocess.Popen(command, cwd=Path(__file__).parents[3])
    try:
        known = wait_until(lambda: (lab.state / "id").exists() and (lab.state / "id").read_text(), 20)
        wait_until(lambda: f"torii:define:{known}" in lab.functions())
        fake = type("Known", (), {"id": known})
        job = lab.define(fake, JobDefinition("job", DAEMON.format(mark=mark) + f"chmod 0 .\nsleep {mark}\n"))
        _, answer = lab.submit(job)
        wait_until(lambda: len(alive([mark])) >= 2)
        process.send_signal(signal.SIGKILL)
        assert answer.end()[0] in ("fail", "exception", "lost")
        wait_until(lambda: not alive([mark]))
    finally:
        process.kill()
        process.wait(30)
    assert (lab.state / "workspaces" / known).exists()
    lab.worker()
    assert not (lab.state / "workspaces" / known).exists()


def test_a_gearman_server_that_goes_in_the_middle_of_a_build_does_not_end_it_and_the_build_is_adopted(lab):
    worker = lab.worker(executors=2)
    job = lab.define(worker, JobDefinition("job", "echo run\nwhile ! test -e go; do sleep 0.02; done\n"))
    given = json.dumps(lab.parameters()).encode()
    answer = lab.ask(f"build:{job.name}", given)
    facts = answer.started()
    port = lab.server.port
    lab.server.stop()
    assert answer.end()[0] == "lost"
    lab.server = Server("127.0.0.1", port)
    lab.server.start()
    wait_until(lambda: f"build:{job.name}" in lab.functions(), 20)
    again = lab.ask(f"build:{job.name}", given)
    assert again.started() == facts
    for folder in (lab.state / "workspaces" / worker.id / "builds").glob("*/workspace"):
        (folder / "go").touch()
    assert again.result() == "SUCCESS"


def test_the_command_runs_builds_and_stops_within_five_seconds_on_sigterm(lab, mark):
    config = lab.folder / "server.yml"
    config.write_text(f'state: {lab.state}\ngearman:\n  servers: ["127.0.0.1:{lab.server.port}"]\n')
    code = "from torii.cli.worker import command; command()"
    process = subprocess.Popen([sys.executable, "-c", code, "--server", str(config), "--label", "x"], cwd=Path(__file__).parents[3])
    try:
        (function,) = wait_until(lambda: [name for name in lab.functions() if name.startswith("torii:define:")], 20)
        fake = type("Known", (), {"id": function.removeprefix("torii:define:")})
        job = lab.define(fake, JobDefinition("job", f"trap '' TERM\nsleep {mark}\nsleep {mark}\n", label="x"))
        _, answer = lab.submit(job)
        wait_until(lambda: alive([mark]))
        with within(5.5):
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
        assert answer.end(1.0)[0] in ("fail", "exception")
        wait_until(lambda: not alive([mark]))
    finally:
        process.kill()
        process.wait(30)


def resident() -> int:
    """Return the bytes this process holds in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
