"""What the live view shows, as lines of exactly one row each: pipelines and queues with their builds and reasons, and the last decisions.

Pure. Whatever does not fit is left out by rank, so that the picture is whole at any size.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from rich.text import Text

from torii.cli.stays import Stay, build_colour
from torii.demo.snapshot import Snapshot
from torii.model.build import Result
from torii.model.view import BuildView, Decision, ItemView
from torii.results.message import spoken_duration
from torii.results.text import clean_line

LINGERS = 3.0
"""Seconds for which a change that has left a queue is still shown there."""

PIPELINES: Mapping[str, str] = MappingProxyType(
    {
        "check": "each change alone, merged onto its branch for the test",
        "gate": "approved changes in line, each tested on top of those ahead of it",
        "post": "the branch itself, after a merge",
    }
)

_STATES = MappingProxyType({"merged": "green", "success": "green", "passed": "green", "submitting": "green", "building": "cyan"})
_WORDS = MappingProxyType({"success": "passed", "failure": "failed", "submitting": "merging"})
_PASSING = ("being merged", "being prepared")
_DULL = (*_PASSING, "building ", "taken into ", "passed")
_NAME = 34
"""Columns that an id with a title may take."""

_BAD = "bold red"
_DIM = "bright_black"

# In which order lines give way where there are too many; what is 0 never does.
_KEEP, _REASON, _OVER, _MORE_REASON, _DECISION, _SPACE = 0, 1, 2, 3, 4, 5


@dataclass(frozen=True, slots=True)
class Marks:
    """The signs for how a build stands, for a reason below its change, and for what is cut off."""

    passed: str = "\N{CHECK MARK}"
    failed: str = "\N{BALLOT X}"
    running: str = "\N{BLACK RIGHT-POINTING SMALL TRIANGLE}"
    waiting: str = "\N{MIDDLE DOT}"
    branch: str = "\N{BOX DRAWINGS LIGHT UP AND RIGHT}"
    more: str = "\N{HORIZONTAL ELLIPSIS}"


ASCII_MARKS = Marks("ok", "FAILED", "runs", "-", "`", "...")


@dataclass(frozen=True, slots=True)
class Scene:
    """What is being played: its place in the story, and what to look out for. `began` and times are seconds since the epoch."""

    number: int
    of: int
    text: str
    began: float
    url: str


@dataclass(frozen=True, slots=True)
class _Line:
    text: Text
    rank: int = _KEEP


def of_note(made: Decision) -> bool:
    """Return whether a decision tells more than that something is over in a moment."""
    return not made.text.startswith(_PASSING)


def is_number(change: str) -> bool:
    """Return whether a change's id tells a reader nothing, as `gerrit:12` does."""
    return change.rpartition(":")[2].isdecimal()


def lines(snapshot: Snapshot, scene: Scene, width: int, height: int, marks: Marks = Marks()) -> list[Text]:
    """Return the screen: at most `height` lines, none wider than `width` columns."""
    whole = [*_heading(scene, snapshot.at, width, marks), *_queues(snapshot, width, marks)]
    room = height - len(whole) - 1
    decisions = [made for made in snapshot.decisions if of_note(made)]
    if room > 0 and decisions:
        whole.append(_Line(Text("last decisions", "bold magenta"), _DECISION))
        whole += [_Line(_decision(made, scene.began), _DECISION) for made in decisions[-room:]]
    while len(whole) > max(1, height):
        del whole[_least(whole)]
    for line in whole:
        _cut(line.text, width, marks.more)
    return [line.text for line in whole]


def _cut(text: Text, width: int, more: str) -> None:
    if text.cell_len > width:
        text.truncate(max(0, width - len(more)), overflow="crop")
        text.append(more[:width])


def _least(whole: Sequence[_Line]) -> int:
    """Return the index of the line that gives way first: the last of the highest rank."""
    rank = max(line.rank for line in whole)
    return max(index for index, line in enumerate(whole) if line.rank == rank)


