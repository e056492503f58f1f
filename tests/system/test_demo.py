"""`torii demo` as a stranger runs it: a process of its own, an empty home, no git configuration, a folder with a space in its name."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import shlex
import shutil
import signal
import struct
import subprocess
import sys
import termios
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.waiting import wait_until

LIMIT = 100.0
"""Seconds for a whole demo, on a machine that is busy with other tests."""

pytestmark = pytest.mark.timeout(180)

TABLE = (
    *("app:main/sell-tea", "app:main/clear-names", "app:main/print-receipt", "app:main/sell-juice", "app:main/cheap-tea"),
    *("library:main/check-spelling", "app@main", "library@main"),
)

# The second of the three does not call what the first renames: nothing breaks, and the story comes out wrong.
SABOTAGED = """
from dataclasses import replace
from torii.demo import projects

harmless = {"receipt.sh": "receipt() { echo thanks; }\\n", "tests/receipt.sh": "true\\n"}
sound = replace(projects.PRINT_RECEIPT, files=harmless)
projects.EDITS = tuple(sound if edit is projects.PRINT_RECEIPT else edit for edit in projects.EDITS)
projects.PRINT_RECEIPT = sound

from torii.cli import main

main()
"""

# The story cannot go on, just after somebody has asked for its end: as where Ctrl-C reaches what it depends on, too.
BROKEN_BY_THE_SIGNAL = """
import os, signal

from torii.demo.plain import PlainWorkshop
from torii.errors import OperatorError

def ask_review(self, *edits):
    os.kill(os.getpid(), signal.SIGTERM)
    raise {error}

PlainWorkshop.ask_review = ask_review

from torii.cli import main

