"""Renders the Jinja2 templates of `job-templates/` to Jenkins Job Builder YAML.

Every `{{ expression }}` of a YAML template is written as a double-quoted YAML string whose braces are doubled, because Jenkins Job Builder
expands braces even in a plain `job`; so no text of a `torii.yml` can be anything but text.
"""

from __future__ import annotations

import hashlib
import html
import json
import math
import re
import shlex
import traceback
from functools import partial
from typing import Any

from jinja2 import FunctionLoader, StrictUndefined, TemplateError, TemplateSyntaxError
from jinja2.sandbox import SandboxedEnvironment

from torii.errors import ToriiError
from torii.jobs.ant import ant_list
from torii.jobs.definition import OWNERSHIP_MARK, JobSource, TemplateProblem
from torii.jobs.files import CONTAINER, JOB, LIMITED, JobFiles
from torii.jobs.limits import archived, check
from torii.jobs.marks import Mark, with_mark
from torii.jobs.names import job_name
from torii.jobs.parameters import PARAMETERS
from torii.jobs.plugins import JUNIT, TIMEOUT
from torii.model.job import JobDefinition

_NOT_YAML = re.compile("[\x7f-\x9f\ufeff\u2028\u2029]")


class JobTemplates:
    """The templates of `files`. `url` is where Torii's pages are. Templates can reach nothing but what they are given."""

    def __init__(self, files: JobFiles, url: str | None = None) -> None:
        self._url = url
        self._files = files
        loader = FunctionLoader(self._load)
        self._yaml = SandboxedEnvironment(
            loader=loader, undefined=StrictUndefined, finalize=_yaml_value, autoescape=False, keep_trailing_newline=True
        )
        self._shell = SandboxedEnvironment(loader=loader, undefined=StrictUndefined, autoescape=False, keep_trailing_newline=True)
        self._shell.filters["sh"] = shlex.quote

    def yaml(self, source: JobSource, plugins: tuple[str, ...], mark: Mark | None = None, folder: str = "") -> str:
        """Return the YAML of one job, to be put into a list, for a Jenkins with `plugins`.

        With `mark` in its description, and in `folder`, where these are given. Raises `JobError` for what Jenkins cannot hold, and
        `TemplateProblem`, which names file and line.
        """
        check(source)
        job = source.job
        junit = ant_list(job.reports.junit) if JUNIT.plugin in plugins else ""
        description = self._description(source)
        try:
            return self._yaml.get_template(JOB).render(
                name=job_name(source.project, source.branch, job.name),
                source=source,
                job=job,
                folder=folder,
                plugins=plugins,
                description=description if mark is None else with_mark(description, mark),
                variables=_variables(job),
                minutes=max(1, math.ceil(job.timeout / 60)),
                junit=junit,
                archived=ant_list((*archived(job), *(() if junit else job.reports.junit))),
                template=template_of(source, plugins),
                script=partial(self._script, job, plugins),
            )
        except ToriiError:
            raise
        except Exception as error:  # a template is a program: it may fail as any
            words = str(error) if isinstance(error, TemplateError) else f"{type(error).__name__}: {error}"
            raise TemplateProblem(f"{self._where(error)}: {words}; mend the file, or remove it to have Torii's own") from error

    def _load(self, name: str) -> tuple[str, str, None] | None:
        file = self._files.templates.get(name)
        if file is None:
            return None
        try:
            return file.data.decode(), str(file.path), None
        except UnicodeDecodeError as error:
            raise TemplateProblem(
                f"{file.path} ({file.origin}) is not UTF-8: {error}; mend it, or remove it to have Torii's own"
            ) from error

    def _where(self, error: Exception) -> str:
        """Return file and line of `error`, and whose the file is: Jinja2 has its templates' own in tracebacks, the innermost last."""
        paths = {str(file.path): file for file in self._files.templates.values()}
        frames = [(frame.filename, frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
        if isinstance(error, TemplateSyntaxError):
            frames.append((error.filename or "", error.lineno))
        for path, line in reversed(frames):
            if path in paths:
                return f"{path}:{line}: the template ({paths[path].origin}) is wrong"
        return "the job templates are wrong"

    def _script(self, job: JobDefinition, plugins: tuple[str, ...], template: str) -> str:
        return self._shell.get_template(template).render(
            job=job,
            step=job.run,
            # Not to be found in what it delimits: that would have to hold its own hash.
            delimiter=f"TORII-{hashlib.sha256(job.run.encode()).hexdigest()[:32]}",
            interpreter=_interpreter(job.run),
            limit=0 if TIMEOUT.plugin in plugins else job.timeout,
            passed=PARAMETERS,
            variables=tuple(name for name, _ in job.variables),
        )

    def _description(self, source: JobSource) -> str:
        job, project, branch = (html.escape(text) for text in (source.job.name, source.project, source.branch))
        where = f'<a href="{html.escape(self._url)}">Torii</a>' if self._url else "Torii"
        text = f"Job {job} of {project}, branch {branch}, made by {where} from torii.yml: whatever is changed here is overwritten."
        return f"{text} {OWNERSHIP_MARK}"


def template_of(source: JobSource, plugins: tuple[str, ...]) -> str:
    """Return the template that the shell step of a job is made with; empty where it is what `run` says."""
    if source.job.image:
        return CONTAINER
    return "" if TIMEOUT.plugin in plugins else LIMITED


def _variables(job: JobDefinition) -> list[dict[str, str]]:
    settings = [{"name": "TORII_TIMEOUT", "value": str(job.timeout), "text": "Seconds after which Torii's own worker stops the build."}]
    if job.image:
        settings.append({"name": "TORII_IMAGE", "value": job.image, "text": "The image in which the step runs."})
    if job.reports.comments:
        settings.append(
            {"name": "TORII_COMMENTS", "value": ant_list((job.reports.comments,)), "text": "Comments on files, for Torii to read."}
        )
    return settings + [{"name": name, "value": value, "text": "From torii.yml."} for name, value in job.variables]


def _interpreter(run: str) -> str:
    """Return the command that runs the step as Jenkins would: what follows `#!`, or `sh -xe`."""
    line = run.split("\n", 1)[0].strip()
    words = line[2:].split() if line.startswith("#!") else []
    return shlex.join(words or ["/bin/sh", "-xe"])


def _yaml_value(value: Any) -> Any:
    """Return what Jinja2 writes for the value of an expression in a YAML template."""
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    text = json.dumps("" if value is None else str(value), ensure_ascii=False)
    text = _NOT_YAML.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
    return text.replace("{", "{{").replace("}", "}}")
