"""Shows the story while it is played: a live screen on a terminal, else a line for each decision of note."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol

from rich.console import Console, ConsoleDimensions, Group
from rich.live import Live
from rich.text import Text

from torii.demo.screen import ASCII_MARKS, Marks, Scene, is_number, lines, of_note
from torii.demo.snapshot import Snapshot
from torii.model.view import Decision
from torii.results.text import clean_line


class Presenter(Protocol):
    """Shows what happens. `scene` is told when another one begins, `show` whenever time has passed."""

    def scene(self, scene: Scene) -> None: ...

    def show(self, snapshot: Snapshot) -> None: ...

    def __enter__(self) -> Presenter: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None: ...


class LiveScreen:
    """A full screen that is drawn anew in place, and gives the terminal back as it was."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._marks = ASCII_MARKS if console.options.ascii_only else Marks()
        self._live = Live(console=console, screen=True, auto_refresh=False, redirect_stdout=False, redirect_stderr=False)
        self._scene: Scene | None = None
        self._shown: tuple[ConsoleDimensions, list[Text]] | None = None

    def scene(self, scene: Scene) -> None:
        self._scene = scene

    def show(self, snapshot: Snapshot) -> None:
        if self._scene is None:
            return
        size = self._console.size
        shown = lines(snapshot, self._scene, size.width, size.height, self._marks)
        if (size, shown) != self._shown:  # what is drawn anew for nothing flickers on a slow line
            self._live.update(Group(*shown), refresh=True)
            self._shown = (size, shown)

    def __enter__(self) -> LiveScreen:
        self._live.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._live.__exit__(kind, error, trace)


class PlainLines:
    """A line for each scene and each decision of note, with the seconds since `began` (in seconds since the epoch)."""

    def __init__(self, console: Console, began: float) -> None:
        self._console = console
        self._began = began
        self._told: set[Decision] = set()
        self._introduced: set[str] = set()

    def scene(self, scene: Scene) -> None:
        self._print(f"\n{scene.number} of {scene.of}: {scene.text}")

    def skip(self, snapshot: Snapshot) -> None:
        """Take what was decided so far for told."""
        self._told.update(snapshot.decisions)

    def show(self, snapshot: Snapshot) -> None:
        for made in snapshot.decisions:
            if made not in self._told and of_note(made):
                where = f"{made.pipeline}: " if made.pipeline else ""
                self._print(f"{made.at - self._began:6.1f} s  {where}{self._called(made, snapshot)}: {clean_line(made.text, 1000)}")
        self._told.update(snapshot.decisions)

    def _called(self, made: Decision, snapshot: Snapshot) -> str:
        """Return the change's id; with its title the first time, where the id is a mere number."""
        name = clean_line(made.change)
        title = next((stay.item.title for stay in (*snapshot.active, *snapshot.past) if stay.item.change == made.change), "")
        if not title or not is_number(made.change) or made.change in self._introduced:
            return name
        self._introduced.add(made.change)
        return f"{name} ({clean_line(title)})"

    def _print(self, line: str) -> None:
        self._console.print(line, soft_wrap=True, markup=False, highlight=False, emoji=False)

    def __enter__(self) -> PlainLines:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        pass
