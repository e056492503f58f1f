"""Shows what a check-up finds, as it is found, and ends the command as the findings say."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import click

from torii.cli.quiet import quietly
from torii.model.finding import Finding, Verdict

_MARKS = {Verdict.PASS: "pass", Verdict.WARN: "warn", Verdict.FAIL: "FAIL", Verdict.UNKNOWN: "?"}
_NOT_YET = 1
"""The exit code where something is lacking."""


def show(title: str, findings: Iterable[Finding], as_json: bool) -> list[Finding]:
    """Return `findings`; unless they are wanted `as_json`, print each under `title` when it comes."""
    found = []
    if not as_json:
        click.echo(title)
    with quietly():
        for finding in findings:
            found.append(finding)
            if not as_json:
                _print(finding)
    if not as_json:
        click.echo(_summary(found))
    return found


def conclude(findings: Mapping[str, Sequence[Finding]], key: str, as_json: bool) -> None:
    """End with status 1 where something failed; `as_json`, print all of it first, by the names of what was checked under `key`."""
    failed = any(finding.verdict is Verdict.FAIL for found in findings.values() for finding in found)
    if as_json:
        said = {name: [_as_json(finding) for finding in found] for name, found in findings.items()}
        click.echo(json.dumps({"ok": not failed, key: said}, indent=2))
    if failed:
        raise click.exceptions.Exit(_NOT_YET)


def _print(finding: Finding) -> None:
    about = f"{finding.project}: " if finding.project else ""
    click.echo(f"  {_MARKS[finding.verdict]:<4}  {about}{finding.topic}: {finding.words}")
    if finding.advice:
        click.echo(f"        -> {finding.advice}")


def _summary(found: Sequence[Finding]) -> str:
    counted = Counter(finding.verdict for finding in found)
    words = [
        f"{counted[verdict]} {said}"
        for verdict, said in (
            (Verdict.PASS, "passed"),
            (Verdict.WARN, "could be better"),
            (Verdict.FAIL, "failed"),
            (Verdict.UNKNOWN, "unknown"),
        )
        if counted[verdict]
    ]
    return f"  {', '.join(words)}"


def _as_json(finding: Finding) -> dict[str, str | None]:
    return {
        "topic": finding.topic,
        "project": finding.project or None,
        "verdict": finding.verdict.value,
        "words": finding.words,
        "advice": finding.advice or None,
    }
