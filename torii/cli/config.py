"""`torii config show`: what a server would run with, and what of it nobody had to say."""

from __future__ import annotations

import json
from pathlib import Path

import click

from torii.cli.where import server_file, where_options
from torii.config.effective import Effective
from torii.config.server import load_server, read_server


@click.group("config")
def command() -> None:
    """Look at the server's configuration.

    \b
    Examples:
      torii config show
      torii config show --json
    """


@command.command("show")
@where_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show(server: Path | None, state: Path | None, as_json: bool) -> None:
    """Print the configuration in force, with each default marked. What is printed is itself a server.yml.

    Secrets are shown as their references only. Ends with status 3 where the file is wrong.

    \b
    Examples:
      torii config show
      torii config show --server /etc/torii/server.yml
      torii config show --json | jq .configuration.web
    """
    path = server_file(server)
    data = read_server(path) if path else b""
    effective = Effective(load_server(path, state), data, (("state",),) if state else ())
    if as_json:
        click.echo(json.dumps({"file": str(path) if path else None, **effective.as_json()}, indent=2))
        return
    click.echo(f"# {path}" if path else "# built-in defaults: there is no server.yml here")
    for line in effective.lines():
        click.echo(line)
