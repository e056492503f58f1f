"""Reading, fetching and pushing over every transport, on real servers, and what happens when those fail."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.git_servers import Fault, FileServer, HttpServer, SshServer, make_repository, refuse_pushes, serving, set_hook
from tests.support.histories import Planned, Scene, run
from tests.support.waiting import wait_until, within
from torii.git import (
    ABSENT,
    Credentials,
    GitError,
    Mirror,
    Pushed,
    RefMissingError,
    RefUpdate,
    Rejected,
    Remote,
    RemoteUnavailableError,
    Stale,
    UnsafeNameError,
)
from torii.model.ids import Sha

TRANSPORTS = ["file", pytest.param("ssh", marks=pytest.mark.needs("sshd", "ssh", "ssh-keygen")), "http"]
FILES = {b"a": ("100644", b"a\n")}


class Lab:
    """A server with a repository of four commits in a line (and one beside them), a mirror, and a remote."""

    def __init__(self, server: FileServer | SshServer | HttpServer, folder: Path) -> None:
        self.server = server
        self.path = make_repository(server.root, "app.git")
        scene = Scene(self.path)
        line = [Planned({b"a": ("100644", b"%d\n" % number)}, (number - 1,) if number else ()) for number in range(4)]
        *self.line, self.beside = scene.build([*line, Planned(FILES, (0,), b"beside\n")])
        for ref in run("for-each-ref", "--format=%(refname)", cwd=self.path).stdout.decode().split():
            run("update-ref", "-d", ref, cwd=self.path)
        scene.point("refs/heads/main", self.line[1])
        scene.point("refs/heads/feature/x", self.line[2])
        scene.point("refs/changes/01/1/1", self.line[3])
        self.mirror = Mirror(folder / "mirror.git")
        self.remote = self.open()

    def open(self, timeout: float = 20.0, password: str | None = None) -> Remote:
        login = Credentials(self.server.user, password or self.server.password, self.server.key, self.server.known_hosts)
        return Remote(self.server.url("app.git"), login, timeout)

    def at(self, ref: str) -> str:
        return run("rev-parse", "--verify", "--quiet", ref, cwd=self.path, check=False).stdout.decode().strip()

    def stock(self) -> None:
        """Have everything in the mirror, as a merger would that made it."""
        run(
            "push",
            "--quiet",
            str(self.mirror.path),
            *[f"{commit}:refs/have/{commit}" for commit in (*self.line, self.beside)],
            cwd=self.path,
        )


@pytest.fixture
def lab(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Lab]:
    kind = getattr(request, "param", "file")
    user, password = ("ci", "swordfish") if kind == "http" else (None, None)
    with serving(kind, tmp_path, user=user, password=password) as server:
        made = Lab(server, tmp_path)
        made.mirror.ensure()
        yield made


everywhere = pytest.mark.parametrize("lab", TRANSPORTS, indirect=True)
over_http = pytest.mark.parametrize("lab", ["http"], indirect=True)
over_ssh = pytest.mark.parametrize("lab", [TRANSPORTS[1]], indirect=True)


@everywhere
def test_refs_are_listed_by_their_whole_names(lab: Lab) -> None:
    assert lab.remote.ls_remote(["refs/heads/*"]) == {"refs/heads/main": lab.line[1], "refs/heads/feature/x": lab.line[2]}
    assert lab.remote.ls_remote(["refs/heads/x", "refs/heads/main"]) == {"refs/heads/main": lab.line[1]}
    assert lab.remote.ls_remote()["refs/changes/01/1/1"] == lab.line[3]


@everywhere
def test_many_refs_come_in_one_fetch_with_what_they_are_at(lab: Lab) -> None:
    found = lab.remote.fetch(lab.mirror, ["refs/changes/01/1/1"], ["refs/heads/main", "refs/heads/feature/x"])
    assert found == {"refs/heads/main": lab.line[1], "refs/heads/feature/x": lab.line[2], "refs/changes/01/1/1": lab.line[3]}
    assert lab.mirror.has(*lab.line)
    assert lab.remote.fetch(lab.mirror, []) == {}
    if isinstance(lab.server, HttpServer):
        assert sum("upload-pack" in request and request.startswith("GET") for request in lab.server.requests) == 1


@everywhere
def test_every_missing_ref_is_named(lab: Lab) -> None:
    with pytest.raises(RefMissingError) as caught:
        lab.remote.fetch(lab.mirror, ["refs/changes/02/2/1", "refs/changes/01/1/1"], ["refs/heads/main", "refs/heads/none"])
    assert set(caught.value.refs) == {"refs/changes/02/2/1", "refs/heads/none"}


@everywhere
def test_a_push_tells_what_became_of_each_ref(lab: Lab) -> None:
    lab.stock()
    outcomes = lab.remote.push(
        lab.mirror,
        [
            RefUpdate("refs/heads/main", lab.line[2], lab.line[1]),
            RefUpdate("refs/heads/feature/x", lab.line[3], lab.line[0]),
            RefUpdate("refs/staging/gate/k-1.1/main", lab.beside),
            RefUpdate("refs/heads/new", lab.line[0], ABSENT),
            RefUpdate("refs/changes/01/1/1", None),
        ],
    )
    assert outcomes.pop("refs/heads/feature/x") == Stale("the remote has something else there than was expected")
    assert set(outcomes.values()) == {Pushed()}
    assert lab.at("refs/heads/main") == lab.line[2]
    assert lab.at("refs/heads/feature/x") == lab.line[2]
    assert lab.at("refs/staging/gate/k-1.1/main") == lab.beside
    assert not lab.at("refs/changes/01/1/1")


def test_nothing_goes_backwards_unless_asked_to(lab: Lab) -> None:
    lab.stock()
    back = lab.remote.push(lab.mirror, [RefUpdate("refs/heads/main", lab.beside, lab.line[1])])
    assert isinstance(back["refs/heads/main"], Rejected)
    plain = lab.remote.push(lab.mirror, [RefUpdate("refs/heads/main", lab.line[0])])
    assert isinstance(plain["refs/heads/main"], Rejected)
    assert lab.at("refs/heads/main") == lab.line[1]
    asked = lab.remote.push(lab.mirror, [RefUpdate("refs/heads/main", lab.beside, lab.line[1], rewind=True)])
    assert asked == {"refs/heads/main": Pushed()}


def test_a_ref_that_must_be_new_is_not_overwritten(lab: Lab) -> None:
    lab.stock()
    outcome = lab.remote.push(lab.mirror, [RefUpdate("refs/heads/main", lab.line[3], ABSENT)])
    assert isinstance(outcome["refs/heads/main"], Stale)
    assert lab.at("refs/heads/main") == lab.line[1]


def test_an_atomic_push_happens_whole_or_not_at_all(lab: Lab) -> None:
    lab.stock()
    updates = [RefUpdate("refs/heads/main", lab.line[2], lab.line[1]), RefUpdate("refs/heads/feature/x", lab.line[3], lab.line[1])]
    outcomes = lab.remote.push(lab.mirror, updates, atomic=True)
    assert not any(isinstance(outcome, Pushed) for outcome in outcomes.values())
    assert lab.at("refs/heads/main") == lab.line[1]
    refused = [RefUpdate("refs/heads/main", lab.line[2], lab.line[1]), RefUpdate("refs/heads/feature/x", lab.beside, lab.line[2])]
    assert {type(outcome) for outcome in lab.remote.push(lab.mirror, refused, atomic=True).values()} == {Rejected}
    assert lab.at("refs/heads/main") == lab.line[1]


def test_deleting_what_is_gone_is_no_failure(lab: Lab) -> None:
    updates = [RefUpdate(f"refs/staging/gate/k-{number}.1/main", None) for number in range(3)]
    assert set(lab.remote.push(lab.mirror, [*updates, RefUpdate("refs/changes/01/1/1", None)]).values()) == {Pushed()}
    assert not lab.at("refs/changes/01/1/1")


@everywhere
def test_a_refused_push_carries_the_servers_words(lab: Lab) -> None:
    lab.stock()
    refuse_pushes(lab.path, "the freeze is on")
    outcome = lab.remote.push(lab.mirror, [RefUpdate("refs/heads/main", lab.line[2], lab.line[1])])["refs/heads/main"]
    assert isinstance(outcome, Rejected)
    assert "hook declined" in outcome.reason
    assert "the freeze is on" in outcome.reason


def test_one_refused_ref_does_not_keep_back_the_others(lab: Lab) -> None:
    lab.stock()
    set_hook(lab.path, "update", 'test "$1" != refs/heads/main')
    updates = [RefUpdate("refs/heads/main", lab.line[2], lab.line[1]), RefUpdate("refs/heads/new", lab.line[0], ABSENT)]
    outcomes = lab.remote.push(lab.mirror, updates)
    assert isinstance(outcomes["refs/heads/main"], Rejected)
    assert outcomes["refs/heads/new"] == Pushed()


@everywhere
def test_a_server_that_is_away_is_said_to_be(lab: Lab) -> None:
    lab.server.go_away()
    with pytest.raises(RemoteUnavailableError, match="git ls-remote with"):
        lab.open(5).ls_remote()
    with pytest.raises(RemoteUnavailableError, match="git fetch with"):
        lab.open(5).fetch(lab.mirror, ["refs/heads/main"])
    with pytest.raises(RemoteUnavailableError):
        lab.open(5).push(lab.mirror, [RefUpdate("refs/heads/main", None)])
    lab.server.come_back()
    assert lab.remote.ls_remote(["refs/heads/main"])


@over_http
def test_a_server_that_answers_500_or_hangs_costs_its_time_limit(lab: Lab) -> None:
    assert isinstance(lab.server, HttpServer)
    lab.server.set_fault(Fault.ERROR)
    with pytest.raises(RemoteUnavailableError, match="500"):
        lab.remote.ls_remote()
    lab.server.set_fault(Fault.HANG)
    with within(10), pytest.raises(RemoteUnavailableError, match="did not answer in time"):
        lab.open(1.0).ls_remote()
    assert not children()


@over_ssh
def test_a_hanging_ssh_is_killed_with_its_git(lab: Lab) -> None:
    assert isinstance(lab.server, SshServer)
    lab.server.hang()
    with within(10), pytest.raises(RemoteUnavailableError, match="did not answer in time"):
        lab.open(2.0).fetch(lab.mirror, ["refs/heads/main"])
    wait_until(lambda: not children(), 5)


@over_http
def test_a_wrong_password_is_refused_and_not_shown(lab: Lab) -> None:
    with pytest.raises(RemoteUnavailableError) as caught:
        lab.open(password="guess-me-not").ls_remote()
    assert "guess-me-not" not in str(caught.value)
    assert "Z3Vlc3MtbWUtbm90" not in str(caught.value)


@over_ssh
def test_a_host_key_nobody_knows_is_refused(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "nobody").write_text("")
    login = Credentials(key=lab.server.key, known_hosts=tmp_path / "nobody")
    with pytest.raises(RemoteUnavailableError, match="Host key verification failed"):
        Remote(lab.server.url("app.git"), login, 10).ls_remote()


def test_what_a_users_git_is_configured_to_do_is_not_done(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trace = tmp_path / "trace"
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    for name in ("pre-push", "reference-transaction", "post-update"):
        (hooks / name).write_text(f"#!/bin/sh\necho {name} >> {trace}\n")
        (hooks / name).chmod(0o755)
    settings = (
        f'[core]\n hooksPath = {hooks}\n fsmonitor = "touch {trace}"\n[push]\n gpgSign = true\n followTags = true\n[fetch]\n prune = true\n'
    )
    (tmp_path / "config").write_text(settings + "[safe]\n bareRepository = explicit\n[transfer]\n hideRefs = refs/torii\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "config"))
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    assert lab.remote.fetch(lab.mirror, ["refs/changes/01/1/1"], ["refs/heads/main"])["refs/heads/main"] == lab.line[1]
    assert not trace.exists()
    assert lab.remote.push(lab.mirror, [RefUpdate("refs/heads/main", lab.line[3], lab.line[1])]) == {"refs/heads/main": Pushed()}
    # The receiving side, here the same user's, may run its own hooks.
    assert "pre-push" not in trace.read_text().split()


def test_fetches_at_the_same_time_do_not_disturb_each_other(lab: Lab) -> None:
    scene = Scene(lab.path)

    def fetch(number: int) -> Sha:
        if number % 4 == 0:  # the branch moves meanwhile
            scene.point("refs/heads/main", lab.line[number // 4 % 4])
        mirror = Mirror(lab.mirror.path)
        found = lab.open().fetch(mirror, ["refs/changes/01/1/1"], ["refs/heads/main", "refs/heads/feature/x"])
        assert mirror.has(*found.values())
        assert found["refs/changes/01/1/1"] == lab.line[3]
        return found["refs/heads/main"]

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(fetch, range(32))) <= set(lab.line)


def test_of_pushes_at_the_same_time_one_wins_a_branch(lab: Lab) -> None:
    lab.stock()

    def push(number: int) -> object:
        update = RefUpdate("refs/heads/main", lab.line[2 + number % 2], lab.line[1])
        return lab.open().push(lab.mirror, [update])["refs/heads/main"]

    with ThreadPoolExecutor(6) as pool:
        outcomes = list(pool.map(push, range(6)))
    assert any(isinstance(outcome, Pushed) for outcome in outcomes)
    assert lab.at("refs/heads/main") in lab.line[2:]
    winner = lab.line.index(Sha(lab.at("refs/heads/main"))) % 2
    assert not any(isinstance(outcome, Pushed) for number, outcome in enumerate(outcomes) if number % 2 != winner)


def test_bad_names_never_reach_git(lab: Lab) -> None:
    for ref in ("--upload-pack=touch x", "refs/heads/a..b", "refs/heads/a b", "refs/heads/-x"):
        with pytest.raises(UnsafeNameError):
            lab.remote.fetch(lab.mirror, [ref])
        with pytest.raises(UnsafeNameError):
            lab.remote.push(lab.mirror, [RefUpdate(ref, lab.line[0])])
        with pytest.raises(UnsafeNameError):
            lab.remote.ls_remote([ref])
    with pytest.raises(UnsafeNameError):
        lab.remote.push(lab.mirror, [RefUpdate("refs/heads/main", Sha("--all"))])


def test_a_name_that_is_not_utf8_is_left_out_of_the_list(lab: Lab) -> None:
    Path(os.fsdecode(os.fsencode(lab.path / "refs" / "heads") + b"/bad-\xff")).write_text(f"{lab.line[0]}\n")
    assert set(lab.remote.ls_remote(["refs/heads/*"])) == {"refs/heads/main", "refs/heads/feature/x"}


def test_an_empty_repository_has_no_refs(lab: Lab) -> None:
    make_repository(lab.server.root, "empty.git")
    remote = Remote(lab.server.url("empty.git"))
    assert remote.ls_remote() == {}
    with pytest.raises(RefMissingError):
        remote.fetch(lab.mirror, [], ["refs/heads/main"])


def test_what_is_no_repository_is_said_to_be_none(lab: Lab, tmp_path: Path) -> None:
    with pytest.raises(GitError, match="does not appear to be a git repository"):
        Remote(str(tmp_path)).ls_remote()


def children() -> list[str]:
    """Return the command lines of git and ssh processes that this process started and that still run."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if int(fields[1]) == os.getpid() and fields[0] != "Z" and command.startswith(("git ", "ssh ")):
                found.append(command)
    return found
