"""Runs the demo: sets up, plays the story, judges what came of it, and tells."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog
from rich.console import Console
from rich.text import Text

from torii.cli.logs import set_up_logging
from torii.config.server import load_server
from torii.demo import story
from torii.demo.ending import Account, outcome_document, print_differences, print_histories, print_invitation, print_outcome
from torii.demo.engine import Engine
from torii.demo.evidence import gather_branch, gather_change, gather_release
from torii.demo.expectations import MERGES, branch_differences, differences, expectations
from torii.demo.picture import export
from torii.demo.place import Place, occupied
from torii.demo.plain import plain_workshop
from torii.demo.presenter import LiveScreen, PlainLines, Presenter
from torii.demo.projects import EDITS, REPOSITORIES
from torii.demo.story import InterruptedStoryError, Stage, interruptible
from torii.demo.workshop import Workshop
from torii.errors import ToriiError, UserError
from torii.git import require_git
from torii.store.store import Store

if TYPE_CHECKING:
    from torii.demo.jenkins_venue import JenkinsOptions

log = structlog.get_logger()

SETTLE = 10.0
"""Seconds in which the last reports have to reach the repositories."""

_MOMENT = 0.2


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says.

    `gerrit` is whether to play on one, `jenkins` in which Jenkins builds are to run, if in any. `live` is whether the terminal can show a
    screen that changes in place. `tell`, if given, is called with what happened, as JSON says it.
    """

    folder: Path
    gerrit: bool = False
    jenkins: JenkinsOptions | None = None
    keep: bool = False
    svg: Path | None = None
    live: bool = False
    tell: Callable[[dict[str, Any]], None] | None = None


def run_demo(options: Options, console: Console, stop: threading.Event) -> bool:
    """Run the demo; return whether everything came out right. Raises ToriiError where it cannot be run, InterruptedStoryError."""

    def say(line: str) -> None:
        console.print(Text(line), soft_wrap=True)

    with interruptible(stop), ExitStack() as stack:
        set_up_logging(file=Path(os.devnull))  # until there is a place for a log: what goes wrong before that is told
        require_git()
        if options.svg is not None and not options.svg.absolute().parent.is_dir():
            raise UserError(f"{options.svg}: there is no folder {options.svg.absolute().parent}")
        open_workshop = _chosen(options, say, stop)
        place = stack.enter_context(occupied(options.folder))
        stack.enter_context(_logging(place))
        shop = stack.enter_context(open_workshop(place))
        say(f"Setting up two repositories and a Torii in {place.root}/")
        _set_up(place, shop, stop)
        engine = Engine(load_server(place.server_yml, None))
        engine.start()
        try:
            shop.ready(engine.system.gearman)
            return _run(options, console, stop, place, shop, engine)
        finally:
            log.info("stopping")
            engine.stop()


def _chosen(options: Options, say: Callable[[str], None], stop: threading.Event) -> Callable[[Place], AbstractContextManager[Workshop]]:
    """Return what opens the workshop that the options ask for, once all that it needs is there."""
    # What a Gerrit and a Jenkins need takes a while to load, and nobody else needs it.
    if options.gerrit:
        from torii.demo.gerrit import gerrit_workshop, require_gerrit

        require_gerrit(say)
    if options.jenkins is not None:
        return _in_jenkins(options, options.jenkins, say, stop)
    return partial(gerrit_workshop, say=say, stop=stop) if options.gerrit else plain_workshop


def _in_jenkins(
    options: Options, jenkins: JenkinsOptions, say: Callable[[str], None], stop: threading.Event
) -> Callable[[Place], AbstractContextManager[Workshop]]:
    """Return what opens the workshop whose builds run in a Jenkins, once it is sure that they can."""
    from torii.demo.jenkins_builds import prepare_jenkins

    venue = prepare_jenkins(jenkins, options.folder, say, stop)
    if options.gerrit:
        from torii.demo.gerrit_jenkins import gerrit_jenkins_workshop

        return partial(gerrit_jenkins_workshop, venue=venue, say=say, stop=stop)
    from torii.demo.jenkins import jenkins_workshop

    return partial(jenkins_workshop, venue=venue, say=say, stop=stop)


