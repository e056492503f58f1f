"""The live view's lines: whole at any size, and telling why."""

from __future__ import annotations

import pytest

from tests.unit.demo.values import NOW, build, decision, stay
from torii.demo.screen import ASCII_MARKS, LINGERS, Scene, lines
from torii.demo.snapshot import Snapshot
from torii.model.build import Result

SCENE = Scene(3, 4, "Three changes are approved at once, and the second of them breaks on top of the first.", NOW - 7, "http://127.0.0.1:1")
FAILED = "unit failed on top of app:main/one; reported once everything ahead of it has merged or left"
AGAIN = "tested again on top of app:main/one, because app:main/two is failing: unit failed on top of app:main/one"


def three() -> Snapshot:
    one = stay("app:main/one", "gate", build("unit", Result.SUCCESS), build("acceptance"), place=1, item="x-1")
    two = stay("app:main/two", "gate", build("unit", Result.FAILURE, "x-2"), place=2, item="x-2", state="failing", reason=FAILED)
    third = stay("app:main/three", "gate", build("unit", item="x-3"), place=3, item="x-3", reason="building unit on top of app:main/one")
    made = (decision(FAILED, "app:main/two", "x-2"), decision(AGAIN, "app:main/three", "x-3"), decision("being merged for testing"))
    return Snapshot(NOW, active=(one, two, third), decisions=made)


def shown(snapshot: Snapshot, width: int = 120, height: int = 40, **options: object) -> str:
    return "\n".join(line.plain for line in lines(snapshot, SCENE, width, height, **options))  # type: ignore[arg-type]


@pytest.mark.parametrize("width", [1, 20, 79, 80, 132, 300])
@pytest.mark.parametrize("height", [1, 5, 12, 24, 80])
def test_it_fits_any_terminal(width, height):
    made = lines(three(), SCENE, width, height)
    assert 0 < len(made) <= height
    assert all(line.cell_len <= width and "\n" not in line.plain for line in made)


def test_the_changes_are_there_on_80_by_24_with_their_reasons():
    text = shown(three(), 80, 24)
    assert all(f"{place} app:main/{name}" in text for place, name in enumerate(("one", "two", "three"), 1))
    assert "unit failed on top of app:main/one; reported once" in text


def test_a_change_that_is_tested_again_says_why_while_it_is_built():
    assert f"\N{BOX DRAWINGS LIGHT UP AND RIGHT} {AGAIN}" in shown(three())


def test_what_is_over_in_a_moment_is_no_decision_to_show():
    assert "being merged" not in shown(three())


def test_what_left_lingers_for_a_moment():
    gone = stay("app:main/gone", "gate", build("unit", Result.SUCCESS), outcome="merged", left_at=NOW - LINGERS + 1)
    assert "app:main/gone  merged" in shown(Snapshot(NOW, past=(gone,)))
    assert "app:main/gone" not in shown(Snapshot(NOW + LINGERS, past=(gone,)))


def test_the_first_to_give_way_are_the_decisions_and_the_last_are_the_changes():
    text = shown(three(), 120, 9)
    assert "last decisions" not in text
    assert "app:main/one" in text and "app:main/two" in text and "app:main/three" in text


def test_a_terminal_that_knows_only_ascii_gets_nothing_else():
    text = shown(three(), marks=ASCII_MARKS)
    assert text.isascii()
    assert "unit FAILED" in text and "unit ok" in text


def test_control_characters_from_outside_reach_no_terminal():
    wild = stay("app:main/\x1b[31mred", "gate", build("unit\x1b]0;title\x07"), reason="odd\x1b[2Jreason")
    assert "\x1b" not in shown(Snapshot(NOW, active=(wild,), decisions=(decision("\x1b[2J"),)))


def test_a_change_whose_id_is_a_number_is_shown_with_its_title():
    numbered = stay("gerrit:12", title="Sell juice")
    assert "gerrit:12 Sell juice  building" in shown(Snapshot(NOW, active=(numbered,)))
    assert "Sell juice" not in shown(Snapshot(NOW, active=(stay("app:main/sell-juice", title="Sell juice"),)))


def test_a_long_title_leaves_room_for_the_builds():
    numbered = stay("gerrit:12", "gate", build("unit"), title="Sell juice " * 20)
    text = shown(Snapshot(NOW, active=(numbered,)), 80)
    assert "gerrit:12 Sell juice" in text and "unit" in text
