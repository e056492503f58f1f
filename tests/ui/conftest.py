"""A real Chromium on pages that are really served."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect, sync_playwright

from tests.support import parts
from tests.support.pages import PIPELINES, Afternoon, fill
from torii.config.settings import GerritConnection, WebSettings
from torii.runtime.ports import Health
from torii.web.server import WebServer

expect.set_options(timeout=20_000)  # of a machine that has more to do than this
CHROMIUM_ARGS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--no-first-run")


@pytest.fixture(scope="module")  # ended with the file: while it lives, its event loop bars others from this thread
def chromium():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=parts.binary("chromium"), args=list(CHROMIUM_ARGS))
        yield browser
        browser.close()


@pytest.fixture
def afternoon(tmp_path):
    afternoon = Afternoon(tmp_path)
    fill(afternoon)
    yield afternoon
    afternoon.close()


class Told:
    """How Torii is, as the test says."""

    def __init__(self) -> None:
        self.health = Health("", (("local", "ok"), ("review", "ok")))

    def __call__(self) -> Health:
        return self.health


@pytest.fixture
def told():
    return Told()


@pytest.fixture
def web(afternoon, told):
    connections = [GerritConnection("review", "http://review.localhost")]
    web = WebServer(WebSettings(port=0), afternoon.store, afternoon.blobs, PIPELINES, connections=connections, health=told)
    web.start()
    yield web
    web.stop()


@pytest.fixture
def open_page(chromium, web):
    """Open a path in a page of its own.

    What the browser complains of fails the test (errors of scripts, refusals of the content security policy, requests to others), but
    for failed requests where the test is `tolerant` of them.
    """
    complaints = []
    contexts = []

    def open_page(path: str, width: int = 1280, height: int = 900, tolerant: bool = False, **options):
        context = chromium.new_context(viewport={"width": width, "height": height}, **options)
        context.set_default_timeout(20_000)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda message: None if tolerant or message.type != "error" else complaints.append(message.text))
        page.on("request", lambda request: None if request.url.startswith(web.url) else complaints.append(request.url))
        page.goto(web.url + path)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []
