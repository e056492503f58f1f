"""`torii gerrit check` and `torii gerrit setup`: is a Gerrit as Torii needs it, and how it becomes so."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from torii.cli.findings import conclude, show
from torii.cli.quiet import quietly
from torii.cli.where import configuration, where_options
from torii.config.secrets import REFERENCE
from torii.config.settings import GerritConnection, ProjectSettings, Secret, ServerConfig
from torii.errors import UserError
from torii.model.finding import Finding
from torii.sources.gerrit.access import Needs, needs
from torii.sources.gerrit.access_setup import ALL_PROJECTS, AccessSetup, Step
from torii.sources.gerrit.checkup import check
from torii.sources.gerrit.rest import GerritRest

_NOT_YET = 1
"""The exit code where something is lacking."""

_ADMIN_USER = click.option("--admin-user", metavar="NAME", help="Somebody who administers that Gerrit.")
_ADMIN_PASSWORD = click.option("--admin-password", metavar="REF", help="Their HTTP password, as env:NAME or file:PATH.")


@click.group("gerrit")
def command() -> None:
    """Make a Gerrit ready for Torii, and see whether it is.

    \b
    Examples:
      torii gerrit check
      torii gerrit setup
      torii gerrit setup --apply --admin-user admin --admin-password env:ADMIN_PASSWORD
    """


@command.command("check")
@click.argument("names", nargs=-1, metavar="[CONNECTION]...")
@where_options
@click.option("--project", "only", metavar="NAME", multiple=True, help="Only this project; may be given several times.")
@click.option("--read-only", is_flag=True, help="Push and make nothing; what only trying shows is then unknown.")
@_ADMIN_USER
@_ADMIN_PASSWORD
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def check_command(
    names: tuple[str, ...],
    server: Path | None,
    state: Path | None,
    only: tuple[str, ...],
    read_only: bool,
    admin_user: str | None,
    admin_password: str | None,
    as_json: bool,
) -> None:
    """Check the Gerrits of the server's configuration: account, events, labels, votes, staging refs, submitting.

    All is tried as Torii's own account. A staging ref is pushed and deleted; where a project has no open change, a private one is made and
    abandoned, to see what may be voted. Ends with status 1 if something is not as it must be; each such line says what to do.

    \b
    Examples:
      torii gerrit check
      torii gerrit check review --project app --json
    """
    config = configuration(server, state)
    findings: dict[str, list[Finding]] = {}
    for connection in _connections(config, names):
        projects = _projects(config, connection, only)
        admin = _admin(connection, admin_user, admin_password)
        found = check(connection, projects, config.pipelines, config.state, admin=admin, try_it=not read_only)
        findings[connection.name] = show(f"{connection.name} ({connection.url}), as {connection.user}", found, as_json)
    conclude(findings, "connections", as_json)


@command.command("setup")
@click.argument("names", nargs=-1, metavar="[CONNECTION]...")
@where_options
@click.option("--apply", "apply_it", is_flag=True, help="Make what is lacking. Doing so again changes nothing.")
@_ADMIN_USER
@_ADMIN_PASSWORD
@click.option(
    "--group", metavar="NAME", default="Service Users", show_default=True, help="The group of Torii's account that is allowed it."
)
@click.option(
    "--on", metavar="PROJECT", default=ALL_PROJECTS, show_default=True, help="The project whose rules say so; others inherit them."
)
def setup_command(
    names: tuple[str, ...],
    server: Path | None,
    state: Path | None,
    apply_it: bool,
    admin_user: str | None,
    admin_password: str | None,
    group: str,
    on: str,
) -> None:
    """Print what Torii needs to be allowed on a Gerrit, or with --apply allow it.

    Without an administrator's name and password it prints lines for project.config; with them, what of it is lacking. Needed are the labels
    that pipelines vote on, with submit requirements, and rights of a group that Torii's account is in. Ends with status 1 if something
    is lacking afterwards.

    \b
    Examples:
      torii gerrit setup
      torii gerrit setup --admin-user admin --admin-password env:ADMIN_PASSWORD
      torii gerrit setup --apply --admin-user admin --admin-password file:/run/secrets/gerrit-admin
    """
    config = configuration(server, state)
    lacking = False
    for connection in _connections(config, names):
        wanted = needs(connection, _projects(config, connection, ()), config.pipelines)
        admin = _admin(connection, admin_user, admin_password)
        click.echo(f"{connection.name} ({connection.url}):")
        if admin is not None:
            lacking |= _set_up(admin, wanted, connection.user, group, on, apply_it)
        elif apply_it:
            raise UserError("--apply needs an administrator: give --admin-user and --admin-password")
        else:
            for line in _by_hand(connection, wanted, group, on):
                click.echo(line)
    if lacking:
        raise click.exceptions.Exit(_NOT_YET)


def _set_up(admin: GerritConnection, wanted: Needs, user: str, group: str, on: str, apply_it: bool) -> bool:
    """Print or do what is lacking; return whether something is lacking now."""
    rest = GerritRest(admin)
    try:
        with quietly():
            steps = AccessSetup(rest, wanted, user, group, on).lacking()
            for step in steps:
                click.echo(f"  {_do(step) if apply_it else 'lacking'}: {step.words}")
    finally:
        rest.stop()
    if not steps:
        click.echo("  nothing is lacking")
    return any(step.do is None for step in steps) if apply_it else bool(steps)


def _do(step: Step) -> str:
    if step.do is None:
        return "NOT made"
    step.do()
    return "made"


def _by_hand(connection: GerritConnection, wanted: Needs, group: str, on: str) -> Iterator[str]:
    yield f"  Put {connection.user!r} into the group {group!r}, and add this to the project.config in refs/meta/config of {on};"
    yield "  the file groups beside it must have the group's UUID and name."
    if on != ALL_PROJECTS:
        yield f"  (The section [capability] belongs into that of {ALL_PROJECTS}.)"
    yield "  Or let Torii do it: torii gerrit setup --apply --admin-user NAME --admin-password env:VARIABLE"
    yield ""
    yield from wanted.lines(group)


def _connections(config: ServerConfig, names: Sequence[str]) -> list[GerritConnection]:
    there = {connection.name: connection for connection in config.connections if isinstance(connection, GerritConnection)}
    if not there:
        raise UserError("no Gerrit is configured: name the server.yml that has one with --server")
    for name in names:
        if name not in there:
            raise UserError(f"no Gerrit called {name!r} is configured; there is {', '.join(sorted(there))}")
    return [there[name] for name in names] if names else list(there.values())


def _projects(config: ServerConfig, connection: GerritConnection, only: Sequence[str]) -> list[ProjectSettings]:
    there = [project for project in config.projects if project.connection == connection.name]
    for name in only:
        if all(project.name != name for project in config.projects):
            raise UserError(f"no project called {name!r} is configured")
    return [project for project in there if not only or project.name in only]


def _admin(connection: GerritConnection, user: str | None, password: str | None) -> GerritConnection | None:
    if user is None and password is None:
        return None
    if user is None or password is None:
        raise UserError("an administrator is given by both --admin-user and --admin-password")
    if not re.fullmatch(REFERENCE, password):
        raise UserError("--admin-password takes env:NAME or file:PATH, not the password itself: a command line can be seen by others")
    return dataclasses.replace(connection, user=user, password=Secret(password))
