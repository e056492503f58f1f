"""The script `./run` on machines of every kind: the interpreter and git are stand-ins, so that nothing is really installed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]

# Answers what `run` asks of an interpreter, makes a "venv" with itself in it, and writes down what was asked of venv and pip.
PYTHON = """#!/bin/sh
case "$1 $2" in
    "-c "*_base_executable*) echo "3.13 $FAKES/python3.13" ;;
    "-c "*ensurepip*) [ ! -e "$FAKES/no-venv" ] ;;
    "-c "*) [ -e "$0" ] ;;
    "-m venv")
        echo venv >>"$FAKES/calls"
        mkdir -p "$3/bin"
        cp "$FAKES/python3.13" "$3/bin/python"
        : >"$3/pyvenv.cfg"
        ;;
    "-m pip")
        for last; do :; done
        echo "pip $last" >>"$FAKES/calls"
        echo $$ >"$FAKES/pip-pid"
        if [ -e "$FAKES/pip-hangs" ]; then read -r _ <"$FAKES/pip-hangs"; fi
        if [ -e "$FAKES/pip-fails" ]; then echo "no such index"; exit 1; fi
        printf '#!/bin/sh\\necho torii "$@"\\n' >"$(dirname "$0")/torii"
        chmod +x "$(dirname "$0")/torii"
        ;;
    "-m pytest") echo "$@" ;;
    "--version ") echo Python 3.13.0 ;;
