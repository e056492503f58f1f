"""`torii notify`: tell a running Torii, from a repository's post-receive hook, that something was pushed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from torii.cli.quiet import quietly
from torii.errors import OperatorError, ToriiError

if TYPE_CHECKING:
    from torii.config.settings import GearmanSettings

LIMIT = 0.8
"""Seconds in which the scheduler must have answered: whoever pushed is waiting."""


@click.command(name="notify")
@click.argument("project", required=False)
@click.option("--server", type=click.Path(dir_okay=False, path_type=Path), help="The configuration (server.yml) of the Torii to tell.")
@click.option("--state", type=click.Path(file_okay=False, path_type=Path), help="That Torii's state folder.")
@click.option("--url", metavar="HOST:PORT", help="The Gearman server through which that Torii is reached, if not by --server.")
@click.option("--key", metavar="REFERENCE", help="With --url: the Gearman key, as env:NAME or file:PATH.")
@click.option("--strict", is_flag=True, help="Fail, with exit code 4, where no scheduler could be told.")
def command(project: str | None, server: Path | None, state: Path | None, url: str | None, key: str | None, strict: bool) -> None:
    """Tell a running scheduler to look at PROJECT (or at every project) now, not at its next poll.

    Made for a post-receive hook: it returns within a second and never fails a push. Where no scheduler is running it says so on
    standard error and exits with 0, since the scheduler finds what was pushed when it starts.

    \b
    Examples:
      torii notify tools/app --server /etc/torii/server.yml
      torii notify --url gearman.example.com:4730 --key file:/etc/torii/gearman.key
    """
    try:
        with quietly():  # whoever pushed sees what is written here
            _notify(project, server, state, url, key)
    except ToriiError as error:
        if strict:
            raise
        click.echo(f"torii notify: {error} (not told; what was pushed is found at the next poll or start)", err=True)


def _notify(project: str | None, server: Path | None, state: Path | None, url: str | None, key: str | None) -> None:
    from torii.model.ids import ProjectName

    servers, secret = _by_url(url, key) if url else _by_configuration(server, state)
    from torii.sources.wake import wake  # after the configuration, whose mistakes are said sooner so

    if not wake(servers, secret, ProjectName(project) if project else None, LIMIT):
        raise OperatorError(f"that Torii has no project {project!r}; check the name in its server.yml")


def _by_url(url: str, key: str | None) -> tuple[tuple[tuple[str, int], ...], bytes]:
    from torii.config.secrets import resolve
    from torii.config.settings import Secret

    host, _, port = url.removeprefix("gearman://").rstrip("/").rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise click.BadParameter(f"{url!r} is not HOST:PORT, such as 127.0.0.1:4730", param_hint="--url")
    if key is None:
        raise click.UsageError("--url needs --key: the Gearman key of that Torii, as env:NAME or file:PATH")
    return ((host.strip("[]"), int(port)),), resolve(Secret(key)).strip().encode()


def _by_configuration(server: Path | None, state: Path | None) -> tuple[tuple[tuple[str, int], ...], bytes]:
    from torii.cli.where import configuration
    from torii.gearman.address import servers_of

    config = configuration(server, state)
    return servers_of(config.gearman, config.state), _key(config.gearman, config.state)


def _key(gearman: GearmanSettings, state: Path) -> bytes:
    from torii.gearman import load_key

    if gearman.key is None and not (state / "gearman.key").exists():  # do not make one: it would be nobody's
        raise OperatorError(f"no Gearman key in {state}; has this Torii ever run, and may this user read the folder?")
    return load_key(gearman, state)
