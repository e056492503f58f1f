"""`torii demo`: see it work, on this machine, in half a minute."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console

if TYPE_CHECKING:
    from torii.demo.jenkins_venue import JenkinsOptions


@click.command(name="demo")
@click.argument("folder", metavar="[DIR]", default=Path("torii-demo"), type=click.Path(file_okay=False, path_type=Path))
@click.option("--gerrit", is_flag=True, help="Play on a real Gerrit, booted for it in DIR. Needs Java and Maven.")
@click.option("--jenkins", metavar="URL", help="Run the builds in the Jenkins at URL. Its jobs are removed again in the end.")
@click.option("--jenkins-user", metavar="NAME", help="Torii's account there.  [default: torii]")
@click.option("--jenkins-token", metavar="env:NAME|file:PATH", help="Where its API token is.  [default: env:JENKINS_TOKEN]")
@click.option("--jenkins-ca", metavar="FILE", help="The certificates to trust there.  [default: the system's]")
@click.option("--jenkins-folder", metavar="PATH", help="The folder for the jobs, which must be there.  [default: the top]")
@click.option("--jenkins-gearman", metavar="[HOST:]PORT", help="Start builds through the Gearman server that its plug-in connects to.")
@click.option("--jenkins-reach", metavar="ADDRESS[:PORT]", help="Where its agents reach this machine.  [default: 127.0.0.1]")
@click.option("--keep", is_flag=True, help="Leave Torii running afterwards, to play with, until Ctrl-C.")
@click.option("--svg", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path), help="Write a picture of the screen, as SVG.")
@click.option("--plain", is_flag=True, help="Print lines instead of showing a screen, as when the output is not a terminal.")
@click.option("--json", "as_json", is_flag=True, help="Print what happened as one JSON object; everything else goes to standard error.")
def command(folder: Path, gerrit: bool, keep: bool, svg: Path | None, plain: bool, as_json: bool, **jenkins: str | None) -> None:
    """Gate real changes to two real git repositories, made in DIR (./torii-demo), and check that each came out right.

    Everything runs in this one process and on free ports: scheduler, merger, worker, Gearman server, pages. Nothing outside of DIR is
    touched. It may be run again and again: what an earlier demo made in DIR is made anew.

    With --gerrit the same story is played on a Gerrit, and judged by what that says of changes, votes and branches. Its jars are fetched
    with Maven once for a machine, into the user's cache (~/.cache/torii).

    With --jenkins the builds of the story run there, as jobs that Torii makes and removes: by its REST API alone, or through Gearman, where
    --jenkins-gearman says to which address its Gearman plug-in connects. Torii's own Gearman server listens there, if there is none yet.
    Builds fetch what they test from a git server that the demo runs meanwhile, on this machine; where the agents are on other machines,
    --jenkins-reach says by which address they reach it. With --gerrit they fetch from that Gerrit, and have to be on this machine. What
    is missing on that Jenkins is told before anything is made.

    Ends with status 0 if every change was checked, tested again, merged or turned away as it should be; else with 1, and says what is
    not as it should be and where the logs are. With 1, too, if jobs are left in the Jenkins that could not be removed.

    \b
    Examples:
      torii demo
      torii demo --keep /tmp/torii-demo
      torii demo --gerrit
      torii demo --jenkins https://jenkins.example.com --jenkins-reach 192.0.2.7
      torii demo --plain --svg screen.svg
      torii demo --json | jq .right
    """
    from torii.cli.running import stop_signals  # what the demo needs takes long to import: `torii demo --help` does not wait for it
    from torii.demo.play import Options, run_demo
    from torii.demo.story import InterruptedStoryError

    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a change's title may hold what this terminal cannot show
    console = Console(highlight=False, emoji=False, markup=False, stderr=as_json)
    live = not plain and console.is_terminal and not console.is_dumb_terminal
    options = Options(folder, gerrit, _jenkins(gerrit, **jenkins), keep, svg, live, _print_json if as_json else None)
    with stop_signals() as stop:
        try:
            right = run_demo(options, console, stop)
        except InterruptedStoryError:
            raise click.Abort from None
    if not right:
        raise click.exceptions.Exit(1)


def _jenkins(gerrit: bool, jenkins: str | None, **more: str | None) -> JenkinsOptions | None:
    """Return what the options say of a Jenkins, None where they name none."""
    from torii.demo.jenkins_venue import JenkinsOptions

    context = click.get_current_context()
    given = {name.removeprefix("jenkins_"): value for name, value in more.items() if value is not None}
    if jenkins is None:
        if given:
            raise click.UsageError(f"--jenkins-{next(iter(given))} is for a demo on a Jenkins: name that with --jenkins", context)
        return None
    if gerrit and "reach" in given:
        raise click.UsageError(
            "with --gerrit builds fetch from the demo's Gerrit, which listens on 127.0.0.1 only: leave out --jenkins-reach", context
        )
    return JenkinsOptions(**{"url": jenkins, "user": "torii", "token": "env:JENKINS_TOKEN", **given})


def _print_json(document: dict[str, Any]) -> None:
    click.echo(json.dumps(document, indent=2))
