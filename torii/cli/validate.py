"""`torii validate`: on a laptop, word for word what Torii would say of the file on a change."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from torii.config.document import read_bytes
from torii.config.effective import Effective
from torii.config.fields import period
from torii.config.pipelines import DEFAULT_PIPELINES
from torii.config.project import parse_torii_yml
from torii.config.server import parse_server
from torii.config.settings import ServerConfig
from torii.config.wording import listed, shown
from torii.errors import ConfigurationError, UserError
from torii.model.job import ConfigProblem, JobDefinition, ProjectConfig

_SCREEN = 20
"""How many lines of one summary are printed."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What became of one file."""

    file: str
    kind: str
    parsed: ProjectConfig | ServerConfig | tuple[ConfigProblem, ...]
    data: bytes

    @property
    def problems(self) -> tuple[ConfigProblem, ...]:
        return self.parsed if isinstance(self.parsed, tuple) else ()


@click.command("validate")
@click.argument("path", type=click.Path(exists=True, path_type=Path), default=Path())
@click.option("--server", "is_server", is_flag=True, help="PATH is a server.yml, whatever its name.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(path: Path, is_server: bool, as_json: bool) -> None:
    """Check a torii.yml or a server.yml: a file, or those in a folder (this one, if none is named).

    Every mistake is printed at once, with file, line, column and what was perhaps meant. Of a right file it says what would run.
    Ends with status 0 if all is right, 3 if not.

    \b
    Examples:
      torii validate
      torii validate path/to/torii.yml
      torii validate --server /etc/torii/server.yml
    """
    findings = [_checked(file, kind) for file, kind in _files(path, is_server)]
    if as_json:
        click.echo(json.dumps({"ok": not any(finding.problems for finding in findings), "files": list(map(_json, findings))}, indent=2))
    else:
        known = next((finding.parsed for finding in findings if isinstance(finding.parsed, ServerConfig)), None)
        for finding in findings:
            for line in _lines(finding, known):
                click.echo(line)
    if any(finding.problems for finding in findings):
        raise click.exceptions.Exit(ConfigurationError.exit_code)


def _files(path: Path, is_server: bool) -> list[tuple[Path, str]]:
    if path.is_dir():
        wanted = [("server.yml", "server")] if is_server else [("torii.yml", "torii"), ("server.yml", "server")]
        found = [(path / name, kind) for name, kind in wanted if (path / name).is_file()]
        if not found:
            raise ConfigurationError(f"{path}: there is no {' and no '.join(name for name, _ in wanted)} here; name the file to check")
        return found
    by_name = path.name in ("server.yml", "server.yaml") or path.name.endswith((".server.yml", ".server.yaml"))
    return [(path, "server" if is_server or by_name else "torii")]


def _checked(file: Path, kind: str) -> Finding:
    try:
        data = read_bytes(file)
    except OSError as error:
        raise UserError(f"{file}: {error.strerror or error}") from None
    parsed = parse_server(data, str(file), file.parent) if kind == "server" else parse_torii_yml(data, str(file))
    return Finding(str(file), kind, parsed, data)


def _lines(finding: Finding, server: ServerConfig | None) -> Iterator[str]:
    match finding.parsed:
        case ProjectConfig() as config:
            yield f"{finding.file}: right"
            yield from _project(config, server)
        case ServerConfig() as config:
            yield f"{finding.file}: right"
            yield from _server(config)
        case problems:
            yield from map(str, problems)


def _project(config: ProjectConfig, server: ServerConfig | None) -> Iterator[str]:
    if config.queue:
        yield f"  gated together with every project of the queue {config.queue}"
    room = max(3, (_SCREEN - 2 * len(config.pipelines)) // max(1, len(config.pipelines)))
    for name, _ in config.pipelines:
        jobs = config.jobs_of(name) or ()
        yield f"  {name}: {len(jobs)} job{'' if len(jobs) == 1 else 's'}"
        for job in jobs[:room]:
            yield f"    {_job(job)}"
        if len(jobs) > room:
            yield f"    ... and {listed((job.name for job in jobs[room:]), 6)}"
    used = {job for _, jobs in config.pipelines for job in jobs}
    if idle := [job.name for job in config.jobs if job.name not in used]:
        yield f"  in no pipeline: {listed(idle, 6)}"
    known = [str(pipeline.name) for pipeline in (server.pipelines if server else DEFAULT_PIPELINES)]
    if strange := [str(name) for name, _ in config.pipelines if name not in known]:
        where = "the server.yml beside it" if server else "the built-in ones"
        yield f"  note: {listed(map(shown, strange), 6)} is not among the pipelines of {where} ({listed(known)})"


def _job(job: JobDefinition) -> str:
    facts = [
        f"after {listed([need.job + ('?' if need.soft else '') for need in job.needs], 4)}" if job.needs else "",
        f"on {job.label}" if job.label else "",
        f"in {job.image}" if job.image else "",
        f"for {listed(job.files, 3)}" if job.files else "",
        f"on branches {listed(job.branches, 3)}" if job.branches else "",
        "" if job.voting else "does not vote",
        f"{period(job.timeout)} at most",
    ]
    return f"{job.name}: {'; '.join(fact for fact in facts if fact)}"


def _server(config: ServerConfig) -> Iterator[str]:
    yield f"  state in {config.state}"
    servers = [f"{host}:{port}" for host, port in config.gearman.servers]
    gearman = listed(servers) if servers else f"embedded on {config.gearman.host}:{config.gearman.port}"
    yield f"  gearman {gearman}; pages on {config.web.host}:{config.web.port}"
    yield f"  {_counted(config.worker.executors, 'build')} at once ({listed(config.worker.labels)}); {_counted(config.mergers, 'merger')}"
    for controller in config.jenkins:
        where = f"{controller.url}, folder {controller.folder}" if controller.folder else controller.url
        yield f"  Jenkins {controller.name}: {where}; builds are started by {controller.dispatch.value}"
    for pipeline in config.pipelines:
        causes = listed(dict.fromkeys(trigger.cause.value for trigger in pipeline.triggers))
        facts = ["merges"] * pipeline.merges + ["trusted"] * pipeline.trusted
        yield f"  pipeline {pipeline.name}: {', '.join([pipeline.manager.value, *facts])}; on {causes}"
    for project in config.projects[:_SCREEN]:
        merges = f"{project.path} on {project.connection}" if project.path else project.spec.merge_mode.value
        builds = f"; builds in Jenkins: {listed(project.jenkins, 6)}" if project.jenkins else ""
        yield f"  project {project.name}: {project.url} ({merges}){builds}"
    if len(config.projects) > _SCREEN:
        yield f"  ... and {len(config.projects) - _SCREEN} more projects"


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _json(finding: Finding) -> dict[str, Any]:
    said: dict[str, Any] = {"file": finding.file, "kind": finding.kind, "ok": not finding.problems}
    match finding.parsed:
        case ProjectConfig() as config:
            jobs = [dataclasses.asdict(job) | {"variables": dict(job.variables)} for job in config.jobs]
            said |= {"digest": config.digest, "queue": config.queue, "jobs": jobs, "pipelines": dict(config.pipelines)}
        case ServerConfig() as config:
            said |= Effective(config, finding.data).as_json()
        case _:
            pass
    return said | {"problems": [dataclasses.asdict(problem) for problem in finding.problems]}
