"""The steps that speak to services, against a real Gerrit, a whole Torii, and what is known of Jenkins' way to make a token."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
import yaml

from tests.support.gearman_servers import Gearmand
from tests.support.gerrit import setup
from tests.support.waiting import free_port, wait_until
from torii.git import Mirror, Remote
from torii.testing.gerrit import GerritSite, Provision, Rest
from torii.testing.jenkins import FakeJenkins, FakeNode
from torii.worker.workspace import Repository

LAB = Path(__file__).resolve().parents[3] / "vagrant"
PROVISION = LAB / "provision"
TORII = Path(sys.executable).with_name("torii")


class Steps:
    """Runs steps as this user, with everything they make in `folder`."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.folder = folder
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "SECRETS": str(folder / "secrets"),
            "SAMPLE": str(folder / "hello"),
            "TORII": str(TORII),
            "TORII_ETC": str(folder / "etc"),
            "LAB_USER": "nobody-of-that-name",
            "LAB_PATIENCE": "90",
            **environment,
        }

    def run(self, step: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [str(PROVISION / step), *arguments]
        return subprocess.run(command, env=self._environment, capture_output=True, text=True, timeout=180, check=False)

    def say(self, step: str, *arguments: str) -> str:
        done = self.run(step, *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def type(self, lines: str) -> None:
        """Run lines in the sample, as somebody who works there."""
        done = subprocess.run(
            ["sh", "-e"],
            input=lines,
            cwd=self.folder / "hello",
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def secret(self, name: str) -> str:
        return (self.folder / "secrets" / name).read_text()


# ---- the whole of it -----------------------------------------------------------------------------------------------------------


def server_yml(folder: Path, gerrit: GerritSite, gearman: tuple[str, int], jenkins: FakeJenkins) -> str:
    """Return the lab's server.yml as it would be here; Torii's pages stay on loopback."""
    port = free_port()
    text = (LAB / "torii" / "server.yml").read_text().replace("0.0.0.0", "127.0.0.1")
    values = {
        "TORII_STATE": f"{folder}/state",
        "TORII_ETC": f"{folder}/etc",
        "GERRIT_URL": gerrit.url,
        "GERRIT_SSH_HOST": "127.0.0.1",
        "GERRIT_SSH_PORT": str(gerrit.ssh_port),
        "GEARMAN_PORT": str(gearman[1]),
        "JENKINS_URL": jenkins.url,
        "TORII_PORT": str(port),
        "TORII_URL": f"http://127.0.0.1:{port}",
    }
    return re.sub("@([A-Z_]+)@", lambda found: values[found[1]], text)


def lab_jenkins(folder: Path, gerrit: GerritSite, gearman: tuple[str, int]) -> FakeJenkins:
    """Return the fake made what casc.yaml and plugins.txt make a real one: its agents, permissions and plug-ins."""
    casc = yaml.safe_load((LAB / "jenkins" / "casc.yaml").read_text())["jenkins"]
    lines = (LAB / "jenkins" / "plugins.txt").read_text().splitlines()
    agents = [node["permanent"] for node in casc["nodes"]]
    allowed = {entry["user"]: entry["permissions"] for entry in casc["authorizationStrategy"]["globalMatrix"]["entries"]}
    jenkins = FakeJenkins(
        folder / "jenkins",
        gearman=[gearman],
        nodes=[FakeNode(agent["name"], tuple(agent["labelString"].split()), executors=agent["numExecutors"]) for agent in agents],
        builtin=casc["numExecutors"],
        plugins=dict(line.split(":") for line in lines if line and not line.startswith("#")),
        # Agents fetch without the /a/, as their .gitconfig has it.
        repositories={f"{gerrit.url}/a/hello": Repository(Mirror(folder / "mirror.git"), Remote(f"{gerrit.url}/hello"))},
    )
    jenkins.allow(*allowed["torii"])
    jenkins.allow_anonymous(*allowed["anonymous"])
    return jenkins


@contextmanager
def torii_up(folder: Path) -> Iterator[None]:
    with (folder / "torii.log").open("w") as log:
        process = subprocess.Popen([TORII, "up", "--server", folder / "etc" / "server.yml"], stdout=log, stderr=log)
        try:
            wait_until(lambda: process.poll() is not None or "Torii is up" in (folder / "torii.log").read_text(), limit=60)
            assert process.poll() is None, (folder / "torii.log").read_text()[-3000:]
            yield
        finally:
            process.terminate()
            process.wait(60)


def hand_over(folder: Path, gerrit: GerritSite, jenkins: FakeJenkins) -> None:
    """Do what 60-torii.sh does as root: give Torii what others made for it."""
    etc = folder / "etc"
    etc.mkdir()
    for secret, name in (("gerrit-torii", "gerrit-password"), ("gerrit-torii-key", "gerrit-key")):
        shutil.copy(folder / "secrets" / secret, etc / name)
    shutil.copy(gerrit.known_hosts, etc / "known_hosts")
    (etc / "jenkins-token").write_text(jenkins.token)


def walk(steps: Steps, admin: Rest) -> None:
    """Type what the README has a user type, and see what it says is to be seen."""
    page = (LAB / "README.md").read_text()
    good, broken = (block for block in re.findall(r"(?:^    .*\n)+", page, re.MULTILINE) if "git commit" in block)

    def newest() -> dict[str, Any]:
        """Return the change that was pushed last: Gerrit lists first what was touched last, to the second, if only by a message."""
        found: list[dict[str, Any]] = admin.get("/changes/", q="project:hello", o=["DETAILED_LABELS", "MESSAGES"])
        return max(found, key=lambda change: int(change["_number"]))

    def vote() -> int:
        return next((each["value"] for each in newest()["labels"]["Verified"].get("all", []) if each.get("value")), 0)

    steps.type(good)
    assert newest()["subject"] == "Greet in the morning"
    assert wait_until(vote, limit=60) == 1
    admin.post(f"/changes/{newest()['_number']}/revisions/current/review", {"labels": {"Code-Review": 2}})
    wait_until(lambda: newest()["status"] == "MERGED", limit=60)

    steps.type(broken)
    assert newest()["subject"] == "Greet nobody"
    assert wait_until(vote, limit=60) == -1
    assert re.search(r"^- unit http\S+ : FAILURE", newest()["messages"][-1]["message"], re.MULTILINE)


@pytest.mark.needs("gerrit", "gearmand")
@pytest.mark.timeout(400)
def test_from_services_just_installed_to_a_vote_on_a_build_in_jenkins(boot_gerrit: Callable[..., GerritSite], tmp_path: Path) -> None:
    gerrit = boot_gerrit(setup(Provision.NOTHING))
    gearmand = Gearmand()
    gearmand.start()
    steps = Steps(tmp_path, GERRIT_URL=gerrit.url)
    try:
        with lab_jenkins(tmp_path, gerrit, gearmand.address) as jenkins:
            accounts = steps.say("40-gerrit.sh", "accounts")
            hand_over(tmp_path, gerrit, jenkins)
            (tmp_path / "etc" / "server.yml").write_text(server_yml(tmp_path, gerrit, gearmand.address, jenkins))
            said = {part: steps.say("70-sample.sh", part) for part in ("tree", "project", "rights", "jobs")}
            with torii_up(tmp_path):
                said["change"] = steps.say("70-sample.sh", "change")
                walk(steps, Rest(gerrit.url, "admin", steps.secret("gerrit-admin")))
            builds = {job: jenkins.build(job, 1) for job in ("hello--main--unit", "hello--main--lint")}

            # Once more: everything is there.
            assert steps.say("40-gerrit.sh", "accounts") == ""
            assert steps.say("70-sample.sh", "tree") == ""
            assert steps.say("70-sample.sh", "project") == ""
            assert "nothing is lacking" in steps.say("70-sample.sh", "rights")
            assert "made" not in steps.say("70-sample.sh", "jobs")
            assert steps.say("70-sample.sh", "change") == "70-sample.sh: Torii's vote on change 2 is Verified +1\n"
    finally:
        gearmand.kill()

    assert "gave admin a password" in accounts
    assert "12 passed" in said["rights"]
    assert "FAIL" not in said["jobs"]
    assert "Torii's vote on change 2 is Verified +1" in said["change"]
    assert {job: build and build.result for job, build in builds.items()} == {
        "hello--main--unit": "SUCCESS",
        "hello--main--lint": "SUCCESS",
    }


# ---- Jenkins -------------------------------------------------------------------------------------------------------------------


class TokenPage(BaseHTTPRequestHandler):
    """Jenkins as far as a token goes: a password needs a crumb together with its session's cookie, a token neither."""

    password: ClassVar[str] = ""
    tokens: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        if self.path == "/login":
            self._answer(200, {})
        elif self.path == "/crumbIssuer/api/json" and self._secret() == self.password:
            self._answer(200, {"crumb": "c" * 64, "crumbRequestField": "Jenkins-Crumb"}, "JSESSIONID=one")
        elif self.path == "/user/torii/api/json" and self._secret() in (self.password, *self.tokens):
            self._answer(200, {"id": "torii"})
        else:
            self._answer(401, {})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        trusted = self.headers["Jenkins-Crumb"] == "c" * 64 and "JSESSIONID=one" in (self.headers["Cookie"] or "")
        path = "/user/torii/descriptorByName/jenkins.security.ApiTokenProperty/generateNewToken"
        if self._secret() != self.password or not trusted or (self.path, body) != (path, "newTokenName=torii-lab"):
            self._answer(403, {})
            return
        self.tokens.append(f"11{len(self.tokens):032x}")
        self._answer(200, {"status": "ok", "data": {"tokenName": "torii-lab", "tokenValue": self.tokens[-1]}})

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as http.server calls it
        """Nobody reads it."""

    def _secret(self) -> str:
        user, _, secret = base64.b64decode((self.headers["Authorization"] or "").removeprefix("Basic ")).decode().partition(":")
        return secret if user == "torii" else ""

    def _answer(self, status: int, said: object, cookie: str = "") -> None:
        body = json.dumps(said).encode()
        self.send_response(status)
        if cookie:
            self.send_header("Set-Cookie", f"{cookie}; Path=/; HttpOnly")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def jenkins(tmp_path: Path) -> Iterator[Steps]:
    """Steps whose Jenkins is a TokenPage."""
    TokenPage.password, TokenPage.tokens = "of-torii", []
    with ThreadingHTTPServer(("127.0.0.1", 0), TokenPage) as server:
        thread = threading.Thread(target=server.serve_forever, name="token-page", kwargs={"poll_interval": 0.05})
        thread.start()
        (tmp_path / "secrets").mkdir()
        (tmp_path / "secrets" / "jenkins-torii").write_text("of-torii")
        yield Steps(tmp_path, JENKINS_URL=f"http://127.0.0.1:{server.server_address[1]}")
        server.shutdown()
        thread.join()


def test_a_token_is_made_once(jenkins: Steps) -> None:
    said = jenkins.say("50-jenkins.sh", "token")

    assert "made an API token" in said
    assert jenkins.secret("jenkins-token") == TokenPage.tokens[0]
    assert jenkins.say("50-jenkins.sh", "token") == ""
    assert len(TokenPage.tokens) == 1


def test_a_token_that_jenkins_has_forgotten_is_made_anew(jenkins: Steps) -> None:
    (jenkins.folder / "secrets" / "jenkins-token").write_text("11forgotten")

    assert "made an API token" in jenkins.say("50-jenkins.sh", "token")
    assert jenkins.secret("jenkins-token") == TokenPage.tokens[0]


def test_a_jenkins_that_does_not_know_torii_is_named_with_what_to_look_at(jenkins: Steps) -> None:
    TokenPage.password = "another"

    done = jenkins.run("50-jenkins.sh", "token")

    assert done.returncode != 0
    assert "does not let torii in; has it read casc.yaml?" in done.stderr
    assert not (jenkins.folder / "secrets" / "jenkins-token").exists()


# ---- what comes from elsewhere -------------------------------------------------------------------------------------------------


def in_common(folder: Path, commands: str) -> subprocess.CompletedProcess[str]:
    """Run commands as a step would that has sourced common.sh."""
    step = folder / "provision" / "99-test.sh"
    if not step.exists():
        step.parent.mkdir()
        for name in ("provision/common.sh", "versions.env"):
            (folder / name).write_bytes((LAB / name).read_bytes())
    step.write_text(f'. "${{0%/*}}/common.sh"\n{commands}\n')
    return subprocess.run(["sh", str(step)], env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def war(tmp_path: Path) -> Iterator[str]:
    """The address of a file that says `a war`."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "5")
            self.end_headers()
            self.wfile.write(b"a war")

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as http.server calls it
            """Nobody reads it."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, name="war", kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/gerrit.war"
        server.shutdown()
        thread.join()


RIGHT = "f5a3ee2b6a9e9b8ff7dcb5a28bd0b3b9a9fd4c9d3e1d1b5e5b5c6b8b6a2b0e1f"


def test_a_download_is_taken_with_its_checksum_and_not_got_twice(tmp_path: Path, war: str) -> None:
    right = subprocess.run(["sha256sum"], input=b"a war", capture_output=True, timeout=10, check=True).stdout.decode().split()[0]
    wanted = f"download {war} {tmp_path}/got/gerrit.war {right}"

    done = in_common(tmp_path, f"{wanted}; {wanted}")

    assert done.returncode == 0, done.stderr
    assert done.stdout.count("getting") == 1
    assert (tmp_path / "got" / "gerrit.war").read_text() == "a war"


def test_a_download_with_another_checksum_is_thrown_away(tmp_path: Path, war: str) -> None:
    done = in_common(tmp_path, f"download {war} {tmp_path}/got/gerrit.war {RIGHT}")

    assert done.returncode != 0
    assert f"and should have {RIGHT}" in done.stderr
    assert list((tmp_path / "got").iterdir()) == []


def test_a_repository_whose_key_is_another_is_not_trusted(tmp_path: Path) -> None:
    key = tmp_path / "another.asc"
    home = tmp_path / "gnupg"
    home.mkdir(mode=0o700)
    gpg = ["gpg", "--homedir", str(home), "--batch", "--quiet"]
    subprocess.run([*gpg, "--passphrase", "", "--quick-gen-key", "Somebody else", "ed25519"], capture_output=True, timeout=60, check=True)
    key.write_bytes(subprocess.run([*gpg, "--armor", "--export"], capture_output=True, timeout=60, check=True).stdout)
    subprocess.run(["gpgconf", "--homedir", str(home), "--kill", "all"], capture_output=True, timeout=60, check=True)

    done = in_common(tmp_path, f'fetch() {{ cp "$1" "$2"; }}\nrepository lab-test "http://127.0.0.1/debian x main" {key} {"5E38" * 10}')

    assert done.returncode != 0
    assert f"not {'5E38' * 10}; was it renewed?" in done.stderr
    assert not Path("/etc/apt/sources.list.d/lab-test.list").exists()


def test_a_template_that_asks_for_what_nobody_has_set_is_refused(tmp_path: Path) -> None:
    template = tmp_path / "template"
    template.write_text("port @GERRIT_PORT@, @LAB_NOBODY_SET_THIS@\n")

    done = in_common(tmp_path, f"put_rendered {template} {tmp_path}/made")

    assert done.returncode != 0
    assert "asks for LAB_NOBODY_SET_THIS, which nobody has set" in done.stderr
    assert not (tmp_path / "made").exists()