esac
"""
PYTEST = "-m pytest -n 2 --dist loadfile --no-loadscope-reorder"
NONE = "#!/bin/sh\nexit 127\n"


@dataclass(frozen=True, slots=True)
class Machine:
    """A clone, in a path with spaces, on a machine whose git and interpreters are the scripts in `fakes`."""

    clone: Path
    fakes: Path

    def provide(self, name: str, script: str) -> None:
        path = self.fakes / name
        path.write_text(script)
        path.chmod(0o755)

    @property
    def environment(self) -> dict[str, str]:
        return {"PATH": f"{self.fakes}:{os.defpath}", "FAKES": str(self.fakes)}

    def run(self, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        command = [str(self.clone / "run"), *arguments]
        return subprocess.run(command, env=self.environment, cwd=cwd, capture_output=True, text=True, timeout=30, check=False)

    def calls(self) -> list[str]:
        """What was asked of venv and pip since the last look."""
        path = self.fakes / "calls"
        lines = path.read_text().splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        return lines


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    made = Machine(tmp_path / "a clone", tmp_path / "fakes")
    made.clone.mkdir()
    made.fakes.mkdir()
    for name in ("run", "constraints.txt", "pyproject.toml", "setup.py"):
        shutil.copy(ROOT / name, made.clone / name)
    made.provide("git", "#!/bin/sh\necho git version 2.39.5\n")
    made.provide("python3.13", PYTHON)
    for name in ("python3.12", "python3.11", "python3"):
        made.provide(name, NONE)
    return made


def test_the_first_run_sets_up_and_the_second_only_runs(machine: Machine) -> None:
    first = machine.run("demo", "a folder", "--keep")
    assert (first.returncode, first.stdout) == (0, "torii demo a folder --keep\n")
    assert "setting up" in first.stderr
    assert machine.calls() == ["venv", "pip ."]
    second = machine.run("demo")
    assert (second.returncode, second.stdout, second.stderr) == (0, "torii demo\n", "")
    assert machine.calls() == []


def test_the_demo_runs_where_the_user_stands(machine: Machine, tmp_path: Path) -> None:
    machine.run("demo")
    (machine.clone / ".venv/bin/torii").write_text("#!/bin/sh\npwd\n")
    assert machine.run("demo", cwd=tmp_path).stdout == f"{tmp_path}\n"


def test_demo_and_tests_share_one_set_up_in_any_order(machine: Machine) -> None:
    machine.run("demo")
    assert machine.run("tests", "--fast", "-k", "a b").stdout == f"{PYTEST} tests/unit tests/property -k a b\n"
    assert machine.calls() == ["venv", "pip .", "pip .[test]"]
    machine.run("demo")
    machine.run("tests", "--fast")
    assert machine.calls() == []


def test_fast_tests_that_are_named_are_the_only_ones(machine: Machine) -> None:
    assert machine.run("tests", "tests/unit/gate", "--fast").stdout == f"{PYTEST} tests/unit/gate\n"


@pytest.mark.parametrize("name", ["constraints.txt", "pyproject.toml", "setup.py"])
def test_changed_requirements_are_installed_into_the_same_venv(machine: Machine, name: str) -> None:
    machine.run("demo")
    machine.calls()
    with (machine.clone / name).open("a") as file:
        file.write("# changed\n")
    assert machine.run("demo").returncode == 0
    assert machine.calls() == ["pip ."]


def test_a_clone_that_was_moved_is_set_up_anew(machine: Machine) -> None:
    machine.run("demo")
    machine.calls()
    moved = Machine(machine.clone.rename(machine.clone.with_name("elsewhere")), machine.fakes)
    assert moved.run("demo").returncode == 0
    assert moved.calls() == ["venv", "pip ."]


def test_a_venv_whose_interpreter_is_gone_is_made_anew(machine: Machine) -> None:
    machine.run("demo")
    machine.calls()
    (machine.clone / ".venv/bin/python").unlink()
    assert machine.run("demo").returncode == 0
    assert machine.calls() == ["venv", "pip ."]


@pytest.mark.parametrize("with_signal", [signal.SIGKILL, signal.SIGTERM])
def test_an_interrupted_set_up_is_done_anew(machine: Machine, with_signal: signal.Signals) -> None:
    os.mkfifo(machine.fakes / "pip-hangs")
    with subprocess.Popen([machine.clone / "run", "demo"], env=machine.environment, stderr=subprocess.DEVNULL) as setting_up:
        pip = int(wait_until(lambda: (machine.fakes / "pip-pid").exists() and (machine.fakes / "pip-pid").read_text().strip()))
        setting_up.send_signal(with_signal)
        assert setting_up.wait(timeout=30) == (130 if with_signal == signal.SIGTERM else -signal.SIGKILL)
    if with_signal == signal.SIGKILL:
        os.kill(pip, signal.SIGKILL)  # nobody else could
    wait_until(lambda: not Path(f"/proc/{pip}").exists())
    (machine.fakes / "pip-hangs").unlink()
    machine.calls()
    assert machine.run("demo").stdout == "torii demo\n"
    assert machine.calls() == ["venv", "pip ."]


def test_a_failed_installation_shows_why_and_is_tried_anew(machine: Machine) -> None:
    (machine.fakes / "pip-fails").touch()
    failed = machine.run("demo")
    assert failed.returncode == 1
    assert "no such index" in failed.stderr
    assert "pip could not install" in failed.stderr
    (machine.fakes / "pip-fails").unlink()
    assert machine.run("demo").returncode == 0


@pytest.mark.parametrize("version", ["2.37.7", "1.9.1", "2.9.0.rc1"])
def test_a_git_that_is_too_old_is_named_with_what_to_do(machine: Machine, version: str) -> None:
    machine.provide("git", f"#!/bin/sh\necho git version {version}\n")
    refused = machine.run("demo")
    assert refused.returncode == 1
    assert f"git here is {version}" in refused.stderr
    assert "apt-get install git" in refused.stderr
    assert machine.calls() == []


@pytest.mark.parametrize("version", ["2.38.0", "2.39.5 (Apple Git-154)", "2.51.0-rc1", "3.0.0"])
def test_a_git_that_is_new_enough_is_taken(machine: Machine, version: str) -> None:
    machine.provide("git", f"#!/bin/sh\necho 'git version {version}'\n")
    assert machine.run("demo").returncode == 0


def test_a_machine_without_a_fitting_python_is_told_what_to_install(machine: Machine) -> None:
    machine.provide("python3.13", NONE)
    refused = machine.run("demo")
    assert refused.returncode == 1
    assert "no Python 3.11 or later" in refused.stderr
    assert "apt-get install" in refused.stderr


def test_a_python_without_venv_is_told_which_package_has_it(machine: Machine) -> None:
    (machine.fakes / "no-venv").touch()
    refused = machine.run("demo")
    assert refused.returncode == 1
    assert "sudo apt-get install python3.13-venv" in refused.stderr


def test_a_folder_that_is_no_venv_is_left_alone(machine: Machine) -> None:
    (machine.clone / ".venv").mkdir()
    (machine.clone / ".venv/precious").touch()
    refused = machine.run("demo")
    assert refused.returncode == 1
    assert "in the way" in refused.stderr
    assert (machine.clone / ".venv/precious").exists()


@pytest.mark.parametrize("arguments", [(), ("dmo",)])
def test_anything_else_is_answered_with_the_usage(machine: Machine, arguments: tuple[str, ...]) -> None:
    refused = machine.run(*arguments)
    assert refused.returncode == 2
    assert "Usage: ./run demo" in refused.stderr


def only_these_parts(machine: Machine, table: str) -> None:
    before, _, rest = (machine.clone / "run").read_text().partition("\nPARTS='\n")
    after = rest.partition("'\n")[2]
    (machine.clone / "run").write_text(f"{before}\nPARTS='\n{table}'\n{after}")


def test_parts_that_are_here_are_not_asked_for(machine: Machine) -> None:
    only_these_parts(machine, "no-such-binary|sh a-shell -\n")
    done = machine.run("tests")
    assert (done.returncode, done.stdout) == (0, f"{PYTEST}\n")
    assert "a-shell" not in done.stderr


def test_parts_that_may_not_be_installed_are_named_and_the_tests_go_on(machine: Machine) -> None:
    machine.provide("id", "#!/bin/sh\necho 1000\n")
    machine.provide("sudo", "#!/bin/sh\nexit 1\n")
    only_these_parts(machine, "no-such-binary first a.service\nno-such-binary second -\n")
    done = machine.run("tests")
    assert (done.returncode, done.stdout) == (0, f"{PYTEST}\n")
    assert "sudo apt-get install first second\n" in done.stderr


def test_parts_are_installed_one_by_one_where_not_all_can_be_had(machine: Machine) -> None:
    machine.provide("id", "#!/bin/sh\necho 1000\n")
    machine.provide("sudo", '#!/bin/sh\n[ "$1" != -n ] || shift\ncase $1 in env) shift 2; exec "$@" ;; esac\n')
    refuses = '*" second"*) echo "no such package" >&2; exit 100 ;;'
    machine.provide("apt-get", f'#!/bin/sh\necho "$*" >>"$FAKES/apt"\ncase $* in {refuses} esac\n')
    only_these_parts(machine, "no-such-binary first -\nno-such-binary second -\n")
    done = machine.run("tests")
    assert (done.returncode, done.stdout) == (0, f"{PYTEST}\n")
    asked = [line.rpartition(" --no-install-recommends ")[2] for line in (machine.fakes / "apt").read_text().splitlines()]
    assert asked[1:] == ["first second", "first", "second"]
    assert "no such package" in done.stderr
    assert "not all of first second could be installed" in done.stderr
