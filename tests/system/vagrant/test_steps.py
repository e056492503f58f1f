"""The lab's steps in a fresh Debian 12 without systemd, each twice: all that need nothing but Debian's and Python's packages."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.debian_root import DebianRoot, quick_folder

pytestmark = [pytest.mark.needs("debootstrap", "bwrap"), pytest.mark.timeout(900)]

ROOT = Path(__file__).resolve().parents[3]
STEPS = (
    ("10-base.sh",),
    ("20-gearmand.sh",),
    ("40-gerrit.sh", "files"),
    ("50-jenkins.sh", "files"),
    ("60-torii.sh",),
    ("70-sample.sh",),
    ("80-addresses.sh",),
)
UNITS = "/etc/systemd/system"


@dataclass(frozen=True, slots=True)
class Lab:
    """The root, what each step said the first and the second time, and what the second time changed."""

    root: DebianRoot
    first: dict[str, str]
    second: dict[str, str]
    changed: dict[str, list[str]]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """The lab, as far as it goes."""
    with quick_folder(tmp_path_factory.mktemp("lab")) as folder:
        yield made_in(folder)


def made_in(folder: Path) -> Lab:
    """Run every step twice in a fresh root below `folder`."""
    root = DebianRoot(folder / "root", a_checkout(folder / "checkout"))
    root.run("useradd", "--create-home", "--shell", "/bin/bash", "vagrant")  # as every box of Vagrant has
    made = Lab(root, {}, {}, {})
    for step in STEPS:
        made.first[step[0]] = provision(root, *step)
    for step in STEPS:
        before = root.snapshot()
        made.second[step[0]] = provision(root, *step)
        after = root.snapshot()
        made.changed[step[0]] = sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))
    return made


def a_checkout(folder: Path) -> Path:
    """Return a copy of what a clone of this commit and its changes would have: nobody writes in it while steps run."""
    listed = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.run(listed, capture_output=True, text=True, timeout=60, check=True).stdout.split("\0"):
        if name and (ROOT / name).is_file():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target)
    return folder


def provision(root: DebianRoot, step: str, *arguments: str, **environment: str) -> str:
    return root.run(f"/checkout/vagrant/provision/{step}", *arguments, **environment)


def test_a_second_run_changes_no_file(lab: Lab) -> None:
    assert lab.changed == {step: [] for step, *_ in STEPS}


def test_a_second_run_says_that_it_wrote_nothing(lab: Lab) -> None:
    said = "".join(lab.second.values())

    assert "wrote" in "".join(lab.first.values())
    assert "wrote" not in said
    assert "installing" not in said


def test_services_are_installed_and_it_is_said_that_none_was_started(lab: Lab) -> None:
    assert "no systemd runs here: gearman-job-server.service is installed, and not started" in lab.first["20-gearmand.sh"]
    assert "no systemd runs here: torii.service is installed, and not started" in lab.first["60-torii.sh"]
    assert "no systemd runs here" in lab.first["70-sample.sh"]


def test_gearmand_listens_on_loopback_alone(lab: Lab) -> None:
    assert "--listen=127.0.0.1 --port=4730" in lab.root.text("/etc/default/gearman-job-server")


def test_units_are_what_systemd_takes_for_units(lab: Lab) -> None:
    # systemd-analyze looks for the binaries too: Java's is not here, as it comes from elsewhere.
    lab.root.run("ln", "-sf", "/bin/true", "/usr/bin/java")
    lab.root.run("sh", "-c", "command -v systemd-analyze || { apt-get -q update && apt-get -qy install --no-install-recommends systemd; }")
    (lab.root.folder / UNITS.lstrip("/") / "jenkins.service").write_text("[Service]\nExecStart=/bin/true\n")  # that of its package
    units = [f"{UNITS}/{name}.service" for name in ("gerrit", "jenkins", "torii")]
    said = lab.root.run("systemd-analyze", "verify", "--man=no", *units)

    assert "service" not in said


def test_torii_is_installed_and_takes_its_server_yml_for_right(lab: Lab) -> None:
    said = lab.first["60-torii.sh"]

    assert "/etc/torii/server.yml: right" in said
    assert "gearman 127.0.0.1:4730" in said
    assert lab.root.run("/usr/local/bin/torii", "version").strip()
    assert "lab" in lab.root.run("torii", "config", "show", "--server", "/etc/torii/server.yml")


def test_secrets_are_nobodys_but_those_who_need_them(lab: Lab) -> None:
    secrets = [f"/etc/torii-lab/{name}" for name in ("jenkins-admin", "jenkins-torii", "jenkins-agents-key")]

    assert lab.root.mode("/etc/torii-lab") == "drwx------"
    assert {lab.root.mode(secret) for secret in secrets} == {"-rw-------"}
    assert lab.root.mode("/etc/torii/server.yml") == "-rw-r-----"
    assert lab.root.mode("/etc/jenkins-lab/secrets") == "drwxr-x---"
    assert lab.root.mode("/etc/jenkins-lab/secrets/AGENT_KEY") == "-rw-r-----"
    assert len({lab.root.text(secret) for secret in secrets}) == 3


def test_jenkins_is_handed_the_machines_own_host_key_and_its_agents_their_key(lab: Lab) -> None:
    assert lab.root.text("/etc/ssh/ssh_host_ed25519_key.pub").startswith(lab.root.text("/etc/jenkins-lab/secrets/AGENT_HOST_KEY").strip())
    assert lab.root.text("/var/lib/jenkins-agent/.ssh/authorized_keys") == lab.root.text("/etc/torii-lab/jenkins-agents-key.pub")


def test_the_sample_is_a_git_repository_whose_torii_yml_is_right(lab: Lab) -> None:
    as_vagrant = ("runuser", "-l", "vagrant", "-c")

    assert "made /home/vagrant/hello" in lab.first["70-sample.sh"]
    assert "torii.yml" in lab.root.run(*as_vagrant, "cd hello && git status --short && git ls-files")
    assert "right" in lab.root.run("torii", "validate", "/home/vagrant/hello/torii.yml")
    lab.root.run(*as_vagrant, "cd hello && python3 -B -m unittest test_hello")


def test_what_gerrit_itself_wrote_into_its_configuration_stays(lab: Lab) -> None:
    config = "/srv/gerrit/etc/gerrit.config"
    lab.root.run("git", "config", "-f", config, "gerrit.serverId", "5b9ae0f4")
    lab.root.run("git", "config", "-f", config, "auth.type", "OPENID")

    said = provision(lab.root, "40-gerrit.sh", "files")

    assert "wrote auth.type" in said
    assert lab.root.run("git", "config", "-f", config, "gerrit.serverId") == "5b9ae0f4\n"
    assert lab.root.run("git", "config", "-f", config, "auth.type") == "DEVELOPMENT_BECOME_ANY_ACCOUNT\n"
    assert lab.root.run("stat", "-c", "%U", config) == "gerrit\n"


def test_the_addresses_come_with_the_passwords_that_there_are(lab: Lab) -> None:
    said = lab.first["80-addresses.sh"]

    assert "http://localhost:8080/" in said
    assert lab.root.text("/etc/torii-lab/jenkins-admin") in said
    assert "not made yet" in said  # that of Gerrit, which does not run here


def test_another_port_goes_to_every_place_that_names_it(lab: Lab) -> None:
    provision(lab.root, "40-gerrit.sh", "files", GERRIT_PORT="18080")
    provision(lab.root, "60-torii.sh", "files", GERRIT_PORT="18080", GEARMAN_PORT="14730")

    assert "http://*:18080/" in lab.root.text("/srv/gerrit/etc/gerrit.config")
    assert "url: http://localhost:18080\n" in lab.root.text("/etc/torii/server.yml")
    assert "127.0.0.1:14730" in lab.root.text("/etc/torii/server.yml")


def test_a_lab_with_another_gearmand_than_it_was_made_for_is_refused(lab: Lab) -> None:
    with pytest.raises(AssertionError, match=r"the lab is made for 2\.0"):
        provision(lab.root, "20-gearmand.sh", GEARMAND_VERSION="2.0")


def test_whoever_is_not_root_is_told(lab: Lab) -> None:
    with pytest.raises(AssertionError, match="run it as root"):
        lab.root.run("runuser", "-u", "torii", "--", "/checkout/vagrant/provision/10-base.sh")
