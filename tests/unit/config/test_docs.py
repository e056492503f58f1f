from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from torii.config.project import parse_torii_yml
from torii.config.schema import server_schema, torii_schema
from torii.config.server import parse_server

DOCS = Path(__file__).parents[3] / "docs"
PAGES = {"torii-yml.md": torii_schema(), "server-yml.md": server_schema()}


@pytest.mark.parametrize("page", PAGES)
def test_the_page_names_every_key(page: str) -> None:
    words = set(re.findall(r"[\w-]+", (DOCS / page).read_text()))
    parts: list[dict[str, Any]] = [PAGES[page], *PAGES[page]["$defs"].values()]
    assert [key for part in parts for key in part.get("properties", {}) if key not in words] == []


@pytest.mark.parametrize("page", PAGES)
def test_the_examples_of_the_page_are_right(page: str) -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)
    assert blocks
    for block in blocks:
        parsed = parse_torii_yml(block.encode()) if page == "torii-yml.md" else parse_server(block.encode(), "server.yml", Path("/"))
        assert not isinstance(parsed, tuple), "\n".join(map(str, parsed))
