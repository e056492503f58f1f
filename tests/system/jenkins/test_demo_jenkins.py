"""`torii demo --jenkins` as a user runs it: a process of its own, an empty home, a folder with a space in its name, a fake Jenkins."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.gerrit import setup
from tests.support.waiting import free_port, wait_until
from torii.demo.jenkins_venue import owner_of
from torii.gearman import Server
from torii.jobs.marks import Mark, read_mark, with_mark
from torii.testing.jenkins import FakeJenkins, FakeNode, job_xml

LIMIT = 150.0
"""Seconds for a whole demo, on a machine that is busy with other tests."""

STOP_LIMIT = 60.0
NODES = (FakeNode("agent1", ("linux",), executors=3), FakeNode("agent2", ("linux",), executors=3))
FOLDER = "my team"
TITLES = ["Open the tea house", "Sell tea", "Call the total what it is", 'Merge "Sell juice"']
TABLE = (
    *("app:main/sell-tea", "app:main/clear-names", "app:main/print-receipt", "app:main/sell-juice", "app:main/cheap-tea"),
    *("library:main/check-spelling", "app@main", "library@main"),
)

pytestmark = pytest.mark.timeout(400)


@dataclass(frozen=True, slots=True)
class Playing:
    """A demo that is being played in `here`."""

    here: Path
    process: subprocess.Popen[str]

    @property
    def folder(self) -> Path:
        return self.here / "my demo"

    @property
    def said(self) -> str:
        return (self.here / "said").read_text()

    def until(self, words: str) -> str:
        """Wait until it has said `words`, and return all that it has said."""
        wait_until(lambda: words in self.said or self.process.poll() is not None, LIMIT)
        assert words in self.said, self.said
        return self.said

    def end(self, limit: float = STOP_LIMIT) -> int:
        """Wait for its end and return its status."""
        wait_until(lambda: self.process.poll() is not None, limit)
        return self.process.returncode


@contextmanager
def playing(here: Path, fake: FakeJenkins, *arguments: str, **environment: str) -> Iterator[Playing]:
    """Yield a demo on `fake`, whose token is in a file beside it."""
    home = here / "home"
    home.mkdir(exist_ok=True)
    (here / "my token").write_text(f"{fake.token}\n")
    command = [sys.executable, "-m", "torii", "demo", "my demo", "--jenkins", fake.url, "--jenkins-token", "file:my token"]
    with (here / "said").open("w") as output:
        process = subprocess.Popen(
            [*command, "--jenkins-folder", FOLDER, *arguments],
            cwd=here,
            env={"PATH": os.environ["PATH"], "HOME": str(home), **environment},
            stdout=output,
            stderr=output,
            text=True,
        )
    try:
        yield Playing(here, process)
    finally:
        process.kill()
        process.wait(30)


@contextmanager
def jenkins(tmp_path: Path, gearman: Sequence[tuple[str, int]] = ()) -> Iterator[FakeJenkins]:
    """Yield a Jenkins that has a folder with a job of another Torii, and one that no Torii made."""
    with FakeJenkins(tmp_path / "jenkins", gearman=gearman, nodes=NODES) as fake:
        fake.add_folder(FOLDER)
        fake.add_job(f"{FOLDER}/mine", job_xml("true"))
        others = Mark("torii", "web", "main", "unit", "0" * 32)
        fake.add_job(f"{FOLDER}/web--main--unit", job_xml("true", description=with_mark("", others)))
        yield fake


OTHERS = {FOLDER, f"{FOLDER}/mine", f"{FOLDER}/web--main--unit"}


def demos_jobs(fake: FakeJenkins) -> set[str]:
    return set(fake.jobs) - OTHERS


def git(repository: Path, *arguments: str) -> str:
    return subprocess.run(["git", "-C", repository, *arguments], capture_output=True, text=True, timeout=30, check=True).stdout.strip()


def assert_right(demo: Playing) -> None:
    """It says that all is right, and git says so, too."""
    text = demo.said
    assert "Each of them came out right" in text, text
    assert re.findall(r"^ *(right|WRONG) +change +(\S+)", text, re.MULTILINE) == [("right", change) for change in TABLE]
    app = demo.folder / "repositories" / "app.git"
    assert git(app, "log", "--first-parent", "--reverse", "--format=%s", "main").splitlines() == TITLES
    assert git(app, "show", "main:menu.txt").splitlines() == ["coffee 300", "cake 450", "tea 250", "juice 350"]
    assert git(app, "for-each-ref", "refs/staging/") == ""


def log_of(demo: Playing, name: str) -> str:
    return (demo.folder / "logs" / name).read_text()


def test_by_rest_the_story_comes_out_right_and_kept_it_does_what_its_hints_promise(tmp_path):
    with jenkins(tmp_path) as fake, playing(tmp_path, fake, "--keep", "--svg", "screen.svg") as demo:
        text = demo.until("Read what Torii wrote")
        assert_right(demo)
        assert f"Builds run in the Jenkins at {fake.url}, started by its REST API" in text
        marks = [read_mark(job.config.description) for name, job in fake.jobs.items() if name not in OTHERS]
        assert {mark.owner if mark else "" for mark in marks} == {owner_of(demo.folder)}
        assert {f"{FOLDER}/app--main--unit", f"{FOLDER}/library--main--spelling"} <= demos_jobs(fake)

        hints = "\n".join(re.findall(r"^  (\S.*)$", text.partition("Torii keeps running")[2], re.MULTILINE))
        torii = f'torii() {{ {shlex.quote(sys.executable)} -m torii "$@"; }}\n'
        hints = re.sub(r"^\S*torii (?=status|explain)", "torii ", hints, flags=re.MULTILINE)
        done = subprocess.run(["sh", "-ec", torii + hints], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        demo.until("gate: app:main/sell-scones: merged as")
        demo.process.send_signal(signal.SIGINT)
        assert demo.end() == 0, demo.said
        assert demos_jobs(fake) == set()
        assert re.search(r"^Removed \d+ jobs of the demo's from the Jenkins", demo.said, re.MULTILINE)
    assert "Traceback" not in demo.said
    picture = (tmp_path / "screen.svg").read_text().replace("&#160;", " ")
    assert all(f"app:main/{name}" in picture for name in ("clear-names", "print-receipt", "sell-juice"))


def test_what_jenkins_says_is_in_the_store_and_the_token_is_nowhere(tmp_path):
    with jenkins(tmp_path) as fake, playing(tmp_path, fake, "--plain") as demo:
        assert demo.end(LIMIT) == 0, demo.said
        assert_right(demo)
        token = fake.token
    failed = log_of(demo, "print-receipt/gate.unit.log")
    assert "FAILED  receipt" in failed
    assert "Building remotely on agent" in failed
    assert "passed  receipt" in log_of(demo, "print-receipt/check.unit.log")
    assert "Looking for words that are not English." in log_of(demo, "check-spelling/check.spelling.log")
    kept = [path.name for path in (demo.folder / "state" / "blobs" / "builds").glob("*/artifacts/dist/*")]
    assert sorted(set(kept)) == ["app.tar", "library.tar"]
    entries = [json.loads(line) for line in (demo.folder / "torii.log").read_text().splitlines()]
    assert [entry for entry in entries if entry["level"] in ("error", "critical")] == []
    files = [path for path in demo.folder.rglob("*") if path.is_file()]
    assert [path for path in files if token.encode() in path.read_bytes()] == []
    assert token not in demo.said


def test_through_gearman_the_story_comes_out_right_too_with_the_server_that_torii_has_itself(tmp_path):
    port = free_port()
    with jenkins(tmp_path, [("127.0.0.1", port)]) as fake, playing(tmp_path, fake, "--plain", "--jenkins-gearman", str(port)) as demo:
        assert demo.end(LIMIT) == 0, demo.said
        assert_right(demo)
        assert f"started by its Gearman plug-in, through 127.0.0.1:{port}" in demo.said
        assert demos_jobs(fake) == set()
        assert not [target for method, target in fake.requests("buildWithParameters") if method == "POST" and "torii-check" not in target]


def test_through_gearman_with_a_server_that_is_there_already(tmp_path):
    server = Server("127.0.0.1", 0)
    server.start()
    try:
        where = f"127.0.0.1:{server.address[1]}"
        with jenkins(tmp_path, [server.address]) as fake, playing(tmp_path, fake, "--plain", "--jenkins-gearman", where) as demo:
            assert demo.end(LIMIT) == 0, demo.said
            assert_right(demo)
            assert demos_jobs(fake) == set()
            assert f'servers: ["{where}"]' in (demo.folder / "server.yml").read_text()
    finally:
        server.stop()


@pytest.mark.needs("gerrit")
@pytest.mark.parametrize("by_gearman", [False, True], ids=["rest", "gearman"])
def test_on_a_gerrit_builds_fetch_from_it_and_the_story_comes_out_right(tmp_path, by_gearman):
    cache = setup().cache
    assert cache is not None
    port = free_port()
    servers, options = ([("127.0.0.1", port)], ["--jenkins-gearman", str(port)]) if by_gearman else ([], [])
    with (
        jenkins(tmp_path, servers) as fake,
        playing(tmp_path, fake, "--gerrit", "--plain", *options, XDG_CACHE_HOME=str(cache.parent.parent)) as demo,
    ):
        assert demo.end(LIMIT) == 0, demo.said
        assert "Each of them came out right" in demo.said
        assert len(re.findall(r"^ *right +change +(\S+)", demo.said, re.MULTILINE)) == len(TABLE)
        assert demos_jobs(fake) == set()
    repository = demo.folder / "gerrit" / "site" / "git" / "app.git"
    assert git(repository, "log", "--first-parent", "--reverse", "--format=%s", "main").splitlines()[:3] == TITLES[:3]
    assert "Building remotely on agent" in log_of(demo, "print-receipt/gate.unit.log")


def test_asked_to_end_it_takes_its_jobs_and_what_runs_of_them_along(tmp_path):
    with jenkins(tmp_path) as fake:
        fake.hold()
        with playing(tmp_path, fake, "--plain") as demo:
            wait_until(lambda: fake.running() or demo.process.poll() is not None, LIMIT)
            assert demo.process.poll() is None, demo.said
            demo.process.send_signal(signal.SIGINT)
            assert demo.end() == 130, demo.said
        assert demos_jobs(fake) == set()
        wait_until(lambda: not fake.running() and not fake.queue(), STOP_LIMIT)
    assert "Removed " in demo.said and demo.said.endswith("Interrupted.\n")
    assert "Traceback" not in demo.said


def test_what_a_killed_demo_left_is_removed_by_the_next(tmp_path):
    with jenkins(tmp_path) as fake:
        fake.hold()
        with playing(tmp_path, fake, "--plain") as demo:
            wait_until(lambda: fake.running() or demo.process.poll() is not None, LIMIT)
            demo.process.kill()
            demo.end()
        left = demos_jobs(fake)
        assert left != set()
        with playing(tmp_path, fake, "--plain") as demo:
            demo.until(f"Removed {len(left)} jobs that an earlier demo left in the Jenkins at {fake.url}")
            demo.until("1 of 4")
            demo.process.send_signal(signal.SIGTERM)
            assert demo.end() == 130, demo.said
        assert demos_jobs(fake) == set()


def test_another_demo_does_not_take_the_jobs_of_one_that_is_played(tmp_path):
    with jenkins(tmp_path) as fake:
        fake.hold()
        (tmp_path / "elsewhere").mkdir()
        with playing(tmp_path, fake, "--plain") as demo:
            wait_until(lambda: fake.running() or demo.process.poll() is not None, LIMIT)
            jobs = demos_jobs(fake)
            with playing(tmp_path / "elsewhere", fake, "--plain") as second:
                assert second.end() == 1
            assert "it has the jobs of another demo (app--main--" in second.said
            assert not second.folder.exists()
            assert jobs <= demos_jobs(fake)
            assert demo.process.poll() is None


def test_where_it_failed_its_jobs_are_removed_all_the_same(tmp_path):
    with jenkins(tmp_path) as fake:
        fake.instant("FAILURE", f"{FOLDER}/app--main--lint")
        with playing(tmp_path, fake, "--plain") as demo:
            assert demo.end(LIMIT) == 1, demo.said
        assert demos_jobs(fake) == set()
    assert re.search(r"^ *WRONG +change +app:main/sell-tea", demo.said, re.MULTILINE)
    assert "The story did not come out right" in demo.said


def test_jobs_that_cannot_be_removed_are_named_and_it_ends_with_1_though_all_was_right(tmp_path):
    with jenkins(tmp_path) as fake, playing(tmp_path, fake, "--plain") as demo:
        demo.until("2 of 4")
        fake.allow("Overall/Read", "Job/Read", "Job/Create", "Job/Configure", "Job/Build", "Job/Cancel")
        assert demo.end(LIMIT) == 1, demo.said
        assert_right(demo)
        left = demos_jobs(fake)
    assert f"torii: {len(left)} jobs of the demo's could not be removed from the Jenkins at {fake.url} (app--main--" in demo.said
    assert "Job/Delete" in demo.said
    assert "run the demo in the same folder again, which does so first" in demo.said


def test_with_a_jenkins_that_has_gone_away_it_ends_all_the_same_and_says_what_may_be_there(tmp_path):
    with jenkins(tmp_path) as fake:
        fake.hold()
        with playing(tmp_path, fake, "--plain") as demo:
            wait_until(lambda: fake.running() or demo.process.poll() is not None, LIMIT)
            fake.down()
            demo.process.send_signal(signal.SIGINT)
            assert demo.end() == 130, demo.said
    assert f"the demo's jobs may still be in the Jenkins at {fake.url}" in demo.said
    assert "Traceback" not in demo.said


def test_what_is_missing_is_told_before_anything_is_made(tmp_path):
    with jenkins(tmp_path) as fake:
        del fake.plugins["git"]
        with playing(tmp_path, fake) as demo:
            assert demo.end() == 1
        assert demos_jobs(fake) == set()
    assert demo.said.startswith(f"torii: the demo cannot be played on the Jenkins at {fake.url}:\n- plug-in git: ")
    assert not demo.folder.exists()


def test_a_jenkins_that_is_not_there_is_told_before_anything_is_made(tmp_path):
    with jenkins(tmp_path) as fake:
        fake.down()
        with playing(tmp_path, fake) as demo:
            assert demo.end() == 1
    assert re.match(rf"torii: the demo cannot be played on the Jenkins at {fake.url}:\n- connection: .*refuse", demo.said)
    assert not demo.folder.exists()


def test_a_token_on_the_command_line_is_refused_and_not_repeated(tmp_path):
    with jenkins(tmp_path) as fake:
        with playing(tmp_path, fake, "--jenkins-token", fake.token) as demo:
            assert demo.end() == 2
        assert fake.token not in demo.said
    assert demo.said.startswith("torii: --jenkins-token: a secret must not stand here itself")
    assert not demo.folder.exists()
