"""The `pipelines` of `server.yml`: what brings a change in, what must hold of it, what is told, and the rest that one pipeline says."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field

from torii.config.fields import (
    ANY_TEXT,
    PRESENT,
    WHOLE,
    Flag,
    From,
    Glob,
    OneOrMany,
    OneOrMore,
    Text,
    duration,
    matching,
    text,
    wrong,
)
from torii.config.located import Section
from torii.config.wording import shown
from torii.model.pipeline import Cause, Manager, Precedence, Window

_WINDOW = Window()
_LONGEST = 512
_YEAR = 366 * 86400


def _expression(value: object) -> str:
    found = text(value)
    if not found or len(found) > _LONGEST:
        raise wrong(f"must be a regular expression of 1 to {_LONGEST} characters")
    try:
        re.compile(found, re.IGNORECASE)
    except (re.error, OverflowError, RecursionError) as error:
        raise wrong(f"{shown(found)} is no regular expression: {error}") from None
    return found


Expression = Annotated[str, From(_expression, {"type": ANY_TEXT, "minLength": 1, "maxLength": _LONGEST})]
VoteLabel = Annotated[str, matching(r"[A-Za-z0-9][A-Za-z0-9-]{0,63}", "legal label: letters, digits and -")]
VoteValue = Annotated[int, Field(ge=-100, le=100), WHOLE]
Votes = dict[VoteLabel, VoteValue]
Person = Annotated[str, matching(r"\S(?:.{0,254}\S)?", "name: 1 to 256 characters, no space at its ends")]
Age = Annotated[float, duration(1, _YEAR)]


class VoteEntry(Section):
    """A vote that is asked for, or kept out: of one vote value and age must hold, and it must be by one of the users or of the groups."""

    value: Annotated[VoteValue | None, PRESENT] = Field(
        default=None, description="At least this; at most, where it is negative. Default: any vote."
    )
    users: OneOrMany[Glob] = Field(default=(), description="By one of these users: globs of user names or e-mail addresses.")
    groups: OneOrMany[Person] = Field(default=(), description="Or by somebody in one of these groups.")
    older_than: Annotated[Age | None, PRESENT] = Field(default=None, description="Cast at least so long ago, such as 1h.")
    newer_than: Annotated[Age | None, PRESENT] = Field(default=None, description="Cast at most so long ago, such as 7d.")


def _short(value: object) -> object:
    return value if value is None or isinstance(value, dict) else {"value": value}


VoteItem = Annotated[
    VoteEntry,
    From(_short, lambda schema: {"anyOf": [{"type": "integer", "minimum": -100, "maximum": 100}, schema]}),
]
VoteRules = dict[VoteLabel, OneOrMore[VoteItem]]


class TriggerEntry(Section):
    """What brings a change into a pipeline: its cause, and all else that is said must match."""

    cause: Cause = Field(description="What has to happen.")
    branches: OneOrMany[Glob] = Field(default=(), description="Only for branches that match one of these globs.")
    comment: Annotated[Expression | None, PRESENT] = Field(
        default=None,
        description="A regular expression that a whole line of the comment matches, in upper or lower case. "
        "A group called jobs, if it has one, names the jobs to run anew.",
    )
    votes: VoteRules = Field(default={}, description="The comment casts one of these votes: for each label a value, or more.")
    topics: OneOrMany[Glob] = Field(default=(), description="Only for topics that match one of these globs.")
    hashtags: OneOrMany[Glob] = Field(default=(), description="Only with a hashtag that matches one of these globs.")
    files: OneOrMany[Glob] = Field(default=(), description="Only where an altered file matches one of these globs.")
    users: OneOrMany[Glob] = Field(default=(), description="Only if done by one of these users: globs of user names or e-mail addresses.")
    groups: OneOrMany[Person] = Field(default=(), description="Only if done by somebody in one of these groups.")


TriggerItem = Annotated[
    TriggerEntry,
    From(
        lambda value: {"cause": value} if isinstance(value, str) else value,
        lambda schema: {"anyOf": [{"type": "string", "enum": [cause.value for cause in Cause]}, schema]},
    ),
]


class RequireEntry(Section):
    """What must hold of a change when it enters, and for as long as it is there."""

    approved: Flag = Field(default=False, description="A human wants it merged, and nothing but Torii's own votes stands against it.")
    votes: VoteRules = Field(default={}, description="For each label the vote it needs: at least that (at most, where negative), or more.")
    wip: Annotated[Flag | None, PRESENT] = Field(default=None, description="Whether it is work in progress. Default: either.")
    private: Annotated[Flag | None, PRESENT] = Field(default=None, description="Whether it is private. Default: either.")
    topics: OneOrMany[Glob] = Field(default=(), description="Its topic matches one of these globs.")
    hashtags: OneOrMany[Glob] = Field(default=(), description="One of its hashtags matches one of these globs.")
    owners: OneOrMany[Glob] = Field(default=(), description="Its owner is one of these users: globs of user names or e-mail addresses.")


class RejectEntry(Section):
    """What keeps a change out."""

    votes: VoteRules = Field(
        default={}, description="For each label the vote that keeps it out: at least that (at most, where negative), or more."
    )
    wip: Annotated[Flag | None, PRESENT] = Field(default=None, description="true: work in progress is kept out.")
    private: Annotated[Flag | None, PRESENT] = Field(default=None, description="true: private changes are kept out.")
    topics: OneOrMany[Glob] = Field(default=(), description="Its topic matches one of these globs.")
    hashtags: OneOrMany[Glob] = Field(default=(), description="One of its hashtags matches one of these globs.")
    owners: OneOrMany[Glob] = Field(default=(), description="Its owner is one of these users: globs of user names or e-mail addresses.")


class WindowEntry(Section):
    """How many changes of a dependent queue are tested at once."""

    initial: Annotated[int, Field(ge=1, le=10_000), WHOLE] = Field(default=_WINDOW.initial, description="At first.")
    floor: Annotated[int, Field(ge=1, le=10_000), WHOLE] = Field(default=_WINDOW.floor, description="At least.")
    ceiling: Annotated[int, Field(ge=1, le=10_000), WHOLE] = Field(default=_WINDOW.ceiling, description="At most.")
    increase: Annotated[int, Field(ge=0, le=1000), WHOLE] = Field(default=_WINDOW.increase, description="Added for each merge.")
    decrease: Annotated[int, Field(ge=1, le=1000), WHOLE] = Field(default=_WINDOW.decrease, description="Divided by for each failure.")


class ReportEntry(Section):
    """What a pipeline tells the change's author, and how it votes."""

    start: Flag = Field(default=False, description="Tell that it has begun.")
    dequeued: Flag = Field(default=True, description="Tell when a change is taken out.")
    success: Votes = Field(default={}, description="The votes that go with a success, such as {Verified: 1}.")
    failure: Votes = Field(default={}, description="The votes that go with a failure, such as {Verified: -1}.")


