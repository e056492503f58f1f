"""What a merger answers for a stage, before anybody has read the `torii.yml` in it."""

from __future__ import annotations

from dataclasses import dataclass

from torii.model.build import StagedBranch
from torii.model.event import Conflict, MergeUnavailable
from torii.model.ids import BuildSetId


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """The `torii.yml` of a tree: its bytes, or None where there is none; `problem` says why one that is there was not read."""

    content: bytes | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class StagedState:
    """A stage that was made; its refs are pushed. `branches` ends with the item's own; `files` are what its own change alters.

    `config` is that of the merged state, `tip_config` that of the branch before anything was merged.
    """

    branches: tuple[StagedBranch, ...]
    files: tuple[str, ...]
    config: ConfigFile
    tip_config: ConfigFile


@dataclass(frozen=True, slots=True)
class StageAnswer:
    """What became of one stage."""

    build_set: BuildSetId
    outcome: StagedState | Conflict | MergeUnavailable