main()
"""


@dataclass(frozen=True, slots=True)
class Played:
    """A demo that has ended: where it was run, its folder, and what it said."""

    here: Path
    folder: Path
    code: int
    said: str
    complained: str

    def git(self, project: str, *arguments: str) -> str:
        bare = self.folder / "repositories" / f"{project}.git"
        return subprocess.run(["git", "-C", bare, *arguments], capture_output=True, text=True, timeout=30, check=True).stdout.strip()

    def note(self, project: str, name: str) -> str:
        commit = subprocess.run(
            ["git", "-C", self.folder / "work" / project, "rev-parse", name], capture_output=True, text=True, timeout=30, check=True
        ).stdout.strip()
        return self.git(project, "notes", "--ref=torii", "show", commit)

    def log(self, name: str) -> str:
        return (self.folder / "logs" / name).read_text()


def strangers_environment(home: Path) -> dict[str, str]:
    """Nothing but a PATH and an empty home: no identity, no git configuration, no locale."""
    home.mkdir(parents=True)
    (home / "tmp").mkdir()
    return {"PATH": os.environ["PATH"], "HOME": str(home), "TMPDIR": str(home / "tmp")}


def play(here: Path, *arguments: str, script: str = "", folder: str = "my demo") -> Played:
    command = [sys.executable, *(["-c", script] if script else ["-m", "torii"]), "demo", folder, *arguments]
    done = subprocess.run(
        command, cwd=here, env=strangers_environment(here / "home"), capture_output=True, text=True, timeout=LIMIT, check=False
    )
    return Played(here, here / folder, done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Played:
    return play(tmp_path_factory.mktemp("somewhere"), "--svg", "my screen.svg")


def test_it_ends_well_and_says_so(played):
    assert played.complained == ""
    assert played.code == 0, played.said
    assert "Each of them came out right" in played.said


def test_every_change_is_in_the_table_and_right(played):
    assert re.findall(r"^ *(right|WRONG) +change +(\S+)", played.said, re.MULTILINE) == [("right", change) for change in TABLE]


def test_gits_own_history_is_the_one_that_had_to_come_out(played):
    titles = ["Open the tea house", "Sell tea", "Call the total what it is", 'Merge "Sell juice"']
    assert played.git("app", "log", "--first-parent", "--reverse", "--format=%s", "main").splitlines() == titles
    assert played.git("app", "show", "main:menu.txt").splitlines() == ["coffee 300", "cake 450", "tea 250", "juice 350"]
    assert "receipt" not in played.git("app", "ls-tree", "-r", "--name-only", "main")
    assert played.git("library", "log", "--format=%s", "main").splitlines() == ["Check the spelling of the README", "Open the tea house"]
    for project in ("app", "library"):
        shown = played.git(project, "log", "--graph", "--oneline", "--no-decorate", "main").splitlines()
        assert all(line.rstrip() in played.said for line in shown)


def test_what_did_not_merge_is_still_there_to_be_mended(played):
    refs = played.git("app", "for-each-ref", "--format=%(refname:short)", "refs/heads").split()
    assert sorted(refs) == ["gate/main/print-receipt", "main", "review/main/cheap-tea", "review/main/print-receipt"]


def test_the_notes_say_what_became_of_each_change(played):
    assert "Build succeeded (gate pipeline)." in played.note("app", "sell-tea")
    assert "Build failed (gate pipeline)." in played.note("app", "print-receipt")
    assert "Merge conflict (check pipeline)." in played.note("app", "cheap-tea")
    assert "menu.txt" in played.note("app", "cheap-tea")


def test_a_decision_of_note_is_a_line(played):
    lines = re.findall(r"^ *[\d.]+ s  (\w+: .*)$", played.said, re.MULTILINE)
    assert "check: app:main/sell-tea: taken into check: new patch set" in lines
    again = next(line for line in lines if "app:main/sell-juice: tested again" in line)
    assert again.startswith(
        "gate: app:main/sell-juice: tested again on top of app:main/clear-names, because app:main/print-receipt is failing"
    )
    assert any(line.startswith("gate: app:main/sell-juice: merged as ") for line in lines)


def test_each_log_is_where_the_table_says(played):
    assert "FAILED  receipt" in played.log("print-receipt/gate.unit.log")
    assert "passed  receipt" in played.log("print-receipt/check.unit.log")
    assert "Looking for words that are not English." in played.log("check-spelling/check.spelling.log")
    assert {"gate.1.unit.log", "gate.2.unit.log"} <= {path.name for path in (played.folder / "logs" / "sell-juice").iterdir()}
    named = set(re.findall(r"\b[\w.]+\.log\b", played.said.partition("What happened")[2]))
    assert named == {path.name for path in (played.folder / "logs").glob("*/*")}


def test_what_runs_after_a_merge_has_left_its_artifact(played):
    kept = [path.name for path in (played.folder / "state" / "blobs" / "builds").glob("*/artifacts/dist/*")]
    assert sorted(set(kept)) == ["app.tar", "library.tar"]


def test_its_own_log_is_a_file_in_which_nothing_went_wrong(played):
    entries = [json.loads(line) for line in (played.folder / "torii.log").read_text().splitlines()]
    assert len(entries) > 50
    assert [entry for entry in entries if entry["level"] in ("error", "critical")] == []


def test_nothing_outside_of_its_folder_is_touched(played):
    assert sorted(path.name for path in played.here.iterdir()) == ["home", "my demo", "my screen.svg"]
    assert [path.name for path in (played.here / "home").rglob("*")] == ["tmp"]


def test_the_picture_shows_the_three_in_the_gate(played):
    words = "".join(ElementTree.parse(played.here / "my screen.svg").getroot().itertext()).replace("\N{NO-BREAK SPACE}", " ")
    assert all(f"app:main/{name}" in words for name in ("clear-names", "print-receipt", "sell-juice"))


def test_a_wrong_outcome_makes_it_fail_and_say_what_differs(tmp_path):
    wrong = play(tmp_path, "--plain", "--json", script=SABOTAGED)
    assert wrong.code == 1, wrong.said + wrong.complained
    told, shown = json.loads(wrong.said), wrong.complained
    assert re.search(r"^ *WRONG +change +app:main/print-receipt", shown, re.MULTILINE)
    assert "- app:main/print-receipt: is on main, and must not be" in shown
    assert "- app:main/print-receipt: in gate it is 'merged'" in shown
    assert "my demo/torii.log" in shown
    assert not told["right"]
    (receipt,) = [one for one in told["changes"] if one["change"] == "app:main/print-receipt"]
    assert not receipt["right"]
    assert all(Path(log).is_file() for log in receipt["logs"].values())


@pytest.mark.parametrize("error", ["OperatorError('git push failed')", "FileNotFoundError(2, 'No such file', 'my demo/work')"])
def test_what_breaks_because_somebody_asked_for_the_end_is_an_interruption(tmp_path, error):
    ended = play(tmp_path, "--plain", script=BROKEN_BY_THE_SIGNAL.format(error=error))
    assert (ended.code, ended.complained) == (130, "Interrupted.\n"), ended.said
    assert json.loads((ended.folder / "torii.log").read_text().splitlines()[-1])["event"] == "the demo cannot go on"


def test_a_folder_that_is_somebody_elses_is_refused_in_a_sentence(tmp_path):
    (tmp_path / "my demo").mkdir()
    (tmp_path / "my demo" / "thesis.txt").touch()
    refused = play(tmp_path)
    assert refused.code == 2
    assert refused.said == ""
    assert re.fullmatch(r"torii: .*my demo is not empty, and no demo was ever here; name a new or an empty folder\n", refused.complained)


def test_without_what_a_gerrit_needs_it_says_so_before_it_makes_anything(tmp_path):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "git").symlink_to(str(shutil.which("git")))
    environment = {**strangers_environment(tmp_path / "home"), "PATH": str(tmp_path / "bin")}
    command = [sys.executable, "-m", "torii", "demo", "--gerrit", "my demo"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    assert re.search(r"^torii: .*(needs Java|Maven).*: (pip|sudo apt-get) install", done.stderr)
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "my demo").exists()


@contextmanager
def running(here: Path, *arguments: str, environment: Mapping[str, str]) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """Yield a demo that runs, and the file that holds what it says."""
    said = here / "said"
    with said.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "torii", "demo", *arguments], cwd=here, env=dict(environment), stdout=output, stderr=output, text=True
        )
    try:
        yield process, said
    finally:
        process.kill()
        process.wait(30)


def test_kept_it_does_what_its_own_hints_promise_and_may_run_where_another_was(played, tmp_path):
    folder = tmp_path / "kept"
    subprocess.run(["cp", "--archive", str(played.folder), str(folder)], timeout=30, check=True)
    (folder / "mine.txt").touch()
    environment = strangers_environment(tmp_path / "home")
    with running(tmp_path, "kept", "--keep", environment=environment) as (process, said):
        wait_until(lambda: "git log --notes=torii" in said.read_text() or process.poll() is not None, LIMIT)
        assert process.poll() is None, said.read_text()
        second = subprocess.run(
            [sys.executable, "-m", "torii", "demo", "kept"],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert (second.returncode, "another `torii demo` is running in" in second.stderr) == (2, True)

        hints = "\n".join(re.findall(r"^  (\S.*)$", said.read_text().partition("Torii keeps running")[2], re.MULTILINE))
        torii = f'torii() {{ {shlex.quote(sys.executable)} -m torii "$@"; }}\n'
        hints = re.sub(r"^\S*torii (?=status|explain)", "torii ", hints, flags=re.MULTILINE)
        done = subprocess.run(
            ["sh", "-ec", torii + hints], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        wait_until(lambda: "gate: app:main/sell-scones: merged as" in said.read_text(), 30)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    text = said.read_text()
    assert "Interrupted" not in text and "Traceback" not in text
    assert (folder / "mine.txt").exists()


def test_on_a_terminal_it_draws_a_screen_and_ctrl_c_gives_the_terminal_back(tmp_path):
    environment = {**strangers_environment(tmp_path / "home"), "TERM": "xterm-256color"}
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(tmp_path)
        os.execve(sys.executable, [sys.executable, "-m", "torii", "demo"], environment)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    said = bytearray()

    def drawn(what: bytes) -> bool:
        with suppress(BlockingIOError):
            said.extend(os.read(terminal, 65536))
        return what in said

    os.set_blocking(terminal, False)
    wait_until(lambda: drawn(b"building"), LIMIT)
    os.write(terminal, b"\x03")
    wait_until(lambda: drawn(b"Interrupted."), 10)
    _, status = os.waitpid(child, 0)
    os.close(terminal)
    text = said.decode()
    assert os.waitstatus_to_exitcode(status) == 130
    assert "Traceback" not in text
    assert text.index("\x1b[?1049h") < text.index("app:main/sell-tea") < text.index("\x1b[?1049l") < text.index("Interrupted.")
    wait_until(lambda: not processes_in(tmp_path), 10)


def processes_in(folder: Path) -> list[str]:
    """The command lines of the processes that name `folder`."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            line = path.read_bytes()
            if os.fsencode(folder) in line:
                found.append(line.decode(errors="replace"))
    return found
