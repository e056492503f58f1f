"""What goes into rendering and what comes out of it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from torii.errors import OperatorError, UserError
from torii.model.ids import ProjectName
from torii.model.job import JobDefinition

OWNERSHIP_MARK = "<!-- made by torii -->"
"""Stands in the description of every job that Torii made. A job without it is not Torii's, and is never touched."""

MARK = re.compile(r"<!-- torii-job (\{[^<>\n]*\}) -->")
"""What stands beside it and says more; see `torii.jobs.marks`. No `<` or `>` is in it, so none takes long to look for."""


class TemplateProblem(OperatorError):  # noqa: N818 (the others of its branch are called by what is wrong, too)
    """A job template or macro is wrong: whoever put it there has to mend it."""


class JobError(UserError):
    """A job of a `torii.yml` cannot be made into a Jenkins job."""


@dataclass(frozen=True, slots=True)
class JobSource:
    """A job and whose it is: the branch of the project whose `torii.yml` defines it."""

    project: ProjectName
    branch: str
    job: JobDefinition


@dataclass(frozen=True, slots=True)
class RenderedJob:
    """A job as Jenkins takes it. `xml` is its config.xml in UTF-8, without a mark; `label` the node label expression it is bound to.

    `plugins` are the plug-ins, of those that make a difference, that it was made for.
    """

    name: str
    xml: bytes
    label: str | None = None
    plugins: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Outline:
    """What there is to know of a rendered job without its XML: enough to see whether a Jenkins has it. `digest` is that of the XML."""

    name: str
    digest: str
    plugins: tuple[str, ...] = ()