class PipelineEntry(Section):
    """One pipeline. It replaces the built-in one of its name."""

    manager: Manager = Field(description="How its changes stand to each other.")
    triggers: OneOrMore[TriggerItem] = Field(description="What brings a change in.")
    require: RequireEntry = Field(default=RequireEntry(), description="What must hold of a change.")
    reject: RejectEntry = Field(default=RejectEntry(), description="What keeps a change out.")
    precedence: Precedence = Field(default=Precedence.NORMAL, description="Whose builds go first when workers are short.")
    window: Annotated[WindowEntry | None, PRESENT] = Field(default=None, description="For the dependent manager.")
    report: ReportEntry = Field(default=ReportEntry(), description="What it tells, and how it votes.")
    merges: Annotated[Flag | None, PRESENT] = Field(
        default=None, description="Whether it merges what passed. A dependent pipeline does, a serial one may."
    )
    trusted: Flag = Field(default=False, description="Its builds may use secrets: only after review or merge.")
    own_jobs: Flag = Field(
        default=True, description="Whether a change that alters or adds jobs is tested with them; else with its branch's own."
    )
    strategy: Literal["linear"] = Field(
        default="linear", description="Which speculative states are built: linear assumes that all ahead merge."
    )
    description: Text = Field(default="", description="For those who read the pages.")
