"""The story's place on a real Gerrit: booted for it in the demo's folder, on loopback, and gone when the demo ends."""

from __future__ import annotations

import shlex
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

from torii.demo.clones import Clones
from torii.demo.place import Place
from torii.demo.projects import EDITS, Edit
from torii.demo.workshop import Customs, Review
from torii.gearman.admin import Address
from torii.model.ids import Sha
from torii.testing.gerrit import NEWEST, GerritSite, LabError, PartMissingError, Provision
from torii.testing.gerrit.cache import cache_folder
from torii.testing.gerrit.java import find_java
from torii.testing.gerrit.recipe import prepared_site
from torii.testing.gerrit.workbench import new_change_id

CONNECTION = "gerrit"
"""What server.yml calls it: the first part of its changes' ids."""

LABEL = "Verified"
"""The label that Torii votes on."""

_LIMIT = 30.0

_CONNECTION_YML = """\
# Made by `torii demo --gerrit`, for the Gerrit that it boots beside this file.
state: state

connections:
  {connection}:
    type: gerrit
    url: {url}
    user: torii
    password: file:{password}
    ssh: 127.0.0.1:{ssh_port}
    key: {key}
    known-hosts: {known_hosts}
"""

PROJECTS_YML = """
projects:
  app: {}
  library: {}
"""

_PARTS_YML = """
# Any free ports. Take fixed ones for a Torii that stays: 4730 and 8090, say.
gearman: {port: 0}
web: {port: 0}

worker: {executors: 6}  # builds at once
"""


class NoGerritError(PartMissingError):
    """A Java, Maven or the jars that it fetches are not to be had here."""

    exit_code = 1  # as whenever the demo does not come out right


def require_gerrit(say: Callable[[str], None]) -> None:
    """Have all that a Gerrit needs in the cache: fetched and initialised where that is not done yet.

    Raises NoGerritError, which says what is missing and what to do; LabError where it is there and does not work.
    """
    cache = cache_folder(NEWEST)
    try:
        find_java(NEWEST)
        if not cache.exists():
            say(f"Fetching Gerrit {NEWEST} with Maven into {cache}/: some 90 MB, once for this machine")
        prepared_site(NEWEST, Provision.TORII)
    except PartMissingError as error:
        raise NoGerritError(str(error)) from None
    except OSError as error:
        raise NoGerritError(f"Gerrit {NEWEST} cannot be kept in {cache}: {error.strerror or error}; set XDG_CACHE_HOME") from error


@contextmanager
def gerrit_workshop(
    place: Place, say: Callable[[str], None], stop: threading.Event, opened: Callable[[Place, GerritSite], GerritWorkshop] | None = None
) -> Iterator[GerritWorkshop]:
    """Yield a workshop on a Gerrit that runs in `place` until the end of the `with`, whatever that is.

    `opened`, where given, makes it once the Gerrit is there. Raises LabError, also where `stop` is set while it boots.
    """
    say(f"Booting Gerrit {NEWEST} in {place.gerrit}/")
    site = GerritSite(place.gerrit)
    try:
        site.start(wanted=lambda: not stop.is_set())
        yield (opened or GerritWorkshop)(place, site)
    finally:
        site.close()


