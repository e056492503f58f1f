"""The one place where jobs are rendered: templates, Jenkins Job Builder, and a cache by content in front of both."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

from torii import resources
from torii.jobs import builder
from torii.jobs.definition import JobSource, RenderedJob
from torii.jobs.names import changed_job_name, job_name
from torii.jobs.template import JobTemplates
from torii.model.build import BuildRequest

_KEPT = 20_000
"""Rendered jobs kept: some 100 MB at most, and more than a farm of 1,000 projects has."""


class JobLibrary:
    """Renders jobs. Safe to use from any thread.

    `url` is where Torii's pages are, for the link in each description. Templates in `overrides` take the place of Torii's own of the same
    name. Templates are read once: a changed one counts from the next start.
    """

    def __init__(self, url: str | None = None, overrides: Sequence[Path] = ()) -> None:
        self._templates = JobTemplates([*overrides, resources.job_templates()], url)
        self._macros = resources.jjb()
        self._lock = threading.Lock()
        self._made: OrderedDict[JobSource, RenderedJob] = OrderedDict()

    def warm_up(self) -> None:
        """Do now what would make the first job slow."""
        builder.warm_up()

    def render(self, jobs: Sequence[JobSource]) -> list[RenderedJob]:
        """Return `jobs` rendered, in order, with one call of Jenkins Job Builder for all that are new.

        Raises `JobError` for a job that Jenkins cannot hold, and `TemplateProblem` where a template or macro is wrong.
        """
        with self._lock:
            known = {job: self._made[job] for job in jobs if job in self._made}
        missing = [job for job in dict.fromkeys(jobs) if job not in known]
        if missing:
            known |= self._make(missing)
        return [known[job] for job in jobs]

    def rendered(self, request: BuildRequest) -> RenderedJob:
        """Return the job that `request` is to run, under the name that a backend knows it by. Raises as `render` does.

        A job that the change alters or adds has a name of its own, made of its content, so that it takes the place of no other.
        """
        (job,) = self.render([JobSource(request.project, request.branch, request.job)])
        return job if request.synced else RenderedJob(changed_job_name(job.name, job.xml), job.xml, job.label)

    def _make(self, sources: Sequence[JobSource]) -> dict[JobSource, RenderedJob]:
        made: dict[JobSource, RenderedJob] = {}
        while left := [source for source in sources if source not in made]:
            # Two definitions of one job (the branch's, and a change's) cannot be in one call: the first of each name goes first.
            named = {job_name(source.project, source.branch, source.job.name): source for source in reversed(left)}
            xml = builder.make_xml("\n".join(self._templates.yaml(source) for source in named.values()), self._macros)
            made |= {named[name]: RenderedJob(name, data, named[name].job.label) for name, data in xml}
        with self._lock:
            self._made.update(made)
            while len(self._made) > _KEPT:
                self._made.popitem(last=False)
        return made
