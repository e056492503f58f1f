"""Which jobs there should be: what the `torii.yml` of each branch of each project says, read from the git server."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import structlog

from torii.config.cache import ConfigCache
from torii.config.settings import GitConnection, ProjectSettings, ServerConfig
from torii.errors import ToriiError
from torii.git import Credentials, GitError, Mirror, RefMissingError, Remote
from torii.git.credentials import credentials_of, git_limit
from torii.git.errors import UnsafeNameError
from torii.git.mirror import mirror_path
from torii.git.names import check_ref
from torii.jobs.definition import JobError, JobSource
from torii.jobs.limits import check
from torii.model.glob import matches
from torii.model.ids import ProjectName, Sha
from torii.model.job import ProjectConfig

log = structlog.get_logger()

CONFIG_NAME = "torii.yml"
HEADS = "refs/heads/"
CHANGES = (f"{HEADS}review/", f"{HEADS}gate/")
"""Branches of a plain git repository that are changes (see `torii.sources.git.refs`), and have no jobs of their own."""

_AT_ONCE = 8
_LARGEST = 1024 * 1024
_TOO_LARGE = b"#" * (_LARGEST + 1)
"""What stands for a `torii.yml` that is larger: it is refused for its size alone."""
_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class ProjectJobs:
    """What was read of one project. `wrong` has the problems of each branch whose `torii.yml` is not followed; `refused` those of each
    job that Jenkins could not hold. `tips` are the commits that were read, by branch; `unread` is why nothing could be, empty where it was.
    `without` is whether no branch has a `torii.yml`.
    """

    project: ProjectName
    sources: tuple[JobSource, ...] = ()
    wrong: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    refused: Mapping[tuple[str, str], str] = field(default_factory=dict)
    tips: Mapping[str, Sha] = field(default_factory=dict)
    unread: str = ""
    without: bool = False

    @property
    def bare(self) -> bool:
        """Whether it was read, and there is not one branch: it is new, or its server does not tell us of any, as Gerrit does who may not
        read them."""
        return not (self.unread or self.tips or self.sources or self.wrong or self.refused)

    def keeps(self, branch: str, job: str) -> str:
        """Return why a job that is not in `sources` has to stay as it is; empty where nothing names it any more."""
        if self.unread:
            return f"{self.project} could not be read"
        if self.bare:
            return f"{self.project} shows no branch at all"
        if branch in self.wrong:
            return f"the torii.yml on {branch} of {self.project} is wrong"
        return self.refused.get((branch, job), "")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was read of all projects."""

    projects: Mapping[ProjectName, ProjectJobs] = field(default_factory=dict)

    def of(self, names: Iterable[ProjectName]) -> Wanted:
        """Return what was read of the projects called `names`."""
        return Wanted({name: self.projects[name] for name in names if name in self.projects})

    @property
    def sources(self) -> list[JobSource]:
        return [source for project in self.projects.values() for source in project.sources]

    @property
    def mistakes(self) -> list[str]:
        """What is wrong in a `torii.yml`, each with where."""
        found = []
        for name, project in self.projects.items():
            for branch, problems in project.wrong.items():
                found += [f"{name}, branch {branch}: {problem}" for problem in problems]
            found += project.refused.values()
        return found

    @property
    def unread(self) -> list[str]:
        """Which projects could not be read, and why."""
        return [f"{name}: {project.unread}" for name, project in self.projects.items() if project.unread]

    @property
    def without(self) -> list[str]:
        """Which projects have no jobs as they have no `torii.yml`, each with why."""
        words = {True: "its git server shows no branch of it", False: "none of its branches has a torii.yml"}
        return [f"{name}: {words[project.bare]}" for name, project in self.projects.items() if project.without]


class WantedReader:
    """Reads what the projects of `config` want. For one thread at a time; a second look at a branch that has not moved costs nothing.

    It uses the mirrors that mergers on this machine keep.
    """

    def __init__(self, config: ServerConfig) -> None:
        self._config = config
        self._readers = {project.name: _ProjectReader(config, project) for project in config.projects}

    def read(self, names: Sequence[ProjectName]) -> Wanted:
        """Read the projects called `names`, some at a time. Never raises for what a project or its server does."""
        if not names:
            return Wanted()
        with ThreadPoolExecutor(min(_AT_ONCE, len(names)), thread_name_prefix="torii-jobs-read") as pool:
            found = pool.map(lambda name: self._readers[name].read(), names)
            return Wanted({project.project: project for project in found})


