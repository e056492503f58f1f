"""The files that jobs are made of: templates and macros, Torii's own and those of a config project that take their place."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from torii import resources

TEMPLATES = "job-templates"
MACROS = "jjb"
OWN = "Torii's own"

JOB = "job.yaml.j2"
CONTAINER = "container.sh.j2"
LIMITED = "limited.sh.j2"

_SUFFIXES = {TEMPLATES: (".j2",), MACROS: (".yaml", ".yml")}


@dataclass(frozen=True, slots=True)
class PartFile:
    """One file: where it lies on this disk, whose it is (in words), and what it says."""

    path: Path
    origin: str
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class JobFiles:
    """Templates and macros by file name. `digest` tells any two sets of them apart; `settings` is Jenkins Job Builder's own file."""

    templates: Mapping[str, PartFile]
    macros: Mapping[str, PartFile]
    settings: Path
    digest: str = ""

    def replaced_by(self, folder: Path, origin: str) -> JobFiles:
        """Return these with the files of `folder` (which has a `job-templates/`, a `jjb/`, or both) in place of those of the same name.

        `origin` says in words where they come from. Files that are neither templates nor macros do not count.
        """
        templates = {**self.templates, **_read(folder, TEMPLATES, origin)}
        macros = {**self.macros, **_read(folder, MACROS, origin)}
        return JobFiles(templates, macros, self.settings, _digest(templates, macros))


def own_files() -> JobFiles:
    """Return the files that Torii carries. Raises `IncompleteInstallationError`."""
    templates = _read(resources.job_templates().parent, TEMPLATES, OWN)
    macros = _read(resources.jjb().parent, MACROS, OWN)
    return JobFiles(templates, macros, resources.jjb() / "jenkins_jobs.ini", _digest(templates, macros))


def counts(kind: str, name: str) -> bool:
    """Whether a file called `name` in a folder `kind` is one of those that jobs are made of."""
    return name.endswith(_SUFFIXES[kind]) and not name.startswith(".")


def _read(folder: Path, kind: str, origin: str) -> dict[str, PartFile]:
    directory = folder / kind
    if not directory.is_dir():
        return {}
    found = [path for path in sorted(directory.iterdir()) if counts(kind, path.name) and path.is_file()]
    return {path.name: PartFile(path, origin, path.read_bytes()) for path in found}


def _digest(templates: Mapping[str, PartFile], macros: Mapping[str, PartFile]) -> str:
    hashed = hashlib.sha256()
    for kind, files in ((TEMPLATES, templates), (MACROS, macros)):
        for name, file in sorted(files.items()):
            hashed.update(f"{kind}/{name}\0{len(file.data)}\0".encode() + file.data)
    return hashed.hexdigest()
