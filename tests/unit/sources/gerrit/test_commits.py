"""One commit out of what a real git server answers, and nothing out of whatever else comes."""

from __future__ import annotations

import os
import subprocess
import zlib
from pathlib import Path
from typing import cast

import pytest

from torii.git import Mirror, Remote
from torii.model.ids import ProjectName, Sha
from torii.sources.gerrit.commits import Commit, CommitReader, commit_in, request_for
from torii.sources.gerrit.errors import GerritRefusedError, GerritUnavailableError
from torii.sources.gerrit.landed import LandedStates, State
from torii.sources.gerrit.rest import GerritRest


class Server:
    """A repository, and git's own server for it: `base`, and on it `merge`, whose second parent is `change`."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "some" / "app.git"
        self.asked: list[str] = []
        self._run("git", "init", "--quiet", "--bare", "--initial-branch=main", str(self.path))
        self.base = self.commit({"a": "1\n"})
        self.change = self.commit({"a": "1\n", "b": "2\n" * 5000}, self.base)
        self.merge = self.commit({"a": "1\n", "b": "2\n" * 5000, "c": "3\n"}, self.base, self.change)
        self.git("update-ref", "refs/heads/main", self.merge)

    def git(self, *arguments: str, given: bytes = b"") -> str:
        return self._run("git", f"--git-dir={self.path}", *arguments, given=given).decode().strip()

    def commit(self, files: dict[str, str], *parents: Sha) -> Sha:
        entries = {name: self.git("hash-object", "-w", "--stdin", given=text.encode()) for name, text in files.items()}
        tree = self.git("mktree", given="".join(f"100644 blob {blob}\t{name}\n" for name, blob in entries.items()).encode())
        return Sha(self.git("commit-tree", *(word for parent in parents for word in ("-p", parent)), "-m", "A\n\ntree of lies", tree))

    def tree(self, commit: Sha) -> Sha:
        return Sha(self.git("rev-parse", f"{commit}^{{tree}}"))

    def answer(self, request: bytes) -> bytes:
        return self._run("git", "upload-pack", "--stateless-rpc", str(self.path), given=request)

    def exchange(self, path: str, service: str, body: bytes) -> bytes:
        self.asked.append(path)
        return self.answer(body)

    def _run(self, *command: str, given: bytes = b"") -> bytes:
        env = {**os.environ, "GIT_PROTOCOL": "version=2"}
        return subprocess.run(command, input=given, capture_output=True, check=True, timeout=30, env=env).stdout


@pytest.fixture
def server(tmp_path: Path) -> Server:
    return Server(tmp_path)


def test_a_commit_is_read_with_its_tree_and_its_parents_in_order(server: Server) -> None:
    expected = Commit(server.merge, server.tree(server.merge), (server.base, server.change))
    for known in ([], [server.base], [server.base, server.change], [Sha("1" * 40)]):
        assert commit_in(server.answer(request_for(server.merge, known)), server.merge) == expected
    assert commit_in(server.answer(request_for(server.base, [])), server.base) == Commit(server.base, server.tree(server.base), ())


def test_what_is_known_is_not_sent(server: Server) -> None:
    everything, little = (len(server.answer(request_for(server.merge, known))) for known in ([], [server.base, server.change]))
    assert little < everything


def test_another_commit_is_none(server: Server) -> None:
    assert commit_in(server.answer(request_for(server.merge, [server.base])), Sha("1" * 40)) is None
    assert commit_in(server.answer(request_for(server.merge, [server.base])), Sha(server.tree(server.merge))) is None


def test_a_reply_that_is_cut_or_altered_anywhere_gives_the_commit_or_nothing(server: Server) -> None:
    reply = server.answer(request_for(server.merge, [server.base, server.change]))
    right = commit_in(reply, server.merge)
    assert right is not None
    for place in range(len(reply)):
        assert commit_in(reply[:place], server.merge) in (None, right)
        for bit in (1, 16, 128):
            altered = reply[:place] + bytes([reply[place] ^ bit]) + reply[place + 1 :]
            assert commit_in(altered, server.merge) in (None, right)


NOTHING = (
    *(b"", b"0000", b"000dpackfile\n0000", b"0018ERR nope unavailable", b"<html>", b"-001", b"000dpackfile\n0005\x01"),
    *(b"0004" * 9, b"\xff" * 99),
)


@pytest.mark.parametrize("reply", NOTHING)
def test_what_is_no_pack_is_nothing(reply: bytes) -> None:
    assert commit_in(reply, Sha("1" * 40)) is None


def test_an_object_that_unpacks_to_far_too_much_is_not_unpacked() -> None:
    bomb = b"PACK" + (2).to_bytes(4) + (1).to_bytes(4) + bytes([0x9F, 0x01]) + zlib.compress(b"\0" * 50_000_000)
    lines = b"".join(b"%04x\x01" % (len(piece) + 5) + piece for piece in (bomb[at : at + 60_000] for at in range(0, len(bomb), 60_000)))
    assert commit_in(b"000dpackfile\n" + lines + b"0000", Sha("1" * 40)) is None


def test_a_state_is_known_without_a_fetch_where_it_was_made_in_one_step(server: Server, tmp_path: Path) -> None:
    reader = CommitReader(cast(GerritRest, server), ProjectName("some/app"))
    states = LandedStates(Remote(str(server.path)), Mirror(tmp_path / "mirror.git"), reader.read)
    assert states.made_from(server.base, server.merge, [server.change]) == State(server.merge, server.tree(server.merge))
    assert states.made_from(server.change, server.merge) is None
    assert server.asked == ["some/app/git-upload-pack"] * 2
    assert not (tmp_path / "mirror.git").exists()
    assert states.tree_here(server.merge) == server.tree(server.merge)


class Refusing:
    """A Gerrit that says no, or nothing."""

    name = "review"

    def __init__(self, error: Exception) -> None:
        self.error = error
        self.asked = 0

    def exchange(self, path: str, service: str, body: bytes) -> bytes:
        self.asked += 1
        raise self.error


ANSWERS = (
    (GerritRefusedError("403", status=403, text="no git here"), 1),
    (GerritRefusedError("401", status=401, text="who are you"), 3),
    (GerritUnavailableError("502", status=502), 3),
)


@pytest.mark.parametrize(("error", "asked"), ANSWERS)
def test_a_server_that_refuses_git_is_asked_once_and_one_that_is_away_each_time(error: Exception, asked: int) -> None:
    gerrit = Refusing(error)
    reader = CommitReader(cast(GerritRest, gerrit), ProjectName("app"))
    assert [reader.read(Sha("1" * 40), []) for _ in range(3)] == [None] * 3
    assert gerrit.asked == asked
