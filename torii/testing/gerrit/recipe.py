"""Makes a site once for a machine: initialised, with accounts, and if wanted with all that Torii needs there. A lab starts from a copy.

Changing this module makes new sites: its own text is part of what the kept ones are known by.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from collections.abc import Mapping
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Any

import paramiko

from torii.testing.gerrit.accounts import Account, Rest, quoted
from torii.testing.gerrit.cache import cache_folder, made_once
from torii.testing.gerrit.daemon import free_ports, program, stop, wait_until_ready

_CLASSES = "classes.jsa"

GLOBAL = "GLOBAL_CAPABILITIES"
SERVICE_USERS = "Service Users"
"""The group that init makes for robots. It may stream events, and what Torii needs is granted to it."""

PEOPLE = {"admin": "Administrator", "dev": "A Developer", "torii": "Torii"}

_CONFIG = """\
[gerrit]
	basePath = git
	canonicalWebUrl = http://127.0.0.1:{http}/
[index]
	type = LUCENE
[auth]
	type = DEVELOPMENT_BECOME_ANY_ACCOUNT
	gitBasicAuthPolicy = HTTP
[sendemail]
	enable = false
[sshd]
	listenAddress = 127.0.0.1:{ssh}
[httpd]
	listenUrl = http://127.0.0.1:{http}/
[cache]
	directory = cache
[receive]
	autogc = false
[user]
	name = Gerrit
	email = gerrit@example.com
