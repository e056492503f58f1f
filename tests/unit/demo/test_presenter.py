"""What the demo prints while it plays: plain lines, or a screen that leaves the terminal as it was."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from tests.unit.demo.values import NOW, decision, stay
from torii.demo.presenter import LiveScreen, PlainLines
from torii.demo.screen import Scene
from torii.demo.snapshot import Snapshot

SCENE = Scene(1, 4, "A change is pushed.", NOW, "http://127.0.0.1:1")


def terminal(**options: object) -> tuple[Console, io.StringIO]:
    file = io.StringIO()
    return Console(file=file, width=60, height=20, **options), file  # type: ignore[arg-type]


def test_each_decision_is_a_line_of_its_own_and_told_once():
    console, file = terminal()
    presenter = PlainLines(console, NOW - 2)
    first, second = decision("unit failed [bold]" + "x" * 100), decision("merged as 1", at=NOW)
    presenter.scene(SCENE)
    presenter.show(Snapshot(NOW, decisions=(first,)))
    presenter.show(Snapshot(NOW, decisions=(first, decision("being merged for testing on top of it"), second)))
    assert file.getvalue().splitlines() == [
        "",
        "1 of 4: A change is pushed.",
        f"   1.0 s  gate: app:main/fix: unit failed [bold]{'x' * 100}",
        "   2.0 s  gate: app:main/fix: merged as 1",
    ]


def test_what_was_decided_before_is_not_told_to_who_follows():
    console, file = terminal()
    presenter = PlainLines(console, NOW)
    presenter.skip(Snapshot(NOW, decisions=(decision("old"),)))
    presenter.show(Snapshot(NOW, decisions=(decision("old"), decision("new"))))
    assert "new" in file.getvalue() and "old" not in file.getvalue()


def test_the_screen_gives_the_terminal_back_whatever_happens():
    console, file = terminal(force_terminal=True)
    with pytest.raises(KeyError), LiveScreen(console) as screen:
        screen.scene(SCENE)
        screen.show(Snapshot(NOW, active=(stay("app:main/fix"),)))
        raise KeyError
    said = file.getvalue()
    assert "app:main/fix" in said
    assert said.rindex("\x1b[?1049l") > said.rindex("\x1b[?1049h")
    assert said.rindex("\x1b[?25h") > said.rindex("\x1b[?25l")


def test_the_screen_is_drawn_again_only_where_something_changed():
    console, file = terminal(force_terminal=True)
    with LiveScreen(console) as screen:
        screen.scene(SCENE)
        screen.show(Snapshot(NOW))
        before = len(file.getvalue())
        screen.show(Snapshot(NOW + 0.1))
        assert len(file.getvalue()) == before
        screen.show(Snapshot(NOW + 1))
        assert len(file.getvalue()) > before


def test_no_colour_is_used_where_none_is_wanted(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    console, file = terminal(force_terminal=True)
    with LiveScreen(console) as screen:
        screen.scene(SCENE)
        screen.show(Snapshot(NOW, active=(stay("app:main/fix", state="failing"),)))
    assert "\x1b[31m" not in file.getvalue() and "\x1b[36m" not in file.getvalue()


def test_a_change_whose_id_is_a_number_is_introduced_once():
    console, file = terminal()
    presenter = PlainLines(console, NOW)
    numbered = stay("gerrit:12", title="Sell juice")
    presenter.show(Snapshot(NOW, active=(numbered,), decisions=(decision("one", "gerrit:12"), decision("two", "gerrit:12"))))
    assert [line.split("gate: ")[1] for line in file.getvalue().splitlines()] == ["gerrit:12 (Sell juice): one", "gerrit:12: two"]
