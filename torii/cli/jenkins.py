"""`torii jenkins check`: is a Jenkins as Torii needs it?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path

import click

from torii.cli.findings import conclude, show
from torii.cli.where import configuration, where_options
from torii.config.settings import JenkinsSettings, ServerConfig
from torii.errors import OperatorError, UserError
from torii.gearman import admin
from torii.gearman.address import servers_of
from torii.jenkins.check import check
from torii.jenkins.surroundings import PluginNeed, Surroundings, WantedLabels
from torii.jenkins.values import Job
from torii.jobs import plugins
from torii.jobs.marks import read_mark
from torii.jobs.wanted import Wanted, WantedReader

_LIMIT = 5.0
"""Seconds for an answer of a Gearman server."""

_LOOPBACK = ("127.", "localhost", "::1")


@click.group("jenkins")
def command() -> None:
    """See whether a Jenkins is as Torii needs it.

    \b
    Examples:
      torii jenkins check
      torii jenkins check ci --json
    """


@command.command("check")
@click.argument("names", nargs=-1, metavar="[JENKINS]...")
@where_options
@click.option("--read-only", is_flag=True, help="Make nothing; what only trying shows is then unknown.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def check_command(names: tuple[str, ...], server: Path | None, state: Path | None, read_only: bool, as_json: bool) -> None:
    """Check the Jenkins controllers of the server's configuration: account, permissions, plug-ins, Gearman, labels.

    All is tried as Torii's own account. A job that no node can run is made, put into the queue, and deleted. Ends with status 1 if
    something is not as it must be; each such line says what to do.

    \b
    Examples:
      torii jenkins check
      torii jenkins check ci --read-only
    """
    config = configuration(server, state)
    chosen = _chosen(config, names)
    wanted = cache(partial(_wanted, config, chosen))
    findings = {}
    for settings in chosen:
        title = f"{settings.name} ({settings.url}), as {settings.user}"
        found = check(settings, _surroundings(config, settings, wanted), try_it=not read_only)
        findings[settings.name] = show(title, found, as_json)
    conclude(findings, "jenkins", as_json)


def _chosen(config: ServerConfig, names: Sequence[str]) -> list[JenkinsSettings]:
    there = {settings.name: settings for settings in config.jenkins}
    if not there:
        raise UserError("no Jenkins is configured: name the server.yml that has one with --server")
    for name in names:
        if name not in there:
            raise UserError(f"no Jenkins called {name!r} is configured; there is {', '.join(sorted(there))}")
    return [there[name] for name in dict.fromkeys(names)] if names else list(there.values())


def _wanted(config: ServerConfig, chosen: Sequence[JenkinsSettings]) -> Wanted:
    names = {settings.name for settings in chosen}
    return WantedReader(config).read([project.name for project in config.projects if names.intersection(project.jenkins)])


def _labels(config: ServerConfig, settings: JenkinsSettings, everybody: Callable[[], Wanted]) -> WantedLabels:
    wanted = everybody().of([project.name for project in config.projects if settings.name in project.jenkins])
    labels: dict[str, tuple[str, ...]] = {}
    for source in wanted.sources:
        label = source.job.label or ""
        labels[label] = (*labels.get(label, ()), f"{source.project}, {source.branch}, {source.job.name}")
    return WantedLabels(labels, (*wanted.unread, *wanted.mistakes))


def _surroundings(config: ServerConfig, settings: JenkinsSettings, wanted: Callable[[], Wanted]) -> Surroundings:
    needs = tuple(PluginNeed(part.plugin, part.what, part.without, part.required) for part in plugins.PARTS)
    try:
        servers, problem = servers_of(config.gearman, config.state), None
    except OperatorError as error:
        servers, problem = (), error

    def workers() -> dict[str, frozenset[str]]:
        if problem is not None:
            raise problem
        found: dict[str, frozenset[str]] = {}
        for address in servers:
            for client, functions in admin.workers(address, _LIMIT).items():
                found[client] = found.get(client, frozenset()) | functions
        return found

    shown = ", ".join(f"{host}:{port}" for host, port in servers)

    def ours(job: Job) -> bool:
        mark = read_mark(job.description)
        return mark is not None and mark.owner == settings.owner and mark.belongs_to(job.name)

    return Surroundings(
        workers=workers,
        ours=ours,
        wanted=partial(_labels, config, settings, wanted),
        plugins=needs,
        gearman=shown,
        loopback=all(host.startswith(_LOOPBACK) for host, _ in servers) and not _open(config),
    )


def _open(config: ServerConfig) -> bool:
    """Whether the embedded server listens for other machines, too; that it does so is not in the address we use."""
    return not config.gearman.servers and config.gearman.host in ("0.0.0.0", "::", "")
