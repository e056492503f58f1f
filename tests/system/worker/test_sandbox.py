"""A stranger's code in the sandbox: what it can read, reach and leave behind."""

from __future__ import annotations

import os
import shutil
import socket
from pathlib import Path

import pytest

from tests.support.worker_lab import WorkerLab
from torii.config.settings import Network, Sandbox
from torii.model.build import Result
from torii.model.job import JobDefinition
from torii.worker.confinement import Bare, Bubblewrap, SandboxError, choose, copy_etc
from torii.worker.place import Place

needs_bwrap = pytest.mark.needs("bwrap")


def tries(lab: WorkerLab, *attempts: str, **settings: object) -> str:
    """Run `attempts` one after the other, each of which must fail, and return the log."""
    run = "#!/bin/sh\n" + "".join(f"if ({attempt}) 2>&1; then echo 'BROKE OUT'; fi\n" for attempt in attempts)
    record, log = lab.build(lab.worker(**settings), run)
    assert record.result is Result.SUCCESS
    assert "BROKE OUT" not in log, log
    return log


@needs_bwrap
def test_no_file_of_the_machine_or_of_torii_can_be_read(lab):
    tries(
        lab,
        f"ls {lab.state}",
        f"cat {lab.state}/gearman.key",
        f"ls {lab.folder}",
        f"ls {lab.repository}",
        "ls /root",
        "cat /etc/shadow",
        "cat /etc/shadow-",
        "ls /etc/ssl/private",
        "ls /etc/ssh",
        f"ls {Path.home()}",
        f"ls {Path(__file__).parents[3]}",
        "ls /proc/1/root/root",
        "ls /proc/1/cwd/../../work",
        "ls /var/log",
        "ls /mnt /media /srv /boot",
        "cat /proc/kcore | head -c 1 | grep -q .",
        "ls /sys/kernel",
        "test -e /run/systemd",
        "ls /run/torii/steps/../../../state",
    )


@needs_bwrap
def test_no_file_outside_of_the_build_can_be_written(lab):
    log = tries(
        lab,
        "touch /usr/x",
        "touch /etc/x",
        "touch /x",
        "touch /run/x",
        "touch /var/x",
        "cat /proc/sys/kernel/printk_ratelimit > /proc/sys/kernel/printk_ratelimit",
        "echo h > /proc/sysrq-trigger",
        "touch /run/torii/steps/x",
        "echo exit 0 > /run/torii/steps/run",
        "touch /run/torii/objects/x",
        "mount -t tmpfs none /usr",
        "umount /etc",
        "mknod disk b 254 0",
        "chroot / true",
    )
    record, log = lab.build(lab.worker(), "touch /tmp/a /var/tmp/b $HOME/c d; test -w /dev/null; echo x >/dev/shm/y\n")
    assert record.result is Result.SUCCESS, log


@needs_bwrap
def test_builds_see_nothing_of_each_other(lab):
    worker = lab.worker(executors=2)
    other = lab.define(
        worker,
        JobDefinition(
            "other", "touch of-another-build /tmp/of-another-build $HOME/of-another-build\nwhile ! test -e go; do sleep 0.02; done\n"
        ),
    )
    _, answer = lab.submit(other)
    answer.started()
    record, log = lab.build(
        worker, "#!/bin/sh\nfind / -name of-another-build 2>/dev/null\nps -e 2>/dev/null | wc -l\nls /proc | grep -c '^[0-9]'\n"
    )
    assert record.result is Result.SUCCESS
    assert "/of-another-build" not in log
    assert int(log.splitlines()[-2]) < 10
    for folder in (lab.state / "workspaces" / worker.id / "builds").glob("*/workspace"):
        (folder / "go").touch()
    assert answer.result() == "SUCCESS"


@needs_bwrap
def test_a_folder_that_is_left_over_is_seen_by_no_later_build(lab):
    worker = lab.worker()
    lab.build(worker, "touch $HOME/.profile /tmp/left workspace-left\n")
    _, log = lab.build(worker, "ls -A $HOME /tmp .\n")
    assert ".profile" not in log
    assert "left" not in log


@needs_bwrap
def test_what_programs_need_of_etc_is_there(lab):
    record, log = lab.build(
        lab.worker(), "whoami; ls /etc/ssl/certs /etc/alternatives /etc/ld.so.cache >/dev/null; getent passwd root; cc() { :; }\n"
    )
    assert record.result is Result.SUCCESS, log
    assert "\ntorii\n" in log


