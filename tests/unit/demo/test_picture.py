"""The picture of the screen."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree

import pytest

from tests.unit.demo.values import NOW, build, stay
from torii.demo.picture import export
from torii.demo.screen import Scene
from torii.demo.snapshot import Snapshot
from torii.errors import OperatorError

SCENE = Scene(3, 4, "Three changes & more.", NOW, "http://127.0.0.1:1")
SNAPSHOT = Snapshot(NOW, active=(stay("app:main/<fix>", "gate", build("unit")),))


def test_a_picture_is_svg_with_the_screen_in_it(tmp_path):
    export(SNAPSHOT, SCENE, tmp_path / "screen.svg")
    words = "".join(ElementTree.parse(tmp_path / "screen.svg").getroot().itertext()).replace("\N{NO-BREAK SPACE}", " ")
    assert "app:main/<fix>" in words and "Three changes & more." in words


def test_a_picture_fetches_nothing_from_elsewhere(tmp_path):
    export(SNAPSHOT, SCENE, tmp_path / "screen.svg")
    text = (tmp_path / "screen.svg").read_text()
    assert "@font-face" not in text
    assert set(re.findall(r"https?://[^\"<\s]+", text)) == {"http://www.w3.org/2000/svg", "http://127.0.0.1:1"}


def test_a_picture_that_cannot_be_written_is_said_so(tmp_path):
    with pytest.raises(OperatorError, match="the picture cannot be written"):
        export(SNAPSHOT, SCENE, tmp_path / "nowhere" / "screen.svg")
