"""Which server a subcommand is about: the options, and what they mean when they are left out."""

from __future__ import annotations

from pathlib import Path

import click
from click.decorators import FC

from torii.config.server import load_server
from torii.config.settings import ServerConfig


def where_options(command: FC) -> FC:
    """Add `--server` and `--state`."""
    file = click.Path(exists=True, dir_okay=False, path_type=Path)
    folder = click.Path(file_okay=False, path_type=Path)
    command = click.option("--state", metavar="DIR", type=folder, help="The server's state folder, instead of the file's.")(command)
    text = "The server's configuration. Default: the server.yml in this folder, else the built-in defaults."
    return click.option("--server", metavar="FILE", type=file, help=text)(command)


def server_file(server: Path | None) -> Path | None:
    """Return the file that configures the server: the one named, else the one in this folder, if there is one."""
    return server or (Path("server.yml") if Path("server.yml").is_file() else None)


def configuration(server: Path | None, state: Path | None) -> ServerConfig:
    """Return the configuration that the options name. Raises ConfigurationError."""
    return load_server(server_file(server), state)
