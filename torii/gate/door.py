"""What waits at the door of a pipeline: changes that may enter as soon as something else has happened."""

from __future__ import annotations

from torii.gate.world import World
from torii.model.ids import ChangeId, PipelineName


def hold(world: World, pipeline: PipelineName, change: ChangeId, reason: str) -> None:
    """Have `change` wait at the door of `pipeline` for `reason`."""
    key = _key(pipeline, change)
    if world.state.held.get(key) != reason:
        world.state.held[key] = reason
        world.note(change, pipeline, f"waits at the door of {pipeline}: {reason}")


def is_held(world: World, pipeline: PipelineName, change: ChangeId) -> bool:
    """Return whether `change` waits at the door of `pipeline`."""
    return _key(pipeline, change) in world.state.held


def let_go(world: World, pipeline: PipelineName, change: ChangeId) -> bool:
    """Have `change` wait no longer; return whether it did."""
    return world.state.held.pop(_key(pipeline, change), None) is not None


def send_away(world: World, change: ChangeId, reason: str) -> None:
    """Have `change` wait nowhere any more, which goes on record with its `reason`."""
    for pipeline in world.pipelines:
        if let_go(world, pipeline, change):
            world.note(change, pipeline, f"no longer waits for {pipeline}: {reason}")


def _key(pipeline: PipelineName, change: ChangeId) -> str:
    return f"{pipeline} {change}"
