"""`torii sync-jobs`: the jobs in Jenkins become what the `torii.yml` files say, or one is shown what would change."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path

import click

from torii.cli.controllers import chosen, wanted_by, wanted_of
from torii.cli.quiet import quietly
from torii.cli.where import configuration, where_options
from torii.config.settings import ServerConfig
from torii.errors import ConfigurationError, OperatorError, UserError
from torii.jenkins import Controller
from torii.jobs import plugins
from torii.jobs.apply import AT_ONCE, Done, perform
from torii.jobs.export import command as give
from torii.jobs.export import export
from torii.jobs.library import JobLibrary
from torii.jobs.look import Depth, look
from torii.jobs.names import job_name
from torii.jobs.plan import Deed, Plan, Step
from torii.jobs.report import Report
from torii.jobs.team import open_library, refresh
from torii.jobs.trace import trace
from torii.jobs.wanted import Wanted
from torii.jobs.xml import difference

_AMISS = 1
_WOULD = 2


@dataclass(frozen=True, slots=True)
class _Wish:
    """What the command line asks for."""

    plan: bool
    prune: bool
    only: str
    thorough: bool
    quiet: bool


@click.command("sync-jobs")
@click.argument("names", nargs=-1, metavar="[JENKINS]...")
@where_options
@click.option("--plan", "plan_only", is_flag=True, help="Print what would be done, with differences of the XML, and do nothing.")
@click.option(
    "--prune",
    is_flag=True,
    help="Also remove jobs that Torii made and nothing names any more, and copies made for a change that no build has used for a day.",
)
@click.option("--only", metavar="GLOB", default="*", help="Only jobs whose name in Jenkins matches, such as 'app--main--*'.")
@click.option("--thorough", is_flag=True, help="Compare each job's whole XML, and look for new plug-ins: finds what was changed by hand.")
@click.option(
    "--out", metavar="DIR", type=click.Path(file_okay=False, path_type=Path), help="Write the jobs as files; Jenkins is left alone."
)
@click.option(
    "--explain", metavar="JOB", help="Say which files make a job (its name in Jenkins or in torii.yml, or a glob); do nothing else."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    names: tuple[str, ...],
    server: Path | None,
    state: Path | None,
    plan_only: bool,
    prune: bool,
    only: str,
    thorough: bool,
    out: Path | None,
    explain: str | None,
    as_json: bool,
) -> None:
    """Bring the jobs in Jenkins up to date with the torii.yml of every project and branch.

    Torii does so by itself while it runs, where `sync` of server.yml allows it; this does it now, shows what would be done, or tidies
    up. The files are read from the git server. A job that Torii did not make is never changed or removed.

    --out DIR writes, for each Jenkins, DIR/JENKINS/*.yaml for `jenkins-jobs update` and DIR/JENKINS/xml/*.xml.

    \b
    Exit codes:
      0  every job is as it should be (with --plan: nothing would be done)
      1  a job was refused by Jenkins, or its name is taken
      2  with --plan: something would be made, changed or removed
      3  a torii.yml is wrong; the jobs of that branch were left as they are
      4  a Jenkins or a project could not be reached, a plug-in is missing, or a template is wrong

    \b
    Examples:
      torii sync-jobs --plan
      torii sync-jobs
      torii sync-jobs --prune --only 'old-project--*' ci
      torii sync-jobs --explain unit
    """
    if out is not None and plan_only:
        raise click.UsageError("--out leaves Jenkins alone, and --plan says what would be done there: give one of them")
    config = configuration(server, state)
    controllers = [Controller(settings) for settings in chosen(config, names)]
    with quietly():
        library = open_library(config)
        refresh(config, library)
        wanted = wanted_by(config, [controller.settings for controller in controllers])
        if explain is not None:
            _explain(config, library, wanted, controllers, explain, as_json)
            return
        if out is not None:
            reports = [
                _export(controller, library, wanted_of(config, controller.settings, wanted), only, out) for controller in controllers
            ]
        else:
            wish = _Wish(plan_only, prune, only, thorough, as_json)
            reports = [_sync(controller, library, wanted_of(config, controller.settings, wanted), wish) for controller in controllers]
    _finish(reports, wanted, _without(config, wanted), as_json)


def _without(config: ServerConfig, wanted: Wanted) -> list[str]:
    """Return which projects have no torii.yml, in words. A config project needs none."""
    chosen = config.config_project
    return wanted.of([name for name in wanted.projects if chosen is None or name != chosen.project]).without


def _finish(reports: Sequence[Report], wanted: Wanted, without: Sequence[str], as_json: bool) -> None:
    """Print what is left to be said of all of them, and exit."""
    code = _code(reports, wanted)
    if as_json:
        said = {report.name: report.as_json() for report in reports}
        amiss = {"wrong": wanted.mistakes, "unread": wanted.unread, "without": list(without)}
        click.echo(json.dumps({"ok": code in (0, _WOULD), "jenkins": said, **amiss}, indent=2))
    else:
        for report in reports:
            for line in report.lines():
                click.echo(line)
        for words in wanted.mistakes:
            click.echo(f"wrong, and the jobs of that branch are left as they are: {words}", err=True)
        for words in wanted.unread:
            click.echo(f"not read, and its jobs are left as they are: {words}", err=True)
        for words in without:
            click.echo(f"no jobs to make: {words}", err=True)
    if code:
        raise click.exceptions.Exit(code)


def _code(reports: Sequence[Report], wanted: Wanted) -> int:
    if wanted.unread or any(report.away for report in reports):
        return OperatorError.exit_code
    if wanted.mistakes:
        return ConfigurationError.exit_code
    if any(report.amiss for report in reports):
        return _AMISS
    return _WOULD if any(report.plan and report.plan.steps and report.done is None for report in reports) else 0


def _sync(controller: Controller, library: JobLibrary, wanted: Wanted, wish: _Wish) -> Report:
    report = Report(controller.name, controller.settings.url, folder=controller.settings.folder)
    try:
        found = look(controller, wanted, library, Depth(wish.only, configs=wish.thorough, plugins=wish.thorough, copies=wish.prune))
        plan = found.plan.pruned() if wish.prune else found.plan
        if wish.only != "*" and plan == Plan():
            plan = Plan(notes=(_nothing(wish.only),))
        if wish.plan:
            return replace(report, plan=plan, lacking=found.lacking, diffs=_diffs(controller, plan.steps))
        if not wish.quiet:
            for words in found.lacking:  # before anything is written
                click.echo(f"{controller.name}: {words}", err=True)
        done = _apply(controller, plan.steps, wish.quiet)
        return replace(report, plan=plan, lacking=found.lacking if wish.quiet else (), done=done)
    except OperatorError as error:
        return replace(report, problem=str(error))
    finally:
        controller.close()


def _apply(controller: Controller, steps: Sequence[Step], quiet: bool) -> list[Done]:
    if quiet or not sys.stderr.isatty():
        return perform(controller, steps)
    with click.progressbar(length=len(steps), label=controller.name, file=sys.stderr) as bar:
        return perform(controller, steps, lambda _: bar.update(1))


def _diffs(controller: Controller, steps: Sequence[Step]) -> dict[str, str]:
    changed = [step for step in steps if step.deed is Deed.CHANGE]

    def diff(step: Step) -> str:
        return difference(controller.config(step.name) or b"", step.xml, step.name)

    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="torii-jobs-compare") as pool:
        return dict(zip([step.name for step in changed], pool.map(diff, changed), strict=True))


def _export(controller: Controller, library: JobLibrary, wanted: Wanted, only: str, out: Path) -> Report:
    """Write the jobs for one Jenkins, with the plug-ins that it has; where it cannot be asked, with all."""
    sources = wanted.sources
    present, note = _plugins(controller)
    rendered = [pair for pair in zip(sources, library.render(sources, present), strict=True) if fnmatchcase(pair[1].name, only)]
    note += [_nothing(only)] if sources and not rendered else []
    settings, directory = controller.settings, out / controller.name
    export(library, rendered, settings, directory)
    words = f"{len(rendered)} jobs are in {directory}: give them to Jenkins with\n    {give(settings, directory)}"
    return Report(controller.name, settings.url, Plan(), note, done=(), folder=settings.folder, written=words)


def _nothing(only: str) -> str:
    return f"no job is called so that --only {only!r} matches it: a name is <project>--<branch>--<job>"


def _plugins(controller: Controller) -> tuple[tuple[str, ...], list[str]]:
    try:
        return plugins.relevant(plugins.installed(controller.plugins())), []
    except OperatorError as error:
        return plugins.relevant(plugins.OPTIONAL), [f"made for a Jenkins with every plug-in, as this one cannot be asked: {error}"]
    finally:
        controller.close()


def _explain(config: ServerConfig, library: JobLibrary, wanted: Wanted, controllers: Sequence[Controller], job: str, as_json: bool) -> None:
    """Print which files make the jobs that `job` means, each as the first of `controllers` has it in which it is built."""
    said: dict[str, list[str]] = {}
    notes: list[str] = []
    for controller in controllers:
        sources = wanted_of(config, controller.settings, wanted).sources
        named = {job_name(source.project, source.branch, source.job.name): source for source in sources}
        found = [name for name, source in named.items() if name not in said and (job == source.job.name or fnmatchcase(name, job))]
        present, note = _plugins(controller) if found else ((), [])
        notes += note
        for name in found:
            source = named[name]
            tip = wanted.projects[source.project].tips.get(source.branch, "")
            where = f"torii.yml on branch {source.branch} of {source.project}, commit {tip[:10]}"
            said[name] = [f"job {source.job.name}: {where}", *map(str, trace(library, source, present))]
    if not said:
        raise UserError(f"no torii.yml that could be read has a job called {job!r}, and Torii makes none of that name in Jenkins")
    if as_json:
        click.echo(json.dumps(said, indent=2))
        return
    for words in notes:
        click.echo(words, err=True)
    for name, lines in said.items():
        click.echo(f"{name}:")
        for line in lines:
            click.echo(f"  {line}")
