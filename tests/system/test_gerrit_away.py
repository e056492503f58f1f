"""A whole Torii whose Gerrit is not there: it starts all the same, says what is wrong, takes webhooks, and is woken by `torii notify`."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.waiting import free_port, wait_until
from torii.config.server import load_server
from torii.gearman import load_key
from torii.model.ids import ProjectName
from torii.runtime.system import System
from torii.sources.wake import wake

EVENT = {"type": "ref-updated", "refUpdate": {"project": "app", "refName": "refs/heads/main", "oldRev": "0" * 40, "newRev": "1" * 40}}


@pytest.fixture
def system(tmp_path: Path) -> Iterator[System]:
    (tmp_path / "password").write_text("swordfish\n")
    (tmp_path / "hook").write_text("open sesame\n")
    file = tmp_path / "server.yml"
    file.write_text(
        f"connections:\n  review: {{type: gerrit, url: 'http://127.0.0.1:{free_port()}', password: file:password, events: webhooks, "
        "webhook-secret: file:hook, timeout: 2s, catch-up: 1s}\n"
        f"  forge: {{url: {tmp_path}}}\n"
        "projects: {app: {connection: review}, site: {connection: forge}}\n"
        "gearman: {port: 0}\nweb: {port: 0}\nworker: {executors: 0}\n"
    )
    system = System(load_server(file))
    system.start()
    yield system
    system.stop()


def ask(url: str, body: bytes | None = None, secret: str = "") -> tuple[int, str]:
    request = urllib.request.Request(url, body, {"X-Torii-Secret": secret} if secret else {})
    try:
        with urllib.request.urlopen(request, timeout=20.0) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_its_health_names_the_gerrit_that_is_away(system: System) -> None:
    def degraded() -> dict[str, str] | None:
        said = json.loads(ask(f"{system.url}/health")[1])
        away = "nothing listens there" in said["sources"]["review"]
        return said["sources"] if said["status"] == "degraded" and away else None

    sources = wait_until(degraded, 20.0)
    assert "http://127.0.0.1:" in sources["review"]
    assert "swordfish" not in str(sources)
    assert all(isinstance(words, str) for words in sources.values())


def test_a_webhook_is_taken_from_who_knows_the_secret_and_only_for_a_gerrit(system: System) -> None:
    body = json.dumps(EVENT).encode()
    assert ask(f"{system.url}/webhooks/review", body, "open sesame") == (204, "")
    assert ask(f"{system.url}/webhooks/review", body, "swordfish")[0] == 403
    assert ask(f"{system.url}/webhooks/review", body)[0] == 403
    assert ask(f"{system.url}/webhooks/review", b"{", "open sesame")[0] == 400
    assert ask(f"{system.url}/webhooks/forge", body, "open sesame")[0] == 404


def test_notify_finds_the_projects_of_a_gerrit(system: System) -> None:
    key = load_key(system.config.gearman, system.config.state)
    assert wait_until(lambda: wake(system.gearman, key, ProjectName("app"), 5.0), 20.0)
    assert not wake(system.gearman, key, ProjectName("nobody"), 5.0)
