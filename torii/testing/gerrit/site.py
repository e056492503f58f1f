"""A real Gerrit on loopback: started from a copy of a prepared site, told what to do as any of its users, ended by its process id."""

from __future__ import annotations

import atexit
import signal
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from torii.testing.gerrit import recipe
from torii.testing.gerrit.accounts import Account, Rest, quoted
from torii.testing.gerrit.daemon import program, stop, wait_until_ready
from torii.testing.gerrit.errors import LabError
from torii.testing.gerrit.project import LabProject
from torii.testing.gerrit.recipe import Provision
from torii.testing.gerrit.workbench import COMMAND_LIMIT, Workbench
from torii.testing.ports import free_ports

NEWEST = "3.13.5"
OLDEST = "3.10.2"
"""The Gerrits that Torii is tested with."""

TORII_YML = """\
jobs:
  unit: {run: "true"}
pipelines: {check: [unit], gate: [unit]}
"""


@dataclass(frozen=True, slots=True)
class Setup:
    """What a site is made of. `settings` are of gerrit.config, such as `{"change.submitWholeTopic": "true"}`."""

    version: str = NEWEST
    provision: Provision = Provision.TORII
    settings: Mapping[str, str] | None = None
    heap: str = "400m"
    cache: Path | None = None


class GerritSite:
    """A Gerrit that runs in `folder`. A context manager, or `start()` and `close()`; ports and data stay the same over a restart.

    `url` is its pages and REST, `ssh_port` is on 127.0.0.1, `known_hosts` a file that knows its host keys, `version` what it is.
    """

    def __init__(self, folder: Path, setup: Setup | None = None) -> None:
        setup = setup or Setup()
        prepared = recipe.prepared_site(setup.version, setup.provision, setup.cache)
        recipe.copy_site(prepared, folder)
        self.folder = folder
        self.version = setup.version
        self.http_port, self.ssh_port = free_ports(2)
        self.url = f"http://127.0.0.1:{self.http_port}"
        self.known_hosts = folder / "known_hosts"
        self.known_hosts.write_text(recipe.known_hosts(folder / "site", self.ssh_port))
        self.log = folder / "daemon.log"
        archive = recipe.class_archive(setup.version, setup.cache)
        self._program = program(setup.version, folder / "run", cache=setup.cache, heap=setup.heap).quickened(archive)
        self._process: subprocess.Popen[bytes] | None = None
        self._rests: dict[str, Rest] = {}
        self.configure(setup.settings or {})

    # ---- the daemon ----------------------------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    @property
    def pid(self) -> int | None:
        """The process id of the daemon, None while there is none."""
        return self._process.pid if self._process else None

    def start(self, wanted: Callable[[], bool] = lambda: True) -> None:
        """Have the daemon run, and wait until it answers, as long as it is `wanted`. Raises LabError; the daemon is gone then."""
        if self._process is None or self._process.poll() is not None:
            self._process = self._program.daemon(self.folder / "site", self.log)
            atexit.register(self.kill)
        self.resume()
        try:
            wait_until_ready(self._process, self.http_port, self.ssh_port, self.log, wanted)
        except LabError:
            self.kill()
            raise

    def stop(self) -> None:
        """Ask the daemon to end, and wait for it."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End the daemon at once, as a crash would."""
        self._end(signal.SIGKILL)

    def close(self) -> None:
        """End the daemon. What it wrote stays in `folder`; nobody will start it again, so it need not be tidy."""
        self.kill()

    def restart(self) -> None:
        """Stop and start the daemon."""
        self.stop()
        self.start()

    def suspend(self) -> None:
        """Have the daemon take connections and answer nothing, until `resume`."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a suspended daemon go on."""
        self._signal(signal.SIGCONT)

    def configure(self, settings: Mapping[str, str]) -> None:
        """Write settings into gerrit.config; they hold from the next start on."""
        recipe.write_ports(self.folder / "site", self.http_port, self.ssh_port, settings)

    # ---- who is there --------------------------------------------------------------------------------------------------------

    @property
    def admin(self) -> Account:
        """The administrator."""
        return self.account("admin")

    @property
    def dev(self) -> Account:
        """A developer, who may vote Code-Review -1 to +1 and no more."""
        return self.account("dev")

    @property
    def torii(self) -> Account:
        """The account that Torii uses."""
        return self.account("torii")

    def account(self, username: str) -> Account:
        """Return an account that the site came with or that `create_account` made."""
        return recipe.account(self.folder / "accounts", username)

    def create_account(self, username: str, *, groups: tuple[str, ...] = ()) -> Account:
        """Make an account with a key and a password, in `groups`, and return it."""
        password = f"{username}-secret"
        key = recipe.make_keys(self.folder / "accounts", username, password)
        made = self.account(username)
        who = {"name": made.name, "email": made.email, "http_password": password, "ssh_key": key, "groups": list(groups)}
        self.rest().put(f"/accounts/{username}", who)
        return made

    def rest(self, who: str = "admin") -> Rest:
        """Return the REST of this site as the user `who`."""
        if who not in self._rests:
            self._rests[who] = Rest(self.url, who, self.account(who).password)
        return self._rests[who]

    def ssh_command(self, who: str = "admin") -> tuple[str, ...]:
        """Return the words of an `ssh` that logs in as `who`; a command of Gerrit follows. As a string it is a GIT_SSH_COMMAND."""
        options = ("IdentitiesOnly=yes", "BatchMode=yes", "StrictHostKeyChecking=yes", f"UserKnownHostsFile={self.known_hosts}")
        words = [word for option in options for word in ("-o", option)]
        return ("ssh", "-F", "/dev/null", *words, "-i", str(self.account(who).key), "-p", str(self.ssh_port), f"{who}@127.0.0.1")

    def ssh(self, *command: str, who: str = "admin") -> str:
        """Run a command of Gerrit, such as `gerrit version`, and return what it printed. Raises LabError."""
        done = subprocess.run(
            [*self.ssh_command(who), *command], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=COMMAND_LIMIT, check=False
        )
        if done.returncode != 0:
            raise LabError(f"{' '.join(command)} as {who}: {done.stderr.strip()}")
        return done.stdout

    # ---- what it holds -------------------------------------------------------------------------------------------------------

    def create_project(
        self, name: str, submit_type: str = "MERGE_IF_NECESSARY", files: Mapping[str, str] | None = None, **more: Any
    ) -> LabProject:
        """Make a project whose `main` holds `files` (None: a README and a torii.yml with one job that passes); `more` is ProjectInput's."""
        self.rest().put(f"/projects/{quoted(name)}", {"branches": ["main"], "submit_type": submit_type, **more})
        project = self.project(name)
        first = {"README": f"{name}\n", "torii.yml": TORII_YML} if files is None else files
        project.commit_directly(first, "Begin", parent=None)
        return project

    def project(self, name: str) -> LabProject:
        """Return a project that is there."""
        return LabProject(name, Workbench(self.folder / "work" / f"{quoted(name)}.git", name, self.url, self.account), self.rest)

    def grant(self, ref: str, permission: str, group: str = recipe.SERVICE_USERS, *, project: str = "All-Projects", **rule: Any) -> None:
        """Let `group` do `permission` (`push`, `label-Verified`, ...) on `ref`; `min` and `max` of a label, `force`, `action` as `rule`."""
        recipe.grant(self.rest(), project, ref, permission, group, **rule)

    def revoke(self, ref: str, permission: str, group: str = recipe.SERVICE_USERS, *, project: str = "All-Projects") -> None:
        """Take from `group` what `grant` gave it."""
        recipe.revoke(self.rest(), project, ref, permission, group)

    def make_label(self, name: str, *, required: bool = True) -> None:
        """Make a label from -1 to +1 for all projects, `required` for a submit."""
        recipe.make_label(self.rest(), name, required=required)

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None:
            stop(self._process, how)
            self._process = None
            atexit.unregister(self.kill)

    def _signal(self, which: signal.Signals) -> None:
        if self._process is None:
            raise LabError("this Gerrit does not run")
        self._process.send_signal(which)
