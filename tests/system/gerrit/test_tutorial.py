"""docs/gerrit.md is true: its tutorial, typed word for word, ends with a vote and a merge, and what it says Torii says, Torii says."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.gerrit import setup
from tests.support.waiting import wait_until
from torii import cli
from torii.testing.gerrit import GerritSite, Provision

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "gerrit.md").read_text()
TUTORIAL, REFERENCE = PAGE.partition("\n## Tutorial\n")[2].split("\n## What happens when\n")

LIMIT = 120.0
"""Seconds for one block, on a machine that is busy with other tests."""


def blocks(text: str, kind: str) -> list[str]:
    """Return the fenced blocks of `kind` in `text`."""
    return re.findall(rf"^```{kind}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


SHELL = blocks(TUTORIAL, "sh")
SETTINGS, LAB_FILE, LAB, UP, QUERY, REVIEW, LOG = (
    next(block for block in SHELL if words in block)
    for words in (">settings", ">lab.py", "python lab.py", "torii up", "gerrit query", "gerrit review", "git log")
)


class Terminal:
    """A shell in which one block is typed after the other, or one that runs for long. It ends at the first command that fails."""

    def __init__(self, folder: Path, home: Path, name: str) -> None:
        cache = setup().cache
        assert cache is not None
        environment = {"PATH": os.environ["PATH"], "HOME": str(home), "XDG_CACHE_HOME": str(cache.parent.parent), "NO_COLOR": "1"}
        self._log = home / f"{name}.log"
        with self._log.open("w") as output:
            self.process = subprocess.Popen(
                ["sh", "-e"], cwd=folder, env=environment, stdin=subprocess.PIPE, stdout=output, stderr=output, start_new_session=True
            )
        self._typed = 0

    def type(self, text: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(text.encode())
        self.process.stdin.flush()

    def said(self) -> str:
        return self._log.read_text()

    def run(self, block: str) -> str:
        """Type `block`, wait until all of it is done, and return what it said."""
        before = len(self.said())
        self._typed += 1
        mark = f"({self._typed} done)"
        self.type(f"{block}echo {shlex.quote(mark)}\n")
        wait_until(lambda: mark in self.said()[before:] or self.process.poll() is not None, LIMIT)
        assert self.process.poll() is None, f"{block}\nended with status {self.process.returncode}:\n{self.said()[before:]}"
        return self.said()[before:]

    def start(self, block: str, until: str) -> None:
        """Type `block`, which goes on, and wait until it says `until`."""
        self.type(f"exec {block.strip()}\n")
        wait_until(lambda: until in self.said() or self.process.poll() is not None, LIMIT)
        assert self.process.poll() is None, self.said()

    def close(self) -> None:
        """End what is left of it: a shell by the end of what is typed, anything else by a signal."""
        with suppress(OSError):
            self.process.stdin.close()  # type: ignore[union-attr]
        for limit, how in ((2, signal.SIGTERM), (15, signal.SIGKILL)):
            try:
                self.process.wait(limit)
                return
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, how)
        self.process.wait(30)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """What a clone of Torii has, once `./run demo` has set it up: that it does is seen by the tests of the README."""
    folder = tmp_path / "my torii"
    (folder / ".venv" / "bin").mkdir(parents=True)
    shims = {"run": "exit 0", ".venv/bin/torii": f'exec {shlex.quote(sys.executable)} -m torii "$@"'}
    shims[".venv/bin/python"] = f'exec {shlex.quote(sys.executable)} "$@"'
    for name, text in shims.items():
        (folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name).chmod(0o755)
    return folder


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Callable[[Path], Terminal]]:
    opened: list[Terminal] = []

    def open_in(folder: Path) -> Terminal:
        home = tmp_path / "home"
        home.mkdir(exist_ok=True)
        opened.append(Terminal(folder, home, f"terminal-{len(opened)}"))
        return opened[-1]

    yield open_in
    for each in reversed(opened):
        each.close()


def filled_in(site: GerritSite) -> str:
    """Return the block with the settings as whoever administers `site` would fill it in."""
    mine = {
        "https://review.example.com": site.url,
        "review.example.com": "127.0.0.1",
        "29418": str(site.ssh_port),
        "your-http-password": site.admin.password,
        "you@example.com": site.admin.email,
        "=you\n": f"={site.admin.username}\n",
        "$HOME/.ssh/id_ed25519": f"'{site.admin.key}'",
    }
    text = SETTINGS
    for example, value in mine.items():
        assert example in text
        text = text.replace(example, value)
    return text


def follow(first: Terminal, open_terminal: Callable[[], Terminal], skip: tuple[str, ...]) -> Terminal:
    """Type every block from the account on, and see what the page says is to be seen; return the terminal that Torii runs in."""
    torii = None
    for block in SHELL:
        if block in skip:
            continue
        if block == UP:
            torii = open_terminal()
            torii.start(block, "Torii is up: pages at http://127.0.0.1:")
        elif block == QUERY:
            shown = wait_until(lambda: voted(first.run(QUERY)), LIMIT, every=0.2)
            assert "Build succeeded (check pipeline).\n" in shown
        elif block == LOG:
            wait_until(lambda: "status: MERGED" in first.run(QUERY), LIMIT, every=0.2)
            assert "Have Torii test what is merged" in first.run(LOG)
        else:
            said = first.run(block)
            if "gerrit check" in block:
                assert "12 passed" in said and "`12 passed`" in TUTORIAL
            if ">server.yml" in block:  # ports that no other test has
                first.run('printf "gearman: {port: 0}\\nweb: {port: 0}\\n" >>server.yml\n')
    assert torii is not None
    return torii


def voted(shown: str) -> str:
    """Return what the query shows if the vote is among it."""
    return shown if re.search(r"type: Verified\n.*\n    *value: 1\n.*\n.*by:\n *name: Torii CI\n", shown) else ""


@pytest.mark.needs("gerrit", "ssh")
@pytest.mark.timeout(400)
def test_with_a_gerrit_of_ones_own_it_ends_with_a_vote_and_a_merge(boot_gerrit, clone, terminal):
    site = boot_gerrit(setup(Provision.NOTHING))
    first = terminal(clone)
    first.run(SHELL[0])
    first.run(filled_in(site))
    torii = follow(first, lambda: terminal(clone / "gerrit-tutorial"), (SHELL[0], SETTINGS, LAB_FILE, LAB))
    assert site.project("torii-tutorial").log() == ["Have Torii test what is merged", "Initial empty repository"]
    wait_until(lambda: site.project("torii-tutorial").refs("refs/staging/") == {}, LIMIT, every=0.2)  # they go after the merge
    wait_until(lambda: "gate: merged as " in first.run("(cd .. && torii explain review:2)\n"), LIMIT, every=0.2)
    torii.process.send_signal(signal.SIGINT)
    assert torii.process.wait(30) == 0
    assert "Traceback" not in torii.said()


@pytest.mark.needs("gerrit", "ssh")
@pytest.mark.timeout(400)
def test_without_one_the_gerrit_of_the_page_does_and_ends_when_it_is_told_to(clone, terminal):
    first = terminal(clone)
    first.run(SHELL[0])
    first.run(LAB_FILE)
    lab = terminal(clone / "gerrit-tutorial")
    lab.start(LAB, "Enter ends it.")
    written = (clone / "gerrit-tutorial" / "settings").read_text()
    assert re.findall(r"^(\w+)=", written, re.MULTILINE) == re.findall(r"^(\w+)=", SETTINGS, re.MULTILINE)
    follow(first, lambda: terminal(clone / "gerrit-tutorial"), (SHELL[0], SETTINGS, LAB_FILE, LAB))
    lab.type("\n")
    assert lab.process.wait(30) == 0


def test_what_the_page_would_have_in_a_connection_is_valid(tmp_path, capsys):
    (connection,) = re.findall(r"<<END\n(connections:.*?)^END$", TUTORIAL, re.MULTILINE | re.DOTALL)
    connection = connection.replace("$GERRIT", "https://review.example.com").replace("$SSH_HOST:$SSH_PORT", "review.example.com:29418")
    more = blocks(REFERENCE, "yaml")
    assert len(more) == 2
    for text in ["", *more]:
        file = tmp_path / "server.yml"
        file.write_text(connection.replace("    type: gerrit\n", f"    type: gerrit\n{text}"))
        assert cli.run(["validate", str(file)]) == 0, capsys.readouterr()


def test_what_the_page_says_that_torii_says_is_what_torii_says():
    source = "\n".join(path.read_text() for path in sorted((ROOT / "torii").rglob("*.py")))
    joined = re.sub(r'"\s*\n\s*f?"', "", source)
    said = re.findall(r"^\| (`.*?`) \|", REFERENCE.partition("\n## When something is wrong\n")[2], re.MULTILINE)
    assert len(said) == 24
    for row in said:
        for words in re.findall(r"`([^`]+)`", row):
            pieces = [words] if "." in words and " " not in words else re.split(r"\.\.\.|'torii'|\(|\)|\d+(?: s\b)?|Verified", words)
            for piece in (piece.strip(" ,:;") for piece in pieces):
                assert len(piece) < 4 or piece in joined, f"{piece!r} of {row}"
