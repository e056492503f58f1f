"""`torii schema`: the JSON Schemas that editors complete and check the files with."""

from __future__ import annotations

import json

import click

from torii.config.schema import server_schema, torii_schema


@click.command("schema")
@click.argument("which", type=click.Choice(["torii", "server"]), default="torii")
def command(which: str) -> None:
    """Print the JSON Schema (draft 2020-12) of torii.yml, or of server.yml.

    \b
    Examples:
      torii schema > torii.schema.json
      torii schema server > server.schema.json

    An editor with the YAML language server completes and checks the file once its first line says
    `# yaml-language-server: $schema=torii.schema.json`.
    """
    click.echo(json.dumps(torii_schema() if which == "torii" else server_schema(), indent=2))
