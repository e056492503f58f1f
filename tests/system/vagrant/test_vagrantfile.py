"""The Vagrantfile: vagrant takes it, and makes of versions.env and the environment what it should."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.needs("vagrant")

VAGRANT = Path(__file__).resolve().parents[3] / "vagrant"

# Runs a Vagrantfile with a `config` that writes down what is asked of it. vagrant brings the ruby.
RECORDER = """
require 'json'
CALLS = []
class Recorder
  def initialize(path) = @path = path
  def respond_to_missing?(*) = true
  def method_missing(name, *arguments, **options, &block)
    here = [*@path, name.to_s.delete_suffix('=')].join('.')
    CALLS << [here, arguments, options] unless arguments.empty?
    block.call(Recorder.new([*@path, name, arguments.first])) if block
    Recorder.new([*@path, name])
  end
end
module Vagrant
  def self.configure(_version) = yield(Recorder.new([]))
end
load ARGV.fetch(0)
puts JSON.generate(CALLS)
"""


def vagrant(tmp_path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    variables = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "VAGRANT_HOME": str(tmp_path / "vagrant.d"), **environment}
    variables["VAGRANT_DOTFILE_PATH"] = str(tmp_path / "dot")
    command = ["vagrant", "validate", "--ignore-provider"]
    return subprocess.run(command, cwd=VAGRANT, env=variables, capture_output=True, text=True, timeout=100, check=False)


def calls(**environment: str) -> list[tuple[str, list[Any], dict[str, Any]]]:
    command = ["ruby", "-e", RECORDER, str(VAGRANT / "Vagrantfile")]
    done = subprocess.run(command, env={"PATH": os.environ["PATH"], **environment}, capture_output=True, text=True, timeout=60, check=True)
    return [(name, arguments, options) for name, arguments, options in json.loads(done.stdout)]


def told(name: str, **environment: str) -> list[Any]:
    """Return the first argument of each call of `name`."""
    return [arguments[0] for called, arguments, _ in calls(**environment) if called == name]


def test_vagrant_takes_it(tmp_path: Path) -> None:
    done = vagrant(tmp_path)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "validated successfully" in done.stdout


def test_vagrant_would_say_what_is_wrong_with_it(tmp_path: Path) -> None:
    done = vagrant(tmp_path, GERRIT_PORT="x")

    assert done.returncode != 0
    assert "Ports to forward must be 1 to 65535" in done.stdout + done.stderr


def test_the_box_is_a_pinned_debian_12() -> None:
    assert told("vm.box") == ["debian/bookworm64"]
    assert told("vm.box_version")[0].startswith("12.")


def test_virtualbox_and_libvirt_get_memory_and_processors() -> None:
    for provider in ("virtualbox", "libvirt"):
        assert told(f"vm.provider.{provider}.memory") == [4096]
        assert told(f"vm.provider.{provider}.cpus") == [2]
        assert told(f"vm.provider.{provider}.memory", LAB_MEMORY="8192") == [8192]


def test_pages_are_forwarded_to_loopback_alone_and_gearmand_not_at_all() -> None:
    ports = [options for name, arguments, options in calls() if (name, arguments) == ("vm.network", ["forwarded_port"])]

    assert [port["guest"] for port in ports] == [8080, 29418, 8081, 8090]
    assert all(port["host"] == port["guest"] and port["host_ip"] == "127.0.0.1" for port in ports)


def test_every_step_is_run_in_its_order_and_under_its_name() -> None:
    steps = [(arguments[0], options["inline"]) for name, arguments, options in calls() if name == "vm.provision"]

    files = sorted(path.name for path in (VAGRANT / "provision").glob("[0-9]*.sh"))
    assert [inline.rsplit("/", 1)[1] for _, inline in steps] == files
    assert [name for name, _ in steps] == ["base", "gearmand", "java", "gerrit", "jenkins", "torii", "sample", "addresses"]


def test_what_the_environment_says_goes_before_versions_env_here_and_in_the_steps() -> None:
    made = calls(GERRIT_PORT="18080", GERRIT_VERSION="3.13.5", HOME="/nowhere")

    ports = [options["host"] for name, _, options in made if name == "vm.network"]
    assert ports[0] == 18080
    assert {json.dumps(options["env"], sort_keys=True) for name, _, options in made if name == "vm.provision"} == {
        '{"GERRIT_PORT": "18080", "GERRIT_VERSION": "3.13.5"}'
    }
