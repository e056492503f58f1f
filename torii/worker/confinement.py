"""Keeps a build from the machine: bubblewrap where it works, else only a promise that nothing of the build outlives it.

In the sandbox a build sees the system's programs read-only, the part of /etc that everybody may read, and its own folders; no file of
another build, of Torii or of anybody's home, no process but its own, and (unless the operator says otherwise) no network.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from torii.config.settings import Network, Sandbox
from torii.errors import OperatorError
from torii.worker import reaper
from torii.worker.place import Launch, Place, View

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
USER = "torii"
_ID = "1000"
_PROBE_LIMIT = 10.0
_ETC_FILE = 4 * 1024 * 1024
_ETC_TOTAL = 64 * 1024 * 1024
_SYSTEM = ("/usr", "/opt", "/nix", "/gnu")
_MERGED = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
_PROC_READ_ONLY = ("sys", "sysrq-trigger", "irq", "bus", "fs")
_PROC_MASKED = ("acpi", "asound", "kcore", "keys", "latency_stats", "scsi", "sched_debug", "timer_list", "timer_stats")
"""What container engines keep from containers."""
_ETC_BOUND = ("alternatives", "fonts", "ssl/certs")
"""Public by what they are, and hundreds of links each: mounted as they are."""
_ETC_LEFT_OUT = re.compile(
    r"apparmor.*|cron.*|dbus-1|default|init\.d|logrotate\.d|network.*|pam\.d|polkit-1|rc.\.d|runit|security|skel|ssh|sudoers.*|sv|systemd|torii|udev"
    r"|passwd-?|group-?|g?shadow-?|resolv\.conf"
)
"""How the machine is run, which is nothing to a build; and what it gets its own of."""


class Confinement(Protocol):
    """A way to run a build's command."""

    note: str
    """What every log says about it; empty where there is nothing to warn of."""

    def view(self, place: Place) -> View:
        """Return the paths under which the build sees `place`."""

    def launch(self, place: Place, argv: Sequence[str], env: Mapping[str, str]) -> Launch:
        """Return what to start so that `argv` runs in `place` with `env` and nothing else of an environment."""

    def terminate(self, process: subprocess.Popen[bytes]) -> None:
        """Ask everything that `process`, started from such a launch, has started to end."""

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """End all of it. `process` itself ends once nothing is left."""


class SandboxError(OperatorError):
    """The sandbox that `server.yml` asks for does not work on this machine."""


class Bare:
    """No sandbox: a session of its own, and a reaper that finds whatever the build started."""

    def __init__(self, note: str = "") -> None:
        self.note = note

    def view(self, place: Place) -> View:
        objects = str(place.objects) if place.objects else None
        return View(str(place.workspace), str(place.home), str(place.tmp), str(place.steps), str(place.progress), objects)

    def launch(self, place: Place, argv: Sequence[str], env: Mapping[str, str]) -> Launch:
        # The build's environment travels as data: a LD_PRELOAD among its variables is nothing to a program of ours.
        given = {"argv": list(argv), "env": dict(env), "cwd": str(place.workspace), "parent": os.getpid()}
        return Launch((sys.executable, "-I", "-S", reaper.__file__), (("PATH", PATH),), "/", given=json.dumps(given).encode())

    def terminate(self, process: subprocess.Popen[bytes]) -> None:
        process.terminate()

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        # The reaper does so by itself; here it has taken too long. It goes last, or its orphans could not be found.
        while left := reaper.descendants(process.pid):
            reaper.send(left, signal.SIGKILL)
            if process.poll() is not None:
                return
        process.kill()


