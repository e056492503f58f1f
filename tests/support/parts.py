"""The parts that pip cannot install, which `@pytest.mark.needs(...)` names: is each of them really here?

`./run tests` installs them where it may (its table PARTS names the Debian packages); a part is added there and here.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

from tests.support import gerrit

# Daemons live where a plain user's PATH does not look.
SEARCH_PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"])

# part: the names its binary goes by.
BINARIES = {
    "gearmand": ("gearmand",),
    "gearadmin": ("gearadmin",),
    "bwrap": ("bwrap",),
    "chromium": ("chromium", "chromium-browser", "google-chrome"),
    "sshd": ("sshd",),
    "ssh": ("ssh",),
    "ssh-keygen": ("ssh-keygen",),
    "shellcheck": ("shellcheck",),
    "vagrant": ("vagrant",),
    "debootstrap": ("debootstrap",),
    "gerrit": ("mvn",),  # with which its jars are fetched
}


def binary(part: str) -> str | None:
    """The full path of the part's binary, or None where it is not installed. `KeyError` for a part nobody knows."""
    for name in BINARIES[part]:
        found = shutil.which(name, path=SEARCH_PATH)
        if found:
            return found
    return None


@cache
def missing(part: str) -> str | None:
    """Why tests that need `part` cannot run here, or None when they can. Of `gerrit` it makes what all its tests start from."""
    if part == "gerrit":
        return gerrit.why_not()
    path = binary(part)
    if path is None:
        return f"{part} is not installed; `./run tests` installs it when it may use apt-get"
    if part == "bwrap":
        return _why_bwrap_fails(path)
    if part == "debootstrap" and os.geteuid() != 0:
        return "debootstrap makes a root file system for root alone"
    if part == "sshd" and os.geteuid() == 0:
        # root's sshd wants this folder; only a service that was started has made it.
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    return None


def _why_bwrap_fails(path: str) -> str | None:
    # Installed is not enough: a container or a hardened kernel may forbid the namespaces it makes.
    command = [path, "--ro-bind", "/", "/", "--unshare-pid", "--proc", "/proc", "--dev", "/dev", "true"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"bwrap is installed but does not run here: {error}"
    if done.returncode != 0:
        return f"bwrap is installed but may not make a sandbox here: {done.stderr.strip()}"
    return None
