"""200 jobs of one `torii.yml` in a Jenkins: a sync with nothing to do, and the first one, against `jenkins-jobs update`.

The figure is of a Torii that runs and has synced once, as its scheduler does it: the branches are asked for, the jobs are listed, and
nothing is to be done. Jenkins Job Builder has no such thing: its command is run from its start to its end, on the same jobs (the YAML that
`torii sync-jobs --out` wrote), and posts every job each time. What the command `torii sync-jobs` takes, from start to end as well, is
printed beside; most of that is Python loading modules. The first time is measured of both as commands. All on the fake Jenkins.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from benchmarks.measurement import Measurement
from torii.config.server import load_server
from torii.jenkins import Controller
from torii.jobs.look import look
from torii.jobs.team import open_library
from torii.jobs.wanted import WantedReader
from torii.model.ids import ProjectName
from torii.testing.jenkins import FakeJenkins

JOBS = 200
ROUNDS = 3
LIMIT = 0.5
TIMES = 5.0
WORKERS = 4


def run(jobs: int = JOBS, rounds: int = ROUNDS) -> Measurement:
    """Measure, and return the seconds of a sync that finds nothing to do (the median of the rounds)."""
    with tempfile.TemporaryDirectory(prefix="torii-benchmark-") as name:
        folder = Path(name)
        _repository(folder / "app.git", jobs)
        first, first_floor = _first(folder, jobs, rounds)
        with FakeJenkins(folder / "settled") as fake:
            server = _server(folder, fake)
            _torii(server)
            _torii(server, "--out", str(folder / "out"))
            _jjb(folder, fake, 1)
            times = [(_torii(server), _jjb(folder, fake, 1)) for _ in range(rounds)]
            figure = _running(server, rounds)
    command, floor = median(ours for ours, _ in times), median(theirs for _, theirs in times)
    print(
        f"{jobs} jobs, nothing to do: a Torii that runs {figure:.3f} s, torii sync-jobs {command:.2f} s, jenkins-jobs update {floor:.2f} s"
    )
    print(f"{jobs} jobs, the first time: torii sync-jobs {first:.2f} s, JJB with {WORKERS} workers {first_floor:.2f} s")
    target = f"at most {LIMIT} s and 1/{TIMES:g} of jenkins-jobs update; the first time no slower than with {WORKERS} workers"
    held = figure <= LIMIT and figure <= floor / TIMES and first <= first_floor
    return Measurement("sync", figure, "s", floor, figure / floor, target, held)


def _first(folder: Path, jobs: int, rounds: int) -> tuple[float, float]:
    """Return the seconds (the medians) in which a Jenkins without any gets all jobs, from Torii and from Jenkins Job Builder."""
    ours, theirs = [], []
    for number in range(rounds):
        with FakeJenkins(folder / f"ours-{number}") as fake:
            ours.append(_torii(_server(folder, fake, f"state-{number}")))
            assert len(fake.jobs) == jobs, f"{len(fake.jobs)} jobs were made"
            _torii(_server(folder, fake, f"state-{number}"), "--out", str(folder / "out"))
        with FakeJenkins(folder / f"theirs-{number}") as fake:
            theirs.append(_jjb(folder, fake, WORKERS))
            assert len(fake.jobs) == jobs, f"{len(fake.jobs)} jobs were made"
    return median(ours), median(theirs)


def _running(server: Path, rounds: int) -> float:
    """Return the seconds (the median) in which a Torii that runs finds that there is nothing to do."""
    config = load_server(server)
    controller, library, reader = Controller(config.jenkins[0]), open_library(config), WantedReader(config)
    times = []
    for _ in range(rounds + 1):  # the first reads the torii.yml and opens a connection
        began = time.perf_counter()
        found = look(controller, reader.read([ProjectName("app")]), library)
        times.append(time.perf_counter() - began)
        assert not found.plan.steps, "there was something to do"
    controller.close()
    return median(times[1:])


def _server(folder: Path, fake: FakeJenkins, state: str = "state") -> Path:
    (folder / "token").write_text(fake.token)
    said = {
        "state": str(folder / state),
        "jenkins": {"ci": {"url": fake.url, "user": fake.user, "token": f"file:{folder / 'token'}"}},
        "projects": {"app": {"url": str(folder / "app.git")}},
    }
    path = folder / "server.yml"
    path.write_text(json.dumps(said))
    return path


def _torii(server: Path, *options: str) -> float:
    return _timed([sys.executable, "-m", "torii", "sync-jobs", "--server", str(server), *options])


def _jjb(folder: Path, fake: FakeJenkins, workers: int) -> float:
    ini = folder / "jenkins_jobs.ini"
    ini.write_text(f"[jenkins]\nurl={fake.url}/\nuser={fake.user}\npassword={fake.token}\nquery_plugins_info=False\n")
    command = str(Path(sys.executable).parent / "jenkins-jobs")
    return _timed([command, "--conf", str(ini), "--ignore-cache", "update", "--workers", str(workers), str(folder / "out" / "ci")])


def _timed(line: Sequence[str]) -> float:
    began = time.perf_counter()
    done = subprocess.run(line, capture_output=True, text=True, timeout=300, check=False)
    taken = time.perf_counter() - began
    assert done.returncode == 0, done.stdout + done.stderr
    return taken


def _repository(path: Path, jobs: int) -> None:
    entries = [
        f"  unit-{number}:\n    run: |\n      echo {number}\n      make -C part{number} check\n    environment: {{label: linux}}\n"
        f"    reports: {{junit: report.xml}}\n    artifacts: ['dist/*']\n"
        for number in range(jobs)
    ]
    text = f"jobs:\n{''.join(entries)}pipelines:\n  check: [{', '.join(f'unit-{number}' for number in range(jobs))}]\n"
    lines = "commit refs/heads/main\ncommitter Dev <dev@example.com> 1700000000 +0000\ndata 4\nmade\n"
    lines += f"M 100644 inline torii.yml\ndata {len(text)}\n{text}\n"
    subprocess.run(["git", "init", "--quiet", "--bare", str(path)], check=True, timeout=60)
    subprocess.run(["git", "fast-import", "--quiet"], input=lines, cwd=path, text=True, check=True, timeout=60)
