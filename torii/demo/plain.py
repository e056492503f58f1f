"""The story's place on plain git: a bare repository a project, watched by Torii, where branches are reviews and approvals."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from torii.demo.clones import Clones
from torii.demo.place import Place
from torii.demo.projects import Edit
from torii.demo.workshop import Branches, Customs
from torii.gearman.admin import Address
from torii.model.ids import Sha

_SERVER_YML = """\
# Made by `torii demo`. When the demo has ended, `torii up --server server.yml` goes on from where it was.
state: state

connections:
  here:
    url: repositories  # beside this file; it might as well be git@git.example.com:team
    poll: 1s           # a server far away is asked less often; the repositories' hooks tell Torii at once, with `torii notify`

projects:
  app: {path: app.git}
  library: {path: library.git}

# Any free ports. Take fixed ones for a Torii that stays: 4730 and 8090, say.
gearman: {port: 0}
web: {port: 0}

worker: {executors: 6}  # builds at once
"""

_HOOK = """\
#!/bin/sh
# Tells Torii at once that a change was pushed or approved, without keeping whoever pushed waiting.
news=
while read -r _ new ref; do
    case "$new $ref" in
        0000000*) ;; # deleted, mostly by Torii itself after a merge
        *" refs/heads/review/"* | *" refs/heads/gate/"*) news=yes ;;
    esac
done
if [ "$news" ]; then
    {python} -m torii notify {project} --server {server} >/dev/null 2>&1 &
fi
"""


def plain_id(edit: Edit) -> str:
    """Return the id that Torii gives to the edit's change on plain git."""
    return f"{edit.project}:main/{edit.name}"


@contextmanager
def plain_workshop(place: Place) -> Iterator[PlainWorkshop]:
    """Yield a workshop in `place`."""
    yield PlainWorkshop(place)


class PlainWorkshop:
    """The repositories of `place`: a bare one a project, which Torii watches, and a clone of it to work in."""

    def __init__(self, place: Place) -> None:
        self.clones = Clones(place)
        self.customs = Customs()
        self._place = place

    def server_yml(self) -> str:
        return _SERVER_YML

    def found(self, project: str, files: Mapping[str, str]) -> None:
        bare = self.repository(project)
        bare.mkdir(parents=True)
        self.clones.git(bare, "init", "--quiet", "--initial-branch=main", "--template=", "--bare")
        self.clones.set(bare, {"core.hooksPath": str(bare / "hooks")})
        self.clones.begin(project, files, str(bare), {})
        self.clones.push(project, "--set-upstream", "origin", "main")
        self._hook(project, bare)

    def ready(self, gearman: Sequence[Address]) -> None:
        """Nobody else takes part."""

    def make(self, edit: Edit) -> None:
        self.clones.make(edit)

    def ask_review(self, *edits: Edit) -> None:
        self._push("review", edits)

    def approve(self, *edits: Edit) -> None:
        self._push("gate", edits)

    def change(self, edit: Edit) -> str:
        return plain_id(edit)

    def repository(self, project: str) -> Path:
        return self._place.root / "repositories" / f"{project}.git"

    def standing(self, edit: Edit) -> Branches:
        refs = self.clones.git(self.repository(edit.project), "for-each-ref", "--format=%(refname:short)").split()
        return Branches(frozenset(kind for kind in ("review", "gate") if f"{kind}/main/{edit.name}" in refs))

    def told(self, edit: Edit) -> str:
        return self._note(edit.project, self.clones.patchsets[edit.name])

    def told_of_branch(self, project: str, commit: Sha) -> str:
        return self._note(project, commit)

    def invitation(self, torii: str, server: str) -> list[str]:
        return [
            "Push a change of your own, then approve it:",
            f"  cd {shlex.quote(str(self._place.clone('app')))}",
            "  git fetch && git switch --create sell-scones origin/main",
            "  echo scone 280 >>menu.txt && git commit --all --message 'Sell scones'",
            "  git push origin HEAD:review/main/sell-scones",
            "  git push origin HEAD:gate/main/sell-scones",
            "Ask what became of it:",
            f"  {torii} status {server}",
            f"  {torii} explain sell-scones {server}",
            "Read what Torii wrote into the repository:",
            "  git fetch origin 'refs/notes/torii:refs/notes/torii' && git log --notes=torii origin/main",
        ]

    def _push(self, to: str, edits: tuple[Edit, ...]) -> None:
        refs = [f"{edit.name}:refs/heads/{to}/main/{edit.name}" for edit in edits]
        # Atomic, so that Torii sees either none of them or all of them: their order in the gate is part of the story.
        self.clones.push(edits[0].project, "--atomic", "origin", *refs)

    def _note(self, project: str, commit: str) -> str:
        bare, show = self.repository(project), self.clones.git
        listed = self.clones.succeeds(bare, "notes", "--ref=torii", "list", commit)
        return show(bare, "notes", "--ref=torii", "show", commit) if listed else ""

    def _hook(self, project: str, bare: Path) -> None:
        hook = bare / "hooks" / "post-receive"
        hook.parent.mkdir(exist_ok=True)
        words = {"python": sys.executable, "project": project, "server": str(self._place.server_yml)}
        hook.write_text(_HOOK.format(**{name: shlex.quote(word) for name, word in words.items()}))
        hook.chmod(0o755)
