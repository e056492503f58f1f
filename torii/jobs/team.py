"""The files of a config project that take the place of Torii's own, fetched from its repository and kept by commit."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import structlog

from torii.config.settings import ServerConfig
from torii.errors import OperatorError
from torii.git import Credentials, GitError, Mirror, Remote
from torii.git.credentials import credentials_of, git_limit
from torii.git.mirror import mirror_path
from torii.jobs.definition import JobSource
from torii.jobs.files import MACROS, TEMPLATES, JobFiles, counts, own_files
from torii.jobs.library import JobLibrary
from torii.jobs.memo import Memo
from torii.jobs.plugins import OPTIONAL
from torii.jobs.whole import write_whole
from torii.model.ids import ProjectName, Sha
from torii.model.job import JobDefinition, JobReports

log = structlog.get_logger()

_LARGEST = 1024 * 1024
_CURRENT = "current"
_KEPT = 24 * 3600.0
"""Seconds for which files stay that have been replaced."""
_TRIALS = (
    JobDefinition("trial", "true", reports=JobReports(("report.xml",), "coverage.xml"), artifacts=("dist/*",), variables=(("A", "b"),)),
    JobDefinition("trial", "true", image="debian:12", label="linux"),
)


class ConfigProjectError(OperatorError):
    """The config project's files cannot be had; the message says why. What was synced before stays."""


@dataclass(frozen=True, slots=True)
class TeamFiles:
    """The files in use, and where they come from, such as `ci-config, branch main, commit 0123456789`; empty: only Torii's own."""

    files: JobFiles
    origin: str = ""


def open_library(config: ServerConfig) -> JobLibrary:
    """Return the library that renders the jobs of `config`, with the files of its config project that were good last time.

    Every part of Torii that renders jobs has to open it here, or they would take turns in changing each other's jobs.
    """
    web = config.web
    url = web.url or (f"http://{web.host}:{web.port}" if web.port else None)
    return JobLibrary(url, last_good(config).files, Memo(config.state / "jobs.json"))


def last_good(config: ServerConfig) -> TeamFiles:
    """Return the files that were used last, Torii's own where there were none."""
    own = own_files()
    if config.config_project is None:
        return TeamFiles(own)
    with contextlib.suppress(OSError, ValueError):
        commit, _, origin = (_place(config) / _CURRENT).read_text().strip().partition("\n")
        if (folder := _place(config) / commit).is_dir() and commit.isalnum() and origin.startswith(f"{config.config_project.project},"):
            return TeamFiles(own.replaced_by(folder, origin), origin)
    return TeamFiles(own)


def refresh(config: ServerConfig, library: JobLibrary) -> TeamFiles:
    """Have `library` use the files that the config project has now, and return them.

    Raises ConfigProjectError where they cannot be fetched, TemplateProblem (which names file and line) where one is
    wrong: then `library` goes on with what it had.
    """
    if config.config_project is None:
        return TeamFiles(own_files())
    commit, origin, mirror = _fetched(config)
    folder = _place(config) / commit
    if not folder.is_dir():
        _extract(mirror, commit, folder)
    found = TeamFiles(own_files().replaced_by(folder, origin), origin)
    if found.files.digest != library.files.digest:
        _try(found.files, library.url)
        library.use(found.files)
        log.info("jobs.files_replaced", origin=origin)
    _remember(config, commit, origin)
    return found


def _fetched(config: ServerConfig) -> tuple[Sha, str, Mirror]:
    chosen = config.config_project
    assert chosen is not None
    project = config.project(chosen.project)
    if project is None:
        raise ConfigProjectError(f"the config project {chosen.project} is not among the projects of server.yml: add it there")
    connection = next((each for each in config.connections if each.name == project.connection), None)
    remote = Remote(project.url, credentials_of(connection) if connection else Credentials(), git_limit(connection))
    mirror = Mirror(mirror_path(config.state, project.name))
    try:
        ref = f"refs/heads/{chosen.branch}" if chosen.branch else remote.head()
        if ref is None:
            raise ConfigProjectError(
                f"the config project {chosen.project} has no branch that its HEAD names: say which with `branch:`, or push one"
            )
        commit = remote.fetch(mirror, (), track=[ref])[ref]
    except GitError as error:
        raise ConfigProjectError(f"the config project {chosen.project} cannot be fetched: {error}") from error
    return commit, f"{chosen.project}, branch {ref.removeprefix('refs/heads/')}, commit {commit[:10]}", mirror


def _extract(mirror: Mirror, commit: Sha, folder: Path) -> None:
    """Write templates and macros of `commit` into `folder`, all or nothing. Links and folders are left out."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=".made-", dir=folder.parent))
    try:
        for kind in (TEMPLATES, MACROS):
            (made / kind).mkdir()
            for name, blob in _listed(mirror, commit, kind):
                data = mirror.run("cat-file", "blob", blob).stdout
                if len(data) > _LARGEST:
                    raise ConfigProjectError(f"{kind}/{name} in the config project is larger than {_LARGEST >> 20} MiB")
                (made / kind / name).write_bytes(data)
        with contextlib.suppress(OSError):  # somebody else did the same, just before
            made.rename(folder)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _listed(mirror: Mirror, commit: Sha, kind: str) -> list[tuple[str, str]]:
    found = []
    for line in mirror.run("ls-tree", "-z", f"{commit}", f"{kind}/").stdout.decode("utf-8", "replace").split("\0"):
        meta, _, path = line.partition("\t")
        name = path.removeprefix(f"{kind}/")
        if meta.startswith(("100644 blob ", "100755 blob ")) and counts(kind, name):
            found.append((name, meta.rpartition(" ")[2]))
    return found


def _try(files: JobFiles, url: str | None) -> None:
    """Render jobs of each kind with `files`. Raises TemplateProblem."""
    trial = JobLibrary(url, files)
    for plugins in (frozenset[str](), OPTIONAL):
        for job in _TRIALS:
            trial.render([JobSource(ProjectName("torii-trial"), "main", job)], plugins)


def _remember(config: ServerConfig, commit: Sha, origin: str) -> None:
    place = _place(config)
    text = f"{commit}\n{origin}\n"
    current = place / _CURRENT
    before = current.read_text() if current.exists() else ""
    if before == text:
        return
    write_whole(current, text)
    with contextlib.suppress(OSError):
        os.utime(place / before.partition("\n")[0])  # others may use it until their next look
    for folder in place.iterdir():
        with contextlib.suppress(OSError):
            if folder.is_dir() and folder.name != commit and time.time() - folder.stat().st_mtime > _KEPT:
                shutil.rmtree(folder)


def _place(config: ServerConfig) -> Path:
    return config.state / "config-project"