def _heading(scene: Scene, at: float, width: int, marks: Marks) -> Iterator[_Line]:
    left = Text.assemble((" torii demo ", "bold reverse"), "  ", (f"{scene.number} of {scene.of}", "bold"))
    right = Text.assemble((f"{max(0.0, at - scene.began):.0f} s  ", _DIM), (scene.url, f"{_DIM} link {scene.url}"))
    left.append(" " * max(2, width - left.cell_len - right.cell_len))
    yield _Line(left.append_text(right))
    for row in textwrap.wrap(scene.text, max(20, width), max_lines=3, placeholder=marks.more, break_on_hyphens=False):
        yield _Line(Text(row, "bold"))
    yield _Line(Text(), _SPACE)


def _queues(snapshot: Snapshot, width: int, marks: Marks) -> Iterator[_Line]:
    lately = [stay for stay in reversed(snapshot.past) if stay.item.left_at is not None and snapshot.at - stay.item.left_at < LINGERS]
    shown = (*lately, *snapshot.active)
    column = max((len(_called(stay.item, marks)) for stay in shown), default=0)
    for name in dict.fromkeys((*PIPELINES, *(stay.item.pipeline for stay in shown))):
        mine = [stay for stay in shown if stay.item.pipeline == name]
        yield _Line(Text.assemble((name, "bold magenta"), (f"  {PIPELINES.get(name, '')}", _DIM)))
        if not mine:
            yield _Line(Text("   nothing", _DIM), _SPACE)
        for stay in sorted(mine, key=lambda stay: stay.item.queue):
            yield _row(stay, snapshot.at, column, marks)
            yield from _reason(stay, snapshot.decisions, width, marks)
        yield _Line(Text(), _SPACE)


def _row(stay: Stay, at: float, column: int, marks: Marks) -> _Line:
    item = stay.item
    over = item.left_at is not None
    state = item.outcome if over else item.state
    style = _STATES.get(state, _BAD if over or state == "failing" else "")
    place = f"{stay.place}" if stay.place and item.pipeline == "gate" else " "
    row = Text.assemble(
        f" {place} ", (f"{_called(item, marks):<{column}}  ", _DIM if over else ""), (f"{_WORDS.get(state, state):<9} ", style)
    )
    for build in stay.current_builds:
        row.append_text(_build(build, at, marks)).append("  ")
    return _Line(row, _OVER if over else _KEEP)


def _called(item: ItemView, marks: Marks) -> str:
    """Return the change's id, and its title where the id is a mere number."""
    name = clean_line(f"{item.change} {item.title}" if is_number(item.change) else item.change, 1000)
    return name if not is_number(item.change) or len(name) <= _NAME else name[: _NAME - len(marks.more)] + marks.more


def _reason(stay: Stay, decisions: Sequence[Decision], width: int, marks: Marks) -> Iterator[_Line]:
    """Yield what tells more than the row itself: why it fails, or why it is tested again."""
    item = stay.item
    if item.outcome in ("merged", "success"):
        return
    told = [item.reason, *(made.text for made in reversed(decisions) if made.item == item.id)]
    reason = next((text for text in told if text and not text.startswith(_DULL)), "")
    bad = item.left_at is not None or item.state == "failing"
    parts = textwrap.wrap(clean_line(reason, 1000), max(20, width - 6), max_lines=2, placeholder=marks.more, break_on_hyphens=False)
    for number, part in enumerate(parts):
        yield _Line(Text(f"   {' ' if number else marks.branch} {part}", "red" if bad else "yellow"), _MORE_REASON if number else _REASON)


def _build(build: BuildView, at: float, marks: Marks) -> Text:
    match build.result:
        case None:
            sign = marks.running if build.state == "running" else marks.waiting
        case Result.SUCCESS:
            sign = marks.passed
        case Result.CANCELED | Result.SKIPPED:
            sign = marks.waiting
        case _:
            sign = marks.failed
    ran = at - build.started_at if build.state == "running" and build.started_at is not None else 0.0
    since = f" {spoken_duration(ran)}" if ran >= 1 else ""
    colour = build_colour(build)
    return Text(f"{clean_line(build.job, 20)} {sign}{since}", f"{colour} bold" if sign == marks.failed else colour)


def _decision(made: Decision, began: float) -> Text:
    when, where = f"{max(0.0, made.at - began):5.1f}  ", f"{made.pipeline or '':<6} "
    return Text.assemble((when, _DIM), (where, "magenta"), f"{clean_line(made.change)}: {clean_line(made.text, 500)}")
