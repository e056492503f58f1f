"""The demo's git server, asked by git itself and by peers that mean no good."""

from __future__ import annotations

import gzip
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.support.git_servers import git, make_repository
from tests.support.waiting import free_port, wait_until
from torii.demo.git_http import AT_ONCE, USER, GitHttp
from torii.errors import OperatorError
from torii.git import ABSENT, Credentials, Mirror, Pushed, RefUpdate, Rejected, Remote, RemoteUnavailableError

STAGING = "refs/staging/check/x-1.1/main"
LIMIT = 30.0


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with a space in its name, and in it a repository that says nothing of who may push."""
    root = tmp_path / "my demo" / "repositories"
    bare = make_repository(root, "app.git")
    git("config", "--unset", "http.receivepack", cwd=bare)
    clone = tmp_path / "clone"
    git("clone", "--quiet", bare, clone)
    (clone / "menu.txt").write_text("coffee 300\n")
    git("add", "--all", cwd=clone)
    git("commit", "--quiet", "-m", "Open", cwd=clone)
    git("push", "--quiet", "origin", "HEAD:main", cwd=clone)
    return root


@pytest.fixture
def server(root: Path) -> Iterator[GitHttp]:
    with GitHttp(root, "sesame") as server:
        yield server


def test_anybody_fetches_a_staging_ref_and_nothing_else(root, server, tmp_path):
    commit = git("rev-parse", "main", cwd=root / "app.git")
    git("update-ref", STAGING, commit, cwd=root / "app.git")
    workspace = tmp_path / "workspace"
    git("init", "--quiet", workspace)
    git("fetch", "--quiet", "--no-tags", server.url("app.git"), f"+{STAGING}:{STAGING}", cwd=workspace)
    git("checkout", "--quiet", "--force", commit, cwd=workspace)
    assert (workspace / "menu.txt").read_text() == "coffee 300\n"
    assert git("for-each-ref", "--format=%(refname)", cwd=workspace) == STAGING


def test_a_shallow_fetch_works_as_well(root, server, tmp_path):
    git("clone", "--quiet", "--depth", "1", server.url("app.git"), tmp_path / "shallow")
    assert (tmp_path / "shallow" / "menu.txt").exists()


def test_who_knows_the_password_pushes_staging_refs_and_takes_them_away(root, server, tmp_path):
    mirror = Mirror(tmp_path / "mirror")
    remote = Remote(server.url("app.git"), Credentials(USER, "sesame"), LIMIT)
    commit = remote.fetch(mirror, ["refs/heads/main"])["refs/heads/main"]
    assert remote.push(mirror, [RefUpdate(STAGING, commit, ABSENT)]) == {STAGING: Pushed()}
    assert git("rev-parse", STAGING, cwd=root / "app.git") == commit
    assert remote.push(mirror, [RefUpdate(STAGING, None, commit)]) == {STAGING: Pushed()}
    assert STAGING not in git("for-each-ref", "--format=%(refname)", cwd=root / "app.git")


@pytest.mark.parametrize("credentials", [Credentials(), Credentials(USER, "simsim"), Credentials("somebody", "sesame")])
def test_nobody_else_pushes(root, server, tmp_path, credentials):
    mirror = Mirror(tmp_path / "mirror")
    commit = Remote(server.url("app.git")).fetch(mirror, ["refs/heads/main"])["refs/heads/main"]
    with pytest.raises(RemoteUnavailableError):
        outcome = Remote(server.url("app.git"), credentials, LIMIT).push(mirror, [RefUpdate(STAGING, commit, ABSENT)])
        assert not isinstance(outcome[STAGING], Rejected)
    assert STAGING not in git("for-each-ref", "--format=%(refname)", cwd=root / "app.git")


def test_a_push_without_the_password_is_refused_before_it_is_read(server):
    url = f"{server.url('app.git')}/git-receive-pack"
    reply = requests.post(url, data=b"0000", headers={"Content-Type": "application/x-git-receive-pack-request"}, timeout=LIMIT)
    assert reply.status_code == 401


def test_a_compressed_question_in_pieces_is_understood(server):
    question = gzip.compress(b"0014command=ls-refs\n0001" + b"0000")
    headers = {
        "Content-Type": "application/x-git-upload-pack-request",
        "Content-Encoding": "gzip",
        "Git-Protocol": "version=2",
    }
    reply = requests.post(
        f"{server.url('app.git')}/git-upload-pack", data=iter([question[:9], question[9:]]), headers=headers, timeout=LIMIT
    )
    assert reply.status_code == 200
    assert b"refs/heads/main" in reply.content


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/", 404),
        ("/app.git", 404),
        ("/app.git/HEAD", 404),
        ("/app.git/config", 404),
        ("/app.git/objects/info/packs", 404),
        ("/other.git/info/refs?service=git-upload-pack", 404),
        ("/../clone/.git/info/refs?service=git-upload-pack", 404),
        ("/%2e%2e/clone.git/info/refs?service=git-upload-pack", 404),
        ("/app.git/git-upload-pack", 404),
        ("/app.git/info/refs", 403),
        ("/app.git/info/refs?service=git-upload-archive", 403),
        ("/app.git/info/refs?service=git-receive-pack", 401),
    ],
)
def test_nothing_but_the_repositories_is_served(server, path, status):
    with socket.create_connection(("127.0.0.1", server.port), LIMIT) as peer:
        peer.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        head = peer.makefile("rb").readline()
    assert head.split()[1] == str(status).encode()


@pytest.mark.parametrize(
    "body",
    [
        "Content-Length: 2000000\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n200000\r\n",
        "Transfer-Encoding: chunked\r\n\r\n-5\r\n",
    ],
)
def test_who_reads_cannot_send_without_end(server, body):
    with socket.create_connection(("127.0.0.1", server.port), LIMIT) as peer:
        peer.sendall(f"POST /app.git/git-upload-pack HTTP/1.1\r\nHost: x\r\n{body}".encode())
        assert peer.makefile("rb").readline().split()[1] == b"413"


@pytest.mark.parametrize(
    "body", ["Content-Length: many\r\n\r\n", "Content-Length: -1\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\nxyz\r\n"]
)
def test_what_makes_no_sense_ends_that_connection_and_no_other(server, body):
    with socket.create_connection(("127.0.0.1", server.port), LIMIT) as peer:
        peer.sendall(f"POST /app.git/git-upload-pack HTTP/1.1\r\nHost: x\r\n{body}\r\n\r\n".encode())
        assert peer.recv(1000) == b""
    assert "refs/heads/main" in Remote(server.url("app.git")).ls_remote()


def test_who_says_nothing_keeps_nobody_else_from_being_served(server):
    silent = [socket.create_connection(("127.0.0.1", server.port), LIMIT) for _ in range(AT_ONCE)]
    try:
        wait_until(lambda: _is_hung_up_on(server.port), LIMIT)
        for _ in range(8):  # more than git needs at once: a place is free only a moment after its peer has been answered
            silent.pop().close()
        wait_until(lambda: not _is_hung_up_on(server.port), LIMIT)
        assert "refs/heads/main" in Remote(server.url("app.git")).ls_remote()
    finally:
        for each in silent:
            each.close()


def _is_hung_up_on(port: int) -> bool:
    """Whether a peer that asks properly gets no answer at all."""
    with socket.create_connection(("127.0.0.1", port), LIMIT) as peer:
        try:
            peer.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            return peer.recv(100) == b""
        except ConnectionError:
            return True


def test_when_it_stops_whoever_is_connected_is_hung_up_on(root):
    before = set(threading.enumerate())  # peers of another test's server may still be on their way out

    def is_served() -> bool:
        return any("process_request_thread" in thread.name for thread in set(threading.enumerate()) - before)

    server = GitHttp(root, "sesame")
    server.start()
    with socket.create_connection(("127.0.0.1", server.port), LIMIT) as peer:
        wait_until(is_served, LIMIT)  # one that was not taken yet is reset
        server.stop()
        assert peer.recv(100) == b""
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", server.port), LIMIT)


def test_a_port_that_is_taken_and_an_address_of_somebody_else_are_told(root):
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OperatorError, match="Address already in use"):
        GitHttp(root, "sesame", port=taken.getsockname()[1]).start()
    with pytest.raises(OperatorError, match=r"cannot listen on 192\.0\.2\.1:.*name an address of this machine"):
        GitHttp(root, "sesame", "192.0.2.1", free_port()).start()


def test_a_name_of_this_machine_will_do(root):
    with GitHttp(root, "sesame", "localhost") as server:
        assert server.url("app.git") == f"http://localhost:{server.port}/app.git"
        listed = subprocess.run(["git", "ls-remote", server.url("app.git")], capture_output=True, text=True, timeout=LIMIT, check=True)
        assert "refs/heads/main" in listed.stdout
