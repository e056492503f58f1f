"""From `torii.yml` to Jenkins: Jinja2 templates, Jenkins Job Builder, job XML, and the jobs in Jenkins kept so.

Rendering (`library`) writes nothing and talks to nobody. Syncing goes from what is `wanted` (read from git) by a `look` at what is there
to a `plan`, which `apply` performs; `sync` does that by itself while Torii runs, and `torii sync-jobs` when somebody asks.
"""

from torii.jobs.definition import OWNERSHIP_MARK, JobError, JobSource, RenderedJob
from torii.jobs.library import JobLibrary
from torii.jobs.marks import Mark, digest, mark_of, marked, read_mark
from torii.jobs.names import changed_job_name, job_name
from torii.jobs.parameters import PARAMETERS, build_parameters
from torii.jobs.plugins import OWN_WORKER, installed

__all__ = [
    "OWNERSHIP_MARK",
    "OWN_WORKER",
    "PARAMETERS",
    "JobError",
    "JobLibrary",
    "JobSource",
    "Mark",
    "RenderedJob",
    "build_parameters",
    "changed_job_name",
    "digest",
    "installed",
    "job_name",
    "mark_of",
    "marked",
    "read_mark",
]
