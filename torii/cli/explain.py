"""`torii explain CHANGE`: why a change is where it is, in words. Reads the store alone, whether or not a server runs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from time import time

import click

from torii.cli.stays import Stay, active_stays, build_page, build_words, document, elapsed, moment, pages_of, past_stays
from torii.cli.where import configuration, where_options
from torii.errors import UserError
from torii.model.ids import ChangeId
from torii.model.view import Decision
from torii.results.text import clean_line
from torii.store.codec import encode
from torii.store.store import Store, open_configured

_ORDINALS = {1: "st", 2: "nd", 3: "rd"}


class UnknownChangeError(UserError):
    """Nothing is known of the change that was asked about."""


@dataclass(frozen=True, slots=True)
class Story:
    """All that the store knows of a change: where it is now, what was decided, where it was before (the newest first).

    `queued` counts the items of the queues it is in, by (pipeline, queue).
    """

    change: ChangeId
    current: tuple[Stay, ...]
    decisions: tuple[Decision, ...]
    earlier: tuple[Stay, ...]
    queued: dict[tuple[str, str], int]


@click.command(name="explain")
@click.argument("change")
@where_options
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1), help="Show so many decisions and earlier stays at most.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(change: str, server: Path | None, state: Path | None, limit: int, as_json: bool) -> None:
    """Say why CHANGE is where it is: its place, its builds, and each decision with its reason.

    CHANGE is a change's whole name, such as app:main/fix-login, or enough of its end: main/fix-login, fix-login. The states of
    a branch after a merge go by app@main.

    \b
    Examples:
      torii explain fix-login
      torii explain app@main --json
    """
    config = configuration(server, state)
    with open_configured(config, read_only=True) as store:
        story = _story(store, change, limit)
    if as_json:
        click.echo(json.dumps(_document(story), indent=2))
        return
    for line in _lines(story, time(), pages_of(config.web)):
        click.echo(line)


def _story(store: Store, text: str, limit: int) -> Story:
    change = store.find_change(text)
    if change is None:
        raise UnknownChangeError(
            f"nothing is known of a change {clean_line(text)!r}: no pipeline ever wanted it, or it is long gone; "
            "`torii status` shows what is queued"
        )
    active = active_stays(store)
    queued: dict[tuple[str, str], int] = {}
    for stay in active:
        place = (stay.item.pipeline, stay.item.queue)
        queued[place] = queued.get(place, 0) + 1
    left = tuple(item for item in store.items(change=change, limit=limit) if item.left_at is not None)
    return Story(
        change=change,
        current=tuple(stay for stay in active if stay.item.change == change),
        decisions=store.decisions_of(change, limit=limit),
        earlier=past_stays(store, left),
        queued=queued,
    )


def _document(story: Story) -> dict[str, object]:
    return {
        "change": story.change,
        "current": [document(stay) for stay in story.current],
        "decisions": [json.loads(encode(decision)) for decision in story.decisions],
        "earlier": [document(stay) for stay in story.earlier],
    }


def _lines(story: Story, now: float, pages: str) -> Iterator[str]:
    yield from _heading(story)
    for stay in story.current:
        yield ""
        yield from _current(stay, story.queued[stay.item.pipeline, stay.item.queue], now, pages)
    earlier = story.earlier
    if not story.current:
        yield ""
        yield "It is in no pipeline now."
        if earlier:
            yield ""
            yield from _last(earlier[0], now, pages)
            earlier = earlier[1:]
    if story.decisions:
        yield ""
        yield "What was decided, and why:"
        yield from map(_decision, story.decisions)
    if earlier:
        yield ""
        yield "Earlier stays, the newest first:"
        for stay in earlier:
            item = stay.item
            yield f"  {item.pipeline:<10} {item.id}  {moment(item.enqueued_at)}, {_took(stay)}  {_end(stay)}"


def _heading(story: Story) -> Iterator[str]:
    newest = next((stay.item for stay in (*story.current, *story.earlier)), None)
    name = clean_line(story.change)
    if newest is None:
        yield name
        return
    yield f"{name}: {clean_line(newest.title)}" if newest.title else name
    owner = f" by {clean_line(newest.owner)}" if newest.owner else ""
    yield f"{clean_line(newest.project)}, branch {clean_line(newest.branch)}, patch set {clean_line(newest.patchset)[:12]}{owner}"


def _current(stay: Stay, queued: int, now: float, pages: str) -> Iterator[str]:
    item, place = stay.item, stay.place or 1
    where = "alone in its queue" if queued == 1 else f"{_ordinal(place)} of {queued} in queue {clean_line(item.queue)}"
    yield f"In {item.pipeline} for {elapsed(item.enqueued_at, now)}, {where}: {item.state}"
    if item.reason:
        yield f"  Why: {clean_line(item.reason, 1000)}"
    yield from _tested(stay, now, pages)


def _last(stay: Stay, now: float, pages: str) -> Iterator[str]:
    item = stay.item
    yield f"Last in {item.pipeline}, {moment(item.enqueued_at)} for {_took(stay)}: {item.outcome or item.state}"
    if item.reason:
        yield f"  Why: {clean_line(item.reason, 1000)}"
    yield from _tested(stay, now, pages)


def _tested(stay: Stay, now: float, pages: str) -> Iterator[str]:
    item = stay.item
    if item.build_set is not None:
        on = f"the tip of {clean_line(item.branch)}"
        ahead = f"{on} with {', '.join(map(clean_line, item.built_on))} merged" if item.built_on else on
        commit = f", as commit {item.commit[:12]}" if item.commit else ""
        yield f"  Built on: {ahead}{commit} (build set {item.build_set})"
    builds = stay.current_builds
    width = max((len(clean_line(build.job)) for build in builds), default=0)
    for build in builds:
        page = build_page(build, pages)
        link = f"  {clean_line(page)}" if page else ""
        yield f"  {clean_line(build.job):<{width}}  {build_words(build, now)}{link}"
    before = {build.build_set for build in stay.builds if build.build_set != item.build_set}
    if before:
        sets = "1 other build set" if len(before) == 1 else f"{len(before)} other build sets"
        yield f"  Before that, or beside it: {sets} ({', '.join(sorted(before, key=_number))})"


def _decision(made: Decision) -> str:
    where = f"{made.pipeline}: " if made.pipeline else ""
    return f"  {moment(made.at)}  {where}{clean_line(made.text, 1000)}"


def _end(stay: Stay) -> str:
    item = stay.item
    end = item.outcome or item.state
    return clean_line(f"{end}: {item.reason}" if item.reason else end)


def _took(stay: Stay) -> str:
    return elapsed(stay.item.enqueued_at, stay.item.left_at or stay.item.enqueued_at)


def _ordinal(number: int) -> str:
    ending = "th" if 10 <= number % 100 <= 20 else _ORDINALS.get(number % 10, "th")
    return f"{number}{ending}"


def _number(build_set: str) -> tuple[str, int]:
    item, _, number = build_set.rpartition(".")
    return item, int(number) if number.isdecimal() else 0
