"""What is printed when the story is over: each change with what was expected and what became of it, the histories, and what to try."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from torii.cli.stays import Stay
from torii.demo.evidence import Evidence
from torii.demo.expectations import Expectation
from torii.demo.place import Place
from torii.demo.workshop import Workshop
from torii.model.build import Result
from torii.model.view import BuildView
from torii.results import layout
from torii.results.text import clean_line

_OUTCOMES = {"success": "passed", "failure": "failed"}


@dataclass(frozen=True, slots=True)
class Account:
    """One change: what was expected, what was found, and in what they differ."""

    expected: Expectation
    found: Evidence
    differences: tuple[str, ...]


def name_logs(place: Place, accounts: Sequence[Account]) -> dict[str, dict[str, BuildView]]:
    """Give each build's log a name that tells which it is, as a link in `place.logs`; return the builds by change and that name."""
    named = {account.expected.change: _named(account.found.stays) for account in accounts}
    for account in accounts:
        folder = place.logs / account.expected.name
        folder.mkdir(parents=True, exist_ok=True)
        for name, build in named[account.expected.change].items():
            path = folder / name
            path.unlink(missing_ok=True)
            path.symlink_to(os.path.relpath(place.blobs / layout.console(build.id), folder))
    return named


def _named(stays: Sequence[Stay]) -> dict[str, BuildView]:
    """Return the builds that ran, by names such as `gate.unit.log`, or `gate.2.unit.log` of the second state that was tested."""
    named = {}
    for stay in stays:
        ran = [build for build in stay.builds if build.started_at is not None]
        states = list(dict.fromkeys(build.build_set for build in stay.builds))
        for build in ran:
            number = f".{states.index(build.build_set) + 1}" if len(states) > 1 else ""
            named[f"{stay.item.pipeline}{number}.{build.job}.log"] = build
    return named


def outcome_document(place: Place, accounts: Sequence[Account], wrong: Sequence[str]) -> dict[str, Any]:
    """Return what happened as JSON can say it: each change, what was expected, what became of it, and where its logs are."""
    named = name_logs(place, accounts)
    changes = [
        {
            "change": account.expected.change,
            "title": account.expected.title,
            "expected": account.expected.text,
            "became": _became(account.found).plain,
            "right": not account.differences,
            "logs": {name: str(place.logs / account.expected.name / name) for name in named[account.expected.change]},
        }
        for account in accounts
    ]
    return {"right": not wrong, "folder": str(place.root), "changes": changes, "differences": list(wrong)}


def print_outcome(console: Console, place: Place, accounts: Sequence[Account], url: str) -> None:
    """Print the table of what happened and where its logs are: files, and pages too where `url` is one that goes on being served."""
    named = name_logs(place, accounts)
    table = Table(box=box.SIMPLE_HEAD, show_header=False, title="What happened", title_justify="left", title_style="bold", pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for number, account in enumerate(accounts):
        change = account.expected.change
        if number:
            table.add_section()
        verdict = Text("WRONG", "bold red") if account.differences else Text("right", "green")
        table.add_row(verdict, Text("change", "bright_black"), _called(account.expected))
        table.add_row("", Text("expected", "bright_black"), Text(account.expected.text))
        table.add_row("", Text("became", "bright_black"), _became(account.found))
        if builds := named[change]:
            table.add_row("", Text("logs", "bright_black"), _logs(_relative(place.logs / account.expected.name), builds))
        if url:
            table.add_row("", Text("page", "bright_black"), Text(f"{url}/changes/{quote(change)}"))
    console.print()
    console.print(table)


def _called(expected: Expectation) -> Text:
    text = Text(expected.change, "bold")
    return text.append(f"  {expected.title}", "not bold") if expected.title else text


def _became(found: Evidence) -> Text:
    if not found.stays:
        return Text("Torii never heard of it")
    item = found.stays[-1].item
    outcome = item.outcome or item.state
    word, reason = _OUTCOMES.get(outcome, outcome), clean_line(item.reason, 1000)
    return Text(reason if reason.startswith(word) else f"{word}: {reason}")


def _logs(folder: Path, builds: dict[str, BuildView]) -> Text:
    text = Text(f"{folder}/:")
    for name, build in builds.items():
        style = {Result.SUCCESS: "green", Result.CANCELED: "bright_black"}.get(build.result or Result.CANCELED, "red")
        text.append(" ").append(name, style)
    return text


def print_histories(console: Console, shop: Workshop, projects: Sequence[str]) -> None:
    """Print the history of each project's main as git shows it."""
    for project in projects:
        history = shop.clones.git(shop.repository(project), "log", "--graph", "--oneline", "--no-decorate", "--no-color", "refs/heads/main")
        console.print(Text(f"\n{project}: the history of main that resulted", "bold"))
        console.print(Text(history), soft_wrap=True)


def print_differences(console: Console, place: Place, sentences: Sequence[str]) -> None:
    """Print in what the outcome is not the right one, and where to look."""
    console.print(Text("\nThe story did not come out right:", "bold red"))
    for sentence in sentences:
        console.print(Text(f"- {sentence}"), soft_wrap=True)
    server = shlex.quote(str(_relative(place.server_yml)))
    advice = f"What Torii did is in {_relative(place.log)}, and in words: {_torii()} explain CHANGE --server {server}"
    console.print(Text(advice), soft_wrap=True)


def print_invitation(console: Console, place: Place, shop: Workshop, url: str) -> None:
    """Print what to try while Torii goes on running."""
    console.print(Text(f"\nTorii keeps running until Ctrl-C, with its pages at {url}/", "bold"), soft_wrap=True)
    for line in shop.invitation(_torii(), f"--server {shlex.quote(str(place.server_yml))}"):
        console.print(Text(line), soft_wrap=True)


def _torii() -> str:
    """Return how a shell calls this very Torii."""
    here = Path(sys.prefix) / "bin" / "torii"
    found = shutil.which("torii")
    return shlex.quote(str(_relative(here))) if here.exists() and (found is None or Path(found) != here) else "torii"


def _relative(path: Path) -> Path:
    """Return `path` as seen from the current folder, where it is below it."""
    try:
        return path.relative_to(Path.cwd())
    except (ValueError, OSError):
        return path
