"""Git as Torii uses it: bare repositories, plumbing commands run through GitPython, remotes spoken to without a work tree.

`Mirror` is a bare repository on this disk, `Remote` a repository somewhere else. Neither ever runs a hook, a filter or a merge
driver that a repository asks for, prompts anybody, or takes longer than it was given.
"""

from torii.git.credentials import Credentials
from torii.git.errors import GitError, RefMissingError, RemoteUnavailableError, TimedOutError, UnsafeNameError
from torii.git.mirror import Mirror
from torii.git.names import check_branch, check_ref, check_sha, check_url, redact
from torii.git.process import kill_running, require_git
from torii.git.remote import ABSENT, Pushed, PushOutcome, RefUpdate, Rejected, Remote, Stale

__all__ = [
    "ABSENT",
    "Credentials",
    "GitError",
    "Mirror",
    "PushOutcome",
    "Pushed",
    "RefMissingError",
    "RefUpdate",
    "Rejected",
    "Remote",
    "RemoteUnavailableError",
    "Stale",
    "TimedOutError",
    "UnsafeNameError",
    "check_branch",
    "check_ref",
    "check_sha",
    "check_url",
    "kill_running",
    "redact",
    "require_git",
]