class Bubblewrap:
    """A sandbox made by bubblewrap (https://github.com/containers/bubblewrap). `scratch` is a folder for what all builds share."""

    note = ""

    def __init__(self, program: str, scratch: Path, network: Network, hidden: Iterable[Path]) -> None:
        self._program = program
        self._etc = scratch / "etc"
        hidden = [path.resolve() for path in hidden]
        copy_etc(Path("/etc"), self._etc, hidden)
        self._system = tuple(self._arguments(network, hidden))

    def view(self, place: Place) -> View:
        objects = "/run/torii/objects" if place.objects else None
        return View("/workspace", f"/home/{USER}", "/tmp", "/run/torii/steps", "/run/torii/progress", objects)

    def launch(self, place: Place, argv: Sequence[str], env: Mapping[str, str]) -> Launch:
        arguments = [*self._system, "--clearenv"]
        for name, value in env.items():
            arguments += ["--setenv", name, value]
        arguments += ["--bind", str(place.tmp), "/tmp", "--bind", str(place.tmp), "/var/tmp"]
        arguments += ["--bind", str(place.home), f"/home/{USER}", "--bind", str(place.workspace), "/workspace"]
        arguments += ["--ro-bind", str(place.steps), "/run/torii/steps", "--bind", str(place.progress), "/run/torii/progress"]
        if place.objects:
            arguments += ["--ro-bind", str(place.objects), "/run/torii/objects"]
        arguments += ["--remount-ro", "/", "--chdir", "/workspace"]
        # Over a descriptor: neither a long environment nor who may list processes is a concern then.
        data = b"".join(os.fsencode(each) + b"\0" for each in arguments)
        return Launch((self._program, "--args", "{args}", "--", *argv), (("PATH", PATH),), "/", arguments=data)

    def terminate(self, process: subprocess.Popen[bytes]) -> None:
        # The first below bubblewrap is the namespace's init, which signals from outside do not end.
        reaper.send(reaper.offspring(process.pid)[1:], signal.SIGTERM)

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        # When the init of a namespace dies the kernel kills all in it, whatever it forks meanwhile; only then is bubblewrap told.
        inits = reaper.offspring(process.pid)[:1]
        reaper.send(inits, signal.SIGKILL)
        if not inits:
            process.kill()

    def probe(self, place: Place) -> str:
        """Return why the sandbox does not work here, in a few words; empty where it does."""
        launch = self.launch(place, ["/bin/sh", "-c", "test -w /workspace"], {"PATH": PATH})
        descriptor = memory_file(launch.arguments or b"")
        argv = [str(descriptor) if word == "{args}" else word for word in launch.argv]
        try:
            done = subprocess.run(
                argv, env=dict(launch.env), cwd="/", pass_fds=[descriptor], capture_output=True, timeout=_PROBE_LIMIT, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return str(error)
        finally:
            os.close(descriptor)
        return "" if done.returncode == 0 else done.stderr.decode(errors="replace").strip()[:300] or f"exit status {done.returncode}"

    def _arguments(self, network: Network, hidden: Sequence[Path]) -> Iterator[str]:
        yield from ("--unshare-user", "--uid", _ID, "--gid", _ID, "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try")
        yield from ("--hostname", "torii", "--die-with-parent", "--new-session")
        if network is Network.NONE:
            yield "--unshare-net"
        for folder in _SYSTEM:
            if os.path.isdir(folder):  # noqa: PTH112
                yield from ("--ro-bind", folder, folder)
        for name in _MERGED:
            path = Path("/", name)
            if path.is_symlink():
                yield from ("--symlink", str(path.readlink()), str(path))
            elif path.is_dir():
                yield from ("--ro-bind", str(path), str(path))
        yield from ("--ro-bind", str(self._etc), "/etc")
        for name in _ETC_BOUND:
            if (self._etc / name).is_dir():
                yield from ("--ro-bind-try", f"/etc/{name}", f"/etc/{name}")
        yield from ("--dev", "/dev", "--proc", "/proc", "--dir", "/run/torii", "--dir", "/var/lib", "--dir", "/sys")
        yield from _closed_proc()
        if network is Network.HOST:
            yield from ("--ro-bind-try", os.path.realpath("/etc/resolv.conf"), "/etc/resolv.conf")
        for path in hidden:
            if any(path.is_relative_to(folder) for folder in _SYSTEM):
                yield from ("--tmpfs", str(path)) if path.is_dir() else ("--ro-bind", "/dev/null", str(path))


def _closed_proc() -> Iterator[str]:
    """Close what root may change in /proc without any capability: it goes by the owner, and where the worker is root so is the build."""
    for name in _PROC_READ_ONLY:
        yield from ("--ro-bind-try", f"/proc/{name}", f"/proc/{name}")
    for path in (Path("/proc", name) for name in _PROC_MASKED):
        if path.exists():
            yield from ("--tmpfs", str(path)) if path.is_dir() else ("--ro-bind", "/dev/null", str(path))


def choose(wanted: Sandbox, scratch: Path, network: Network, hidden: Iterable[Path]) -> Confinement:
    """Return the confinement for `wanted`, tried out. Raises `SandboxError` where bubblewrap is insisted on and does not work.

    `hidden` are folders and files that no build may see, wherever they are.
    """
    if wanted is Sandbox.NONE:
        return Bare("this build runs without a sandbox, as server.yml says: it can read what the worker can")
    reason = "bubblewrap is not installed"
    if program := shutil.which("bwrap"):
        sandbox = Bubblewrap(program, scratch, network, hidden)
        place = Place(scratch / "probe")
        place.make()
        reason = sandbox.probe(place)
        shutil.rmtree(place.root, ignore_errors=True)
        if not reason:
            return sandbox
        reason = f"bubblewrap does not work here ({reason})"
    if wanted is Sandbox.BUBBLEWRAP:
        raise SandboxError(
            f"server.yml asks for bubblewrap, but {reason}; install it, allow user namespaces, or set the worker's sandbox to auto"
        )
    return Bare(f"this build runs without a sandbox, for {reason}: it can read what the worker can")


def memory_file(data: bytes) -> int:
    """Return a descriptor to read `data` from, which the caller closes."""
    descriptor = os.memfd_create("torii")
    with os.fdopen(os.dup(descriptor), "wb") as file:
        file.write(data)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def copy_etc(source: Path, target: Path, hidden: Sequence[Path]) -> None:
    """Copy of /etc what every user of the machine may read; never a password, a key, or what is Torii's own.

    A copy, since a bind mount a file would cost more than the build, and one of the whole would show what a mask on it came off from.
    """
    target.mkdir(parents=True, mode=0o755)
    left = _ETC_TOTAL
    for folder, folders, files in os.walk(source):
        below = os.path.relpath(folder, source)
        if below == ".":
            folders[:], files = ([name for name in names if not _ETC_LEFT_OUT.fullmatch(name)] for names in (folders, files))
        here = target / below
        folders[:] = [name for name in folders if _enter(Path(folder, name), here / name, hidden)]
        folders[:] = [name for name in folders if os.path.normpath(os.path.join(below, name)) not in _ETC_BOUND]  # noqa: PTH118
        for name in files:
            left -= _copy(Path(folder, name), here / name, hidden, left)
    (target / "passwd").write_text(
        f"root:x:0:0:root:/root:/bin/sh\n{USER}:x:{_ID}:{_ID}::/home/{USER}:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n"
    )
    (target / "group").write_text(f"root:x:0:\n{USER}:x:{_ID}:\nnogroup:x:65534:\n")
    (target / "resolv.conf").touch()


def _enter(path: Path, target: Path, hidden: Sequence[Path]) -> bool:
    """Make the folder `target` if that at `path` may be seen, and return whether there is something to copy below it."""
    try:
        status = path.lstat()
        if stat.S_ISLNK(status.st_mode):
            target.symlink_to(path.readlink())
            return False
        if status.st_mode & 0o5 != 0o5 or path in hidden:
            return False
        target.mkdir(mode=0o755)
    except OSError:
        return False
    return True


def _copy(path: Path, target: Path, hidden: Sequence[Path], left: int) -> int:
    """Copy one file or link and return its bytes."""
    try:
        status = path.lstat()
        if stat.S_ISLNK(status.st_mode):
            target.symlink_to(path.readlink())
        elif stat.S_ISREG(status.st_mode) and status.st_mode & 0o4 and status.st_size <= min(_ETC_FILE, left) and path not in hidden:
            shutil.copyfile(path, target, follow_symlinks=False)
            target.chmod(0o755 if status.st_mode & 0o111 else 0o644)
            return status.st_size
    except OSError:
        pass  # gone meanwhile, or not for us: a build does without it
    return 0
