"""`torii jenkins check`: is a Jenkins as Torii needs it?"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

import click

from torii.cli.controllers import chosen, wanted_by, wanted_of
from torii.cli.findings import conclude, show
from torii.cli.stays import pages_of
from torii.cli.where import configuration, where_options
from torii.config.settings import JenkinsSettings, ServerConfig
from torii.errors import OperatorError
from torii.gearman import admin
from torii.gearman.address import servers_of
from torii.jenkins.check import check
from torii.jenkins.surroundings import PluginNeed, Surroundings, WantedLabels
from torii.jenkins.values import Job
from torii.jobs import plugins
from torii.jobs.marks import read_mark
from torii.jobs.wanted import Wanted

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
    controllers = chosen(config, names)
    wanted = cache(partial(wanted_by, config, controllers))
    findings = {}
    for settings in controllers:
        title = f"{settings.name} ({settings.url}), as {settings.user}"
        found = check(settings, _surroundings(config, settings, wanted), try_it=not read_only)
        findings[settings.name] = show(title, found, as_json)
    conclude(findings, "jenkins", as_json)


def _labels(config: ServerConfig, settings: JenkinsSettings, everybody: Callable[[], Wanted]) -> WantedLabels:
    wanted = wanted_of(config, settings, everybody())
    labels: dict[str, tuple[str, ...]] = {}
    for source in wanted.sources:
        label = source.job.label or ""
        labels[label] = (*labels.get(label, ()), f"{source.job.name} of {source.project}, {source.branch}")
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
        pages=pages_of(config.web),
        loopback=all(host.startswith(_LOOPBACK) for host, _ in servers) and not _open(config),
    )


def _open(config: ServerConfig) -> bool:
    """Whether the embedded server listens for other machines, too; that it does so is not in the address we use."""
    return not config.gearman.servers and config.gearman.host in ("0.0.0.0", "::", "")
