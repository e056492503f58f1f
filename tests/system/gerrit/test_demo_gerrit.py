"""`torii demo --gerrit` as a stranger runs it: a process of its own, an empty home, a folder with a space in its name."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.support.gerrit import setup
from tests.support.waiting import wait_until
from torii.demo.place import occupied

LIMIT = 150.0
"""Seconds for a whole demo, on a machine that is busy with other tests."""

STOP_LIMIT = 60.0
"""Seconds for its end, on such a machine: what is promised, 5 s on an idle one, is judged in tests/system/test_cli_processes.py."""

NAMES = ("sell-tea", "clear-names", "print-receipt", "sell-juice", "cheap-tea", "check-spelling")
"""The changes in the order in which they are pushed, which is that of their numbers."""

pytestmark = [pytest.mark.needs("gerrit"), pytest.mark.timeout(300)]


@contextmanager
def playing(here: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """Yield a demo that is being played, and the file that holds what it says."""
    cache = setup().cache
    assert cache is not None
    home = here / "home"
    home.mkdir()
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "XDG_CACHE_HOME": str(cache.parent.parent)}
    said = here / "said"
    with said.open("w") as output:
        command = [sys.executable, "-m", "torii", "demo", "--gerrit", "my demo", *arguments]
        process = subprocess.Popen(command, cwd=here, env=environment, stdout=output, stderr=output, text=True)
    try:
        yield process, said
    finally:
        process.kill()
        process.wait(30)


def processes_of(folder: Path) -> list[str]:
    """The command lines of the processes that name `folder`."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            line = path.read_bytes()
            if os.fsencode(folder) in line:
                found.append(line.decode(errors="replace"))
    return found


def git(repository: Path, *arguments: str) -> str:
    return subprocess.run(["git", "-C", repository, *arguments], capture_output=True, text=True, timeout=30, check=True).stdout.strip()


def test_the_story_comes_out_right_and_kept_it_does_what_its_own_hints_promise(tmp_path):
    folder = tmp_path / "my demo"
    with playing(tmp_path, "--keep", "--svg", "screen.svg") as (process, said):
        wait_until(lambda: "Read what Torii wrote" in said.read_text() or process.poll() is not None, LIMIT)
        assert process.poll() is None, said.read_text()
        text = said.read_text()
        assert "Booting Gerrit " in text
        assert "Each of them came out right" in text, text
        numbered = [f"gerrit:{number}" for number, _ in enumerate(NAMES, 1)]
        assert re.findall(r"^ *(right|WRONG) +change +(\S+)", text, re.MULTILINE) == [
            ("right", change) for change in [numbered[0], *numbered[1:4], *numbered[4:], "app@main", "library@main"]
        ]
        assert_gits_own_history(folder)

        hints = "\n".join(re.findall(r"^  (\S.*)$", text.partition("Torii keeps running")[2], re.MULTILINE))
        torii = f'torii() {{ {shlex.quote(sys.executable)} -m torii "$@"; }}\n'
        hints = re.sub(r"^\S*torii (?=status|explain)", "torii ", hints, flags=re.MULTILINE)
        done = subprocess.run(["sh", "-ec", torii + hints], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        wait_until(lambda: re.search(r"gate: gerrit:7\b.*: merged as", said.read_text()), 60)
        process.send_signal(signal.SIGINT)
        assert process.wait(STOP_LIMIT) == 0, said.read_text()
    assert "Traceback" not in said.read_text()
    assert processes_of(folder) == []
    picture = (tmp_path / "screen.svg").read_text().replace("&#160;", " ")
    assert all(f"gerrit:{number}" in picture for number in (2, 3, 4)) and "Print a receipt" in picture


def assert_gits_own_history(folder: Path) -> None:
    repositories = folder / "gerrit" / "site" / "git"
    titles = ["Open the tea house", "Sell tea", "Call the total what it is", 'Merge "Sell juice" into main']
    assert git(repositories / "app.git", "log", "--first-parent", "--reverse", "--format=%s", "main").splitlines() == titles
    assert git(repositories / "app.git", "show", "main:menu.txt").splitlines() == ["coffee 300", "cake 450", "tea 250", "juice 350"]
    assert git(repositories / "app.git", "for-each-ref", "refs/staging/") == ""
    assert git(repositories / "library.git", "log", "-1", "--format=%s", "main") == "Check the spelling of the README"


def test_asked_to_end_it_takes_its_gerrit_along(tmp_path):
    with playing(tmp_path, "--plain") as (process, said):
        wait_until(lambda: "1 of 4" in said.read_text() or process.poll() is not None, LIMIT)
        assert process.poll() is None, said.read_text()
        process.send_signal(signal.SIGTERM)
        assert process.wait(STOP_LIMIT) == 130, said.read_text()
    assert "Traceback" not in said.read_text()
    assert processes_of(tmp_path) == []


def test_asked_to_end_while_its_gerrit_boots_it_waits_for_nothing_more(tmp_path):
    with playing(tmp_path, "--plain") as (process, said):
        wait_until(lambda: processes_of(tmp_path / "my demo" / "gerrit") or process.poll() is not None, LIMIT)
        process.send_signal(signal.SIGTERM)
        assert process.wait(STOP_LIMIT) == 130, said.read_text()
    assert "Booting" in said.read_text() and "Setting up" not in said.read_text()
    assert processes_of(tmp_path) == []


def test_what_a_killed_demo_left_running_is_ended_by_the_next(tmp_path):
    with playing(tmp_path, "--plain") as (process, said):
        wait_until(lambda: "Setting up" in said.read_text() or process.poll() is not None, LIMIT)
        assert process.poll() is None, said.read_text()
        process.kill()
        process.wait(30)
    assert processes_of(tmp_path / "my demo" / "gerrit") != []
    with occupied(tmp_path / "my demo") as place:
        assert processes_of(place.gerrit) == []
        assert not place.gerrit.exists()
