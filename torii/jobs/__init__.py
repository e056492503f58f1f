"""From `torii.yml` to Jenkins: Jinja2 templates, Jenkins Job Builder, job XML. It writes nothing and talks to nobody."""

from torii.jobs.definition import OWNERSHIP_MARK, JobError, JobSource, RenderedJob
from torii.jobs.library import JobLibrary
from torii.jobs.names import changed_job_name, job_name
from torii.jobs.parameters import PARAMETERS, build_parameters

__all__ = [
    "OWNERSHIP_MARK",
    "PARAMETERS",
    "JobError",
    "JobLibrary",
    "JobSource",
    "RenderedJob",
    "build_parameters",
    "changed_job_name",
    "job_name",
]
