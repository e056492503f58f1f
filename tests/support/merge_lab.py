"""A project with changes on it, and mergers for it: what the tests of the merger play with."""

from __future__ import annotations

from pathlib import Path

from tests.support.git_servers import make_repository
from tests.support.histories import Files, Planned, Scene, run
from torii.config.settings import GitConnection, ProjectSettings, ServerConfig
from torii.git import Mirror, Remote
from torii.merger.answer import StageAnswer, StagedState
from torii.merger.merger import StagingMerger
from torii.merger.places import Place
from torii.model.command import Merge, Stage, StageBase, StageChange
from torii.model.event import Conflict, MergeUnavailable
from torii.model.ids import BuildSetId, ChangeId, PipelineName, ProjectName, Sha
from torii.model.pipeline import MergeMode, ProjectSpec

APP = ProjectName("app")
GATE = PipelineName("gate")
CONFIG = b"jobs:\n  unit: {run: make}\npipelines:\n  gate: [unit]\n"
TEXT = b"".join(b"line %d\n" % number for number in range(30))
BASE: Files = {b"a": ("100644", TEXT), b"torii.yml": ("100644", CONFIG)}


def line(number: int, content: bytes) -> bytes:
    """Return the content of `a` with the line `number` replaced."""
    lines = TEXT.splitlines(keepends=True)
    lines[number] = content + b"\n"
    return b"".join(lines)


class Project:
    """A repository with a branch `main`, served from `root` as files; `staging` is another where `apart`."""

    def __init__(self, root: Path, name: str = "app", *, apart: bool = False) -> None:
        self.name = ProjectName(name)
        self.scene = Scene(make_repository(root, f"{name}.git"))
        self.staging = Scene(make_repository(root, f"{name}-staging.git")) if apart else self.scene
        self.base = self.commit(BASE)
        self.scene.point("refs/heads/main", self.base)

    def commit(self, files: Files, *, on: Sha | None = None, message: str = "base") -> Sha:
        """Make a commit of `files`."""
        if on is None:
            return self.scene.build([Planned(files, (), f"{message}\n".encode())])[0]
        blobs = {path: (mode, _object(self.scene, mode, content)) for path, (mode, content) in files.items()}
        listed = b"".join(b"%s %s %s\t%s\0" % (mode.encode(), _kind(mode), blob, path) for path, (mode, blob) in blobs.items())
        tree = run("mktree", "-z", "--missing", cwd=self.scene.path, given=listed).stdout.decode().strip()
        made = run("commit-tree", tree, "-p", on, "-m", message, cwd=self.scene.path)
        return Sha(made.stdout.decode().strip())

    def change(
        self, name: str, files: Files, *, on: Sha | None = None, branch: str = "main", mode: MergeMode = MergeMode.MERGE_ALWAYS
    ) -> StageChange:
        """Push a change that has `files` at its top level over the base."""
        commit = self.commit({**BASE, **files}, on=on or self.base, message=f"Change {name}")
        self.scene.point(f"refs/changes/{name}", commit)
        return StageChange(ChangeId(name), self.name, branch, f"refs/changes/{name}", commit, mode)

    def staged(self) -> dict[str, str]:
        """Return the staging refs that the server has."""
        listed = run("for-each-ref", "--format=%(refname) %(objectname)", "refs/staging", cwd=self.staging.path).stdout.decode()
        return dict(one.split(" ") for one in listed.splitlines())

    def place(self, mirror: Path) -> Place:
        """Return where a merger with its mirrors in `mirror` finds the project."""
        origin = Remote(str(self.scene.path))
        return Place(
            Mirror(mirror / f"{self.name}.git"), origin, Remote(str(self.staging.path)) if self.staging is not self.scene else origin
        )


def config_of(state: Path, *projects: Project) -> ServerConfig:
    """Return a server configuration with `projects`."""
    settings = [ProjectSettings(ProjectSpec(one.name), "lab", str(one.scene.path), str(one.staging.path)) for one in projects]
    return ServerConfig(state, (GitConnection("lab"),), tuple(settings))


def merger_of(mirrors: Path, *projects: Project) -> StagingMerger:
    """Return a merger of its own mirrors."""
    return StagingMerger({one.name: one.place(mirrors) for one in projects})


def stage(number: int, *changes: StageChange, project: ProjectName = APP, branch: str = "main") -> Stage:
    """Return the stage of the item `k-<number>` with `changes`; its own branch is that of the last."""
    own = (changes[-1].project, changes[-1].branch) if changes else (project, branch)
    return Stage(BuildSetId(f"k-{number}.1"), *own, changes)


def request(*stages: Stage, base: tuple[StageBase, ...] = ()) -> Merge:
    """Return a merge request of the gate."""
    return Merge(GATE, base, stages)


def staged(answer: StageAnswer) -> StagedState:
    """Return the state, asserting that there is one."""
    assert isinstance(answer.outcome, StagedState), answer
    return answer.outcome


def conflict(answer: StageAnswer) -> Conflict:
    """Return the conflict, asserting that there is one."""
    assert isinstance(answer.outcome, Conflict), answer
    return answer.outcome


def unavailable(answer: StageAnswer) -> str:
    """Return why it could not be tried, asserting that it could not."""
    assert isinstance(answer.outcome, MergeUnavailable), answer
    return answer.outcome.reason


def _kind(mode: str) -> bytes:
    return b"commit" if mode == "160000" else b"blob"


def _object(scene: Scene, mode: str, content: bytes) -> bytes:
    return content if mode == "160000" else run("hash-object", "-w", "--stdin", cwd=scene.path, given=content).stdout.strip()
