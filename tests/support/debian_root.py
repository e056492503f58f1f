"""A fresh Debian 12 as a folder, and commands that run in it as root: for what provisions machines.

What this machine needs to reach Debian's and Python's packages (mirrors, proxies, certificates) is handed in from outside for each command;
what is tested knows nothing of it. The network is this machine's own. There is no systemd in it.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from torii.testing.gerrit.cache import made_once

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "torii" / "debian-root"
"""Where the fresh root and what was downloaded are kept: read when this is imported, while the home is still the user's."""

SUITES = {"bookworm": "debian", "bookworm-updates": "debian", "bookworm-security": "debian-security"}
OFFICIAL = "http://deb.debian.org/"
ROOM = 2 << 30
"""Bytes that a root file system with what is installed into it may take; it is less than half of that."""
MAKING_LIMIT = 600.0
COMMAND_LIMIT = 300.0

_CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
_HANDED_IN = "/handed-in.crt"
_HANDED_ON = re.compile(r"(https?_proxy|no_proxy|all_proxy|pip_(?!cert$|cache_dir$|config_file$).*)", re.IGNORECASE)
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# What differs from run to run for nobody's sake: caches, logs, what a kernel shows.
_NOBODYS = re.compile(r"/(proc|dev|sys|run|tmp|var/cache|var/log|root/\.cache)(/|$)|/__pycache__(/|$)")


@contextmanager
def quick_folder(otherwise: Path) -> Iterator[Path]:
    """Yield a folder for a root file system, which is gone afterwards: in memory where there is room for it, else `otherwise`."""
    memory = Path("/dev/shm")
    usable = memory.is_dir() and not os.statvfs(memory).f_flag & os.ST_NOEXEC and shutil.disk_usage(memory).free > ROOM
    available = re.search(r"^MemAvailable: +(\d+) kB", Path("/proc/meminfo").read_text(), re.MULTILINE)
    if usable and available and int(available[1]) * 1024 > 3 * ROOM:
        with tempfile.TemporaryDirectory(prefix="torii-root-", dir=memory) as folder:
            yield Path(folder)
    else:
        yield otherwise
        shutil.rmtree(otherwise)


