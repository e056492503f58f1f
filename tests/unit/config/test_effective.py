from __future__ import annotations

from pathlib import Path

import pytest

from torii.config.effective import Effective
from torii.config.server import load_server, parse_server
from torii.config.settings import ServerConfig

EXAMPLES = Path(__file__).parents[3] / "examples"
FILES = [None, *sorted(EXAMPLES.glob("*server.yml"))]


def shown(path: Path | None) -> tuple[ServerConfig, list[str]]:
    config = load_server(path)
    return config, list(Effective(config, path.read_bytes() if path else b"").lines())


@pytest.mark.parametrize("path", FILES, ids=str)
def test_what_is_shown_is_a_server_yml_that_says_the_same(path: Path | None) -> None:
    config, lines = shown(path)
    assert parse_server("\n".join(lines).encode(), "shown.yml", Path("/elsewhere")) == config


def test_with_no_file_everything_is_marked_as_default() -> None:
    _, lines = shown(None)
    assert [line for line in lines if not line.endswith((":", "# default")) and "# " not in line] == []


def test_what_the_file_says_is_not_marked() -> None:
    _, lines = shown(EXAMPLES / "server.yml")
    assert "  executors: 4" in lines
    assert "default-pipelines: true  # default" in lines
    assert '    url: "git@git.example.com:tools/app.git"' in lines  # worked out from the path, which the file says
    assert '    url: "git@git.example.com:tools/library"  # default' in lines
    assert '    password: "env:MIRROR_PASSWORD"' in lines
    assert "  # url: not set (SQLite in the state folder)" in lines


def test_unusual_text_is_shown_so_that_it_can_be_read_again() -> None:
    description = 'a: "b" # c\n\u2028\U0001f600\x7f yes'
    text = '{pipelines: {x: {manager: serial, triggers: approved, description: "a: \\"b\\" # c\\n\\u2028\\U0001F600\\x7F yes"}}}'
    config = parse_server(text.encode(), "server.yml", Path("/"))
    assert isinstance(config, ServerConfig)
    assert config.pipelines[-1].description == description
    again = parse_server("\n".join(Effective(config).lines()).encode(), "server.yml", Path("/"))
    assert again == config


def test_the_state_folder_of_the_command_line_is_no_default() -> None:
    config = load_server(None, Path("/elsewhere"))
    assert "state: /elsewhere" in list(Effective(config, overridden=(("state",),)).lines())