@needs_bwrap
def test_without_a_network_neither_gearman_nor_anything_else_is_reached_but_loopback_works(lab):
    host, port = lab.server.address
    connect = "import socket,sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 3)"
    tries(lab, f'python3 -c "{connect}" {host} {port}', f'python3 -c "{connect}" 192.0.2.1 80')
    own = (
        "import socket; s=socket.create_server(('127.0.0.1',0)); c=socket.create_connection(s.getsockname()); "
        "s.accept()[0].send(b'x'); print(c.recv(1)); socket.create_server(('::1',0),family=socket.AF_INET6)"
    )
    record, log = lab.build(lab.worker(), f'python3 -c "{own}"\n')
    assert record.result is Result.SUCCESS, log


@needs_bwrap
def test_abstract_sockets_of_the_machine_are_out_of_reach(lab):
    name = f"torii-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"\0{name}")
        server.listen()
        code = f"import socket; socket.socket(socket.AF_UNIX).connect(chr(0)+'{name}')"
        tries(lab, f'python3 -c "{code}"')


@needs_bwrap
def test_with_the_machines_network_what_listens_on_it_is_reached(lab):
    host, port = lab.server.address
    code = f"import socket; socket.create_connection(('{host}', {port}), 3)"
    record, log = lab.build(lab.worker(network=Network.HOST), f'python3 -c "{code}"\n')
    assert record.result is Result.SUCCESS, log


@needs_bwrap
def test_a_preloaded_library_or_a_path_of_the_jobs_own_is_nothing_to_what_starts_the_build(lab):
    record, log = lab.build(
        lab.worker(),
        "#!/bin/sh\necho fine\n",
        variables=(("LD_PRELOAD", "/proc/self/cwd/evil.so"), ("PATH", "/workspace"), ("ENV", "/workspace/x"), ("BASH_ENV", "/workspace/x")),
    )
    assert record.result is Result.SUCCESS
    assert "fine\n" in log


@needs_bwrap
def test_what_is_hidden_is_hidden_below_the_folders_of_the_system_too(tmp_path):
    inside = Path("/usr/share")
    sandbox = Bubblewrap(str(shutil.which("bwrap")), tmp_path / "shared", Network.NONE, [inside / "doc", Path("/usr/bin/git")])
    place = Place(tmp_path / "place")
    place.make()
    arguments = (sandbox.launch(place, ["true"], {}).arguments or b"").decode().split("\0")
    assert arguments[arguments.index("/usr/share/doc") - 1] == "--tmpfs"
    assert arguments[arguments.index("/usr/bin/git") - 2 :][:2] == ["--ro-bind", "/dev/null"]
    assert sandbox.probe(place) == ""


def test_of_etc_only_what_everybody_may_read_is_copied(tmp_path):
    etc = tmp_path / "etc"
    (etc / "closed").mkdir(parents=True)
    (etc / "open").mkdir()
    (etc / "torii").mkdir()
    for name, mode in (
        ("shadow", 0o644),
        ("secret", 0o640),
        ("hosts", 0o644),
        ("closed/x", 0o644),
        ("open/x", 0o644),
        ("open/key", 0o600),
        ("torii/server.yml", 0o644),
    ):
        (etc / name).write_text(name)
        (etc / name).chmod(mode)
    (etc / "closed").chmod(0o700)
    (etc / "link").symlink_to("/root/.ssh")
    copy_etc(etc, tmp_path / "copy", [etc / "open" / "hidden"])
    found = sorted(str(path.relative_to(tmp_path / "copy")) for path in (tmp_path / "copy").rglob("*"))
    assert found == ["group", "hosts", "link", "open", "open/x", "passwd", "resolv.conf"]


def test_without_bubblewrap_each_log_says_so(lab, monkeypatch):
    record, log = lab.build(lab.bare_worker(), "echo fine\n")
    assert record.result is Result.SUCCESS
    assert "[torii] this build runs without a sandbox, as server.yml says" in log


def test_where_bubblewrap_does_not_work_there_is_a_note_or_a_refusal(tmp_path, monkeypatch):
    program = tmp_path / "bin" / "bwrap"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho 'no permission to make a namespace' >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent))
    chosen = choose(Sandbox.AUTO, tmp_path / "a", Network.NONE, [])
    assert isinstance(chosen, Bare)
    assert "no permission to make a namespace" in chosen.note
    with pytest.raises(SandboxError, match="no permission to make a namespace"):
        choose(Sandbox.BUBBLEWRAP, tmp_path / "b", Network.NONE, [])
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SandboxError, match="bubblewrap is not installed"):
        choose(Sandbox.BUBBLEWRAP, tmp_path / "c", Network.NONE, [])
