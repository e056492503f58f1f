"""What a line of Gerrit's stream, or the body of a webhook, is worth: a hint where to look. The truth is read by REST.

Both speak the same JSON (Gerrit's "Stream Events" page). A kind of event that is not known here, of some later Gerrit or a plug-in, is a
hint all the same where it names a change.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torii.model.ids import ProjectName

_HEADS = "refs/heads/"
_PROJECT_CREATED = "project-created"
_DROPPED = "dropped-output"
_LARGEST = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Hint:
    """Look at `change` of `project`; or at its `branch`; or, where neither is given, at all of its branches.

    `resync`: something was missed, nobody knows what; look at everything since the last look (`project` is empty then).
    """

    project: ProjectName
    change: int | None = None
    branch: str | None = None
    resync: bool = False


RESYNC = Hint(ProjectName(""), resync=True)


def hint_of(event: Mapping[str, object]) -> Hint | None:
    """Return where `event` says to look; None where there is nothing to see.

    Nothing to see: refs that are no branches (`refs/changes/*`, `refs/meta/*`, tags, staging refs), which are most of what a stream says.
    """
    change = event.get("change")
    if isinstance(change, Mapping):
        return _change(change)
    update = event.get("refUpdate")
    if isinstance(update, Mapping):
        return _branches([update])
    updates = event.get("refUpdates")
    if isinstance(updates, list):
        return _branches([each for each in updates if isinstance(each, Mapping)])
    kind = event.get("type")
    if kind == _DROPPED:
        return RESYNC
    name = event.get("projectName")
    if kind == _PROJECT_CREATED and isinstance(name, str) and name:
        return Hint(ProjectName(name))
    return None


def _change(change: Mapping[str, object]) -> Hint | None:
    project, number = change.get("project"), change.get("number")
    if isinstance(number, str) and number.isascii() and number.isdecimal() and len(number) < 20:
        number = int(number)  # Gerrit before 2.15 writes numbers as text
    if not isinstance(project, str) or not project or not isinstance(number, int) or isinstance(number, bool) or not 0 < number <= _LARGEST:
        return None
    return Hint(ProjectName(project), change=number)


def _branches(updates: list[Mapping[str, object]]) -> Hint | None:
    """Return the hint for updates of refs, all of one project: of its branch, or of all where several moved at once."""
    moved: dict[str, str] = {}
    for update in updates:
        project, ref = update.get("project"), update.get("refName")
        if isinstance(project, str) and project and isinstance(ref, str) and (branch := _branch(ref)):
            moved[branch] = project
    if not moved:
        return None
    branch, project = next(iter(moved.items()))
    return Hint(ProjectName(project), branch=branch if len(moved) == 1 else None)


def _branch(ref: str) -> str:
    """Return the branch that `ref` names, else nothing. Some Gerrits give a branch's short name."""
    if ref.startswith(_HEADS):
        return ref.removeprefix(_HEADS)
    return "" if ref.startswith("refs/") else ref