def _set_up(place: Place, shop: Workshop, stop: threading.Event) -> None:
    place.server_yml.write_text(shop.server_yml())
    for project, files in REPOSITORIES.items():
        shop.found(project, files)
        if stop.is_set():
            raise InterruptedStoryError("interrupted")
    for edit in EDITS:
        shop.make(edit)


@contextmanager
def _logging(place: Place) -> Iterator[None]:
    """Have all logs, the last words of threads that die and what ends the demo too early go to the place's log file."""

    def last_words(args: threading.ExceptHookArgs) -> None:
        if args.exc_value is not None:
            log.error("a thread died", thread=args.thread.name if args.thread else "", exc_info=args.exc_value)

    set_up_logging(file=place.log)
    before, threading.excepthook = threading.excepthook, last_words
    try:
        yield
    except InterruptedStoryError:
        raise
    except Exception as error:
        log.warning("the demo cannot go on", reason=str(error), exc_info=not isinstance(error, ToriiError))
        raise
    finally:
        threading.excepthook = before


def _run(options: Options, console: Console, stop: threading.Event, place: Place, shop: Workshop, engine: Engine) -> bool:
    worker = engine.system.worker
    if worker is not None and (note := worker.note):
        console.print(Text(f"Note: {note.replace('this build', 'each build')}", "yellow"), soft_wrap=True)
    began = time.time()
    presenter: Presenter = LiveScreen(console) if options.live else PlainLines(console, began)
    stage = Stage(shop, engine, presenter, stop, began)
    wrong = []
    with presenter:
        try:
            story.play(stage)
        except story.WaitedInVainError as error:
            if stop.is_set():
                raise
            wrong.append(str(error))
    accounts, others = _judge(shop, engine.store, stop)
    wrong += [*(sentence for account in accounts for sentence in account.differences), *others]
    if options.svg is not None and stage.moment is not None:
        export(*stage.moment, options.svg)
    print_outcome(console, place, accounts, engine.system.url if options.keep else "")
    print_histories(console, shop, list(REPOSITORIES))
    if options.tell is not None:
        options.tell(outcome_document(place, accounts, wrong))
    if wrong:
        print_differences(console, place, wrong)
    else:
        console.print(Text(f"\nEach of them came out right, in {time.time() - began:.0f} s.", "bold green"))
    if options.keep:
        print_invitation(console, place, shop, engine.system.url)
        _follow(stage, PlainLines(console, began), stop)
    return not wrong


def _judge(shop: Workshop, store: Store, stop: threading.Event) -> tuple[list[Account], list[str]]:
    """Compare what came out with what was to; the last notes, votes and refs are on their way for a moment after the story is over."""
    deadline = time.monotonic() + SETTLE
    while True:
        accounts, others = _compare(shop, store)
        if not others and not any(account.differences for account in accounts):
            return accounts, others
        if stop.wait(_MOMENT):
            raise InterruptedStoryError("interrupted")
        if time.monotonic() > deadline:
            return accounts, others


def _compare(shop: Workshop, store: Store) -> tuple[list[Account], list[str]]:
    found = {shop.change(edit): gather_change(shop, store, edit) for edit in EDITS}
    found |= {f"{project}@main": gather_release(shop, store, project) for project in REPOSITORIES}
    accounts = []
    for expected in expectations(shop.change):
        evidence = found[expected.change]
        accounts.append(Account(expected, evidence, tuple(differences(expected, evidence))))
    tested = {change: evidence.tested[-1] for change, evidence in found.items() if evidence.tested and evidence.landed}
    others = []
    for project, merges in MERGES.items():
        others += branch_differences(gather_branch(shop, project), tested, [shop.change(edit) for edit in merges], shop.customs)
    return accounts, others


def _follow(stage: Stage, presenter: PlainLines, stop: threading.Event) -> None:
    """Tell what Torii decides until somebody wants the end."""
    with suppress(InterruptedStoryError), interruptible(stop):
        presenter.skip(stage.look())
        stage.show_on(presenter)
        while not stop.wait(_MOMENT):
            stage.look()
