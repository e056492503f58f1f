"""The one place where jobs are rendered: templates, Jenkins Job Builder, and a cache by content in front of both."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from torii.jobs import builder
from torii.jobs.definition import JobSource, Outline, RenderedJob, TemplateProblem
from torii.jobs.files import JobFiles, own_files
from torii.jobs.marks import Mark, digest
from torii.jobs.memo import Memo, key_of
from torii.jobs.names import changed_job_name, job_name
from torii.jobs.plugins import OWN_WORKER, relevant
from torii.model.build import BuildRequest

if TYPE_CHECKING:
    from torii.jobs.template import JobTemplates

_KEPT = 20_000
"""Rendered jobs kept at most: more than a farm of 1,000 projects has."""

_HELD = 128 * 1024 * 1024
"""Bytes of XML kept at most: a change may bring jobs of any length, and many of them."""

_Key = tuple[JobSource, tuple[str, ...]]


class JobLibrary:
    """Renders jobs. Safe to use from any thread.

    `url` is where Torii's pages are, for the link in each description. `files` are the templates and macros: Torii's own where none are
    given. What is rendered differs by the plug-ins that a Jenkins has (see `torii.jobs.plugins`); a job's name never does. `memo` remembers
    from one process to the next what jobs came to; `most` bytes of XML are kept in memory.
    """

    def __init__(self, url: str | None = None, files: JobFiles | None = None, memo: Memo | None = None, most: int = _HELD) -> None:
        self.url = url
        self._memo = memo or Memo()
        self._lock = threading.Lock()
        self._made: OrderedDict[_Key, RenderedJob] = OrderedDict()
        self._most, self._held = most, 0
        self._files = files or own_files()
        self._templates: JobTemplates | None = None

    @property
    def files(self) -> JobFiles:
        """The templates and macros in use."""
        return self._files

    def use(self, files: JobFiles) -> None:
        """Render with `files` from now on."""
        if files.digest == self._files.digest:
            return
        with self._lock:
            self._files, self._templates = files, None
            self._made.clear()
            self._held = 0

    def warm_up(self) -> None:
        """Do now what would make the first job slow."""
        builder.warm_up()
        self._in_use()

    def render(self, jobs: Sequence[JobSource], plugins: Iterable[str] = OWN_WORKER) -> list[RenderedJob]:
        """Return `jobs` rendered for a Jenkins with `plugins`, in order, with one call of Jenkins Job Builder for all that are new.

        Raises `JobError` for a job that Jenkins cannot hold, and `TemplateProblem` where a template or macro is wrong.
        """
        present = relevant(plugins)
        with self._lock:
            known = {job: self._made[job, present] for job in jobs if (job, present) in self._made}
            for job in known:
                self._made.move_to_end((job, present))
        missing = [job for job in dict.fromkeys(jobs) if job not in known]
        if missing:
            known |= self._make(missing, present)
        return [known[job] for job in jobs]

    def rendered(self, request: BuildRequest, plugins: Iterable[str] = OWN_WORKER) -> RenderedJob:
        """Return the job that `request` is to run in a Jenkins with `plugins`, under the name that a backend knows it by.

        A job that the change alters or adds has a name of its own, made of its content, so that it takes the place of no other; it is the
        same for all `plugins`. Raises as `render` does.
        """
        source = JobSource(request.project, request.branch, request.job)
        (job,) = self.render([source], plugins)
        if request.synced:
            return job
        (plain,) = self.render([source])
        return RenderedJob(changed_job_name(job.name, plain.xml), job.xml, job.label, job.plugins)

    def outlines(self, jobs: Sequence[JobSource], plugins: Iterable[str] = OWN_WORKER) -> list[Outline]:
        """Return what `render` would return, in outline; what is remembered is not rendered. Raises as `render` does."""
        present, files = relevant(plugins), self._files.digest
        keys = [key_of(job, present, files, self.url) for job in jobs]
        known = {key: found for key in keys if (found := self._memo.get(key)) is not None}
        missing = {key: job for key, job in zip(keys, jobs, strict=True) if key not in known}
        rendered = self.render(list(missing.values()), present)
        news = {key: digest(job.xml) for key, job in zip(missing, rendered, strict=True)}
        if files == self._files.digest:
            self._memo.put(news)
        known |= news
        names = [job_name(job.project, job.branch, job.job.name) for job in jobs]
        return [Outline(name, known[key], present) for name, key in zip(names, keys, strict=True)]

    def yaml(self, source: JobSource, plugins: Iterable[str] = OWN_WORKER, mark: Mark | None = None, folder: str = "") -> str:
        """Return what Jenkins Job Builder is given for a job, for those who give it to theirs. Raises as `render` does."""
        return self._in_use()[0].yaml(source, relevant(plugins), mark, folder)

    def _in_use(self) -> tuple[JobTemplates, JobFiles]:
        from torii.jobs.template import JobTemplates  # here: where nothing is to be made, nobody has to wait for Jinja2

        with self._lock:
            if self._templates is None:
                self._templates = JobTemplates(self._files, self.url)
            return self._templates, self._files

    def _make(self, sources: Sequence[JobSource], plugins: tuple[str, ...]) -> dict[JobSource, RenderedJob]:
        templates, files = self._in_use()
        made: dict[JobSource, RenderedJob] = {}
        while left := [source for source in sources if source not in made]:
            # Two definitions of one job (the branch's, and a change's) cannot be in one call: the first of each name goes first.
            named = {job_name(source.project, source.branch, source.job.name): source for source in reversed(left)}
            xml = builder.make_xml("\n".join(templates.yaml(source, plugins) for source in named.values()), files)
            if strange := {name for name, _ in xml} ^ named.keys():
                raise TemplateProblem(
                    f"the job templates make other jobs than they were asked for ({', '.join(sorted(strange)[:3])}): "
                    "a job has to be called {{ name }}, and there is one for each job of a torii.yml"
                )
            made |= {named[name]: RenderedJob(name, data, named[name].job.label, plugins) for name, data in xml}
        with self._lock:
            if files is self._files:
                self._keep({(source, plugins): job for source, job in made.items()})
        return made

    def _keep(self, made: dict[_Key, RenderedJob]) -> None:
        """Remember what was made, and forget what was not asked for the longest. With the lock held."""
        news = {key: job for key, job in made.items() if key not in self._made}
        self._made.update(news)
        self._held += sum(len(job.xml) for job in news.values())
        while len(self._made) > _KEPT or self._held > self._most:
            _, gone = self._made.popitem(last=False)
            self._held -= len(gone.xml)