class DebianRoot:
    """The root file system in `folder`, with a `/checkout` that shows `checkout`, read only."""

    def __init__(self, folder: Path, checkout: Path) -> None:
        self.folder = folder
        self._checkout = checkout
        folder.mkdir()
        _output("tar", "-xf", str(made_once(CACHE / "bookworm", _make) / "root.tar"), "-C", str(folder))
        for place in ("checkout", "root/.cache/pip", "var/cache/apt/archives/partial"):
            (folder / place).mkdir(parents=True, exist_ok=True)
        (folder / _HANDED_IN.lstrip("/")).touch()
        _write_sources(folder)

    def run(self, *command: str, **environment: str) -> str:
        """Run a command and return all that it said. Raises AssertionError, with that, where it fails."""
        words = [*self._sandbox(environment), *command]
        done = subprocess.run(
            words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=COMMAND_LIMIT, check=False
        )
        assert done.returncode == 0, f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}"
        return done.stdout

    def text(self, path: str) -> str:
        """Return the content of the file at the absolute `path`."""
        return (self.folder / path.lstrip("/")).read_text()

    def mode(self, path: str) -> str:
        """Return the permissions of `path` as `ls` shows them, such as `-rw-r-----`."""
        return stat.filemode((self.folder / path.lstrip("/")).lstat().st_mode)

    def snapshot(self) -> dict[str, tuple[object, ...]]:
        """Return each path with what would differ had it been written anew, changed, or given to somebody else."""
        return dict(self._entries())

    def _entries(self) -> Iterator[tuple[str, tuple[object, ...]]]:
        for parent, folders, files in os.walk(self.folder):
            inside = f"/{Path(parent).relative_to(self.folder)}".replace("/.", "", 1)
            folders[:] = [name for name in folders if not _NOBODYS.search(f"{inside}/{name}")]
            for name in (*folders, *files):
                if _NOBODYS.search(f"{inside}/{name}"):
                    continue
                entry = os.lstat(os.path.join(parent, name))  # noqa: PTH118 - some 30,000 of them
                # A folder's time changes with a temporary file in it.
                written = () if stat.S_ISDIR(entry.st_mode) else (entry.st_size, entry.st_mtime_ns, entry.st_ino)
                yield f"{inside}/{name}", (oct(entry.st_mode), entry.st_uid, entry.st_gid, *written)

    def _sandbox(self, environment: Mapping[str, str]) -> list[str]:
        for place in ("archives", "pip"):
            (CACHE / place).mkdir(parents=True, exist_ok=True)
        (CACHE / "archives" / "partial").mkdir(exist_ok=True)
        binds = [("--ro-bind", "/etc/resolv.conf", "/etc/resolv.conf"), ("--ro-bind", "/etc/hosts", "/etc/hosts")]
        binds += [("--ro-bind-try", _certificates(), _HANDED_IN), ("--ro-bind-try", "/etc/pip.conf", "/etc/pip.conf")]
        binds += [("--ro-bind", str(self._checkout), "/checkout")]
        binds += [("--bind", str(CACHE / "archives"), "/var/cache/apt/archives"), ("--bind", str(CACHE / "pip"), "/root/.cache/pip")]
        if links := os.environ.get("PIP_FIND_LINKS"):
            binds.append(("--ro-bind-try", links, links))
        variables = {name: value for name, value in os.environ.items() if _HANDED_ON.fullmatch(name)}
        variables |= {"PATH": _PATH, "HOME": "/root", "LC_ALL": "C.UTF-8", "PIP_NO_COMPILE": "1"}
        variables |= dict.fromkeys(("PIP_CERT", "CURL_CA_BUNDLE"), _HANDED_IN)
        settings = [word for name, value in {**variables, **environment}.items() for word in ("--setenv", name, value)]
        return [
            *("bwrap", "--bind", str(self.folder), "/", "--dev", "/dev", "--proc", "/proc"),
            *("--tmpfs", "/run", "--perms", "1777", "--tmpfs", "/tmp"),
            *(word for bind in binds for word in bind),
            *("--unshare-pid", "--unshare-ipc", "--unshare-uts", "--die-with-parent", "--cap-add", "ALL", "--clearenv"),
            *settings,
        ]


def _make(folder: Path) -> None:
    """Make `folder`/root.tar, which takes a minute."""
    root = folder / "root"
    command = ["debootstrap", "--variant=minbase", "bookworm", str(root), _sites()["bookworm"]]
    done = subprocess.run(command, capture_output=True, text=True, timeout=MAKING_LIMIT, check=False)
    assert done.returncode == 0, f"debootstrap failed:\n{done.stdout[-3000:]}{done.stderr[-1000:]}"
    # In a container or a chroot nothing starts a package's service; a machine that is provisioned before it boots is one.
    policy = root / "usr" / "sbin" / "policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    # It lives for a minute: nothing in it needs to survive a crash of the machine.
    (root / "etc" / "dpkg" / "dpkg.cfg.d" / "unsafe-io").write_text("force-unsafe-io\n")
    _output("tar", "-cf", str(folder / "root.tar"), "-C", str(root), ".")
    shutil.rmtree(root)


def _write_sources(root: Path) -> None:
    lines = [f"deb {site} {suite} main\n" for suite, site in _sites().items()]
    (root / "etc" / "apt" / "sources.list").write_text("".join(lines))
    dumped = _output("apt-config", "dump", "Acquire")
    kept = [line for line in dumped.splitlines() if re.match(r'Acquire::[\w:-]+ ".+";$', line)]
    (root / "etc" / "apt" / "apt.conf.d" / "90handed-in").write_text("\n".join(kept) + "\n")


def _sites() -> dict[str, str]:
    """Return where each suite comes from: this machine's own mirrors where it is a Debian 12 too, else the official address."""
    found = {suite: f"{OFFICIAL}{archive}" for suite, archive in SUITES.items()}
    for line in _output("apt-get", "indextargets", "--format", "$(SITE) $(RELEASE) $(LABEL)").splitlines():
        site, suite, label = line.split(" ", 2)
        if suite in found and label.startswith("Debian"):
            found[suite] = site
    return found


def _certificates() -> str:
    return os.environ.get("PIP_CERT") or os.environ.get("SSL_CERT_FILE") or _CERTIFICATES


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
