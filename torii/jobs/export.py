"""Writes jobs as files, for those who give them to Jenkins Job Builder, or to Jenkins, themselves."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from torii.jobs.definition import JobSource, RenderedJob
from torii.jobs.library import JobLibrary
from torii.jobs.marks import mark_of, marked

XML = "xml"
_HEADER = "# Written by `torii sync-jobs --out`: what is changed here is overwritten.\n"
_OWN = re.compile(rb"torii-job \{")


def export(library: JobLibrary, jobs: Sequence[tuple[JobSource, RenderedJob]], owner: str, folder: str, directory: Path) -> list[Path]:
    """Write `jobs` into `directory` and return the files: what `jenkins-jobs test DIRECTORY` takes, and the XML in `xml/`.

    Files that an earlier export left there for jobs that are no more are removed; any other file is let be. The YAML carries the marks, so
    jobs that Jenkins Job Builder made from it are Torii's as well. `folder` is where in Jenkins they are to be.
    """
    (directory / XML).mkdir(parents=True, exist_ok=True)
    written: dict[Path, bytes] = {directory / "jenkins_jobs.ini": library.files.settings.read_bytes()}
    for name, file in library.files.macros.items():
        written[directory / f"torii-{name}"] = _HEADER.encode() + file.data
    for source, job in jobs:
        mark = mark_of(job, source, owner)
        written[directory / f"{job.name}.yaml"] = (_HEADER + library.yaml(source, job.plugins, mark, folder)).encode()
        written[directory / XML / f"{job.name}.xml"] = marked(job.xml, mark)
    for path, data in written.items():
        if not path.is_file() or path.read_bytes() != data:
            path.write_bytes(data)
    for path in _stale(directory, written):
        path.unlink()
    return sorted(written)


def _stale(directory: Path, written: Iterable[Path]) -> list[Path]:
    kept = set(written)
    found = [path for path in directory.glob("*.y*ml") if path not in kept and path.read_bytes().startswith(_HEADER.encode())]
    return found + [path for path in (directory / XML).glob("*.xml") if path not in kept and _OWN.search(path.read_bytes())]
