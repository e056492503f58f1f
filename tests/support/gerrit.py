"""A real Gerrit for tests: one for each process of pytest, booted when the first test asks for it; each test makes its own projects in it.

Mark a test or file with `@pytest.mark.needs("gerrit")`, and take one of the fixtures:

- `gerrit`: the shared `GerritSite`, running. Whoever stops or suspends it need not mend that; whoever changes All-Projects must.
- `gerrit_project`: a project of that site, which nobody else has.
- `boot_gerrit(Setup(...))`: a Gerrit of the test's own, for those that change it for good. A boot takes 3 s on an idle machine.

`--gerrit VERSION` makes it another release than the newest. Only one per file should run at a time.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from torii.errors import ToriiError
from torii.testing.gerrit import NEWEST, OLDEST, GerritSite, LabProject, Provision, Setup
from torii.testing.gerrit.cache import cache_folder
from torii.testing.gerrit.recipe import prepared_site

__all__ = ["NEWEST", "OLDEST", "boot_gerrit", "gerrit", "gerrit_project", "gerrit_site", "project_name", "setup", "use", "why_not"]

_in_use: dict[str, Setup] = {}
_numbers = itertools.count(1)


def use(version: str) -> None:
    """Have all tests use this Gerrit. Called before any test runs, while the home is still the user's, where the cache is."""
    _in_use["setup"] = Setup(version=version, cache=cache_folder(version))


def setup(provision: Provision = Provision.TORII, **settings: str) -> Setup:
    """Return what to boot: the version that the tests run on, with `settings` whose names have `__` for the dot (`change__x="true"`)."""
    return replace(_in_use["setup"], provision=provision, settings={name.replace("__", "."): value for name, value in settings.items()})


@cache
def why_not() -> str | None:
    """Why no Gerrit can be had here, or None. The first answer takes a minute or two, in which it is fetched and initialised."""
    wanted = _in_use["setup"]
    try:
        prepared_site(wanted.version, wanted.provision, wanted.cache)
    except ToriiError as error:
        return str(error)
    return None


def project_name(stem: str = "project") -> str:
    """Return a name that no other test of this run has."""
    return f"{stem}-{os.environ.get('PYTEST_XDIST_WORKER', 'gw')}-{next(_numbers)}"


@pytest.fixture(scope="session")
def gerrit_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GerritSite]:
    """The shared site, perhaps stopped or suspended by the last test; take `gerrit`."""
    with GerritSite(tmp_path_factory.mktemp("gerrit"), _in_use["setup"]) as site:
        yield site


@pytest.fixture
def gerrit(gerrit_site: GerritSite) -> GerritSite:
    """The shared Gerrit of this process, running."""
    gerrit_site.start()
    return gerrit_site


@pytest.fixture
def gerrit_project(gerrit: GerritSite) -> LabProject:
    """A project of one's own on the shared Gerrit."""
    return gerrit.create_project(project_name())


@pytest.fixture
def boot_gerrit(tmp_path: Path) -> Iterator[Callable[[Setup], GerritSite]]:
    """`boot_gerrit(setup(...))`: a Gerrit of the test's own, stopped after it."""
    booted: list[GerritSite] = []

    def boot(wanted: Setup) -> GerritSite:
        site = GerritSite(tmp_path / f"gerrit-{len(booted)}", wanted)
        booted.append(site)
        site.start()
        return site

    yield boot
    for site in booted:
        site.close()
