"""Runs git commands through GitPython, each with a time limit at which its whole process group is killed.

GitPython's own `kill_after_timeout` asks pgrep or ps for the children of the command, which a small image does not have and an ssh that was
just started escapes; so commands are asked for `as_process` and started in a session of their own, which one signal ends.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import cast

# GitPython looks for git when it is imported, and raises ImportError where there is none; we say it better, and later. It takes a while
# to import, which is left to the first command: a restart has more urgent things to do.
os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")

from torii.git.errors import GitError, TimedOutError

MINIMUM = (2, 38)
"""The first git whose `merge-tree` can write a tree."""

_running: set[subprocess.Popen[bytes]] = set()
_running_lock = threading.Lock()

# Variables that tie git to one repository (`git rev-parse --local-env-vars` lists them), and some that change what plumbing does.
_LOCAL = frozenset(
    {
        "GIT_ALTERNATE_OBJECT_DIRECTORIES",
        "GIT_ATTR_SOURCE",
        "GIT_COMMON_DIR",
        "GIT_CONFIG",
        "GIT_CONFIG_PARAMETERS",
        "GIT_DEFAULT_HASH",
        "GIT_DIFF_OPTS",
        "GIT_DIR",
        "GIT_EXTERNAL_DIFF",
        "GIT_GRAFT_FILE",
        "GIT_IMPLICIT_WORK_TREE",
        "GIT_INDEX_FILE",
        "GIT_INTERNAL_SUPER_PREFIX",
        "GIT_LITERAL_PATHSPECS",
        "GIT_NAMESPACE",
        "GIT_OBJECT_DIRECTORY",
        "GIT_PREFIX",
        "GIT_PUSH_OPTION_COUNT",
        "GIT_QUARANTINE_PATH",
        "GIT_REPLACE_REF_BASE",
        "GIT_SHALLOW_FILE",
        "GIT_WORK_TREE",
    }
)


@dataclass(frozen=True, slots=True)
class Completed:
    """A command that ended by itself. `stderr` is text, cut to its last 4,000 characters."""

    status: int
    stdout: bytes
    stderr: str


def start(arguments: Sequence[str], *, cwd: Path, env: Mapping[str, str], stdin: bool = False) -> subprocess.Popen[bytes]:
    """Start `git <arguments>` in a session of its own and return the process. Hand it to `end` when done with it."""
    from git import Git
    from git.exc import GitCommandNotFound

    command = [*_scrub(), Git.GIT_PYTHON_GIT_EXECUTABLE or "git", *arguments]
    try:
        wrapper = Git(cwd).execute(
            command, istream=subprocess.PIPE if stdin else None, as_process=True, env=dict(env), start_new_session=True
        )
    except GitCommandNotFound as error:
        raise GitError("git is not installed: install git 2.38 or newer") from error
    process = cast(subprocess.Popen[bytes], wrapper.proc)
    wrapper.proc = None  # it ends at `end`, not when GitPython's wrapper is collected
    with _running_lock:
        _running.add(process)
    return process


def end(process: subprocess.Popen[bytes]) -> None:
    """Kill what is left of `process` and everything it started, and let go of its pipes."""
    with _running_lock:
        _running.discard(process)
    if process.poll() is None:
        _kill(process)
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            with contextlib.suppress(OSError, ValueError):
                stream.close()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(5)


def run(arguments: Sequence[str], *, cwd: Path, env: Mapping[str, str], limit: float, given: bytes | None = None) -> Completed:
    """Run `git <arguments>` to its end, with `given` on its standard input; raise TimedOutError after `limit` seconds."""
    process = start(arguments, cwd=cwd, env=env, stdin=given is not None)
    try:
        stdout, stderr = process.communicate(given, timeout=limit)
    except subprocess.TimeoutExpired:
        _kill(process)  # also where git itself is gone and what it started still holds our pipes
        raise TimedOutError(f"git {_verb(arguments)} took longer than {limit:g} s and was killed") from None
    finally:
        end(process)
    return Completed(process.returncode, stdout, stderr.decode(errors="replace")[-4000:].strip())


def kill_running() -> None:
    """End every git command this process has under way: for a stop that cannot wait for a remote. Their callers get a GitError."""
    with _running_lock:
        processes = list(_running)
    for process in processes:
        _kill(process)


# They are in sessions of their own, so nothing else would end them with us.
atexit.register(kill_running)


@cache
def git_version() -> tuple[int, ...]:
    """Return the version of the installed git, such as (2, 39, 5)."""
    words = run(["version"], cwd=Path("/"), env={}, limit=10.0).stdout.decode().split()
    return tuple(int(part) for part in words[2].split(".")[:3] if part.isdigit())


def require_git() -> tuple[int, ...]:
    """Return the version of the installed git; raise GitError where there is none or it is older than Torii needs."""
    version = git_version()
    if version < MINIMUM:
        raise GitError(f"git {'.'.join(map(str, version))} is too old: Torii needs {'.'.join(map(str, MINIMUM))} or newer")
    return version


def _scrub() -> list[str]:
    # GitPython copies os.environ into every command and cannot leave out a variable. In a hook git has set its own; `env` takes them away.
    found = sorted(_LOCAL.intersection(os.environ))
    return ["env", *(word for name in found for word in ("-u", name))] if found else []


def _kill(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def _verb(arguments: Sequence[str]) -> str:
    return next((word for word in arguments if not word.startswith("-")), "")
