"""Which Jenkins controllers a command is about, and what the projects that are built there want."""

from __future__ import annotations

from collections.abc import Sequence

from torii.config.settings import JenkinsSettings, ServerConfig
from torii.errors import UserError
from torii.jobs.wanted import Wanted, WantedReader


def chosen(config: ServerConfig, names: Sequence[str]) -> list[JenkinsSettings]:
    """Return the controllers called `names`, each once; all where none are named. Raises UserError where there is none, or none such."""
    there = {settings.name: settings for settings in config.jenkins}
    if not there:
        raise UserError("no Jenkins is configured: name the server.yml that has one with --server")
    for name in names:
        if name not in there:
            raise UserError(f"no Jenkins called {name!r} is configured; there is {', '.join(sorted(there))}")
    return [there[name] for name in dict.fromkeys(names or there)]


def wanted_by(config: ServerConfig, controllers: Sequence[JenkinsSettings]) -> Wanted:
    """Return what is wanted by the projects that are built in any of `controllers`, read from their git servers."""
    names = {settings.name for settings in controllers}
    return WantedReader(config).read([project.name for project in config.projects if names.intersection(project.jenkins)])


def wanted_of(config: ServerConfig, settings: JenkinsSettings, wanted: Wanted) -> Wanted:
    """Return that part of `wanted` which is for one controller."""
    return wanted.of([project.name for project in config.projects if settings.name in project.jenkins])
