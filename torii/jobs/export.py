"""Writes jobs as files, for those who give them to Jenkins Job Builder, or to Jenkins, themselves."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path

from torii.config.settings import JenkinsSettings
from torii.jobs.definition import JobSource, RenderedJob
from torii.jobs.library import JobLibrary
from torii.jobs.marks import mark_of, marked

XML = "xml"
INI = "jenkins_jobs.ini"
_HEADER = "# Written by `torii sync-jobs --out`: what is changed here is overwritten.\n"
_URL = re.compile(rb"^url=.*$", re.MULTILINE)
_OWN = re.compile(rb"torii-job \{")


def export(library: JobLibrary, jobs: Sequence[tuple[JobSource, RenderedJob]], settings: JenkinsSettings, directory: Path) -> list[Path]:
    """Write `jobs` into `directory` and return the files: what `jenkins-jobs test DIRECTORY` takes, and the XML in `xml/`.

    Files that an earlier export left there for jobs that are no more are removed; any other file is let be. The YAML carries the marks, so
    jobs that Jenkins Job Builder made from it are Torii's as well. `settings` are of the Jenkins that they are for.
    """
    (directory / XML).mkdir(parents=True, exist_ok=True)
    written: dict[Path, bytes] = {directory / INI: _configuration(library.files.settings.read_bytes(), settings.url)}
    for name, file in library.files.macros.items():
        written[directory / f"torii-{name}"] = _HEADER.encode() + file.data
    for source, job in jobs:
        mark = mark_of(job, source, settings.owner)
        written[directory / f"{job.name}.yaml"] = (_HEADER + library.yaml(source, job.plugins, mark, settings.folder)).encode()
        written[directory / XML / f"{job.name}.xml"] = marked(job.xml, mark)
    for path, data in written.items():
        if not path.is_file() or path.read_bytes() != data:
            path.write_bytes(data)
    for path in _stale(directory, written):
        path.unlink()
    return sorted(written)


def command(settings: JenkinsSettings, directory: Path) -> str:
    """Return the command that gives what was written into `directory` to its Jenkins, for a POSIX shell. It shows no secret."""
    login = ""
    if settings.token is not None:
        kind, _, where = settings.token.reference.partition(":")
        token = f"${where}" if kind == "env" else f"$(cat {shlex.quote(where)})"
        login = f' --user {shlex.quote(settings.user)} --password "{token}"'
    return f"jenkins-jobs --conf {shlex.quote(str(directory / INI))}{login} update {shlex.quote(str(directory))}"


def _configuration(data: bytes, url: str) -> bytes:
    """Return Jenkins Job Builder's own file with the address of a Jenkins in it."""
    return _URL.sub(lambda _: f"url={url.replace('%', '%%')}".encode(), data)


def _stale(directory: Path, written: Iterable[Path]) -> list[Path]:
    kept = set(written)
    found = [path for path in directory.glob("*.y*ml") if path not in kept and path.read_bytes().startswith(_HEADER.encode())]
    return found + [path for path in (directory / XML).glob("*.xml") if path not in kept and _OWN.search(path.read_bytes())]
