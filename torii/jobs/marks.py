"""The mark on each job that Torii made: whose it is, and what it was made of, to be read from a listing of all jobs.

It is a comment in the job's description. Jenkins keeps descriptions as they are, also where the job is copied or renamed by hand: a mark
counts only on a job that is called as the mark says.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, fields
from xml.etree import ElementTree

from torii.jobs.definition import MARK, OWNERSHIP_MARK, JobSource, RenderedJob
from torii.jobs.names import COPY, job_name
from torii.jobs.xml import parse, serialise
from torii.model.build import BuildRequest

_LARGEST = 64 * 1024
"""Characters of a mark that are read: names have no such length."""


@dataclass(frozen=True, slots=True)
class Mark:
    """`digest` is that of the job's XML without the mark, which was made for a Jenkins with `plugins` (of those that matter).

    `copy_of_instance` is set where the job is a change's own copy: which Torii made it for its builds, and removes it after them;
    `made_at` (seconds since the epoch) is when, 0 where that is not known.
    """

    owner: str
    project: str
    branch: str
    job: str
    digest: str
    copy_of_instance: str = ""
    plugins: tuple[str, ...] = ()
    made_at: int = field(default=0, compare=False)

    @property
    def name(self) -> str:
        """What the job is called whose mark this is, or what its copy's name begins with."""
        return job_name(self.project, self.branch, self.job)

    def belongs_to(self, name: str) -> bool:
        """Whether a job called `name` is the one that was marked so. Where not, somebody copied or renamed that one by hand."""
        return name.startswith(self.name + COPY) if self.copy_of_instance else name == self.name


def mark_of(rendered: RenderedJob, of: JobSource | BuildRequest, owner: str, instance: str = "") -> Mark:
    """Return the mark for `rendered`, the job of `of`; a change's own copy says which `instance` made it."""
    return Mark(owner, of.project, of.branch, of.job.name, digest(rendered.xml), instance, rendered.plugins)


def marked(xml: bytes, mark: Mark) -> bytes:
    """Return the job `xml` with `mark` in its description, in place of any other."""
    root = parse(xml)
    assert root is not None, "a job was rendered that is no XML"
    description = root.find("description")
    if description is None:
        description = ElementTree.Element("description")
        root.insert(0, description)
    description.text = with_mark(description.text or "", mark)
    return serialise(root)


def with_mark(description: str, mark: Mark) -> str:
    """Return `description` with `mark` in it, in place of any other."""
    text = MARK.sub("", description)
    return f"{text}{'' if OWNERSHIP_MARK in text else OWNERSHIP_MARK}{comment(mark)}"


def comment(mark: Mark) -> str:
    """Return `mark` as an HTML comment on one line, in ASCII, which nothing that stands in it can end."""
    said = {each.name: value for each in fields(mark) if (value := getattr(mark, each.name)) or each.name in _NEEDED}
    text = json.dumps(said, separators=(",", ":")).replace("--", "-\\u002d")
    for letter in "<>&":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return f"<!-- torii-job {text} -->"


def read_mark(description: str) -> Mark | None:
    """Return the mark in a job's description, None where there is none that can be read."""
    for text in reversed(MARK.findall(description)):
        if len(text) <= _LARGEST and (mark := _read(text)) is not None:
            return mark
    return None


def digest(xml: bytes) -> str:
    """Return the digest of a job's XML, whether or not it carries a mark."""
    root = parse(xml) if b"torii-job" in xml else None
    description = root.find("description") if root is not None else None
    if root is not None and description is not None and MARK.search(description.text or ""):
        description.text = MARK.sub("", description.text or "")
        xml = serialise(root)
    return hashlib.sha256(xml).hexdigest()[:32]


_NEEDED = ("owner", "project", "branch", "job", "digest")


def _read(text: str) -> Mark | None:
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(said, dict) or not all(isinstance(said.get(name), str) for name in _NEEDED):
        return None
    instance, plugins, made_at = said.get("copy_of_instance", ""), said.get("plugins", []), said.get("made_at", 0)
    if not isinstance(instance, str) or not isinstance(plugins, list) or not all(isinstance(each, str) for each in plugins):
        return None
    if not isinstance(made_at, int) or not 0 <= made_at < 1 << 40:
        return None
    owner, project, branch, job, made_of = (said[name] for name in _NEEDED)
    return Mark(owner, project, branch, job, made_of, instance, tuple(plugins), made_at)
