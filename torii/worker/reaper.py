"""Runs one command where there is no sandbox, and leaves nothing of it behind: a program of its own, which imports nothing of Torii.

It takes `{"argv", "env", "cwd"}` as JSON on its standard input. As "child subreaper" (prctl(2)) it becomes the parent of every orphan below
it, so whatever the command started, daemons too, can be found and killed. When the worker dies, or asks with SIGTERM, all of it ends.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

GRACE = 2.0
"""Seconds between SIGTERM and SIGKILL."""
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_WATCHED = {signal.SIGTERM, signal.SIGCHLD}


def descendants(root: int) -> list[int]:
    """Return the processes below `root` that are alive, children before grandchildren. For any process that /proc shows."""
    children: dict[int, list[int]] = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError):
                # pid (name) state ppid ...; a name may hold anything, parentheses too
                state, parent = Path(f"/proc/{entry.name}/stat").read_bytes().rpartition(b")")[2].split()[:2]
                if state not in (b"Z", b"X"):
                    children.setdefault(int(parent), []).append(int(entry.name))
    found: list[int] = []
    todo = [root]
    while todo:
        below = children.pop(todo.pop(0), [])
        found += below
        todo += below
    return found


def offspring(root: int) -> list[int]:
    """Return the same at a fraction of the cost: for whoever may miss a process that is born or dies just now (see proc(5), "children")."""
    found: list[int] = []
    todo = [root]
    while todo:
        process = todo.pop(0)
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            for task in Path(f"/proc/{process}/task").iterdir():
                below = [int(word) for word in (task / "children").read_bytes().split()]
                found += below
                todo += below
    return found or descendants(root)  # some kernels have no such file


def send(processes: list[int], number: int) -> None:
    """Send a signal to each of `processes` that is still there."""
    for process in processes:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(process, number)


def main() -> int:
    """Run the command; return its exit status, 128 + n where signal n ended it."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _WATCHED)
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
    given = json.load(sys.stdin)
    if os.getppid() != given["parent"]:
        return 128 + signal.SIGTERM  # the worker died before it could be told to us
    command = subprocess.Popen(
        given["argv"],
        env=given["env"],
        cwd=given["cwd"],
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=lambda: signal.pthread_sigmask(signal.SIG_UNBLOCK, _WATCHED),  # this program has one thread
    )
    status = _watch(command.pid)
    _end_all()
    return status


def _watch(pid: int) -> int:
    """Reap whatever ends until the command does, or until SIGTERM."""
    while True:
        for ended, status in _reaped():
            if ended == pid:
                code = os.waitstatus_to_exitcode(status)
                return code if code >= 0 else 128 - code
        found = signal.sigtimedwait(_WATCHED, 1.0)
        if found is not None and found.si_signo == signal.SIGTERM:
            send(descendants(os.getpid()), signal.SIGTERM)
            limit = time.monotonic() + GRACE
            while descendants(os.getpid()) and time.monotonic() < limit:
                signal.sigtimedwait({signal.SIGCHLD}, 0.05)
                list(_reaped())
            return 128 + signal.SIGTERM


def _end_all() -> None:
    """Kill until nothing is left: what forks while it is looked for is found the next time."""
    limit = time.monotonic() + 10.0
    while (left := descendants(os.getpid())) and time.monotonic() < limit:
        send(left, signal.SIGSTOP)
        send(left, signal.SIGKILL)
        signal.sigtimedwait({signal.SIGCHLD}, 0.02)
        list(_reaped())


def _reaped() -> list[tuple[int, int]]:
    found = []
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            found.append((pid, status))
    return found


if __name__ == "__main__":
    sys.exit(main())
