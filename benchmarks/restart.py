"""A kill -9 with 1,000 items queued: the time from the start of `torii up` until it asks for the first thing that was under way.

The store is as such a kill leaves it at the worst moment: just before a snapshot is due, so that every event since the last is stepped
anew. The floor is a Python that reads the same snapshot and events with `sqlite3` and `json`, and no more.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from benchmarks.long_queue import LongQueue
from benchmarks.measurement import Measurement
from benchmarks.scene import Repository, until
from torii.gate import SNAPSHOT_FORMAT
from torii.gearman import GearmanUnavailableError, Server
from torii.gearman.admin import functions
from torii.merger import wire
from torii.runtime.journalled import snapshot_after
from torii.store.codec import encode
from torii.store.store import open_store

ITEMS = 1000
ROUNDS = 5
TARGET = 2.0
READ = """
import json, sqlite3, sys, zlib
database = sqlite3.connect(sys.argv[1])
seq, body = database.execute("select seq, body from snapshots order by seq desc limit 1").fetchone()
json.loads(zlib.decompress(body))
for row in database.execute("select body from journal where seq > ? order by seq", (seq,)):
    json.loads(row[0])
"""


def run(items: int = ITEMS, rounds: int = ROUNDS) -> Measurement:
    """Measure, and return seconds from the start of the process to the first command (the median)."""
    with tempfile.TemporaryDirectory(prefix="torii-benchmark-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        events = _write_state(folder, items)
        figures, floors = [], []
        _restart(folder)  # an installed package has its bytecode; a first start makes it where Python was told to make none
        for _ in range(rounds):
            floors.append(_read_by_hand(folder / "killed" / "torii.db"))
            figures.append(_restart(folder))
    figure, floor = median(wall for wall, _ in figures), median(floors)
    worked = median(processor for _, processor in figures)
    print(f"reading the store by hand {floor:.2f} s; {items} items, {events} events to step")
    print(f"Torii {figure:.2f} s to the first command, in which it had the processor for {worked:.2f} s")
    return Measurement("restart", figure, "s", floor, figure / floor, f"at most {TARGET} s", figure <= TARGET)


def _write_state(folder: Path, items: int) -> int:
    """Make a store with `items` in the queue, a snapshot of a while ago, and as many events since as there may be; return their number."""
    Repository(folder / "app.git", "true", ("gate",))
    queue = LongQueue(items)
    lab = queue.lab
    state = folder / "killed"
    state.mkdir()
    at_least = snapshot_after(items) - 50
    snapshot, since = encode(lab.gate.state), len(lab.journal)
    while len(lab.journal) < since + at_least:
        queue.turn()
    # The head's answer is still to come, and those behind wait for it: what is under way must be asked for again.
    with open_store(state / "torii.db", state / "blobs") as store:
        store.append(lab.journal[:since])
        store.save_snapshot(since, SNAPSHOT_FORMAT, snapshot)
        store.append(lab.journal[since:])
    return len(lab.journal) - since


def _read_by_hand(database: Path) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", READ, str(database)], timeout=300, check=True)
    return time.perf_counter() - began


def _restart(folder: Path) -> tuple[float, float]:
    """Start Torii on what the kill left. Return the seconds until it asks for a merge or a build, and those in which it was at work.

    The Gearman server that it asks runs here.
    """
    shutil.copytree(folder / "killed", folder / "state")
    server = Server()
    server.start()
    process: subprocess.Popen[bytes] | None = None
    document = {
        "state": "state",
        "gearman": {"servers": [f"127.0.0.1:{server.port}"]},
        "web": {"port": 0},
        "connections": {"local": {"poll": "1h"}},
        "projects": {"app": {"url": str(folder / "app.git"), "pipelines": ["gate"]}},
    }
    (folder / "server.yml").write_text(json.dumps(document))
    try:
        with (folder / "torii.log").open("ab") as log:
            command = [sys.executable, "-m", "torii", "up", "--server", str(folder / "server.yml")]
            began = time.perf_counter()
            process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, env=_environment(folder), start_new_session=True)
        until(lambda: _asked(server.address), "Torii asks for something", pause=0.005)
        return time.perf_counter() - began, _processor(process.pid)
    finally:
        if process is not None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)
        server.stop()
        shutil.rmtree(folder / "state")


def _environment(folder: Path) -> dict[str, str]:
    """Return an environment in which Python keeps bytecode in `folder`, whatever ours says about it."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"} | {
        "PYTHONPYCACHEPREFIX": str(folder / "bytecode")
    }


def _asked(server: tuple[str, int]) -> bool:
    """Say whether a merge or a build is asked for."""
    try:
        found = functions(server, 5.0)
    except GearmanUnavailableError:
        return False
    return any(status.queued for name, status in found.items() if name == wire.MERGE or name.startswith("build:"))


def _processor(pid: int) -> float:
    """Return the seconds for which a process had the processor, in user mode and for it in the kernel (see proc(5))."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