class _ProjectReader:
    def __init__(self, config: ServerConfig, project: ProjectSettings) -> None:
        self._project = project
        self._connection = next((each for each in config.connections if each.name == project.connection), None)
        self._mirror = Mirror(mirror_path(config.state, project.name))
        self._configs = ConfigCache()
        self._files: dict[Sha, bytes | None] = {}
        self._last: tuple[dict[str, Sha], ProjectJobs] | None = None
        self._lock = threading.Lock()

    def read(self) -> ProjectJobs:
        with self._lock:
            try:
                tips = self._tips()
                if self._last is None or self._last[0] != tips:
                    self._last = tips, self._said(tips)
                return self._last[1]
            except (ToriiError, OSError) as error:
                return ProjectJobs(self._project.name, unread=str(error))

    def _tips(self) -> dict[str, Sha]:
        """Return branch -> tip, with each tip's `torii.yml` read."""
        login = credentials_of(self._connection) if self._connection else Credentials()
        remote = Remote(self._project.url, login, git_limit(self._connection))
        plain = not self._connection or isinstance(self._connection, GitConnection)
        for attempt in range(_ATTEMPTS):
            heads = {ref: tip for ref, tip in remote.ls_remote([f"{HEADS}*"]).items() if _is_branch(ref, plain)}
            new = {ref: tip for ref, tip in heads.items() if tip not in self._files}
            if not new:
                break
            try:
                if not self._mirror.has(*new.values()):
                    heads |= remote.fetch(self._mirror, (), track=new)
                    new = {ref: heads[ref] for ref in new}
                self._files = {tip: self._files[tip] for tip in heads.values() if tip in self._files} | self._read(new.values())
                break
            except RefMissingError:
                if attempt == _ATTEMPTS - 1:
                    raise
        return {ref.removeprefix(HEADS): tip for ref, tip in heads.items()}

    def _read(self, tips: Iterable[Sha]) -> dict[Sha, bytes | None]:
        """Return the `torii.yml` of each of `tips`, None where there is none. One text that many have is read once, one too large not."""
        wanted = list(dict.fromkeys(tips))
        given = "".join(f"{tip}:{CONFIG_NAME}\n" for tip in wanted).encode()
        listed = self._mirror.run("cat-file", "--batch-check=%(objecttype) %(objectsize) %(objectname)", "--buffer", given=given).stdout
        words = {tip: line.decode("utf-8", "replace").split(" ") for tip, line in zip(wanted, listed.split(b"\n"), strict=False)}
        sizes = {found[2]: int(found[1]) for found in words.values() if found[0] == "blob"}
        texts = {name: _TOO_LARGE for name, size in sizes.items() if size > _LARGEST}
        texts |= self._contents({name: size for name, size in sizes.items() if size <= _LARGEST})
        return {tip: texts[found[2]] if found[0] == "blob" else None for tip, found in words.items()}

    def _contents(self, sizes: Mapping[str, int]) -> dict[str, bytes]:
        """Return the contents of the blobs with these names and sizes."""
        if not sizes:
            return {}
        given = "".join(f"{name}\n" for name in sizes).encode()
        answer = self._mirror.run("cat-file", "--batch", "--buffer", given=given).stdout
        found = {}
        at = 0
        for name, size in sizes.items():
            header = f"{name} blob {size}\n".encode()
            if not answer.startswith(header, at):
                raise GitError(f"git does not give {CONFIG_NAME} {name} of {self._project.name}, which it has just listed")
            at += len(header)
            found[name] = answer[at : at + size]
            at += size + 1
        return found

    def _said(self, tips: Mapping[str, Sha]) -> ProjectJobs:
        sources: list[JobSource] = []
        wrong: dict[str, tuple[str, ...]] = {}
        refused: dict[tuple[str, str], str] = {}
        for branch, tip in tips.items():
            data = self._files[tip]
            if data is None:
                continue
            config = self._configs.parse(data)
            if isinstance(config, ProjectConfig):
                for source in _jobs(self._project.name, branch, config):
                    try:
                        check(source)
                        sources.append(source)
                    except JobError as error:
                        refused[branch, source.job.name] = str(error)
            else:
                wrong[branch] = tuple(map(str, config))
        without = all(self._files[tip] is None for tip in tips.values())
        return ProjectJobs(self._project.name, tuple(sources), wrong, refused, tips, without=without)


def _jobs(project: ProjectName, branch: str, config: ProjectConfig) -> list[JobSource]:
    """Return the jobs that can ever run on `branch`."""
    return [JobSource(project, branch, job) for job in config.jobs if matches(job.branches, branch)]


def _is_branch(ref: str, plain: bool) -> bool:
    if plain and ref.startswith(CHANGES):
        return False
    try:
        check_ref(ref)
    except (UnsafeNameError, GitError):
        log.warning("jobs.branch_ignored", ref=ref, reason="its name is one that no part of Torii can carry")
        return False
    return True
