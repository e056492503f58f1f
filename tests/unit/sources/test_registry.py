"""Which source speaks to a connection of server.yml."""

from __future__ import annotations

from pathlib import Path

import pytest

from torii.config.server import parse_server
from torii.config.settings import ServerConfig
from torii.errors import OperatorError, WebhookSecretError
from torii.runtime.ports import Source, TakesWebhooks, TellsHealth
from torii.sources.registry import open_source

FILE = """
connections:
  review: {type: gerrit, url: "https://review.example.com", password: file:password, events: both, webhook-secret: file:hook}
  forge: {url: /srv}
projects:
  app: {connection: review}
  site: {connection: forge}
"""


def opened(folder: Path, name: str) -> Source:
    config = parse_server(FILE.encode(), "server.yml", folder)
    assert isinstance(config, ServerConfig)
    connection = next(each for each in config.connections if each.name == name)
    mirrors = folder / "mirrors"
    return open_source(connection, config.projects, mirrors, lambda events, cursor=None: None, lambda report: "", config.pipelines)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "password").write_text("swordfish")
    (tmp_path / "hook").write_text("open sesame")
    return tmp_path


def test_a_gerrit_of_server_yml_is_a_source_that_takes_webhooks_with_its_secret(folder: Path) -> None:
    source = opened(folder, "review")
    assert source.name == "review"
    assert isinstance(source, TakesWebhooks)
    with pytest.raises(WebhookSecretError):
        source.take_webhook("swordfish", b"{}")


@pytest.mark.parametrize("name", ["review", "forge"])
def test_every_source_says_how_it_is_in_one_sentence(folder: Path, name: str) -> None:
    source = opened(folder, name)
    assert isinstance(source, TellsHealth)
    assert isinstance(source.health(), str)


def test_no_plain_git_server_takes_webhooks(folder: Path) -> None:
    assert not isinstance(opened(folder, "forge"), TakesWebhooks)


def test_a_gerrit_whose_password_is_missing_is_an_error_that_says_which_file(folder: Path) -> None:
    (folder / "password").unlink()
    with pytest.raises(OperatorError, match="password cannot be read"):
        opened(folder, "review")
