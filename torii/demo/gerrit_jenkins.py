"""The story's place on a real Gerrit, with builds in a Jenkins: they fetch from that Gerrit, as nobody in particular."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from torii.demo.gerrit import PROJECTS_YML, GerritWorkshop, gerrit_workshop
from torii.demo.jenkins_builds import PATIENCE, Builds, swept
from torii.demo.jenkins_venue import Venue
from torii.demo.place import Place
from torii.demo.workshop import Customs
from torii.gearman.admin import Address
from torii.testing.gerrit import GerritSite

_READABLE = {"add": {"refs/staging/*": {"permissions": {"read": {"rules": {"global:Anonymous-Users": {"action": "ALLOW"}}}}}}}

_STAGING_YML = """\
    staging: {url}  # without the /a/, where Gerrit asks for a password: builds have none
"""


@contextmanager
def gerrit_jenkins_workshop(place: Place, venue: Venue, say: Callable[[str], None], stop: threading.Event) -> Iterator[GerritWorkshop]:
    """Yield a workshop on a Gerrit in `place` whose builds run at `venue`; at the end of the `with` that Gerrit and their jobs are gone.

    Raises what `swept` and `gerrit_workshop` raise.
    """
    builds = Builds(venue, stop)
    with swept(venue, say, stop), gerrit_workshop(place, say, stop, partial(_Workshop, builds)) as shop:
        say(str(builds))
        yield shop


class _Workshop(GerritWorkshop):
    """On a Gerrit that lets anybody read staging refs, which else only Torii may."""

    def __init__(self, builds: Builds, place: Place, site: GerritSite) -> None:
        super().__init__(place, site)
        self.customs = Customs(one_by_one=True, own_merges=True, patience=PATIENCE)
        self._builds = builds
        site.rest("admin").post("/projects/All-Projects/access", _READABLE)

    def server_yml(self) -> str:
        return self.connection_yml() + _STAGING_YML.format(url=self._site.url) + PROJECTS_YML + "\n" + self._builds.yml()

    def ready(self, gearman: Sequence[Address]) -> None:
        self._builds.ready(gearman)

    def invitation(self, torii: str, server: str) -> list[str]:
        return [self._builds.invitation(), *super().invitation(torii, server)]