"""


class Provision(Enum):
    """How much of what Torii needs a site has."""

    NOTHING = "nothing"
    """Accounts only; `torii` is nobody special."""
    TORII = "torii"
    """Label and submit requirement Verified; `torii` streams, votes, submits, and pushes staging refs."""


def prepared_site(version: str, provision: Provision, cache: Path | None = None) -> Path:
    """Return a folder to copy: `site`, not running, and `accounts` with keys and passwords. Made when there is none."""
    recipe = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:12]
    place = (cache or cache_folder(version)) / f"site-{provision.value}-{recipe}"
    return made_once(place, partial(_make, version, provision, cache))


def class_archive(version: str, cache: Path | None = None) -> Path:
    """Return the archive of classes with which a daemon of `version` starts faster."""
    return prepared_site(version, Provision.NOTHING, cache) / _CLASSES


def copy_site(prepared: Path, folder: Path) -> None:
    """Copy what `prepared_site` returned to `folder`."""
    shutil.copytree(prepared, folder, dirs_exist_ok=True, symlinks=True, ignore=shutil.ignore_patterns(_CLASSES))


def account(folder: Path, username: str) -> Account:
    """Return the account `username`, whose key and password are in `folder`."""
    password = folder / f"{username}.password"
    name = PEOPLE.get(username, username.capitalize())
    return Account(username, name, f"{username}@example.com", password.read_text().strip(), folder / username, password)


def write_ports(site: Path, http: int, ssh: int, settings: Mapping[str, str]) -> None:
    """Have the site listen on these ports, with `settings` (such as `change.submitWholeTopic`) as they are given."""
    wanted = {
        "gerrit.canonicalWebUrl": f"http://127.0.0.1:{http}/",
        "httpd.listenUrl": f"http://127.0.0.1:{http}/",
        "sshd.listenAddress": f"127.0.0.1:{ssh}",
        **settings,
    }
    for key, value in wanted.items():
        command = ["git", "config", "-f", str(site / "etc" / "gerrit.config"), key, value]
        subprocess.run(command, check=True, timeout=30, capture_output=True)


def known_hosts(site: Path, ssh: int) -> str:
    """Return the lines of a known_hosts file for the site on port `ssh`."""
    keys = sorted((site / "etc").glob("ssh_host_*_key.pub"))
    return "".join(f"[127.0.0.1]:{ssh} {' '.join(key.read_text().split()[:2])}\n" for key in keys)


def make_keys(folder: Path, username: str, password: str) -> str:
    """Write a key and the password of `username` into `folder`; return the public key as SSH writes it."""
    folder.mkdir(mode=0o700, exist_ok=True)
    key = paramiko.ECDSAKey.generate()
    key.write_private_key_file(str(folder / username))
    secret = folder / f"{username}.password"
    secret.touch(mode=0o600)
    secret.write_text(f"{password}\n")
    return f"{key.get_name()} {key.get_base64()} {username}@example.com"


def grant(rest: Rest, project: str, ref: str, permission: str, group: str, **rule: Any) -> None:
    """Let `group` do `permission` on `ref` of `project`.

    `rule`: `min` and `max` of a label, `force`, `action` (`BLOCK` forbids it), and `exclusive`: what parents say then does not count.
    """
    _change_access(rest, "add", project, ref, permission, group, {"action": "ALLOW", **rule})


def revoke(rest: Rest, project: str, ref: str, permission: str, group: str) -> None:
    """Take the rule for `group` away."""
    _change_access(rest, "remove", project, ref, permission, group, {"action": "ALLOW"})


def make_label(rest: Rest, name: str, project: str = "All-Projects", *, required: bool = True) -> None:
    """Make a label of -1, 0 and +1, `required` for a submit; a new patch set keeps its votes where no file changed."""
    values = {"-1": "Fails", " 0": "No score", "+1": "Passes"}
    copied = "changekind:NO_CHANGE OR changekind:NO_CODE_CHANGE"
    rest.put(f"/projects/{project}/labels/{quoted(name)}", {"values": values, "function": "NoBlock", "copy_condition": copied})
    if required:
        rule = {
            "name": name,
            "submittability_expression": f"label:{name}=MAX AND -label:{name}=MIN",
            "allow_override_in_child_projects": True,
        }
        rest.put(f"/projects/{project}/submit_requirements/{quoted(name)}", rule)


def _change_access(rest: Rest, verb: str, project: str, ref: str, permission: str, group: str, rule: Mapping[str, Any]) -> None:
    uuid = rest.get(f"/groups/{quoted(group)}")["id"]
    said: dict[str, Any] = {
        "exclusive": rule.get("exclusive", False),
        "rules": {uuid: {key: value for key, value in rule.items() if key != "exclusive"}},
    }
    if permission.startswith("label-"):
        said["label"] = permission.removeprefix("label-")
    rest.post(f"/projects/{quoted(project)}/access", {verb: {ref: {"permissions": {permission: said}}}})


def _make(version: str, provision: Provision, cache: Path | None, folder: Path) -> None:
    if provision is Provision.NOTHING:
        site = folder / "site"
        (site / "etc").mkdir(parents=True)
        http, ssh = free_ports(2)
        (site / "etc" / "gerrit.config").write_text(_CONFIG.format(http=http, ssh=ssh))
        program(version, folder / "run", cache=cache).init(site)
    else:
        base = prepared_site(version, Provision.NOTHING, cache)
        copy_site(base, folder)
    _provision(version, provision, cache, folder)
    shutil.rmtree(folder / "run")


def _provision(version: str, provision: Provision, cache: Path | None, folder: Path) -> None:
    site, log = folder / "site", folder / "run" / "daemon.log"
    http, ssh = free_ports(2)
    write_ports(site, http, ssh, {})
    gerrit = program(version, folder / "run", cache=cache)
    if provision is Provision.NOTHING:
        daemon = gerrit.recording(folder / _CLASSES).daemon(site, log)
    else:
        daemon = gerrit.quickened(class_archive(version, cache)).daemon(site, log)
    try:
        wait_until_ready(daemon, http, ssh, log)
        rest = Rest(f"http://127.0.0.1:{http}", "admin", "secret")
        if provision is Provision.NOTHING:
            _make_accounts(rest, folder / "accounts")
        else:
            _equip_torii(rest)
    finally:
        stop(daemon)


def _make_accounts(rest: Rest, folder: Path) -> None:
    rest.put_text("/accounts/self/sshkeys", make_keys(folder, "admin", rest.password))  # init made admin, with a password of its own
    for username in ("dev", "torii"):
        password = f"{username}-secret"
        who = {"name": PEOPLE[username], "email": f"{username}@example.com", "http_password": password}
        rest.put(f"/accounts/{username}", {**who, "ssh_key": make_keys(folder, username, password)})
    for ref, permission in (
        ("refs/heads/*", "push"),
        ("refs/heads/*", "delete"),
        ("refs/heads/*", "label-Code-Review"),
        ("refs/heads/*", "viewPrivateChanges"),  # newer ones let administrators see them anyway
        ("refs/meta/config", "push"),
    ):
        rule = {"min": -2, "max": 2} if permission.startswith("label-") else {"force": True} if permission == "push" else {}
        grant(rest, "All-Projects", ref, permission, "Administrators", **rule)


def _equip_torii(rest: Rest) -> None:
    rest.put(f"/groups/{quoted(SERVICE_USERS)}/members/torii")
    make_label(rest, "Verified")
    for group in (SERVICE_USERS, "Administrators"):
        grant(rest, "All-Projects", "refs/heads/*", "label-Verified", group, min=-1, max=1)
    grant(rest, "All-Projects", GLOBAL, "streamEvents", SERVICE_USERS)
    grant(rest, "All-Projects", "refs/*", "read", SERVICE_USERS)
    grant(rest, "All-Projects", "refs/heads/*", "submit", SERVICE_USERS)
    for permission in ("create", "delete", "pushMerge", "forgeAuthor", "forgeCommitter"):
        grant(rest, "All-Projects", "refs/staging/*", permission, SERVICE_USERS)
    grant(rest, "All-Projects", "refs/staging/*", "push", SERVICE_USERS, force=True)
