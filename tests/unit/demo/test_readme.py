"""The README: its two lines first, links that lead somewhere, files that are right, and no longer than two screens."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from torii.config.project import parse_torii_yml
from torii.config.server import parse_server
from torii.config.settings import ServerConfig
from torii.model.job import ProjectConfig

ROOT = Path(__file__).resolve().parents[3]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def test_the_first_two_blocks_are_the_two_lines():
    assert [block for _, block in BLOCKS[:2]] == ["./run demo\n", "./run tests\n"]


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([^)#:]+)\)", README))))
def test_every_link_leads_somewhere(link):
    assert (ROOT / link).exists()


def test_its_configuration_files_are_right():
    torii_yml, server_yml = (block for language, block in BLOCKS if language == "yaml")
    assert isinstance(parse_torii_yml(torii_yml.encode()), ProjectConfig)
    assert isinstance(parse_server(server_yml.encode(), "server.yml", ROOT), ServerConfig)


def test_it_fits_two_screens():
    assert README.count("\n") <= 2 * 50


def test_its_picture_is_one_that_the_demo_made_and_fetches_nothing():
    picture = (ROOT / "docs" / "demo.svg").read_text()
    words = re.sub(r"<[^>]+>", "", picture).replace("&#160;", " ")
    assert all(word in words for word in ("torii demo", "app:main/print-receipt", "failing", "tested again on top of app:main/clear-names"))
    assert set(re.findall(r"https?://[^\"<&;\s]+", picture)) <= {
        "http://www.w3.org/2000/svg",
        *re.findall(r"http://127\.0\.0\.1:\d+", picture),
    }
