"""A hook in a repository tells a running scheduler at once, and never stands in the way of a push."""

from __future__ import annotations

import shlex
import subprocess
import sys

import pytest
from click.testing import CliRunner

from tests.support.git_lab import GitLab
from tests.support.git_servers import git, serving, set_hook
from tests.support.waiting import free_port, wait_until
from torii.cli import run
from torii.cli.notify import command
from torii.gearman import Server
from torii.gearman.admin import functions
from torii.model.ids import ProjectName
from torii.model.pipeline import Cause
from torii.sources.wake import WAKE, WakeListener, wake

KEY = b"a key of the tests"
TORII = shlex.join([sys.executable, "-c", "from torii.cli import main; main()"])


@pytest.fixture
def gearman():
    server = Server("127.0.0.1", 0)
    server.start()
    yield server.address
    server.stop()


@pytest.fixture
def lab(tmp_path):
    with serving("file", tmp_path) as server:
        lab = GitLab(server, tmp_path)
        (tmp_path / "gearman.key").write_bytes(KEY)
        yield lab
        lab.close()


@pytest.fixture
def listening(lab, gearman):
    lab.start()
    lab.wait_for_tip(lab.base)
    listener = WakeListener([gearman], KEY, {ProjectName("app"): lab.source})
    listener.start()
    wait_until(lambda: WAKE in functions(gearman, 20), 10.0)
    yield listener
    listener.stop()


def options(lab, address) -> list[str]:
    return ["--url", f"{address[0]}:{address[1]}", "--key", f"file:{lab.folder / 'gearman.key'}"]


def quietly(lab) -> None:
    """Have the laboratory no longer wake its source by itself."""
    lab.wake = lambda: None


def test_a_push_is_heard_of_at_once_through_the_hook(lab, gearman, listening):
    quietly(lab)
    set_hook(lab.repository(), "post-receive", f"{TORII} notify app {shlex.join(options(lab, gearman))}")
    lab.push_change("a")
    assert lab.wait_for("a", Cause.PATCHSET_CREATED)


def test_whoever_pushed_sees_nothing_of_it_where_all_is_well(lab, gearman, listening):
    command = [*shlex.split(TORII), "notify", "app", *options(lab, gearman)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_without_a_project_all_are_looked_at(lab, gearman, listening):
    quietly(lab)
    lab.push_change("a")
    assert run(["notify", *options(lab, gearman)]) == 0
    assert lab.wait_for("a", Cause.PATCHSET_CREATED)


def test_a_configuration_file_says_where_to_call(lab, gearman, listening):
    quietly(lab)
    state = lab.folder / "state"
    state.mkdir()
    (state / "gearman.key").write_bytes(KEY)
    file = lab.folder / "server.yml"
    file.write_text(f"state: {state}\ngearman:\n  host: {gearman[0]}\n  port: {gearman[1]}\n")
    lab.push_change("a")
    assert run(["notify", "app", "--server", str(file)]) == 0
    assert lab.wait_for("a", Cause.PATCHSET_CREATED)


def test_a_push_succeeds_where_no_scheduler_runs_and_says_so(lab):
    set_hook(lab.repository(), "post-receive", f"{TORII} notify app {shlex.join(options(lab, ('127.0.0.1', free_port())))}")
    commit = lab.commit("a one", lab.base)
    command = ["git", "push", str(lab.repository()), f"{commit}:refs/heads/review/main/a"]
    pushed = subprocess.run(command, cwd=lab.developer, capture_output=True, text=True, timeout=60, check=False)
    assert pushed.returncode == 0
    assert "torii notify:" in pushed.stderr
    assert "Traceback" not in pushed.stderr
    assert git("rev-parse", "refs/heads/review/main/a", cwd=lab.repository()) == commit


def test_strict_fails_where_no_scheduler_runs(lab, gearman):
    assert run(["notify", "app", "--strict", *options(lab, ("127.0.0.1", free_port()))]) == 4
    assert run(["notify", "app", "--strict", *options(lab, gearman)]) == 4


def test_a_project_that_torii_does_not_have_is_said_so(lab, gearman, listening):
    result = CliRunner().invoke(command, ["other", *options(lab, gearman)])
    assert result.exit_code == 0
    assert "no project 'other'" in result.output
    assert run(["notify", "other", "--strict", *options(lab, gearman)]) == 4


def test_who_has_another_key_wakes_nobody(lab, gearman, listening):
    (lab.folder / "gearman.key").write_bytes(b"another key")
    result = CliRunner().invoke(command, ["app", *options(lab, gearman)])
    assert result.exit_code == 0
    assert "signature" in result.output


def test_an_address_that_is_none_is_a_mistake_of_the_call(lab):
    assert run(["notify", "--url", "nonsense", "--key", "env:NONE"]) == 2
    assert run(["notify", "--url", "127.0.0.1:4730"]) == 2


def test_a_server_that_takes_the_call_and_never_answers_is_given_up_within_the_limit(lab, gearman):
    class Sleeper:
        name = "lab"

        def wake(self, project=None):
            wait_until(lambda: released, 30.0)

    released: list[bool] = []
    listener = WakeListener([gearman], KEY, {ProjectName("app"): Sleeper()})
    listener.start()
    try:
        wait_until(lambda: WAKE in functions(gearman, 20), 10.0)
        with pytest.raises(Exception, match="did not take the call"):
            wake([gearman], KEY, ProjectName("app"), 0.5)
    finally:
        released.append(True)
        listener.stop()
