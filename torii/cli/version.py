"""`torii version`: what is installed."""

from __future__ import annotations

import json
import platform
from importlib.metadata import PackageNotFoundError, version

import click

import torii

PARTS = ("gear", "GitPython", "jenkins-job-builder", "jinja2", "pydantic", "pygerrit2", "python-jenkins", "pyyaml", "sqlalchemy")


@click.command(name="version")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(as_json: bool) -> None:
    """Print the version of Torii, and with --json of the parts that decide what it can do.

    \b
    Examples:
      torii version
      torii version --json
    """
    if not as_json:
        click.echo(f"torii {torii.__version__}")
        return
    parts: dict[str, str | None] = {}
    for part in PARTS:
        try:
            parts[part] = version(part)
        except PackageNotFoundError:
            parts[part] = None
    click.echo(json.dumps({"torii": torii.__version__, "python": platform.python_version(), "parts": parts}, indent=2))
