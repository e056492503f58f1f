"""The story's place on plain git, with builds in a Jenkins: they fetch from a git server of the demo's own."""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from torii.demo.git_http import USER, GitHttp
from torii.demo.jenkins_builds import PATIENCE, Builds, swept
from torii.demo.jenkins_venue import Venue
from torii.demo.place import Place
from torii.demo.plain import PlainWorkshop
from torii.demo.workshop import Customs
from torii.gearman.admin import Address

_SERVER_YML = """\
# Made by `torii demo --jenkins`. The git server of its staging refs, and its jobs in Jenkins, are there only while that runs.
state: state

connections:
  here:
    url: repositories  # beside this file
    poll: 1s
    user: {user}
    password: file:{password}  # for the demo's git server

# Torii pushes what is to be tested to `staging`, and builds fetch it from there: a Jenkins takes no path of this machine.
projects:
  app: {{path: app.git, staging: "{app}"}}
  library: {{path: library.git, staging: "{library}"}}

"""


@contextmanager
def jenkins_workshop(place: Place, venue: Venue, say: Callable[[str], None], stop: threading.Event) -> Iterator[JenkinsWorkshop]:
    """Yield a workshop in `place` whose builds run at `venue`; at the end of the `with` their jobs are removed there.

    Raises what `swept` raises, and OperatorError where the git server cannot listen.
    """
    password = secrets.token_urlsafe(24)
    with (
        swept(venue, say, stop),
        _no_proxy(venue.reach[0]),
        GitHttp(place.root / "repositories", password, *venue.reach) as server,
    ):
        builds = Builds(venue, stop)
        say(str(builds))
        yield JenkinsWorkshop(place, builds, server, password)


class JenkinsWorkshop(PlainWorkshop):
    """Repositories in `place`, which `server` serves to the builds; pushing staging refs takes `password`."""

    def __init__(self, place: Place, builds: Builds, server: GitHttp, password: str) -> None:
        super().__init__(place)
        self.customs = Customs(patience=PATIENCE)
        self._builds = builds
        self._server = server
        self._password = place.root / "state" / "git-password"
        self._password.parent.mkdir(exist_ok=True)
        self._password.touch(mode=0o600)
        self._password.write_text(f"{password}\n")

    def server_yml(self) -> str:
        text = _SERVER_YML.format(
            user=USER,
            password=self._password.relative_to(self._place.root),
            app=self._server.url("app.git"),
            library=self._server.url("library.git"),
        )
        return text + self._builds.yml()

    def ready(self, gearman: Sequence[Address]) -> None:
        self._builds.ready(gearman)

    def invitation(self, torii: str, server: str) -> list[str]:
        return [self._builds.invitation(), *super().invitation(torii, server)]


@contextmanager
def _no_proxy(host: str) -> Iterator[None]:
    """Have this process reach `host`, an address of this very machine, without the proxy that the environment may name."""
    before = {name: os.environ.get(name) for name in ("no_proxy", "NO_PROXY")}
    for name, value in before.items():
        os.environ[name] = f"{value},{host}" if value else host
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
