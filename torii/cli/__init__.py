"""The command line: one module a subcommand, imported only when it is asked for, and one place where errors become exit codes."""

from __future__ import annotations

import gc
import os
import sys
import traceback
from importlib import import_module
from typing import NoReturn

import click

from torii.errors import OperatorError, ToriiError

COMMANDS = {
    "config": "Look at the server's configuration.",
    "demo": "Play a gating story on this machine.",
    "explain": "Say why a change is where it is.",
    "gearmand": "Run the Gearman server alone.",
    "gerrit": "Make a Gerrit ready for Torii, or check it.",
    "jenkins": "See whether a Jenkins is as Torii needs it.",
    "merger": "Run a merger alone.",
    "notify": "Have Torii look at a repository now.",
    "replay": "Step a journal and show what is decided.",
    "scheduler": "Run the gate and its pages alone.",
    "schema": "Print a JSON Schema for editors.",
    "status": "Show what is queued, and why.",
    "sync-jobs": "Bring the jobs in Jenkins up to date.",
    "up": "Run everything in one process.",
    "validate": "Check a torii.yml or server.yml.",
    "version": "Print the version.",
    "worker": "Run a worker alone.",
}
"""Each subcommand in a few words; the module of that name in this package (`_` for `-`) has it as `command`."""

INTERRUPTED = 130
BUG = 70


class Subcommands(click.Group):
    """The subcommands of `COMMANDS`: imported one by one, so that `torii validate` does not wait for what `torii up` needs."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        if cmd_name not in COMMANDS:
            return None
        gc.disable()  # nothing of what is imported is garbage, and looking for some takes a tenth of the time
        try:
            command = import_module(f"torii.cli.{cmd_name.replace('-', '_')}").command
        finally:
            gc.enable()
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        """List the subcommands without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl(sorted(COMMANDS.items()))


@click.group(cls=Subcommands, context_settings={"help_option_names": ["-h", "--help"], "auto_envvar_prefix": "TORII"})
def cli() -> None:
    """Torii gates changes: what lands on a branch is byte for byte what was tested.

    \b
    Start here:
      torii demo                      a gate at work on this machine, in half a minute
      torii validate                  check the torii.yml of this repository
      torii up --server server.yml    run everything in one process

    \b
    Exit codes:
      0  all is well
      1  what was checked or played is not as it should be
      2  the command was called wrongly, or names something that is not there
      3  a torii.yml or server.yml is wrong
      4  something around Torii is missing, refused or out of reach
      70 a bug in Torii
      130 interrupted

    \b
    Shell completion (bash; zsh and fish alike):
      eval "$(_TORII_COMPLETE=bash_source torii)"
    """


def main() -> NoReturn:
    """Run the command line and exit. A user's mistake is one sentence on standard error, never a traceback."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run the command line with `arguments` and return its exit code."""
    try:
        result = cli.main(arguments, prog_name="torii", standalone_mode=False)
    except click.exceptions.Exit as exit_:
        return exit_.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        click.echo("Interrupted.", err=True)
        return INTERRUPTED
    except BrokenPipeError:  # the reader of our output went away, as `head` does
        sys.stderr.close()
        return 0
    except ToriiError as error:
        click.echo(f"torii: {error}", err=True)
        return error.exit_code
    except OSError as error:
        if error.filename is None:
            return _bug()
        click.echo(f"torii: {os.fspath(error.filename)}: {error.strerror}", err=True)
        return OperatorError.exit_code
    except Exception:
        return _bug()
    return result if isinstance(result, int) else 0


def _bug() -> int:
    traceback.print_exc()
    click.echo("torii: this is a bug in Torii; please report it with the lines above.", err=True)
    return BUG