class GerritWorkshop:
    """Two projects on `site`. A developer pushes changes there, and the administrator approves them."""

    def __init__(self, place: Place, site: GerritSite) -> None:
        self.clones = Clones(place)
        self.customs = Customs(one_by_one=True, own_merges=True)
        self._place = place
        self._site = site
        self._numbers: dict[str, int] = {}
        self._credentials = site.folder / "credentials"
        who = [(user, site.account(user).password) for user in ("dev", "admin")]
        self._credentials.write_text("".join(f"http://{user}:{password}@127.0.0.1:{site.http_port}\n" for user, password in who))
        self._credentials.chmod(0o600)

    def server_yml(self) -> str:
        return self.connection_yml() + PROJECTS_YML + _PARTS_YML

    def connection_yml(self) -> str:
        """Return the part of `server.yml` that tells of the Gerrit; lines that are added to it go on doing so."""
        torii = self._site.torii
        return _CONNECTION_YML.format(
            connection=CONNECTION,
            url=self._site.url,
            ssh_port=self._site.ssh_port,
            password=self._beside(torii.password_file),
            key=self._beside(torii.key),
            known_hosts=self._beside(self._site.known_hosts),
        )

    def found(self, project: str, files: Mapping[str, str]) -> None:
        self._site.rest("admin").put(f"/projects/{project}", {"branches": ["main"], "submit_type": "MERGE_IF_NECESSARY"})
        helper = f"store --file {shlex.quote(str(self._credentials))}"
        self.clones.begin(project, files, self._address(project, "dev"), {"http.proxy": "", "credential.helper": ""})
        clone = self._place.clone(project)
        self.clones.git(clone, "config", "--add", "credential.helper", helper)  # after the empty one, which forgets the user's own
        self.clones.push(project, self._address(project, "admin"), "main:refs/heads/main")
        self.clones.git(clone, "fetch", "--quiet", "origin")
        self.clones.git(clone, "branch", "--quiet", "--set-upstream-to", "origin/main", "main")
        self._hook(clone)

    def ready(self, gearman: Sequence[Address]) -> None:
        """The Gerrit has been there since before the projects were made."""

    def make(self, edit: Edit) -> None:
        self.clones.make(edit, f"Change-Id: {new_change_id()}")

    def ask_review(self, *edits: Edit) -> None:
        for edit in edits:  # Gerrit takes one change that stands by itself with each push
            self.clones.push(edit.project, "origin", f"{edit.name}:refs/for/main")
            commit = self.clones.patchsets[edit.name]
            (found,) = self._site.rest("admin").get("/changes/", q=f"project:{edit.project} commit:{commit}")
            self._numbers[edit.name] = int(found["_number"])

    def approve(self, *edits: Edit) -> None:
        for edit in edits:
            path = f"/changes/{self._numbers[edit.name]}/revisions/{self.clones.patchsets[edit.name]}/review"
            self._site.rest("admin").post(path, {"labels": {"Code-Review": 2}})

    def change(self, edit: Edit) -> str:
        number = self._numbers.get(edit.name)
        return edit.name if number is None else f"{CONNECTION}:{number}"

    def repository(self, project: str) -> Path:
        return self._site.folder / "site" / "git" / f"{project}.git"

    def standing(self, edit: Edit) -> Review:
        if edit.name not in self._numbers:
            return Review()
        detail = self._detail(edit)
        votes = detail.get("labels", {}).get(LABEL, {}).get("all", [])
        return Review(detail["status"], next((vote.get("value", 0) for vote in votes if vote.get("username") == "torii"), 0))

    def told(self, edit: Edit) -> str:
        if edit.name not in self._numbers:
            return ""
        said = [message["message"] for message in self._detail(edit)["messages"] if message.get("author", {}).get("username") == "torii"]
        return "\n\n".join(said)

    def told_of_branch(self, project: str, commit: Sha) -> str:
        """Return what is said on the change that brought `commit`: the commit itself, or what Gerrit merged to make it."""
        parents = self.clones.git(self.repository(project), "rev-list", "--no-walk", "--parents", commit).split()
        return next((self.told(edit) for edit in EDITS if self.clones.patchsets[edit.name] in (commit, *parents[2:])), "")

    def invitation(self, torii: str, server: str) -> list[str]:
        site, curl = self._site, "curl --fail --silent --show-error"
        admin, dev = (f"--user {who.username}:{who.password}" for who in (site.admin, site.dev))
        review = "--header 'Content-Type: application/json' --data '{\"labels\": {\"Code-Review\": 2}}'"
        return [
            f"Gerrit {site.version} answers at {site.url}/, its REST and git; its pages are in the war, which Maven does not have.",
            f"Log in as dev with the password {site.dev.password}, or as admin, who may approve, with {site.admin.password}:",
            f"  {curl} {dev} '{site.url}/a/changes/?q=status:open'",
            "Push a change of your own, then approve it:",
            f"  cd {shlex.quote(str(self._place.clone('app')))}",
            "  git fetch && git switch --create sell-scones origin/main",
            "  echo scone 280 >>menu.txt && git commit --all --message 'Sell scones'",
            "  git push origin HEAD:refs/for/main",
            "  change=app~main~$(git log -1 --format='%(trailers:key=Change-Id,valueonly,separator=)')",
            f'  {curl} {admin} {review} "{site.url}/a/changes/$change/revisions/current/review"',
            "Ask what became of it:",
            f"  {torii} status {server}",
            f"  {torii} explain {CONNECTION}:{max(self._numbers.values(), default=0) + 1} {server}",
            "Read what Torii wrote on it:",
            f'  {curl} {dev} "{site.url}/a/changes/$change/messages"',
        ]

    def _detail(self, edit: Edit) -> Any:
        return self._site.rest("admin").get(f"/changes/{self._numbers[edit.name]}/detail")

    def _address(self, project: str, who: str) -> str:
        return f"http://{who}@127.0.0.1:{self._site.http_port}/a/{project}"

    def _beside(self, path: Path) -> Path:
        return path.relative_to(self._place.root)

    def _hook(self, clone: Path) -> None:
        """Put Gerrit's own hook into the clone, which gives each commit a Change-Id."""
        try:
            with requests.Session() as session:
                session.trust_env = False  # no proxy on the way to loopback
                reply = session.get(f"{self._site.url}/tools/hooks/commit-msg", timeout=_LIMIT)
                reply.raise_for_status()
        except requests.RequestException as error:
            raise LabError(f"Gerrit did not give its hook commit-msg: {error}") from error
        hook = clone / ".git" / "hooks" / "commit-msg"
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(reply.text)
        hook.chmod(0o755)
